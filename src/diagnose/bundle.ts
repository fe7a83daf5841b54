/**
 * A bundle: what a diagnosis rests on, in one file for a colleague. Gzipped lines of JSON: a head, observations, an end.
 * It holds what lines mean, not the lines: so no user name, no host name, and addresses under other ones, the same one
 * for the same address, so that all joins still work. A bundle from elsewhere is hostile: everything in it is checked,
 * bounded, and only ever counted and printed.
 */
import { createHash, randomBytes } from "node:crypto";
import { createReadStream, createWriteStream, statSync } from "node:fs";
import { rename, rm } from "node:fs/promises";
import { isIP } from "node:net";
import { finished } from "node:stream/promises";
import { createGunzip, createGzip } from "node:zlib";
import type { Event } from "../model/event.ts";
import type { LogRecord, SourceName } from "../model/record.ts";
import { sourceNames } from "../model/record.ts";
import { decides } from "./decisive.ts";
import type { Material, Rest } from "./diagnose.ts";
import type { KnownPeer } from "./known-peers.ts";
import type { Observation } from "./observation.ts";
import { checked } from "./saved-state.ts";
import type { TimeWindow } from "./time-window.ts";

const format = "ssh-reset-exporter bundle";
const version = 1;
const fileBytesLimit = 256 * 1024 * 1024;
const textBytesLimit = 2 * 1024 * 1024 * 1024;
const lineBytesLimit = 16 * 1024 * 1024;
const textLength = 1024;

/** What is wrong with a bundle, or with the place where it is to be saved; names the file. */
export class BundleError extends Error {
  override name = "BundleError";
}

/** As it stands in the file: arrays are shorter than names. */
type Row = readonly [
  timeMs: number,
  source: SourceName,
  ident: string,
  pid: number,
  count: number,
  event: Event,
  message: string,
];
interface Head {
  readonly format: string;
  readonly version: number;
  readonly window: TimeWindow;
  readonly known: readonly KnownPeer[];
  readonly peers: Material["peers"];
  readonly kernelRead: boolean;
  readonly saved?: NonNullable<Material["saved"]>;
}

export interface Saving {
  /** To be used instead of the material that is saved. */
  readonly material: Material;
  done(): Promise<void>;
}

/** Writes what is read as it is read, beside the file, and names it when it is complete. `plain`: addresses and decisive lines as they are. */
export function saveBundle(path: string, material: Material, plain: boolean): Saving {
  const temporary = `${path}.new`;
  const gzip = createGzip({ level: 6 });
  const file = createWriteStream(temporary, { mode: 0o600 });
  const written = finished(gzip.pipe(file));
  written.catch(() => undefined);
  const hide = plain ? (address: string) => address : new Disguise().address;
  let rows = 0;
  const write = async (value: unknown): Promise<void> => {
    if (!gzip.write(`${JSON.stringify(value)}\n`)) {
      await Promise.race([new Promise((resolve) => gzip.once("drain", resolve)), written]);
    }
  };
  const toRow = ({ event, record }: Observation): Row => {
    const { timeMs, source, ident, pid, count, message } = record;
    const keep = decides(event).length > 0 && (plain || ident === "kernel" || ident === "systemd");
    return [timeMs, source, ident, pid, count, mapAddresses(event, hide), keep ? message.slice(0, textLength) : ""];
  };
  return {
    material: {
      ...material,
      async known() {
        const known = await material.known();
        const { window, peers, kernelRead, saved } = material;
        const head: Head = {
          format,
          version,
          window,
          kernelRead,
          known: known.map(({ address, timeMs }) => ({ address: hide(address), timeMs })),
          peers: {
            ...peers,
            ...(peers.proxies && { proxies: peers.proxies.map(hide) }),
            ...(peers.healthChecks && { healthChecks: peers.healthChecks.map(hide) }),
          },
          ...(saved !== undefined && { saved }),
        };
        await write(head);
        return known;
      },
      observations: (async function* () {
        for await (const batch of material.observations) {
          for (const observation of batch) await write(toRow(observation));
          rows += batch.length;
          yield batch;
        }
      })(),
      async rest() {
        const rest = await material.rest();
        const { host, live, ...others } = rest;
        const facts = host === undefined || plain ? host : { ...host, name: "a host" };
        const nameless = plain ? live : live.filter(({ labels = {} }) => labels["peer"] === undefined);
        await write({ ...others, live: nameless, ...(facts !== undefined && { host: facts }), rows });
        return rest;
      },
    },
    async done() {
      try {
        gzip.end();
        await written;
        await finished(file);
        await rename(temporary, path);
      } catch (error) {
        await rm(temporary, { force: true });
        throw new BundleError(`cannot save "${path}": ${(error as Error).message}`);
      }
    },
  };
}

function mapAddresses(event: Event, hide: (address: string) => string): Event {
  const mapped: Record<string, unknown> = { ...event };
  for (const name of ["address", "localAddress"]) {
    const value = mapped[name];
    if (typeof value === "string") mapped[name] = hide(value);
  }
  return mapped as unknown as Event;
}

/** The same other address for the same address; IPv6 addresses of one /64 stay in one. Loopback and unspecified ones stay. */
export class Disguise {
  readonly #key = randomBytes(16);

  readonly address = (address: string): string => {
    const bare = address.split("%")[0] ?? "";
    if (bare.startsWith("127.") || bare === "::1" || bare === "::" || bare === "0.0.0.0") return bare;
    if (!bare.includes(":")) {
      // 240.0.0.0/4 is reserved (RFC 1112): nobody has such an address.
      const [a = 0, b = 0, c = 0] = this.#digest(bare);
      return `${240 + ((this.#digest(`${bare} 4`)[0] ?? 0) % 15)}.${a}.${b}.${c}`;
    }
    const [head = "", tail] = bare.split("::");
    const before = head.split(":").filter((group) => group !== "");
    const after = (tail ?? "").split(":").filter((group) => group !== "");
    const zeros = Array.from({ length: Math.max(0, 8 - before.length - after.length) }, () => "0");
    const network = [...before, ...zeros, ...after].slice(0, 4).join(":");
    const hex = (bytes: Buffer, at: number): string => bytes.readUInt16BE(at).toString(16);
    const [net, host] = [this.#digest(network), this.#digest(bare)];
    // 2001:db8::/32 is for documentation (RFC 3849).
    return `2001:db8:${hex(net, 0)}:${hex(net, 2)}:${[0, 2, 4, 6].map((at) => hex(host, at)).join(":")}`;
  };

  #digest(text: string): Buffer {
    return createHash("sha256").update(this.#key).update(text).digest();
  }
}

/** Rejects with a BundleError where the head is no good; the observations and the rest reject as they are read. */
export async function readBundle(path: string): Promise<Material> {
  const lines = linesOf(path);
  const wrong = (what: string): BundleError => new BundleError(`"${path}" is no good bundle: ${what}`);
  const parse = (line: string, number: number): unknown => {
    try {
      return JSON.parse(line);
    } catch {
      throw wrong(`line ${number} is no JSON: ${JSON.stringify(line.slice(0, 40))}`);
    }
  };
  const first = await lines.next();
  const head = checkHead(first.done === true ? undefined : parse(first.value, 1), wrong);
  let rest: Rest | undefined;
  const observations = async function* () {
    let number = 1;
    let batch: Observation[] = [];
    for await (const line of lines) {
      number += 1;
      if (rest !== undefined) throw wrong(`there is more after its end, at line ${number}`);
      const value = parse(line, number);
      if (Array.isArray(value)) batch.push(checkRow(value, () => wrong(`line ${number} is no observation`)));
      else rest = checkRest(value, number - 2, wrong);
      if (batch.length < 1000) continue;
      yield batch;
      batch = [];
    }
    yield batch;
    if (rest === undefined) throw wrong("it ends too early: it was cut off");
  };
  return {
    window: head.window,
    known: async () => head.known,
    peers: head.peers,
    kernelRead: head.kernelRead,
    ...(head.saved !== undefined && { saved: head.saved }),
    observations: observations(),
    async rest() {
      if (rest === undefined) throw wrong("it ends too early: it was cut off");
      return rest;
    },
  };
}

async function* linesOf(path: string): AsyncGenerator<string> {
  try {
    const { size } = statSync(path);
    if (size > fileBytesLimit) throw new Error(`${size} bytes are more than ${fileBytesLimit}`);
    const file = createReadStream(path);
    const text = file.pipe(createGunzip());
    file.on("error", (error) => text.destroy(error));
    /** Of a line whose end has not come yet. */
    let pieces: string[] = [];
    let length = 0;
    let total = 0;
    const decoder = new TextDecoder();
    for await (const chunk of text) {
      total += (chunk as Buffer).length;
      if (total > textBytesLimit) throw new Error(`it unpacks to more than ${textBytesLimit} bytes`);
      const [first = "", ...others] = decoder.decode(chunk as Buffer, { stream: true }).split("\n");
      pieces.push(first);
      length += first.length;
      if (length > lineBytesLimit) throw new Error("it has a line that is too long");
      const last = others.pop();
      if (last === undefined) continue;
      yield pieces.join("");
      yield* others;
      pieces = [last];
      length = last.length;
    }
    if (length > 0) yield pieces.join("");
  } catch (error) {
    if (error instanceof BundleError) throw error;
    throw new BundleError(`cannot read the bundle "${path}": ${(error as Error).message}`);
  }
}

type Wrong = (what: string) => BundleError;
type Unknown = Readonly<Record<string, unknown>>;

const isObject = (value: unknown): value is Unknown =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const isTime = (value: unknown): value is number =>
  typeof value === "number" && Number.isFinite(value) && value >= 0 && value < 1e14;
const isShort = (value: unknown): value is string => typeof value === "string" && value.length <= textLength;
const isAddress = (value: unknown): value is string =>
  typeof value === "string" && value.length <= 64 && isIP(value) !== 0;
const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;

function checkHead(value: unknown, wrong: Wrong): Head {
  if (!isObject(value) || value["format"] !== format) throw wrong(`it does not begin with "${format}"`);
  if (value["version"] !== version) {
    throw wrong(`it has version ${JSON.stringify(value["version"])?.slice(0, 20)}, this release reads ${version}`);
  }
  const { window, known, peers, saved } = value;
  if (!isObject(window) || !isTime(window["fromMs"]) || !isTime(window["toMs"]))
    throw wrong("it has no window of time");
  const { fromMs, toMs } = window;
  if (toMs <= fromMs || toMs - fromMs > 40 * 86_400_000) throw wrong("its window of time is no window");
  if (!Array.isArray(known) || known.length > 100_000) throw wrong("its known peers are no list");
  for (const peer of known) {
    if (!isObject(peer) || !isAddress(peer["address"]) || !isTime(peer["timeMs"])) {
      throw wrong(`${JSON.stringify(peer)?.slice(0, 80)} is no known peer`);
    }
  }
  if (!isObject(peers)) throw wrong("it has no configuration of peers");
  const { proxies = [], healthChecks = [], ipv6PrefixLength = 64 } = peers;
  for (const list of [proxies, healthChecks]) {
    if (!Array.isArray(list) || list.length > 10_000 || !list.every(isAddress))
      throw wrong("its proxies are no addresses");
  }
  if (!isCount(ipv6PrefixLength) || ipv6PrefixLength > 128) throw wrong("its IPv6 prefix length is none");
  try {
    return {
      format,
      version,
      window: { fromMs, toMs },
      kernelRead: value["kernelRead"] === true,
      known: known as KnownPeer[],
      peers: { proxies: proxies as string[], healthChecks: healthChecks as string[], ipv6PrefixLength },
      ...(saved !== undefined && { saved: checked(saved) }),
    };
  } catch (error) {
    throw wrong((error as Error).message);
  }
}

function checkRow(row: readonly unknown[], wrong: () => BundleError): Observation {
  const [timeMs, source, ident, pid, count, event, message] = row;
  const good =
    row.length === 7 &&
    isTime(timeMs) &&
    (sourceNames as readonly unknown[]).includes(source) &&
    isShort(ident) &&
    isCount(pid) &&
    isCount(count) &&
    count <= 100_000 &&
    isShort(message) &&
    isEvent(event);
  if (!good) throw wrong();
  const record: LogRecord = { timeMs, source: source as SourceName, ident, pid, count, message };
  return { event: event as Event, record };
}

/** Flat, small, addresses that are addresses, ports that are ports. What it says is only counted. */
function isEvent(value: unknown): boolean {
  if (!isObject(value) || typeof value["kind"] !== "string" || Object.keys(value).length > 12) return false;
  return Object.entries(value).every(([name, field]) => {
    if (name === "address" || name === "localAddress") return isAddress(field);
    if (/port$|pid$|count|status|signal$|unauthenticated/i.test(name)) return isCount(field);
    return typeof field === "boolean" || (typeof field === "string" && field.length <= 64);
  });
}

function checkRest(value: unknown, rows: number, wrong: Wrong): Rest {
  if (!isObject(value)) throw wrong("its end is no object");
  const { sources, live, host, unmatched, notes } = value;
  if (value["rows"] !== rows)
    throw wrong(`it tells of ${String(value["rows"]).slice(0, 20)} observations and has ${rows}`);
  if (!Array.isArray(sources) || sources.length > 100 || !sources.every(isSource))
    throw wrong("its sources are no list");
  if (!Array.isArray(live) || live.length > 100_000 || !live.every(isSample)) throw wrong("its samples are no list");
  if (!isCount(unmatched) || !Array.isArray(notes) || !notes.every(isShort)) throw wrong("its notes are no list");
  if (host !== undefined && !isHost(host)) throw wrong("its host's facts are none");
  return {
    sources: sources as Rest["sources"],
    live: live as Rest["live"],
    unmatched,
    notes: notes as string[],
    ...(host !== undefined && { host: host as NonNullable<Rest["host"]> }),
  };
}

function isSource(value: unknown): boolean {
  if (!isObject(value)) return false;
  const { source, from, records, missing } = value;
  const isMissing = (part: unknown): boolean =>
    isObject(part) && isShort(part["reason"]) && (part["grant"] === undefined || isShort(part["grant"]));
  const named = (sourceNames as readonly unknown[]).includes(source);
  return named && isShort(from) && isCount(records) && (missing === undefined || isMissing(missing));
}

function isSample(value: unknown): boolean {
  if (!isObject(value) || !isShort(value["name"])) return false;
  const { labels = {} } = value;
  return isObject(labels) && Object.values(labels).every(isShort);
}

function isHost(value: unknown): boolean {
  if (!isObject(value)) return false;
  const texts = ["name", "distribution", "kernel", "virtualization", "cloud"].every((name) => isShort(value[name]));
  const numbers = ["cpus", "load1", "memoryAvailableBytes", "memoryTotalBytes", "uptimeSeconds"].every((name) =>
    Number.isFinite(value[name]),
  );
  return texts && numbers;
}
