/**
 * TCP resets as the kernel saw them: the trace events tcp_send_reset and tcp_receive_reset (Linux 4.15+), read from
 * an instance of our own in tracefs. Gives a record for each reset whose local end is one of our addresses and a port
 * that sshd listens on: `ident` is the event's name, `message` the text after `event: ` in trace_pipe.
 * Sources: include/trace/events/tcp.h, Documentation/trace/ftrace.rst, Documentation/trace/events.rst.
 * docs/tcp-trace.md says what which kernel cannot tell.
 */
import {
  chmodSync,
  chownSync,
  closeSync,
  constants,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  rmdirSync,
  writeFileSync,
} from "node:fs";
import { cpus, networkInterfaces } from "node:os";
import { join } from "node:path";
import { setTimeout as delay, setImmediate as nextTurn } from "node:timers/promises";
import type { LogRecord } from "../model/record.ts";
import type { Batch, Position, Source, SourceStart, SourceStatus } from "../model/source.ts";

export interface TcpTraceOptions extends SourceStart {
  /** --path.tracefs */
  readonly tracefs: string;
  readonly procfs: string;
  /** Ports that sshd listens on, as last seen. */
  readonly ports: () => readonly number[];
  /** Addresses of this network namespace; the interfaces' own by default. */
  readonly localAddresses?: () => ReadonlySet<string>;
  readonly pollMs?: number;
  /** How long until a missing tracefs is looked for again. */
  readonly retryMs?: number;
}

/** An instance that a root step prepared: used as it is, never removed. Our own ones have the pid behind it. */
export const preparedInstance = "ssh-reset-exporter";
const ownInstance = /^ssh-reset-exporter-(\d+)$/;
const events = ["tcp_receive_reset", "tcp_send_reset"] as const;
type EventName = (typeof events)[number];

/**
 * Text read in one poll, some 50,000 events a second at 100 ms: bounds the work that a scan of closed ports can cause,
 * whose resets the kernel cannot filter by port. What comes faster overruns the ring buffer, and is counted.
 */
const bytesPerPoll = 1024 * 1024;
/** Text taken in one turn of the event loop, some 200 events: scrapes come in between. */
const bytesPerTurn = 32 * 1024;
/** How many events before a sent reset may be about the same abort; they stay in one batch with it. */
const abortDistance = 16;
const bufferBytesOfAllCpus = 16 * 1024 * 1024;
/** Holds 25,000 events of one CPU, 1.2 s at 10,000 resets a second on it: as long as a busy host may keep us waiting. */
const bufferKbOfOneCpu = 2048;
const statsEveryMs = 5_000;

export function createTcpTraceSource(options: TcpTraceOptions): Source {
  const { pollMs = 100, retryMs = 30_000 } = options;
  const bootId = readText(join(options.procfs, "sys/kernel/random/boot_id"))?.trim() ?? "";
  const isOurs = localEndFilter(options.ports, options.localAddresses ?? interfaceAddresses);
  let status: SourceStatus = { up: false, reason: "not started" };

  /** Until the signal; without one until the instance is empty. */
  async function* read(instance: Instance, resume: Position | undefined, signal?: AbortSignal): AsyncGenerator<Batch> {
    const sameInstance = resume?.["bootId"] === bootId && resume["instance"] === instance.name;
    let stats = instance.stats();
    let consumed = stats.read;
    let statsAtMs = Date.now();
    // Overwritten while nobody read, or read by a process that ended before it could commit them.
    const since = (now: number, field: "read" | "lost"): number => {
      const before = sameInstance ? resume[field] : undefined;
      return Number.isSafeInteger(before) && Number(before) >= 0 ? Math.max(0, now - Number(before)) : 0;
    };
    let lost = since(stats.read, "read") + since(stats.lost, "lost");
    const position = (): Position => ({ bootId, instance: instance.name, read: consumed, lost: stats.lost });
    let records: LogRecord[] = [];
    const take = (line: string): void => {
      const record = toRecord(line, instance.clock);
      if (record === undefined) return;
      consumed += 1;
      if (!isOurs(record)) return;
      const own = abortedByUs(record, records);
      if (own !== undefined) records.splice(own, 1);
      records.push(record);
    };
    for (;;) {
      // At the end one more look: what came until then, and what was lost.
      const last = signal?.aborted ?? false;
      instance.follow(options.ports());
      let bytes = 0;
      for (let more = true; more; ) {
        const read = instance.poll();
        bytes += read.bytes;
        for (const line of read.lines) take(line);
        more = read.bytes > 0 && bytes < bytesPerPoll;
        if (more && records.length > abortDistance) {
          const told = records.slice(0, -abortDistance);
          records = records.slice(-abortDistance);
          yield { records: told, position: { ...position(), read: consumed - records.length }, lost: 0 };
        }
        if (more) await nextTurn();
      }
      const drained = signal === undefined && bytes === 0;
      if (last || drained || Date.now() - statsAtMs >= statsEveryMs) {
        const now = instance.stats();
        lost += now.lost - stats.lost;
        stats = now;
        statsAtMs = Date.now();
      }
      if (bytes > 0 || lost > 0) yield { records, position: position(), lost };
      records = [];
      lost = 0;
      if (last || drained) return;
      if (signal !== undefined) await delay(pollMs, undefined, { signal }).catch(() => undefined);
    }
  }

  /** What instances of processes that were killed still hold; then they are removed. */
  async function* reclaim(): AsyncGenerator<Batch> {
    for (const name of staleInstances(options.tracefs, options.procfs)) {
      const path = join(options.tracefs, "instances", name);
      try {
        const resumed = options.position?.["instance"] === name && options.position["bootId"] === bootId;
        if (resumed) {
          const instance = openInstance(path, "stale");
          try {
            instance.stop();
            yield* read(instance, options.position);
          } finally {
            instance.close();
          }
        }
        rmdirSync(path);
      } catch (error) {
        // EBUSY: a process that we cannot see (another pid namespace) holds it.
        if (errorCode(error) !== "EBUSY") options.onWarning("cannot remove a stale trace instance", { path, error });
      }
    }
  }

  return {
    name: "tcp_trace",
    status: () => status,
    async *batches(signal) {
      let position = options.position;
      while (!signal.aborted) {
        try {
          yield* reclaim();
          const instance = acquireInstance(options.tracefs);
          const remove = (): void => instance.close();
          process.once("exit", remove);
          try {
            if (position === undefined && !options.fromBeginning) instance.discard();
            status = { up: true };
            for await (const batch of read(instance, position, signal)) {
              position = batch.position;
              yield batch;
            }
          } finally {
            process.removeListener("exit", remove);
            instance.close();
          }
        } catch (error) {
          const down = whyDown(error, options.tracefs);
          if (down.reason !== status.reason) options.onWarning("TCP reset events are not read", { ...down });
          status = down;
          await delay(retryMs, undefined, { signal }).catch(() => undefined);
        }
      }
      status = { up: false, reason: "stopped" };
    },
  };
}

interface Instance {
  readonly name: string;
  readonly clock: "mono" | "other";
  /** Sets the kernel's port filter when the ports have changed. */
  follow(ports: readonly number[]): void;
  /** Of one turn; no bytes: nothing more is there now. */
  poll(): { readonly bytes: number; readonly lines: readonly string[] };
  discard(): void;
  stop(): void;
  stats(): RingStats;
  close(): void;
}

function acquireInstance(tracefs: string): Instance {
  requireEvents(tracefs);
  const instances = join(tracefs, "instances");
  const prepared = join(instances, preparedInstance);
  if (existsSync(prepared)) return openInstance(prepared, "prepared");
  const path = join(instances, `${preparedInstance}-${process.pid}`);
  mkdirSync(path);
  try {
    setUp(path);
    return openInstance(path, "own");
  } catch (error) {
    rmdirSync(path);
    throw error;
  }
}

/** Makes the instance that an exporter without privileges then reads: the root step's part. Leaves an existing one's content. */
export function prepareInstance(tracefs: string, ports: readonly number[], group?: number): string {
  requireEvents(tracefs);
  const path = join(tracefs, "instances", preparedInstance);
  mkdirSync(path, { recursive: true });
  setUp(path);
  setFilter(path, ports);
  if (group === undefined) return path;
  // The way to the instance, its pipe and its counts; on kernels whose tracefs files are 0444 the group may read others too.
  for (const folder of [tracefs, join(tracefs, "instances")]) grantGroup(folder, group, 0o710);
  const cpuFolders = readdirSync(join(path, "per_cpu")).map((cpu) => join(path, "per_cpu", cpu));
  for (const folder of [path, join(path, "per_cpu"), ...cpuFolders]) grantGroup(folder, group, 0o750);
  for (const folder of cpuFolders) grantGroup(join(folder, "stats"), group, 0o440);
  for (const file of ["trace_pipe", "trace_clock"]) grantGroup(join(path, file), group, 0o440);
  return path;
}

export function removePreparedInstance(tracefs: string): void {
  const path = join(tracefs, "instances", preparedInstance);
  if (existsSync(path)) rmdirSync(path);
}

function grantGroup(path: string, group: number, mode: number): void {
  chownSync(path, 0, group);
  chmodSync(path, mode);
}

function setUp(path: string): void {
  const bufferKb = Math.min(bufferKbOfOneCpu, Math.max(64, Math.floor(bufferBytesOfAllCpus / 1024 / cpus().length)));
  writeFileSync(join(path, "trace_clock"), "mono");
  writeFileSync(join(path, "buffer_size_kb"), String(bufferKb));
  for (const event of events) writeFileSync(join(path, "events/tcp", event, "enable"), "1");
}

/** In tcp_receive_reset `sport` is the local port. tcp_send_reset has no port fields since 6.10: filtered by us. */
function setFilter(path: string, ports: readonly number[]): void {
  const filter = ports.map((port) => `sport == ${port}`).join(" || ");
  writeFileSync(join(path, "events/tcp/tcp_receive_reset/filter"), filter === "" ? "0" : filter);
}

function openInstance(path: string, kind: "own" | "prepared" | "stale"): Instance {
  const fd = openSync(join(path, "trace_pipe"), constants.O_RDONLY | constants.O_NONBLOCK);
  const buffer = Buffer.allocUnsafe(64 * 1024);
  const clock = /\[mono\]/.test(readText(join(path, "trace_clock")) ?? "") ? "mono" : "other";
  let rest = "";
  let portsSet = "";
  let open = true;
  let lostSaid = 0;

  const readSome = (): number => {
    try {
      return readSync(fd, buffer);
    } catch (error) {
      if (errorCode(error) === "EAGAIN") return 0;
      throw error;
    }
  };
  const poll: Instance["poll"] = () => {
    let text = rest;
    let bytes = 0;
    for (let length = readSome(); length > 0; length = bytes < bytesPerTurn ? readSome() : 0) {
      bytes += length;
      text += buffer.toString("latin1", 0, length);
    }
    const lines = text.split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) lostSaid += lostSaidBy(line);
    return { bytes, lines };
  };
  return {
    name: path.slice(path.lastIndexOf("/") + 1),
    clock,
    poll,
    stats: () => ringStats(path) ?? { lost: lostSaid, read: 0 },
    follow(ports) {
      const wanted = ports.join();
      if (wanted === portsSet) return;
      portsSet = wanted;
      try {
        setFilter(path, ports);
      } catch (error) {
        // Without privileges the filter stays as the root step set it.
        if (kind === "own") throw error;
      }
    },
    discard() {
      while (poll().bytes > 0);
    },
    stop() {
      for (const event of events) writeFileSync(join(path, "events/tcp", event, "enable"), "0");
    },
    close() {
      if (!open) return;
      open = false;
      closeSync(fd);
      if (kind === "own") rmdirSync(path);
    },
  };
}

/** `CPU:1 [LOST 67632 EVENTS]` */
function lostSaidBy(line: string): number {
  return line.startsWith("CPU:") ? Number(/^CPU:\d+ \[LOST (\d+) EVENTS\]$/.exec(line)?.[1] ?? 0) : 0;
}

export interface RingStats {
  /** Overwritten before they were read, or not written. */
  readonly lost: number;
  readonly read: number;
}

/** per_cpu/cpuN/stats, summed; undefined where they may not be read. */
function ringStats(path: string): RingStats | undefined {
  try {
    const texts = readdirSync(join(path, "per_cpu")).map((cpu) =>
      readFileSync(join(path, "per_cpu", cpu, "stats"), "latin1"),
    );
    return parseRingStats(texts);
  } catch (error) {
    if (errorCode(error) === "EACCES" || errorCode(error) === "EPERM") return undefined;
    throw error;
  }
}

export function parseRingStats(texts: readonly string[]): RingStats {
  let lost = 0;
  let read = 0;
  for (const text of texts) {
    const value = (name: string): number => Number(new RegExp(`^${name}: (\\d+)$`, "m").exec(text)?.[1] ?? 0);
    lost += value("overrun") + value("commit overrun") + value("dropped events");
    read += value("read events");
  }
  return { lost, read };
}

/**
 * `TASK-PID [CPU] FLAGS SECONDS.MICROS: EVENT: TEXT`. The task is whoever ran and may hold any 15 bytes, so the line
 * is anchored from the bracket on, which is longer than that.
 */
const tracePipeLine =
  /-\d+ +(?:\( *[\d-]+\) +)?\[\d{3,}\] (?:\S+ +| +)?(\d+)\.(\d{6}): (tcp_(?:receive|send)_reset): (.*)$/;

export function toRecord(line: string, clock: "mono" | "other", nowMs = Date.now()): LogRecord | undefined {
  const [, seconds, micros, ident, message] = tracePipeLine.exec(line) ?? [];
  if (seconds === undefined || ident === undefined || message === undefined) return undefined;
  // Anchored at each record: wall clock steps and suspends do not add up.
  const ageMs = monotonicMs() - (Number(seconds) * 1000 + Number(micros) / 1000);
  const timeMs = clock === "mono" ? Math.round(nowMs - Math.max(0, ageMs)) : nowMs;
  return { source: "tcp_trace", timeMs, ident, pid: 0, message, count: 1 };
}

const monotonicMs = (): number => Number(process.hrtime.bigint()) / 1e6;

export interface LocalEnd {
  readonly address: string;
  readonly port: number;
}

const socketForm = /^(?:skbaddr=\S+ skaddr=\S+ )?(?:family=\S+ )?sport=(\d+) .* saddrv6=(\S+) daddrv6=/;
const packetForm = /^skbaddr=\S+ skaddr=\S+ src=\[?([^\]\s]+?)\]?:(\d+) dest=/;

/** The local end of a reset event's text: `sport=` and `saddrv6=`, or `src=` (tcp_send_reset since 6.10). */
export function localEnd(message: string): LocalEnd | undefined {
  const socket = socketForm.exec(message);
  if (socket?.[1] !== undefined && socket[2] !== undefined)
    return { address: unmapped(socket[2]), port: Number(socket[1]) };
  const packet = packetForm.exec(message);
  if (packet?.[1] === undefined || packet[2] === undefined) return undefined;
  return { address: unmapped(packet[1]), port: Number(packet[2]) };
}

/**
 * Data that comes for a connection whose close is under way makes the kernel abort it by tcp_reset(), the function that
 * tells of received resets, and answer with a reset: no peer has reset anything. The index of that first event among those
 * before, microseconds ago. Source: net/ipv4/tcp_input.c tcp_rcv_state_process, TCP_FIN_WAIT1.
 */
export function abortedByUs(sent: LogRecord, before: readonly LogRecord[]): number | undefined {
  if (sent.ident !== "tcp_send_reset") return undefined;
  const ends = bothEnds(sent.message);
  if (ends === undefined) return undefined;
  for (let at = before.length - 1; at >= Math.max(0, before.length - abortDistance); at--) {
    const record = before[at];
    if (record === undefined || sent.timeMs - record.timeMs > 2) return undefined;
    if (record.ident === "tcp_receive_reset" && bothEnds(record.message) === ends) return at;
  }
  return undefined;
}

/** Local and remote end of a reset event's text, the same for both forms. */
function bothEnds(message: string): string | undefined {
  const [, localPort, localAddress] = socketForm.exec(message) ?? [];
  const [, remotePort] = / dport=(\d+) /.exec(message) ?? [];
  const [, remoteAddress] = / daddrv6=(\S+)/.exec(message) ?? [];
  if (localPort !== undefined && localAddress !== undefined && remoteAddress !== undefined) {
    return `${unmapped(localAddress)} ${localPort} ${unmapped(remoteAddress)} ${remotePort}`;
  }
  const [, source, sourcePort] = packetForm.exec(message) ?? [];
  const [, target, targetPort] = / dest=\[?([^\]\s]+?)\]?:(\d+)(?: |$)/.exec(message) ?? [];
  if (source === undefined || target === undefined) return undefined;
  return `${unmapped(source)} ${sourcePort} ${unmapped(target)} ${targetPort}`;
}

const unmapped = (address: string): string => address.replace(/^::ffff:(?=\d+\.)/, "");

/** Events of all network namespaces arrive, without a namespace: ours are told by the local address. */
function localEndFilter(
  ports: () => readonly number[],
  addresses: () => ReadonlySet<string>,
): (record: LogRecord) => boolean {
  let known: ReadonlySet<string> = new Set();
  let knownAtMs = 0;
  const isLocal = (address: string): boolean => {
    // A reset from a listening socket: the kernel tells no address.
    if (address === "0.0.0.0" || address === "::") return true;
    if (Date.now() - knownAtMs > (known.has(address) ? 10_000 : 1_000)) {
      known = addresses();
      knownAtMs = Date.now();
    }
    return known.has(address);
  };
  return ({ message }) => {
    const end = localEnd(message);
    // A form that we do not know is the parser's to count as unmatched.
    return end === undefined || (ports().includes(end.port) && isLocal(end.address));
  };
}

/** The addresses of this network namespace's interfaces that are up. */
function interfaceAddresses(): ReadonlySet<string> {
  return new Set(
    Object.values(networkInterfaces())
      .flat()
      .map((entry) => entry?.address ?? ""),
  );
}

/** Instances whose process is gone. A pid used again hides one until that process ends too. */
function staleInstances(tracefs: string, procfs: string): readonly string[] {
  let names: string[];
  try {
    names = readdirSync(join(tracefs, "instances"));
  } catch {
    return [];
  }
  return names.filter((name) => {
    const pid = ownInstance.exec(name)?.[1];
    return pid !== undefined && (Number(pid) === process.pid || !existsSync(join(procfs, pid)));
  });
}

class TraceUnavailable extends Error {}

/** Both events, in a form that we can read: their `format` files say so. */
function requireEvents(tracefs: string): void {
  if (!existsSync(join(tracefs, "events"))) {
    // Throws EACCES where it is there but not for us.
    readdirSync(tracefs);
    throw new TraceUnavailable(`${tracefs}: no tracefs is mounted there`);
  }
  for (const event of events) {
    const path = join(tracefs, "events/tcp", event, "format");
    if (!existsSync(path)) throw new TraceUnavailable(`${path} is missing: this kernel has no ${event} event (4.15+)`);
    const format = readText(path);
    // A prepared instance gives its pipe only: whoever made it has looked.
    if (format === undefined) continue;
    const unreadable = formatProblem(event, format);
    if (unreadable !== undefined) throw new TraceUnavailable(`${path}: ${unreadable}`);
  }
}

/** Why an event's `format` file tells that we could not read its lines; undefined where we can. */
export function formatProblem(event: EventName, format: string): string | undefined {
  const fields = [...format.matchAll(/^\tfield:[^;]*?(\w+)(?:\[\d+\])?;/gm)].map(([, name]) => name);
  const printed = /^print fmt: "([^"]*)"/m.exec(format)?.[1];
  if (printed === undefined) return "it has no print fmt line";
  if (event === "tcp_receive_reset" && !fields.includes("sport")) return "it has no field sport to filter by";
  const probe = printed
    .replace(/%p(ISpc|I4|I6c)/g, (_, form: string) => (form === "ISpc" ? "192.0.2.1:22" : "192.0.2.1"))
    .replace(/%hu/g, "22")
    .replace(/%\w+/g, "x");
  return localEnd(probe) === undefined ? `its form is unknown: "${printed}"` : undefined;
}

function whyDown(error: unknown, tracefs: string): SourceStatus {
  const grant = `as root: mount -t tracefs tracefs ${tracefs}; ssh-reset-exporter observe trace --group ssh-reset-exporter`;
  if (error instanceof TraceUnavailable) return { up: false, reason: error.message, grant };
  const code = errorCode(error);
  if (code === undefined) throw error;
  return { up: false, reason: error instanceof Error ? error.message : String(error), grant };
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return undefined;
  }
}

const errorCode = (error: unknown): string | undefined =>
  error instanceof Error && "code" in error ? String(error.code) : undefined;
