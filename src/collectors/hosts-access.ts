/**
 * TCP wrappers: hosts.allow and hosts.deny by hosts_access(5) and hosts_options(5), and who would be refused by which
 * line. Follows tcp_wrappers 7.6 as Debian ships it (hosts_access.c, options.c, misc.c), quirks included: a line too long
 * or without newline refuses everybody who comes that far, so does a bad option, and an IPv4 net with host bits set
 * never matches.
 * Without a name server: a host name that is not given is "unknown", as for an address without a name.
 */
import { isIPv4, isIPv6 } from "node:net";

export interface Rule {
  readonly file: string;
  /** Of its last physical line, as libwrap counts. */
  readonly line: number;
  readonly daemons: readonly string[];
  readonly clients: readonly string[];
  /** What follows the second `:`; undefined where there is none. */
  readonly options?: string;
  /** Why libwrap cannot read the line: then it refuses everybody. */
  readonly unreadable?: string;
}

export interface Problem {
  readonly file: string;
  readonly line: number;
  readonly problem: string;
}

export interface HostsAccess {
  readonly allow: readonly Rule[];
  readonly deny: readonly Rule[];
  readonly problems: readonly Problem[];
  /** Text of a file that a rule names (`/etc/ssh-hosts`); undefined when it cannot be read. */
  readonly readPattern?: (path: string) => string | undefined;
}

export interface Client {
  readonly daemon: string;
  readonly address: string;
  /** "paranoid" where name and address do not agree. */
  readonly hostname?: string;
  readonly localAddress?: string;
  readonly localPort?: number;
}

/** `rule` is undefined when none matched, which allows. undecided: a program that the rule runs has the last word. */
export interface Decision {
  readonly verdict: "allowed" | "denied" | "undecided";
  readonly rule?: Rule;
  /** The option that decided: `deny`, `twist`, or what is wrong with one. */
  readonly option?: string;
}

/** Files of patterns that one decision reads. */
const patternFilesRead = 16;
const maxLineBytes = 2047; // hosts_access.c BUFLEN, with the newline

/** Pure; never throws: what libwrap would skip with a warning is a problem. */
export function parseHostsAccess(text: string, file: string): { rules: Rule[]; problems: Problem[] } {
  const rules: Rule[] = [];
  const problems: Problem[] = [];
  for (const { content, line, ended } of logicalLines(text)) {
    const problem = (what: string) => problems.push({ file, line, problem: what });
    if (!ended || content.length >= maxLineBytes) {
      const unreadable = "missing newline or line too long";
      problem(`${unreadable}: everybody who comes this far is refused`);
      rules.push({ file, line, daemons: ["ALL"], clients: ["ALL"], unreadable });
    } else if (content.startsWith("#") || content.trim() === "") continue;
    else {
      const [daemons, rest] = splitAt(content, ":");
      if (rest === undefined) problem('missing ":" separator');
      else {
        const [clients, options] = splitAt(rest, ":");
        const rule = { file, line, daemons: tokens(daemons), clients: tokens(clients) };
        rules.push(options === undefined ? rule : { ...rule, options });
      }
    }
  }
  return { rules, problems };
}

/** Lines with backslash-newline joined (misc.c xgets): in comments too. */
function* logicalLines(text: string): Generator<{ content: string; line: number; ended: boolean }> {
  const physical = text.split("\n");
  let content = "";
  for (const [index, part] of physical.entries()) {
    const last = index === physical.length - 1;
    if (last && content === "" && part === "") return;
    if (!last && part.endsWith("\\")) {
      content += part.slice(0, -1);
      continue;
    }
    yield { content: content + part, line: index + 1, ended: !last };
    content = "";
  }
}

/** At the first delimiter outside brackets (IPv6 addresses). */
function splitAt(text: string, delimiter: string): [string, string | undefined] {
  const first = text.indexOf(delimiter);
  if (first === -1) return [text, undefined];
  const bracket = text.search(/[[\]]/);
  if (bracket === -1 || first < bracket) return [text.slice(0, first), text.slice(first + 1)];
  let depth = 0;
  for (let index = 0; index < text.length; index++) {
    const character = text[index];
    if (character === "[") depth++;
    else if (character === "]") depth--;
    else if (depth === 0 && character === delimiter) return [text.slice(0, index), text.slice(index + 1)];
  }
  return [text, undefined];
}

function tokens(list: string): string[] {
  return list.match(/[^, \t\r\n]+/g) ?? [];
}

/** Would libwrap let this client through, and which line says so? */
export function decide(tables: HostsAccess, client: Client): Decision {
  // A file of patterns may name itself, again and again.
  let left = patternFilesRead;
  const access = { ...tables, readPattern: (path: string) => (left-- > 0 ? tables.readPattern?.(path) : undefined) };
  for (const [rules, verdict] of [
    [access.allow, "allowed"],
    [access.deny, "denied"],
  ] as const) {
    const rule = rules.find((candidate) => matches(candidate, client, access));
    if (rule === undefined) continue;
    if (rule.unreadable !== undefined) return { verdict: "denied", rule, option: rule.unreadable };
    return rule.options === undefined ? { verdict, rule } : { ...applyOptions(rule.options, verdict), rule };
  }
  return { verdict: "allowed" };
}

/** True when the rule is about this daemon, for some client at least. */
export function concerns(rule: Rule, daemon: string): boolean {
  const names = (token: string) =>
    stringMatch(splitAt(token.slice(1), "@")[1] === undefined ? token : before(token), daemon);
  return listMatch(rule.daemons, names);
}

function matches({ daemons, clients }: Rule, client: Client, access: HostsAccess): boolean {
  return (
    listMatch(daemons, (token) => serverMatch(token, client, access)) &&
    listMatch(clients, (token) => clientMatch(token, client, access))
  );
}

/** `a b EXCEPT c d EXCEPT e` is `(a b EXCEPT (c d EXCEPT e))`. */
function listMatch(list: readonly string[], match: (token: string) => boolean): boolean {
  for (const [index, token] of list.entries()) {
    if (same(token, "EXCEPT")) return false;
    if (!match(token)) continue;
    const except = list.findIndex((later, at) => at > index && same(later, "EXCEPT"));
    return except < 0 || !listMatch(list.slice(except + 1), match);
  }
  return false;
}

interface Endpoint {
  readonly address: string;
  readonly name: string;
}

function serverMatch(token: string, { daemon, localAddress, localPort }: Client, access: HostsAccess): boolean {
  const [, host] = splitAt(token.slice(1), "@");
  const name = host === undefined ? token : before(token);
  if (!stringMatch(name, daemon) && !(localPort !== undefined && name === String(localPort))) return false;
  return host === undefined || hostMatch(host, { address: localAddress ?? "unknown", name: "unknown" }, access);
}

/** sshd does not ask the client's ident service, so the user is "unknown". */
function clientMatch(token: string, { address, hostname }: Client, access: HostsAccess): boolean {
  const client = { address, name: hostname ?? "unknown" };
  const [, host] = splitAt(token.slice(1), "@");
  if (host === undefined) return hostMatch(token, client, access);
  return hostMatch(host, client, access) && stringMatch(before(token), "unknown");
}

function before(token: string): string {
  return token.slice(0, 1) + splitAt(token.slice(1), "@")[0];
}

function hostMatch(token: string, { address, name }: Endpoint, access: HostsAccess, depth = 0): boolean {
  const nameKnown = !same(name, "unknown") && !same(name, "paranoid");
  if (token.startsWith("@")) return false; // NIS netgroup: cannot be looked up from here
  if (token.startsWith("/")) {
    if (depth > 8) return false; // a file that names itself
    const listed = access.readPattern?.(token)?.split(/\s+/) ?? [];
    return listed.some((pattern) => pattern !== "" && hostMatch(pattern, { address, name }, access, depth + 1));
  }
  if (same(token, "KNOWN")) return !same(address, "unknown") && nameKnown;
  if (same(token, "LOCAL")) return nameKnown && !name.includes(".");
  const [net, mask] = splitAt(token, "/");
  if (mask !== undefined) return maskedMatch4(net, mask, address) || maskedMatch6(net, mask, address);
  return stringMatch(token, address) || (/[^0-9./]/.test(token) && stringMatch(token, name));
}

function stringMatch(token: string, text: string): boolean {
  if (/[*?]/.test(token)) return wildcardMatch(token, text);
  if (token.startsWith(".")) return text.length > token.length && same(text.slice(-token.length), token);
  if (same(token, "ALL")) return true;
  if (same(token, "KNOWN")) return !same(text, "unknown");
  if (token.endsWith(".")) return same(text.slice(0, token.length), token);
  if (token.startsWith("[") && token.endsWith("]")) {
    const pattern = ipv6Bits(token.slice(1, -1));
    return pattern !== undefined && pattern === ipv6Bits(text);
  }
  return same(token, text);
}

/** Linear in practice: the last star is the only point to return to. */
function wildcardMatch(pattern: string, text: string): boolean {
  const [want, have] = [pattern.toLowerCase(), text.toLowerCase()];
  let [at, star, mark, index] = [0, -1, 0, 0];
  while (index < have.length) {
    if (want[at] === "*") {
      star = at++;
      mark = index;
    } else if (want[at] === "?" || want[at] === have[index]) {
      at++;
      index++;
    } else if (star >= 0) {
      at = star + 1;
      index = ++mark;
    } else return false;
  }
  while (want[at] === "*") at++;
  return at === want.length;
}

/** The net must have no bits beyond the mask; /0 and 255.255.255.255 are no masks. */
function maskedMatch4(net: string, mask: string, address: string): boolean {
  const [netBits, addressBits] = [ipv4Bits(net), ipv4Bits(address)];
  const maskBits = ipv4Bits(mask) ?? prefixBits(mask);
  if (netBits === undefined || addressBits === undefined || maskBits === undefined) return false;
  return (addressBits & maskBits) >>> 0 === netBits;
}

function prefixBits(mask: string): number | undefined {
  const length = Number.parseInt(mask, 10);
  return length >= 1 && length <= 32 ? (0xffffffff << (32 - length)) >>> 0 : undefined;
}

/** Undefined too for 255.255.255.255, which is INADDR_NONE to libwrap. */
function ipv4Bits(text: string): number | undefined {
  if (!isIPv4(text)) return undefined;
  const bits = text.split(".").reduce((sum, part) => sum * 256 + Number(part), 0);
  return bits === 0xffffffff ? undefined : bits;
}

function maskedMatch6(net: string, mask: string, address: string): boolean {
  if (!net.startsWith("[") || !net.endsWith("]")) return false;
  const [netBits, addressBits] = [ipv6Bits(net.slice(1, -1)), ipv6Bits(address)];
  const length = Number.parseInt(mask, 10) || 0; // atoi(3)
  if (netBits === undefined || addressBits === undefined || length < 0 || length > 128) return false;
  const shift = BigInt(128 - length);
  return netBits >> shift === addressBits >> shift;
}

function ipv6Bits(text: string): bigint | undefined {
  const [plain = ""] = text.split("%", 1);
  if (!isIPv6(plain)) return undefined;
  const dotted = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(plain);
  const hex = (high: string | undefined, low: string | undefined) => (Number(high) * 256 + Number(low)).toString(16);
  const full = dotted === null ? plain : `${dotted[1]}${hex(dotted[2], dotted[3])}:${hex(dotted[4], dotted[5])}`;
  const [head = "", tail] = full.split("::");
  const left = head === "" ? [] : head.split(":");
  const right = tail === undefined || tail === "" ? [] : tail.split(":");
  const groups = [...left, ...Array<string>(8 - left.length - right.length).fill("0"), ...right];
  return groups.reduce((bits, group) => (bits << 16n) | BigInt(Number.parseInt(group, 16)), 0n);
}

type Argument = "none" | "needed" | "optional";

/** syslog(3): `[facility.]level`. */
const severity =
  /^\s*(?:(?:kern|user|mail|daemon|auth|authpriv|lpr|news|uucp|cron|ftp|local[0-7])\.)?(?:emerg|alert|crit|err|warning|notice|info|debug)$/i;

/** options.c option_table. `valid`: what the option itself refuses. */
const options: Readonly<Record<string, { argument: Argument; last?: boolean; valid?: RegExp }>> = {
  user: { argument: "needed" },
  group: { argument: "needed" },
  umask: { argument: "needed", valid: /^\s*0*[0-7]{1,3}$/ },
  linger: { argument: "needed", valid: /^\s*\+?\d+$/ },
  keepalive: { argument: "none" },
  spawn: { argument: "needed" },
  twist: { argument: "needed", last: true },
  rfc931: { argument: "optional", valid: /^\s*\+?0*[1-9]\d*$/ },
  setenv: { argument: "needed" },
  nice: { argument: "optional", valid: /^\s*[+-]?\d+$/ },
  severity: { argument: "needed", valid: severity },
  allow: { argument: "none", last: true },
  deny: { argument: "none", last: true },
  banners: { argument: "needed" },
  aclexec: { argument: "needed" },
};

function applyOptions(text: string, otherwise: "allowed" | "denied"): Omit<Decision, "rule"> {
  const fields = optionFields(text);
  let undecided: string | undefined;
  for (const [index, field] of fields.entries()) {
    const [, key = "", value = ""] = /^([^=\s]*)(?:\s*=?\s*)([\s\S]*)$/.exec(field.trim()) ?? [];
    const wrong = problemOf(key, value, index === fields.length - 1);
    if (wrong !== undefined) return { verdict: "denied", option: wrong };
    const name = key.toLowerCase();
    if (name === "allow") return { verdict: "allowed", option: name };
    if (name === "deny" || name === "twist") return { verdict: "denied", option: name };
    if (name === "aclexec") undecided = name;
  }
  return undecided === undefined ? { verdict: otherwise } : { verdict: "undecided", option: undecided };
}

function problemOf(key: string, value: string, isLast: boolean): string | undefined {
  if (key === "") return "missing option name";
  const option = Object.hasOwn(options, key.toLowerCase()) ? options[key.toLowerCase()] : undefined;
  if (option === undefined) return `bad option name or syntax: ${JSON.stringify(key.slice(0, 80))}`;
  if (value === "" && option.argument === "needed") return `option "${key}" requires value`;
  if (value !== "" && option.argument === "none") return `option "${key}" permits no value`;
  if (option.last && !isLast) return `option "${key}" must be at end`;
  if (value !== "" && option.valid && !option.valid.test(value))
    return `bad ${key} value: ${JSON.stringify(value.slice(0, 80))}`;
  return undefined;
}

/** Separated by `:`, which `\:` protects. A `:` at the very end starts no field. */
function optionFields(text: string): string[] {
  const fields: string[] = [];
  let field = "";
  for (let index = 0; index < text.length; index++) {
    if (text[index] === "\\" && text[index + 1] === ":") field += text[++index];
    else if (text[index] === ":") {
      fields.push(field);
      field = "";
    } else field += text[index];
  }
  fields.push(field);
  return fields;
}

function same(a: string, b: string): boolean {
  return a.toLowerCase() === b.toLowerCase();
}
