/**
 * The Journal Export Format as journalctl -o export writes it: entries of `NAME=value` lines or, for values that are
 * no plain text, `NAME`, a 64-bit little-endian length and the bytes. Gives the wanted fields of each complete entry.
 * Source: https://systemd.io/JOURNAL_EXPORT_FORMATS
 */
import { isAscii } from "node:buffer";

/** Longer values are cut: a field may be hundreds of megabytes. */
const valueBytes = 64 * 1024;
const LF = 10;
const EQUALS = 61;

export type JournalEntry = ReadonlyMap<string, string>;

/** Reads a stream in chunks, split anywhere, in bounded memory. */
export class JournalExport {
  /** Wanted names by their length: most fields are skipped without being decoded. */
  readonly #wanted: { readonly name: string; readonly bytes: Buffer }[][] = [];
  #entry = new Map<string, string>();
  /** The start of a line whose end has not come yet. */
  #line: Buffer = Buffer.alloc(0);
  #lineCut = false;
  #binary: BinaryField | undefined;

  constructor(fields: Iterable<string>) {
    for (const name of fields) {
      this.#wanted[name.length] = [...(this.#wanted[name.length] ?? []), { name, bytes: Buffer.from(name) }];
    }
  }

  read(chunk: Buffer): readonly JournalEntry[] {
    const entries: JournalEntry[] = [];
    const ascii = isAscii(chunk);
    let at = 0;
    while (at < chunk.length) {
      if (this.#binary !== undefined) {
        at = this.#binary.read(chunk, at);
        if (this.#binary.complete()) {
          if (this.#binary.name !== undefined) this.#set(this.#binary.name, this.#binary.value());
          this.#binary = undefined;
        }
        continue;
      }
      const newline = chunk.indexOf(LF, at);
      const whole = this.#line.length === 0 && newline !== -1 && newline - at <= valueBytes;
      if (whole) {
        this.#endLine(chunk, at, newline, ascii, entries);
        at = newline + 1;
        continue;
      }
      const end = newline === -1 ? chunk.length : newline;
      const line = this.#joinLine(chunk.subarray(at, end));
      at = end + 1;
      if (newline === -1) this.#line = Buffer.from(line);
      else {
        this.#line = Buffer.alloc(0);
        this.#lineCut = false;
        this.#endLine(line, 0, line.length, false, entries);
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

  #endLine(bytes: Buffer, start: number, end: number, ascii: boolean, entries: JournalEntry[]): void {
    if (start === end) {
      if (this.#entry.size > 0) entries.push(this.#entry);
      this.#entry = new Map();
      return;
    }
    let equals = start;
    while (equals < end && bytes[equals] !== EQUALS) equals++;
    const name = this.#wantedName(bytes, start, equals);
    if (equals === end) this.#binary = new BinaryField(name);
    else if (name !== undefined) this.#set(name, bytes.toString(ascii ? "latin1" : "utf8", equals + 1, end));
  }

  #wantedName(bytes: Buffer, start: number, end: number): string | undefined {
    const candidates = this.#wanted[end - start];
    if (candidates === undefined) return undefined;
    next: for (const { name, bytes: expected } of candidates) {
      for (let at = 0; at < expected.length; at++) if (bytes[start + at] !== expected[at]) continue next;
      return name;
    }
    return undefined;
  }

  /** A client may send a field twice: the first one stands. */
  #set(name: string, value: string): void {
    if (!this.#entry.has(name)) this.#entry.set(name, value);
  }
}

class BinaryField {
  /** Undefined: not wanted, only passed over. */
  readonly name: string | undefined;
  readonly #length = Buffer.alloc(8);
  #lengthRead = 0;
  /** Bytes still to come, the final newline among them. */
  #remaining = Number.POSITIVE_INFINITY;
  readonly #kept: Buffer[] = [];
  #keptLength = 0;

  constructor(name: string | undefined) {
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
    const data = this.name === undefined ? 0 : Math.min(taken, this.#remaining - 1, valueBytes - this.#keptLength);
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
