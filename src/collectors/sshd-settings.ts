/**
 * sshd's own limits: keyword and value per line, as `sshd -T` and `sshd -G` print them and as sshd_config(5) has them
 * (servconf.c: keywords in any case, the first value wins, Include with wildcards, Match blocks apply to some only).
 */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { isAbsolute, join } from "node:path";
import { isGone, quote } from "./kernel-file.ts";

export interface ConfigLine {
  readonly keyword: string;
  readonly value: string;
  /** `path:line`, for errors. */
  readonly place: string;
}

/** Undefined: not set; sshd's built-in value holds (OpenSSH servconf.c, fill_default_server_options). */
export interface SshdSettings {
  readonly ports: readonly number[];
  readonly maxStartups?: { readonly begin: number; readonly rate: number; readonly full: number };
  /** "none" where there is no such limit. */
  readonly perSourceMaxStartups?: number | "none";
  readonly perSourcePenalties?: boolean;
  readonly loginGraceSeconds?: number;
  readonly clientAliveIntervalSeconds?: number;
  readonly clientAliveCountMax?: number;
  readonly tcpKeepAlive?: boolean;
  readonly useDns?: boolean;
}

/** What every OpenSSH since 6.9 starts with; PerSourcePenalties depends on the release (on since 9.8). */
export const builtInSettings = {
  ports: [22],
  maxStartups: { begin: 10, rate: 30, full: 100 },
  perSourceMaxStartups: "none",
  loginGraceSeconds: 120,
  clientAliveIntervalSeconds: 0,
  clientAliveCountMax: 3,
  tcpKeepAlive: true,
  useDns: false,
} as const satisfies SshdSettings;

const maxDepth = 16; // servconf.c SERVCONF_MAX_DEPTH
const maxFileBytes = 1024 * 1024;
const maxFiles = 256;

/** The lines of /etc/ssh/sshd_config below `rootfs`, Includes in place. `found` is false where there is no such file. Throws when one may not be read. */
export function readSshdConfig(rootfs: string, path = "/etc/ssh/sshd_config"): { found: boolean; lines: ConfigLine[] } {
  let files = 0;
  const read = (file: string, depth: number): ConfigLine[] | undefined => {
    if (depth > maxDepth) throw new Error(`${file}: Include nested deeper than ${maxDepth}`);
    if (++files > maxFiles) throw new Error(`${file}: more than ${maxFiles} included files`);
    const text = readText(join(rootfs, file));
    return text === undefined ? undefined : expand(text, file, depth);
  };
  const expand = (text: string, file: string, depth: number): ConfigLine[] => {
    const lines: ConfigLine[] = [];
    for (const line of parseConfigLines(text, file)) {
      if (line.keyword === "match") break; // the rest of the file holds for some connections only
      if (line.keyword !== "include") lines.push(line);
      else for (const part of included(rootfs, line.value)) lines.push(...(read(part, depth + 1) ?? []));
    }
    return lines;
  };
  const lines = read(path, 0);
  return lines === undefined ? { found: false, lines: [] } : { found: true, lines };
}

/** Keywords in lower case. `Keyword value`, `Keyword=value`, `Keyword "value"`. */
export function parseConfigLines(text: string, path: string): ConfigLine[] {
  return text.split("\n").flatMap((raw, index) => {
    const line = /^\s*([A-Za-z0-9]+)(?:\s*=\s*|\s+)(.*?)\s*$/.exec(raw);
    if (line === null) return []; // empty, a comment, or for sshd to complain about
    return [{ keyword: (line[1] ?? "").toLowerCase(), value: line[2] ?? "", place: `${path}:${index + 1}` }];
  });
}

/** Throws with the line's place on a value that sshd would refuse. */
export function settingsOf(lines: readonly ConfigLine[]): SshdSettings {
  const first = <T>(keyword: string, parse: (value: string, place: string) => T): T | undefined => {
    const line = lines.find((candidate) => candidate.keyword === keyword);
    return line === undefined ? undefined : parse(unquoted(line.value), line.place);
  };
  const all = {
    ports: portsOf(lines),
    maxStartups: first("maxstartups", parseMaxStartups),
    perSourceMaxStartups: first("persourcemaxstartups", (value, place) =>
      value === "none" ? value : count(value, place),
    ),
    perSourcePenalties: first("persourcepenalties", (value) => value !== "no"),
    loginGraceSeconds: first("logingracetime", parseTime),
    clientAliveIntervalSeconds: first("clientaliveinterval", parseTime),
    clientAliveCountMax: first("clientalivecountmax", count),
    tcpKeepAlive: first("tcpkeepalive", flag) ?? first("keepalive", flag),
    useDns: first("usedns", flag),
  };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined)) as unknown as SshdSettings;
}

/** Ports of ListenAddress where it names them, else those of Port; empty where neither is set. */
function portsOf(lines: readonly ConfigLine[]): number[] {
  const ports = lines
    .filter(({ keyword }) => keyword === "port")
    .map(({ value, place }) => port(unquoted(value), place));
  const addresses = lines.filter(({ keyword }) => keyword === "listenaddress");
  if (addresses.length === 0) return [...new Set(ports)];
  const found = addresses.flatMap(({ value, place }) => {
    const [address = ""] = unquoted(value).split(/\s+/); // the rest is `rdomain NAME`
    const named = /^(?:\[[^\]]*\]|[^:]*):(\d+)$/.exec(address)?.[1];
    return named === undefined ? (ports.length > 0 ? ports : [22]) : [port(named, place)];
  });
  return [...new Set(found)];
}

/** `10:30:100`, or `10`, which refuses all beyond it. */
function parseMaxStartups(value: string, place: string): { begin: number; rate: number; full: number } {
  const parts = /^(\d{1,9})(?::(\d{1,3}):(\d{1,9}))?$/.exec(value);
  if (parts === null) throw new Error(`${place}: MaxStartups ${quote(value)} is not "begin:rate:full"`);
  const begin = Number(parts[1]);
  return parts[2] === undefined
    ? { begin, rate: 100, full: begin }
    : { begin, rate: Number(parts[2]), full: Number(parts[3]) };
}

const unitSeconds: Readonly<Record<string, number>> = { "": 1, s: 1, m: 60, h: 3600, d: 86_400, w: 604_800 };

/** sshd_config(5) TIME FORMATS in seconds: `600`, `10m`, `1h30m`; `none` is 0. */
export function parseTime(value: string, place: string): number {
  if (value === "none") return 0;
  if (!/^(?!$)(?:\d{1,9}[smhdw])*(?:\d{1,9})?$/i.test(value)) throw new Error(`${place}: ${quote(value)} is no time`);
  let seconds = 0;
  for (const [, amount, unit] of value.toLowerCase().matchAll(/(\d+)([smhdw]?)/g)) {
    seconds += Number(amount) * (unitSeconds[unit ?? ""] ?? 1);
  }
  return seconds;
}

function flag(value: string, place: string): boolean {
  if (value === "yes" || value === "true") return true;
  if (value === "no" || value === "false") return false;
  throw new Error(`${place}: ${quote(value)} is neither yes nor no`);
}

function count(value: string, place: string): number {
  if (!/^\d{1,9}$/.test(value)) throw new Error(`${place}: ${quote(value)} is no count`);
  return Number(value);
}

function port(value: string, place: string): number {
  const number = /^\d{1,5}$/.test(value) ? Number(value) : 0;
  if (number < 1 || number > 65_535) throw new Error(`${place}: ${quote(value)} is no port`);
  return number;
}

function unquoted(value: string): string {
  const quoted = /^"([^"]*)"/.exec(value)?.[1];
  return quoted ?? value.replace(/\s+#.*$/, "");
}

/** Files that an Include names, in the order of glob(3); relative ones are below /etc/ssh. */
function included(rootfs: string, value: string): string[] {
  const names = [...value.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? "");
  return names.flatMap((name) => {
    const parts = (isAbsolute(name) ? name : join("/etc/ssh", name)).split("/").slice(1);
    return parts.reduce((paths, part) => paths.flatMap((path) => matching(rootfs, path, part)), [""]);
  });
}

/** `path` with each name in it that fits one component of a pattern: `*`, `?` and `[...]` as in glob(7). */
function matching(rootfs: string, path: string, part: string): string[] {
  if (!/[*?[]/.test(part)) return [`${path}/${part}`];
  const source = part
    .replace(/[.+^${}()|\\]/g, "\\$&")
    .replace(/\*/g, ".*")
    .replace(/\?/g, ".")
    .replace(/\[!/g, "[^");
  const fits = new RegExp(`^(?!\\.)${source}$`);
  try {
    return readdirSync(join(rootfs, path))
      .filter((name) => fits.test(name))
      .sort()
      .map((name) => `${path}/${name}`);
  } catch (error) {
    if (isGone(error)) return [];
    throw error;
  }
}

function readText(path: string): string | undefined {
  try {
    if (statSync(path).size > maxFileBytes) throw new Error(`${path}: larger than ${maxFileBytes} bytes`);
    return readFileSync(path, "utf8");
  } catch (error) {
    if (isGone(error)) return undefined;
    throw error;
  }
}
