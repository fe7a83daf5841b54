/**
 * The Journal Export Format as journalctl -o export writes it: entries of `NAME=value` lines or, for values that are
 * no plain text, `NAME`, a 64-bit little-endian length and the bytes. Gives the wanted fields of each complete entry.
 * Source: https://systemd.io/JOURNAL_EXPORT_FORMATS
 */

/** Longer values are cut: a field may be hundreds of megabytes. */
const valueBytes = 64 * 1024;
const LF = 10;
const EQUALS = 61;

export type JournalEntry = ReadonlyMap<string, string>;

/** Reads a stream in chunks, split anywhere, in bounded memory. */
export class JournalExport {
  readonly #wanted: ReadonlySet<string>;
  #entry = new Map<string, string>();
  /** The start of a line whose end has not come yet. */
  #line: Buffer = Buffer.alloc(0);
  #lineCut = false;
  #binary: BinaryField | undefined;

  constructor(fields: Iterable<string>) {
    this.#wanted = new Set(fields);
  }

  read(chunk: Buffer): readonly JournalEntry[] {
    const entries: JournalEntry[] = [];
    let at = 0;
    while (at < chunk.length) {
      if (this.#binary !== undefined) {
        at = this.#binary.read(chunk, at);
        if (this.#binary.complete()) {
          this.#set(this.#binary.name, this.#binary.value());
          this.#binary = undefined;
        }
        continue;
      }
      const newline = chunk.indexOf(LF, at);
      const end = newline === -1 ? chunk.length : newline;
      const line = this.#joinLine(chunk.subarray(at, end));
      at = end + 1;
      if (newline === -1) this.#line = Buffer.from(line);
      else {
        this.#line = Buffer.alloc(0);
        this.#lineCut = false;
        this.#endLine(line, entries);
      }
    }
    return entries;
  }

  #joinLine(more: Buffer): Buffer {
    if (this.#line.length === 0 && more.length <= valueBytes) return more;
    if (this.#lineCut) return this.#line;
    const line = Buffer.concat([this.#line, more]);
    this.#lineCut = line.length > valueBytes;
    return line.subarray(0, valueBytes);
  }

  #endLine(line: Buffer, entries: JournalEntry[]): void {
    if (line.length === 0) {
      if (this.#entry.size > 0) entries.push(this.#entry);
      this.#entry = new Map();
      return;
    }
    const equals = line.indexOf(EQUALS);
    if (equals === -1) this.#binary = new BinaryField(line.toString("latin1"));
    else {
      const name = line.toString("latin1", 0, equals);
      if (this.#wanted.has(name)) this.#set(name, line.toString("utf8", equals + 1));
    }
  }

  /** A client may send a field twice: the first one stands. */
  #set(name: string, value: string): void {
    if (this.#wanted.has(name) && !this.#entry.has(name)) this.#entry.set(name, value);
  }
}

class BinaryField {
  readonly name: string;
  readonly #length = Buffer.alloc(8);
  #lengthRead = 0;
  /** Bytes still to come, the final newline among them. */
  #remaining = Number.POSITIVE_INFINITY;
  readonly #kept: Buffer[] = [];
  #keptLength = 0;

  constructor(name: string) {
    this.name = name;
  }

  /** Returns the offset after what belongs to this field. */
  read(chunk: Buffer, start: number): number {
    let at = start;
    if (this.#lengthRead < 8) {
      const copied = chunk.copy(this.#length, this.#lengthRead, at);
      this.#lengthRead += copied;
      at += copied;
      if (this.#lengthRead < 8) return at;
      this.#remaining = Number(this.#length.readBigUInt64LE()) + 1;
    }
    const taken = Math.min(this.#remaining, chunk.length - at);
    const data = Math.min(taken, this.#remaining - 1, valueBytes - this.#keptLength);
    if (data > 0) {
      this.#kept.push(Buffer.from(chunk.subarray(at, at + data)));
      this.#keptLength += data;
    }
    this.#remaining -= taken;
    return at + taken;
  }

  complete(): boolean {
    return this.#remaining === 0;
  }

  value(): string {
    return Buffer.concat(this.#kept).toString("utf8");
  }
}
