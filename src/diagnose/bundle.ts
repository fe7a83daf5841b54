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
import { type SourceName, sourceNames } from "../model/record.ts";
import {
  amount,
  anything,
  flag,
  list,
  object,
  oneOf,
  optional,
  record,
  type Shape,
  text,
  time,
  tuple,
  whole,
} from "../model/saved.ts";
import { decides } from "./decisive.ts";
import type { Material, Rest } from "./diagnose.ts";
import { printable } from "./evidence-lines.ts";
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
  readonly netNamespace?: number | undefined;
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
    const text = event.kind === "flow" ? hiddenFlow(message, hide) : keep ? message : "";
    return [timeMs, source, ident, pid, count, mapAddresses(event, hide), text.slice(0, textLength)];
  };
  return {
    material: {
      ...material,
      async known() {
        const known = await material.known();
        const { window, peers, kernelRead, netNamespace, saved } = material;
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
          ...(netNamespace !== undefined && { netNamespace }),
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

/** The rule's name is worth keeping: of what src/sources/flow-log.ts writes only the fourth word is an address. */
function hiddenFlow(message: string, hide: (address: string) => string): string {
  const [provider = "", action = "", direction = "", address = "", ...rest] = message.split(" ");
  return [provider, action, direction, hide(address), ...rest].join(" ");
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
      if (Array.isArray(value)) batch.push(checkRow(value, `line ${number}`, wrong));
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
    ...(head.netNamespace !== undefined && { netNamespace: head.netNamespace }),
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

/** What is printed later, so that it can do nothing to a terminal. */
const words: Shape<string> = (value, place) => printable(text(value, place));
const count: Shape<number> = (value, place) => {
  const given = whole(value, place);
  if (given < 0) throw new Error(`${place}: ${given} is no count`);
  return given;
};
const address: Shape<string> = (value, place) => {
  const given = text(value, place);
  if (given.length > 64 || isIP(given) === 0)
    throw new Error(`${place}: ${JSON.stringify(given.slice(0, 80))} is no address`);
  return given;
};

const headShape = object({
  window: object({ fromMs: time, toMs: time }),
  known: list(object({ address, timeMs: time }), 100_000),
  peers: object({
    proxies: optional(list(address, 10_000)),
    healthChecks: optional(list(address, 10_000)),
    ipv6PrefixLength: optional(count),
  }),
  kernelRead: flag,
  netNamespace: optional(whole),
  saved: anything,
});

const rowShape = tuple(time, oneOf(sourceNames), words, count, count, anything, words);

const restShape = object({
  sources: list(
    object({
      source: oneOf(sourceNames),
      from: words,
      records: count,
      missing: optional(object({ reason: words, grant: optional(words) })),
    }),
    100,
  ),
  live: list(object({ name: text, labels: optional(record(text, 32)), value: anything }), 100_000),
  host: optional(
    object({
      name: words,
      distribution: words,
      kernel: words,
      virtualization: words,
      cloud: words,
      cpus: amount,
      load1: amount,
      memoryAvailableBytes: amount,
      memoryTotalBytes: amount,
      uptimeSeconds: amount,
      services: list(object({ name: words, running: flag }), 100),
      interfaces: list(object({ name: words, mtuBytes: amount, state: words }), 100),
    }),
  ),
  unmatched: count,
  notes: list(words, 100),
});

function checkHead(value: unknown, wrong: Wrong): Head {
  const { format: named, version: written } = (value ?? {}) as Readonly<Record<string, unknown>>;
  if (named !== format) throw wrong(`it does not begin with "${format}"`);
  if (written !== version) {
    throw wrong(`it has version ${JSON.stringify(written)?.slice(0, 20)}, this release reads ${version}`);
  }
  return tried(wrong, () => {
    const { window, peers, saved, ...rest } = headShape(value, "head");
    const { fromMs, toMs } = window;
    if (toMs <= fromMs || toMs - fromMs > 40 * 86_400_000) throw new Error("head.window: it is no window of time");
    if ((peers.ipv6PrefixLength ?? 64) > 128)
      throw new Error(`head.peers: ${peers.ipv6PrefixLength} bits are too many`);
    return { format, version, window, peers, ...rest, ...(saved !== undefined && { saved: checked(saved) }) };
  });
}

function checkRow(value: unknown, place: string, wrong: Wrong): Observation {
  return tried(wrong, () => {
    const [timeMs, source, ident, pid, times, event, message] = rowShape(value, place);
    if (times > 100_000) throw new Error(`${place}: ${times} times are too many`);
    return {
      event: checkEvent(event, `${place}.event`),
      record: { timeMs, source, ident, pid, count: times, message },
    };
  });
}

/** Flat, small, addresses that are addresses, ports that are ports. What it says is only counted. */
function checkEvent(value: unknown, place: string): Event {
  const event = record<unknown>(anything, 12)(value, place);
  text(event["kind"], `${place}.kind`);
  for (const [name, field] of Object.entries(event)) {
    const at = `${place}.${name}`;
    if (name === "address" || name === "localAddress") address(field, at);
    else if (/port$|pid$|count|status|signal$|unauthenticated|namespace$/i.test(name)) count(field, at);
    else if (typeof field !== "boolean" && text(field, at).length > 64) throw new Error(`${at}: it is too long`);
  }
  return event as unknown as Event;
}

function checkRest(value: unknown, rows: number, wrong: Wrong): Rest {
  const { rows: told } = (value ?? {}) as Readonly<Record<string, unknown>>;
  if (told !== rows) throw wrong(`it tells of ${String(told).slice(0, 20)} observations and has ${rows}`);
  return tried(wrong, () => restShape(value, "end") as Rest);
}

function tried<T>(wrong: Wrong, check: () => T): T {
  try {
    return check();
  } catch (error) {
    throw wrong((error as Error).message);
  }
}
