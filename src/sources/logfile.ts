/**
 * The `logfile` source: follows syslog files through rotation, truncation, absence and restarts; gives their wanted
 * lines as records. A position is device, inode, offset and a hash of the bytes before it: what cannot be found again
 * is counted as lost, never guessed.
 * Sources: logrotate(8), held-file.ts (how a file is held), syslog-line.ts (how a line is read).
 */
import { accessSync, constants, type Stats, statSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay, setImmediate as nextTurn } from "node:timers/promises";
import type { ByteReader } from "../model/parser.ts";
import type { LogRecord } from "../model/record.ts";
import type { Batch, Position, Source, SourceStart, SourceStatus } from "../model/source.ts";
import {
  blockBytes,
  type FilePosition,
  GzipFile,
  HeldFile,
  hashOf,
  type LogReader,
  NotRegularFile,
} from "./held-file.ts";
import { findPosition, isCopyOf, overlooked, successor } from "./log-rotation.ts";
import { lineBytes, SyslogLines } from "./syslog-line.ts";

export interface LogfileOptions extends SourceStart {
  readonly paths: readonly string[];
  /** Identifiers of single files, where they differ from `idents`. */
  readonly identsByPath?: Readonly<Record<string, readonly string[]>>;
  /** Reads the commonest messages from their bytes, where nobody wants the records' text. */
  readonly reader?: ByteReader;
  readonly pollMs?: number;
  readonly nowMs?: () => number;
}

/** A rotated file is held this long after its last line, for a daemon that has not reopened its log yet. */
const lateWritesMs = 60_000;
const heldFilesLimit = 4;
/**
 * So many files that wait to be read are held open: a slow reader then loses none to the rotation, which deletes the
 * oldest. Deleted ones take their space until they are read.
 */
const waitingFilesLimit = 16;
/** Doubled with each block: the first lines are read by code that is not compiled yet, and takes ten times as long. */
const firstBytesAtOnce = 8 * 1024;

/** The log files of a host, as distributions name them, below `rootfs`; only those that are there. */
export function findLogfiles(rootfs: string): {
  /** Where sshd logs: /var/log/auth.log, else secure, else messages. */
  readonly sshd: string | undefined;
  /** Where systemd logs: syslog, else messages. */
  readonly systemd: string | undefined;
  /** Where the kernel logs: kern.log, else syslog, else messages. */
  readonly kernel: string | undefined;
} {
  const first = (...names: string[]) =>
    names.map((name) => join(rootfs, "var/log", name)).find((path) => statOf(path)?.isFile());
  return {
    sshd: first("auth.log", "secure", "messages"),
    systemd: first("syslog", "messages"),
    kernel: first("kern.log", "syslog", "messages"),
  };
}

/** Throws `NotRegularFile` if a path leads to a directory, FIFO, socket or device. A missing or unreadable file is waited for. */
export function createLogfileSource(options: LogfileOptions): Source {
  for (const path of options.paths) {
    const stats = statOf(path);
    if (stats !== undefined && !stats.isFile()) throw new NotRegularFile(path, stats);
  }
  const pollMs = options.pollMs ?? 250;
  const saved = savedFiles(options.position);
  const followers = options.paths.map((path) => new Follower(path, options, saved?.[path]));
  const position = (): Position => ({ paths: Object.fromEntries(followers.map((f) => [f.path, f.position()])) });
  let lookedMs = 0;
  return {
    name: "logfile",
    async *batches(signal: AbortSignal): AsyncGenerator<Batch> {
      try {
        while (!signal.aborted) {
          lookedMs = performance.now();
          for (const follower of followers) {
            for await (const { records, lost } of follower.pass()) {
              yield { records, lost, position: position() };
              // A scrape, or another source, has its turn after each block.
              await nextTurn();
              if (signal.aborted) return;
              if (performance.now() - lookedMs < pollMs) continue;
              // Reading one file may take longer than others keep their names.
              for (const other of followers) await other.lookAhead();
              lookedMs = performance.now();
            }
          }
          await delay(pollMs, undefined, { signal }).catch(() => {});
        }
      } finally {
        for (const follower of followers) follower.close();
      }
    },
    status(): SourceStatus {
      const failing = followers.find((follower) => follower.reason !== undefined);
      const lag = lagOf(followers);
      return failing?.reason === undefined
        ? { up: true, ...lag }
        : {
            up: false,
            reason: failing.reason,
            ...(failing.grant === undefined ? {} : { grant: failing.grant }),
            ...lag,
          };
    },
  };
}

/** Nothing where a file cannot be looked at: the next pass will say why. */
function lagOf(followers: readonly Follower[]): { lagBytes?: number } {
  try {
    return { lagBytes: followers.reduce((sum, follower) => sum + follower.lag(), 0) };
  } catch {
    return {};
  }
}

interface Piece {
  readonly records: readonly LogRecord[];
  readonly lost: number;
}

interface Held {
  readonly reader: LogReader;
  readonly lines: SyslogLines;
  skipping: boolean;
  lastGrowthMs: number;
  grewInPass: number;
  /** What was read before it, while nothing of itself was. */
  after?: Held | undefined;
  /** It is what copytruncate left of the file that is followed. */
  copy?: Copy;
}

interface Copy {
  /** The file grew at the look before the cut and at the one after: lines may have gone between the copy and the cut. */
  growing: boolean;
}

interface Waiting {
  readonly reader: LogReader;
  /** What was lost before it, to be told when its turn comes. */
  readonly losses: readonly string[];
}

/** Follows one path: the file it names, and those it named before while they may still grow. */
class Follower {
  readonly path: string;
  /** Why it is not read; undefined while it is. */
  reason: string | undefined;
  grant: string | undefined;
  readonly #options: LogfileOptions;
  readonly #idents: readonly string[];
  readonly #nowMs: () => number;
  /** Oldest first; the last one is, or was until a moment ago, the one that the path names. */
  #held: Held[] = [];
  /** What took the path's name since, oldest first: open, and not begun. */
  #waiting: Waiting[] = [];
  #saved: readonly FilePosition[] | undefined;
  /** Of what was saved, what is not held again yet. */
  #unplaced: readonly FilePosition[] = [];
  #started = false;
  #passes = 0;
  /** What the path names, opened in this pass. */
  #opened: HeldFile | undefined;
  #failure: { readonly reason: string; readonly grant?: string } | undefined;
  #bytesAtOnce = firstBytesAtOnce;

  constructor(path: string, options: LogfileOptions, saved: readonly FilePosition[] | undefined) {
    this.path = path;
    this.reason = `${path} has not been opened yet`;
    this.#options = options;
    this.#idents = options.identsByPath?.[path] ?? options.idents;
    this.#nowMs = options.nowMs ?? Date.now;
    this.#saved = saved;
  }

  /** Undefined before the first start; empty while the path has never led to a file. */
  position(): readonly FilePosition[] | undefined {
    if (!this.#started) return this.#saved;
    return [...this.#held.map(({ reader, skipping }) => positionOf(reader, skipping)), ...this.#unplaced];
  }

  lag(): number {
    return [...this.#held, ...this.#waiting].reduce((sum, { reader }) => sum + reader.lag(), 0);
  }

  close(): void {
    this.#saved = this.position();
    for (const { reader } of [...this.#held, ...this.#waiting]) reader.close();
    this.#held = [];
    this.#waiting = [];
    this.#unplaced = [];
    this.#started = false;
  }

  /** Takes hold of what has the path's name now, and of what had it since the last look. */
  async lookAhead(): Promise<void> {
    try {
      while (this.#waiting.length < waitingFilesLimit) {
        const newest = (this.#waiting.at(-1) ?? this.#held.at(-1))?.reader;
        const next = newest && (await successor(this.path, newest));
        if (next !== undefined) this.#waiting.push(next);
        else if (!(await this.#lookForCopy())) return;
      }
    } catch (error) {
      if (!isSystemError(error) && !(error instanceof NotRegularFile)) throw error;
      // In the middle of a rotation nothing has the name for a moment; the next pass tells if it lasts.
      if (!("code" in error && error.code === "ENOENT")) this.#fail(error);
    }
  }

  /** Takes hold of a copy of what the newest file held before it was cut: its rotation may delete it soon. */
  async #lookForCopy(): Promise<boolean> {
    const last = this.#waiting.at(-1)?.reader;
    const before = (this.#waiting.at(-2) ?? this.#held.at(-1))?.reader;
    if (before === undefined || !(last instanceof HeldFile)) return false;
    const copy = await overlooked(this.path, before, last);
    if (copy === undefined || copy === "moving") return false;
    this.#waiting.splice(-1, 0, copy);
    return true;
  }

  /** Everything there is to read now. */
  async *pass(): AsyncGenerator<Piece> {
    this.#failure = undefined;
    this.#passes++;
    const named = this.#stat();
    try {
      if (this.#started) yield* this.#follow(named);
      else yield* this.#start(named);
      if (this.#held.length > 1) yield* this.#retire();
    } catch (error) {
      // A file that was open could not be looked at, or a folder not listed: begin again where the last piece ended.
      if (!isSystemError(error)) throw error;
      this.#fail(error);
      this.close();
    } finally {
      // Left in the middle, before its turn came.
      if (this.#opened !== undefined && !this.#holds(this.#opened)) this.#opened.close();
      this.#opened = undefined;
    }
    this.#report();
  }

  #report(): void {
    const reason = this.#failure?.reason;
    if (reason !== undefined && reason !== this.reason) this.#options.onWarning(reason);
    this.reason = reason;
    this.grant = this.#failure?.grant;
  }

  async *#start(named: Stats | undefined): AsyncGenerator<Piece> {
    const last = this.#saved?.at(-1);
    if (named === undefined) {
      // What appears later is new, and read from its start; but a place to go on from is kept until there is a file.
      this.#started = last === undefined && this.#failure?.grant === undefined;
      if (this.#started) yield nothing;
      return;
    }
    const file = this.#open();
    if (file === undefined) return;
    if (last !== undefined) {
      this.#started = true;
      yield* this.#resume(file, last);
      return;
    }
    const held = this.#hold(file, this.#saved === undefined && !this.#options.fromBeginning && !file.resumeAtEnd());
    this.#started = true;
    this.#prime(held);
    yield nothing;
    yield* this.#drain(held);
  }

  /** Goes on where the position says: in the file itself or, if it was rotated meanwhile, in its sibling and all after it. */
  async *#resume(file: HeldFile, last: FilePosition): AsyncGenerator<Piece> {
    this.#unplaced = this.#saved ?? [];
    let before: Held | undefined;
    for (const position of this.#unplaced.slice(0, -1)) {
      const found = await findPosition(this.path, position);
      if (found === "moving") return this.close();
      before = found && this.#hold(found, position.skipping);
      this.#unplaced = this.#unplaced.slice(1);
    }
    for (const held of this.#held) yield* this.#drain(held);
    const sameFile = file.device === last.device && file.inode === last.inode;
    if ((sameFile || last.offset > 0) && file.resume(last.offset, last.hash)) {
      const held = this.#hold(file, last.skipping);
      if (last.offset === 0) held.after = before;
      this.#unplaced = [];
      this.#prime(held);
      yield* this.#drain(held);
      return;
    }
    const found = await findPosition(this.path, last);
    if (found === "moving") return this.close();
    this.#unplaced = [];
    if (found === undefined) {
      file.restart();
      this.#hold(file);
      yield this.#lose("the file that was read before is not among its rotated siblings");
      yield* this.#drainLast();
      return;
    }
    const held = this.#hold(found, last.skipping);
    this.#prime(held);
    yield* this.#drain(held);
    yield* this.#goOn();
  }

  async *#follow(named: Stats | undefined): AsyncGenerator<Piece> {
    for (const held of [...this.#held]) yield* this.#drain(held);
    const last = this.#held.at(-1)?.reader;
    if (last !== undefined) {
      const stillNamed = named?.dev === last.device && named.ino === last.inode;
      if (!stillNamed || this.#waiting.length > 0) yield* this.#goOn();
    } else if (named !== undefined) {
      const file = this.#open();
      if (file !== undefined) this.#hold(file);
      yield* this.#drainLast();
    }
  }

  /** From the last file held to those that came after it, one by one. */
  async *#goOn(): AsyncGenerator<Piece> {
    for (;;) {
      await this.lookAhead();
      const next = this.#waiting[0];
      if (next === undefined) return;
      // Again: it may have grown before the next one was there, and its lines come first.
      const last = this.#held.at(-1);
      yield* this.#drainLast();
      if (this.#waiting[0] !== next) continue;
      this.#waiting.shift();
      const held = this.#hold(next.reader);
      if (last !== undefined && this.#held.includes(last)) {
        if (continues(held, last)) this.#prime(held);
        else yield* this.#follows(held, last);
      }
      for (const loss of next.losses) yield this.#lose(loss);
      yield* this.#retire();
      yield* this.#drainLast();
      if (held.after?.copy !== undefined && this.#held.includes(held)) held.after.copy.growing = false;
    }
  }

  async *#follows(held: Held, last: Held): AsyncGenerator<Piece> {
    held.after = last;
    if (last.copy === undefined) return;
    if (held.reader.path !== this.path) held.copy = { ...last.copy };
    // It is whole only since the file was cut.
    yield* this.#drain(last);
  }

  #holds(file: { readonly device: number; readonly inode: number }): boolean {
    return this.#held.some(({ reader }) => reader.device === file.device && reader.inode === file.inode);
  }

  async *#drainLast(): AsyncGenerator<Piece> {
    const last = this.#held.at(-1);
    if (last !== undefined) yield* this.#drain(last);
  }

  async *#drain(held: Held): AsyncGenerator<Piece> {
    for (;;) {
      let block: Buffer | undefined;
      try {
        if (held.reader.rewritten()) {
          const piece = await this.#rewritten(held);
          if (piece === undefined) return;
          yield piece;
          if (this.#held.includes(held)) continue;
          return;
        }
        block = await held.reader.read();
        if (block !== undefined && held.after !== undefined && (await this.#isOverlooked(held, held.after))) return;
      } catch (error) {
        if (held.reader instanceof GzipFile) yield this.#lose(`cannot decompress ${held.reader.path}`);
        else this.#fail(error);
        return;
      }
      if (block === undefined) return;
      held.lastGrowthMs = this.#nowMs();
      held.grewInPass = this.#passes;
      yield this.#readBlock(held, block);
      if (held.after !== undefined && held.reader.offset > 0) yield this.#begun(held, held.after);
      if (held.reader.ended && held.reader.rest().length === 0) return;
    }
  }

  #readBlock(held: Held, whole: Buffer): Piece {
    const { reader, lines } = held;
    const records: LogRecord[] = [];
    let block = whole;
    if (held.skipping) {
      const newline = block.indexOf(10);
      held.skipping = newline === -1;
      const skipped = newline === -1 ? block.length : newline + 1;
      reader.consume(skipped);
      block = block.subarray(skipped);
    }
    // A hole of NULs belongs to no line, however long it is.
    let hole = 0;
    while (block[hole] === 0) hole++;
    reader.consume(hole);
    block = block.subarray(hole);

    const lineEnd = this.#bytesAtOnce < block.length ? block.lastIndexOf(10, this.#bytesAtOnce) : -1;
    if (lineEnd !== -1) block = block.subarray(0, lineEnd + 1);
    if (this.#bytesAtOnce < blockBytes) this.#bytesAtOnce *= 2;

    const cutBefore = lines.cutLines;
    const taken = lines.read(block, records);
    reader.consume(taken);
    if (taken === 0 && block.length > lineBytes) {
      lines.readLine(block, records);
      reader.consume(block.length);
      held.skipping = true;
    }
    const lost = lines.cutLines - cutBefore;
    if (lost > 0) this.#options.onWarning(`${reader.path}: ${lost} line(s) longer than ${lineBytes} bytes cut`);
    return { records, lost };
  }

  /** Whether a copy comes before the file of which this is the first block, or may; then it waits for its turn again. */
  async #isOverlooked(held: Held, after: Held): Promise<boolean> {
    const { reader } = held;
    if (held !== this.#held.at(-1) || !(reader instanceof HeldFile)) return false;
    const copy = await overlooked(this.path, after.reader, reader);
    if (copy === undefined) return false;
    reader.restart();
    if (copy === "moving") return true;
    this.#held.pop();
    this.#waiting.unshift(copy, { reader, losses: [] });
    return true;
  }

  /** Nobody writes to a copy; the next copytruncate may overwrite it. */
  #begun(held: Held, after: Held): Piece {
    held.after = undefined;
    if (after.copy === undefined) return nothing;
    // Where the cut fell into a line, its end is gone.
    if (after.reader.rest().length > 0) return this.#release(after, "it was truncated within a line");
    return this.#release(after, after.copy.growing ? "it was written while it was copied and truncated" : undefined);
  }

  /** Undefined while names move: the next look will find it. */
  async #rewritten(held: Held): Promise<Piece | undefined> {
    if (held.copy !== undefined) return this.#copiedOver(held);
    if (held !== this.#held.at(-1)) return this.#release(held, "a rotated file was overwritten");
    return this.#truncated(held);
  }

  /** copytruncate leaves a copy, which holds what was written between our last look and the cut. */
  async #truncated(held: Held): Promise<Piece | undefined> {
    const { lines, skipping } = held;
    const growing = held.grewInPass >= this.#passes - 1;
    const copy = await findPosition(this.path, positionOf(held.reader), { copiesOnly: true });
    if (copy === "moving") return undefined;
    const file = held.reader as HeldFile;
    file.restart();
    held.skipping = false;
    held.after = undefined;
    if (copy === undefined) return this.#lose("it was truncated, and there is no copy of what was in it");
    // The file has its turn after the copy, and after those of what was written and cut since.
    this.#held.pop();
    this.#waiting.unshift({ reader: file, losses: [] });
    this.#hold(copy, skipping, lines).copy = { growing };
    return nothing;
  }

  /** The next copy was written over the one before: it holds lines that were not read, unless the file itself still does. */
  async #copiedOver(held: Held): Promise<Piece> {
    const next = this.#held[this.#held.indexOf(held) + 1]?.reader ?? this.#waiting[0]?.reader;
    if (!(held.reader instanceof HeldFile) || !(next instanceof HeldFile)) return this.#release(held, undefined);
    const known = await isCopyOf(held.reader, next);
    held.skipping = false;
    return known ? this.#release(held, undefined) : nothing;
  }

  /** Lets go of old files that nobody writes any more; their last line is whole now, with or without a newline. */
  async *#retire(): AsyncGenerator<Piece> {
    const old = this.#held.slice(0, -1);
    for (const [index, held] of old.entries()) {
      const idle = this.#nowMs() - held.lastGrowthMs > lateWritesMs;
      if (!idle && !(held.reader instanceof GzipFile) && old.length - index < heldFilesLimit) continue;
      const records: LogRecord[] = [];
      const rest = held.reader.rest();
      if (rest.length > 0 && held.copy === undefined) {
        if (!held.skipping) held.lines.readLine(rest, records);
        held.reader.consume(rest.length);
      }
      // While nothing of the next one was read, only this one tells whether a copy came between them.
      const needed = this.#held.at(-1)?.after === held;
      if (!needed) this.#release(held, undefined);
      if (!needed || records.length > 0) yield { records, lost: 0 };
    }
  }

  #release(held: Held, loss: string | undefined): Piece {
    this.#held = this.#held.filter((other) => other !== held);
    for (const other of this.#held) if (other.after === held) other.after = undefined;
    held.reader.close();
    return loss === undefined ? nothing : this.#lose(loss);
  }

  #hold(reader: LogReader, skipping = false, lines = this.#newLines()): Held {
    const held: Held = { reader, lines, skipping, lastGrowthMs: this.#nowMs(), grewInPass: Number.NEGATIVE_INFINITY };
    this.#held.push(held);
    return held;
  }

  #newLines(): SyslogLines {
    return new SyslogLines(this.#idents, this.#nowMs, this.#options.reader);
  }

  /** Reads the line before the offset again, uncounted: a `last message repeated` may follow it. */
  #prime({ reader, lines }: Held): void {
    const before = reader.before();
    lines.read(before.subarray(before.lastIndexOf(10, -2) + 1), []);
  }

  #stat(): Stats | undefined {
    try {
      accessSync(this.path, constants.R_OK);
      const stats = statSync(this.path);
      if (!stats.isFile()) throw new NotRegularFile(this.path, stats);
      return stats;
    } catch (error) {
      this.#fail(error);
      return undefined;
    }
  }

  #open(): HeldFile | undefined {
    try {
      this.#opened = new HeldFile(this.path);
      return this.#opened;
    } catch (error) {
      this.#fail(error);
      return undefined;
    }
  }

  #fail(error: unknown): void {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") this.#failure = { reason: `${this.path} does not exist` };
    else if (code === "EACCES" || code === "EPERM")
      this.#failure = {
        reason: `cannot read ${this.path}: permission denied`,
        grant: `read access to ${this.path}, by membership in its group (often adm)`,
      };
    else this.#failure = { reason: error instanceof NotRegularFile ? message : `cannot read ${this.path}: ${message}` };
  }

  #lose(why: string): Piece {
    this.#options.onWarning(`${this.path}: lines may be lost: ${why}`);
    return { records: [], lost: 1 };
  }
}

/** An editor, or a move to another disk, puts a copy in the file's place: what it has was read. */
function continues({ reader }: Held, last: Held): boolean {
  if (last.reader.offset === 0 || !(reader instanceof HeldFile)) return false;
  return reader.resume(last.reader.offset, hashOf(last.reader.before()));
}

const nothing: Piece = { records: [], lost: 0 };

/** Hashed when it is written down: a batch brings one, and most are never saved. */
function positionOf(reader: LogReader, skipping = false): FilePosition {
  const { device, inode, offset } = reader;
  const before = reader.before();
  return {
    device,
    inode,
    offset,
    get hash() {
      return hashOf(before);
    },
    ...(skipping ? { skipping } : {}),
  };
}

/** What a snapshot holds; an entry that is not ours counts as none. */
function savedFiles(position: Position | undefined): Readonly<Record<string, readonly FilePosition[]>> | undefined {
  const paths = position?.["paths"];
  if (typeof paths !== "object" || paths === null) return undefined;
  return Object.fromEntries(
    Object.entries(paths).filter(([, files]) => Array.isArray(files) && files.every(isFilePosition)),
  );
}

function isFilePosition(value: unknown): value is FilePosition {
  if (typeof value !== "object" || value === null) return false;
  const { device, inode, offset, hash } = value as Partial<Record<keyof FilePosition, unknown>>;
  // Inodes of overlay file systems go beyond 2^53: rounded, they still are the same number each time.
  const numbers = [device, inode, offset].every((n) => typeof n === "number" && n >= 0);
  return numbers && Number.isSafeInteger(offset) && typeof hash === "string";
}

const isSystemError = (error: unknown): error is Error => error instanceof Error && "syscall" in error;

function statOf(path: string): Stats | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false });
  } catch {
    return undefined;
  }
}
