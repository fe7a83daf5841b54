/**
 * The `kmsg` source: the kernel's ring buffer from /dev/kmsg, read without blocking, one record per read. Only facility
 * 0 is the kernel's own voice: whoever else writes to the device is given another one.
 * Sources: Documentation/ABI/testing/dev-kmsg, kernel/printk/printk.c (devkmsg_read, msg_add_ext_text).
 */
import { closeSync, constants, openSync, readFileSync, readSync } from "node:fs";
import { setTimeout as delay, setImmediate as turn } from "node:timers/promises";
import type { LogRecord } from "../model/record.ts";
import type { Batch, Position, Source, SourceStart, SourceStatus } from "../model/source.ts";

/** What the source needs of the device: reads that give one record or throw EAGAIN, EPIPE, ... A test brings its own. */
export interface KmsgDevice {
  read(into: Buffer): number;
  close(): void;
}

export interface KmsgOptions extends SourceStart {
  readonly path?: string;
  readonly pollMs?: number;
  readonly nowMs?: () => number;
  /** The kernel's monotonic clock, which its records are stamped with. */
  readonly monotonicMs?: () => number;
  readonly bootId?: () => string;
  readonly open?: (path: string) => KmsgDevice;
}

export interface KmsgRecord {
  readonly facility: number;
  readonly sequence: number;
  readonly timeUs: number;
  /** A fragment that belongs to the record before it. */
  readonly continues: boolean;
  readonly caller: string | undefined;
  readonly text: string;
}

/** A record may be that long (CONSOLE_EXT_LOG_MAX); a shorter buffer gets EINVAL, and the record is gone. */
const recordBytes = 8192;
/** Records in one batch: the ring may hold a hundred thousand, and others want the processor too. */
const batchRecords = 500;
const reopenMs = 30_000;

const permissionGrant = "CAP_SYSLOG, or sysctl kernel.dmesg_restrict=0";

/** `PRIO,SEQ,USEC,FLAGS[,...];TEXT`, then dictionary lines, which are left out. Undefined if it is no such record. */
export function parseKmsg(bytes: Buffer): KmsgRecord | undefined {
  const semicolon = bytes.indexOf(59);
  const [, priority, sequence, timeUs, flags, more] =
    /^(\d{1,10}),(\d{1,15}),(\d{1,15}),([^,]*)(?:,(.*))?$/s.exec(bytes.toString("latin1", 0, Math.max(semicolon, 0))) ??
    [];
  if (priority === undefined) return undefined;
  const newline = bytes.indexOf(10, semicolon);
  return {
    facility: Number(priority) >> 3,
    sequence: Number(sequence),
    timeUs: Number(timeUs),
    continues: flags?.includes("c") === true || flags?.includes("+") === true,
    caller: /(?:^|,)caller=([^,]*)/.exec(more ?? "")?.[1],
    text: unescapeKmsg(bytes.toString("latin1", semicolon + 1, newline === -1 ? bytes.length : newline)),
  };
}

/** The kernel writes what is not printable ASCII, and the backslash itself, as `\xNN`. */
function unescapeKmsg(text: string): string {
  if (!text.includes("\\x")) return text;
  const bytes = text.replace(/\\x([0-9a-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  return Buffer.from(bytes, "latin1").toString("utf8");
}

export function createKmsgSource(options: KmsgOptions): Source {
  return new KmsgSource(options);
}

class KmsgSource implements Source {
  readonly name = "kmsg";
  readonly #path: string;
  readonly #options: KmsgOptions;
  readonly #nowMs: () => number;
  readonly #monotonicMs: () => number;
  readonly #bootId: string;
  readonly #buffer = Buffer.alloc(recordBytes);
  /** The sequence number that comes next; undefined: whichever comes. */
  #next: number | undefined;
  /** At the first start, what the ring holds is passed over. */
  #passOver: boolean;
  #status: SourceStatus;
  /** When the ring was last read to its end: what comes after it was written after that. */
  #endSeenMs = 0;

  constructor(options: KmsgOptions) {
    this.#options = options;
    this.#path = options.path ?? "/dev/kmsg";
    this.#nowMs = options.nowMs ?? Date.now;
    this.#monotonicMs = options.monotonicMs ?? (() => Number(process.hrtime.bigint() / 1000n) / 1000);
    this.#bootId = (options.bootId ?? readBootId)();
    const { bootId, next } = (options.position ?? {}) as Readonly<Record<string, unknown>>;
    if (bootId !== undefined && bootId !== this.#bootId) this.#next = 0;
    else if (typeof next === "number") this.#next = next;
    this.#passOver = options.position === undefined && !options.fromBeginning;
    this.#status = { up: false, reason: `${this.#path} has not been opened yet` };
  }

  status(): SourceStatus {
    return this.#status;
  }

  async *batches(signal: AbortSignal): AsyncGenerator<Batch> {
    while (!signal.aborted) {
      const device = this.#open();
      if (device !== undefined) {
        try {
          yield* this.#follow(device, signal);
        } finally {
          device.close();
        }
      }
      await delay(reopenMs, undefined, { signal }).catch(() => {});
    }
  }

  #open(): KmsgDevice | undefined {
    try {
      const device = (this.#options.open ?? openDevice)(this.#path);
      this.#status = { up: true };
      return device;
    } catch (error) {
      this.#fail(error);
      return undefined;
    }
  }

  async *#follow(device: KmsgDevice, signal: AbortSignal): AsyncGenerator<Batch> {
    let started = false;
    while (!signal.aborted) {
      const { records, lost, read, more } = this.#readSome(device);
      if (lost > 0) this.#options.onWarning(`${this.#path}: ${lost} record(s) were overwritten before they were read`);
      if (read > 0 || !started) yield { records, lost, position: this.#position() };
      started = true;
      if (!this.#status.up) return;
      if (more) await turn();
      else {
        this.#passOver = false;
        this.#endSeenMs = this.#nowMs();
        await delay(this.#options.pollMs ?? 250, undefined, { signal }).catch(() => {});
      }
    }
  }

  #position(): Position {
    return this.#next === undefined ? { bootId: this.#bootId } : { bootId: this.#bootId, next: this.#next };
  }

  #readSome(device: KmsgDevice): { records: readonly LogRecord[]; lost: number; read: number; more: boolean } {
    const records: (LogRecord & { message: string })[] = [];
    const callers: (string | undefined)[] = [];
    const bootedMs = this.#nowMs() - this.#monotonicMs();
    let lost = 0;
    let read = 0;
    for (; read < batchRecords; read++) {
      let length: number;
      try {
        length = device.read(this.#buffer);
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException;
        // EPIPE: records were overwritten before we came; EINVAL: one did not fit. The gap in the numbers says how many.
        if (code === "EPIPE" || code === "EINVAL") continue;
        if (code !== "EAGAIN") this.#fail(error);
        return { records, lost, read, more: false };
      }
      const record = parseKmsg(this.#buffer.subarray(0, length));
      if (record === undefined) {
        lost++;
        continue;
      }
      if (this.#next !== undefined && record.sequence < this.#next) continue;
      if (this.#next !== undefined) lost += record.sequence - this.#next;
      this.#next = record.sequence + 1;
      if (this.#passOver || record.facility !== 0 || !this.#options.idents.includes("kernel")) continue;
      const before = record.continues ? callers.lastIndexOf(record.caller) : -1;
      const continued = records[before];
      if (continued !== undefined) continued.message = (continued.message + record.text).slice(0, recordBytes);
      else {
        records.push({
          source: "kmsg",
          timeMs: this.#wallMs(bootedMs + record.timeUs / 1000),
          ident: "kernel",
          pid: 0,
          message: record.text,
          count: 1,
        });
        callers.push(record.caller);
      }
    }
    return { records, lost, read, more: true };
  }

  /**
   * The kernel's clock drifts from the wall clock and stands still in suspend. What is read live was written since the
   * ring's end was last seen, whatever the sum says.
   */
  #wallMs(sumMs: number): number {
    return Math.floor(Math.min(this.#nowMs(), Math.max(this.#endSeenMs, sumMs)));
  }

  #fail(error: unknown): void {
    const { code, message } = error as NodeJS.ErrnoException;
    const status: SourceStatus =
      code === "EPERM" || code === "EACCES"
        ? { up: false, reason: `cannot read ${this.#path}: permission denied`, grant: permissionGrant }
        : {
            up: false,
            reason: code === "ENOENT" ? `${this.#path} does not exist` : `cannot read ${this.#path}: ${message}`,
          };
    if (status.reason !== this.#status.reason) this.#options.onWarning(status.reason ?? "");
    this.#status = status;
  }
}

function openDevice(path: string): KmsgDevice {
  const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  return { read: (into) => readSync(fd, into, 0, into.length, null), close: () => closeSync(fd) };
}

/** Another boot has another ring: sequence numbers start again. */
function readBootId(): string {
  try {
    return readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim();
  } catch {
    return "";
  }
}
