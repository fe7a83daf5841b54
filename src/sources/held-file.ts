/**
 * One log file, followed by its open descriptor with the `tail` package: `/proc/self/fd/N` names the file itself,
 * whatever happens to its name, so a rename loses nothing and late writes to the old file are still read.
 * Gives blocks of bytes; lines and positions are the caller's. Also reads rotated files that were compressed.
 * Sources: proc_pid_fd(5), tail's lib/tail.js (readBlock, change), logrotate(8) (compress, copytruncate).
 */
import { createHash } from "node:crypto";
import { closeSync, constants, createReadStream, fstatSync, openSync, readSync } from "node:fs";
import { createGunzip } from "node:zlib";
import { Tail } from "tail";

declare module "tail" {
  // What the package has and its types leave out.
  interface Tail {
    currentCursorPos: number;
    queue: { start: number; end: number }[];
    change(): void;
    readBlock(): void;
    latestPosition(): number;
  }
}

export const blockBytes = 80 * 1024;
/** So many bytes before an offset identify a file's content. */
export const identifyingBytes = 1024;
/** So many are enough while the file is held, and cheaper: every look compares them. */
const comparedBytes = 64;

/** Where reading stands in one file; JSON-safe. The hash is of up to 1 KiB before the offset, so that content is recognised under any name. */
export interface FilePosition {
  readonly device: number;
  readonly inode: number;
  /** Bytes of whole lines read; of the uncompressed file. */
  readonly offset: number;
  readonly hash: string;
  /** The line at the offset is too long and is being skipped. */
  readonly skipping?: boolean;
}

/** A file that is read block by block. A block starts where the last one was consumed up to, and is valid until the next `read`. */
export interface LogReader {
  readonly path: string;
  readonly device: number;
  readonly inode: number;
  /** Bytes consumed so far. */
  readonly offset: number;
  /** Undefined: nothing beyond what the last block showed. Throws where the file cannot be read (now). */
  read(): Promise<Buffer | undefined>;
  consume(bytes: number): void;
  /** Goes on at `offset`; false if the file is shorter, or the content before it has another hash. */
  resume(offset: number, hash: string): boolean | Promise<boolean>;
  /** The last bytes consumed, at most 1 KiB. */
  before(): Buffer;
  /** What the last block held beyond the consumed bytes: a last line without end. */
  rest(): Buffer;
  /** Bytes not consumed yet. */
  lag(): number;
  /** When it was written last; compression keeps that. */
  modifiedNs(): bigint;
  /** The content before the offset is not what was read: the file was truncated, whether it grew again or not. */
  rewritten(): boolean;
  /** The last block held all that there was; a look before the next poll would find little. */
  readonly ended: boolean;
  close(): void;
}

export function hashOf(before: Buffer): string {
  return createHash("sha256").update(before).digest("hex").slice(0, 32);
}

/**
 * Reads on in a held descriptor: no watcher of its own, since the source polls all its files with one timer, and no
 * stream or thread for each block, which would cost as much as all parsing: a log's end is in the page cache.
 */
class HeldTail extends Tail {
  readonly #fd: number;
  readonly #block = Buffer.allocUnsafeSlow(blockBytes);
  #length = 0;

  constructor(fd: number, offset: number) {
    super(`/proc/self/fd/${fd}`, { separator: null, encoding: "latin1", fromBeginning: true, follow: false });
    this.#fd = fd;
    this.currentCursorPos = offset;
  }

  override watch(): void {}

  /** The end of the next block instead of the end of the file: what is not asked for is not read into memory. */
  override latestPosition(): number {
    return Math.min(fstatSync(this.#fd).size, this.currentCursorPos + blockBytes);
  }

  override readBlock(): void {
    const { start = 0, end = 0 } = this.queue.shift() ?? {};
    this.#length = readSync(this.#fd, this.#block, 0, end - start, start);
  }

  /** The bytes from `offset`, at most a block; empty at the end of the file. */
  read(offset: number): Buffer {
    this.currentCursorPos = offset;
    this.#length = 0;
    this.change();
    return this.#block.subarray(0, this.#length);
  }
}

/** A regular file under a held descriptor. */
export class HeldFile implements LogReader {
  readonly path: string;
  readonly device: number;
  readonly inode: number;
  readonly #fd: number;
  readonly #tail: HeldTail;
  #offset = 0;
  #before: Buffer = Buffer.alloc(0);
  #block: Buffer = Buffer.alloc(0);
  /** `rewritten` has read the block already. */
  #looked = false;
  /** Where the last block ended that gave no complete line: reading again makes sense only when there is more. */
  #exhaustedAt = -1;
  ended = false;

  /** Never waits, even if the path became a FIFO. Throws the system's error, or `NotRegularFile`. */
  constructor(path: string) {
    this.path = path;
    this.#fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
    try {
      const stats = fstatSync(this.#fd);
      if (!stats.isFile()) throw new NotRegularFile(path, stats);
      this.device = stats.dev;
      this.inode = stats.ino;
      this.#tail = new HeldTail(this.#fd, 0);
    } catch (error) {
      closeSync(this.#fd);
      throw error;
    }
  }

  get offset(): number {
    return this.#offset;
  }

  size(): number {
    return fstatSync(this.#fd).size;
  }

  modifiedNs(): bigint {
    return fstatSync(this.#fd, { bigint: true }).mtimeNs;
  }

  /** Whether these bytes stand there. */
  holds(bytes: Buffer, offset: number): boolean {
    const there = Buffer.allocUnsafe(bytes.length);
    return readSync(this.#fd, there, 0, there.length, offset) === bytes.length && there.equals(bytes);
  }

  resume(offset: number, hash: string): boolean {
    if (offset > this.size()) return false;
    const before = this.#bytesBefore(offset);
    if (hashOf(before) !== hash) return false;
    this.#start(offset, before);
    return true;
  }

  /** Goes on behind the last complete line; false if there is none near the end, and the rest of a line comes first. */
  resumeAtEnd(): boolean {
    const size = this.size();
    const last = Buffer.allocUnsafe(Math.min(size, 64 * 1024));
    const length = readSync(this.#fd, last, 0, last.length, size - last.length);
    const lineEnd = last.subarray(0, length).lastIndexOf(10);
    const offset = lineEnd === -1 && last.length === size ? 0 : size - last.length + lineEnd + 1;
    this.#start(offset, this.#bytesBefore(offset));
    return lineEnd !== -1 || offset === 0;
  }

  restart(): void {
    this.#start(0, Buffer.alloc(0));
  }

  #start(offset: number, before: Buffer): void {
    this.#offset = offset;
    this.#before = before;
    this.#block = Buffer.alloc(0);
    this.#looked = false;
    this.#exhaustedAt = -1;
  }

  async read(): Promise<Buffer | undefined> {
    if (!this.#looked) this.#block = this.#tail.read(this.#offset);
    this.#looked = false;
    const end = this.#offset + this.#block.length;
    if (this.#block.length === 0 || end === this.#exhaustedAt) return undefined;
    this.#exhaustedAt = end;
    return this.#block;
  }

  consume(bytes: number): void {
    if (bytes === 0) return;
    this.#before = lastBytes(this.#before, this.#block.subarray(0, bytes));
    this.#block = this.#block.subarray(bytes);
    this.#offset += bytes;
    this.#exhaustedAt = -1;
  }

  before(): Buffer {
    return this.#before;
  }

  rest(): Buffer {
    return this.#block;
  }

  lag(): number {
    return Math.max(0, this.size() - this.#offset);
  }

  /** Reads the next block in the same step: with a poll's few lines, system calls are most of the cost. */
  rewritten(): boolean {
    const before = this.#before.subarray(-comparedBytes);
    const found = this.#tail.read(this.#offset - before.length);
    if (!before.equals(found.subarray(0, before.length))) return true;
    this.#block = found.subarray(before.length);
    this.#looked = true;
    this.ended = found.length < blockBytes;
    return false;
  }

  close(): void {
    closeSync(this.#fd);
  }

  #bytesBefore(offset: number): Buffer {
    const before = Buffer.alloc(Math.min(offset, identifyingBytes));
    const length = readSync(this.#fd, before, 0, before.length, offset - before.length);
    return before.subarray(0, length);
  }
}

/** A rotated file that gzip compressed: read once, from the start, by a descriptor that is held. */
export class GzipFile implements LogReader {
  readonly path: string;
  readonly device: number;
  readonly inode: number;
  readonly #fd: number;
  readonly #chunks: AsyncGenerator<Buffer>;
  #offset = 0;
  #before: Buffer = Buffer.alloc(0);
  #block: Buffer = Buffer.alloc(0);
  #shown = false;
  readonly ended = false;

  /** Throws the system's error. */
  constructor(path: string) {
    this.path = path;
    this.#fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
    const { dev, ino } = fstatSync(this.#fd);
    this.device = dev;
    this.inode = ino;
    this.#chunks = decompressed(this.#fd);
  }

  get offset(): number {
    return this.#offset;
  }

  /** Decompresses up to `offset`; false if the file is shorter, or the content before it has another hash. */
  async resume(offset: number, hash: string): Promise<boolean> {
    while (this.#offset < offset) {
      const block = await this.read();
      if (block === undefined) return false;
      this.consume(Math.min(block.length, offset - this.#offset));
    }
    return hashOf(this.#before) === hash;
  }

  async read(): Promise<Buffer | undefined> {
    const { value, done } = await this.#chunks.next();
    if (done === true) {
      // What was not consumed has been shown once at least: show it again only if a part was consumed since.
      if (this.#shown || this.#block.length === 0) return undefined;
      this.#shown = true;
      return this.#block;
    }
    this.#block = this.#block.length === 0 ? value : Buffer.concat([this.#block, value]);
    return this.#block;
  }

  consume(bytes: number): void {
    if (bytes === 0) return;
    this.#before = lastBytes(this.#before, this.#block.subarray(0, bytes));
    this.#block = this.#block.subarray(bytes);
    this.#offset += bytes;
    this.#shown = false;
  }

  rest(): Buffer {
    return this.#block;
  }

  before(): Buffer {
    return this.#before;
  }

  lag(): number {
    return this.#block.length;
  }

  rewritten(): boolean {
    return false;
  }

  modifiedNs(): bigint {
    return fstatSync(this.#fd, { bigint: true }).mtimeNs;
  }

  close(): void {
    void this.#chunks.return(undefined).catch(() => {});
    closeSync(this.#fd);
  }
}

/** Nothing is opened or read before the first chunk is asked for. */
async function* decompressed(fd: number): AsyncGenerator<Buffer> {
  // A descriptor of its own for the same file, closed when the stream likes.
  const file = createReadStream(`/proc/self/fd/${fd}`);
  const stream = file.pipe(createGunzip({ chunkSize: 64 * 1024 }));
  file.on("error", (error) => stream.destroy(error));
  stream.on("close", () => file.destroy());
  yield* stream;
}

/** The path leads to something that has no lines to follow. */
export class NotRegularFile extends Error {
  constructor(path: string, stats: { isDirectory(): boolean; isFIFO(): boolean; isSocket(): boolean }) {
    const what = stats.isDirectory()
      ? "a directory"
      : stats.isFIFO()
        ? "a FIFO"
        : stats.isSocket()
          ? "a socket"
          : "a device";
    super(`${path} is ${what}, not a log file`);
    this.name = "NotRegularFile";
  }
}

function lastBytes(before: Buffer, bytes: Buffer): Buffer {
  if (bytes.length >= identifyingBytes) return Buffer.from(bytes.subarray(-identifyingBytes));
  return Buffer.concat([before.subarray(Math.max(0, before.length + bytes.length - identifyingBytes)), bytes]);
}
