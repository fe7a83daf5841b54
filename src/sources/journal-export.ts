/**
 * The Journal Export Format as journalctl -o export writes it: entries of `NAME=value` lines or, for values that are
 * no plain text, `NAME`, a 64-bit little-endian length and the bytes. Gives the wanted fields of each complete entry.
 * Source: https://systemd.io/JOURNAL_EXPORT_FORMATS
 */
import { isAscii } from "node:buffer";

/** Longer values are cut: a field may be hundreds of megabytes. */
export const valueBytes = 64 * 1024;
const LF = 10;
const EQUALS = 61;

/** Lines of an entry that are remembered, and bytes of each. */
const knownLines = 64;
const knownBytes = 160;
/** So many lines of the entry before may be left out. */
const leftOut = 8;

/** The values of the wanted fields, in the order in which these were named. */
export type JournalEntry = readonly (string | undefined)[];

/** The fields that are read. */
export class WantedFields {
  readonly names: readonly string[];
  readonly #blank: readonly undefined[];
  /** By the length of their names: most fields are skipped without being decoded. */
  readonly #byLength: { readonly field: number; readonly bytes: Buffer }[][] = [];

  constructor(names: readonly string[]) {
    this.names = names;
    this.#blank = names.map(() => undefined);
    for (const [field, name] of names.entries()) {
      this.#byLength[name.length] = [...(this.#byLength[name.length] ?? []), { field, bytes: Buffer.from(name) }];
    }
  }

  /** The values of an entry that has none yet. */
  blank(): (string | undefined)[] {
    return this.#blank.slice();
  }

  /** The field by its name; -1: not wanted. */
  find(bytes: Buffer, start: number, end: number): number {
    const candidates = this.#byLength[end - start];
    if (candidates === undefined) return -1;
    next: for (const { field, bytes: expected } of candidates) {
      for (let at = 0; at < expected.length; at++) if (bytes[start + at] !== expected[at]) continue next;
      return field;
    }
    return -1;
  }
}

/** Reads a stream in chunks, split anywhere, in bounded memory. */
export class JournalExport {
  readonly #wanted: WantedFields;
  #entry: (string | undefined)[];
  #entryEmpty = true;
  /**
   * The lines of the entries before, in their order: most are the same in the next one, byte for byte, and most others
   * have another value of the same field. So most lines are told by one comparison, and few values are decoded anew.
   */
  readonly #known: KnownLine[] = [];
  /** The one that is expected next. */
  #next = 0;
  /** The start of a line whose end has not come yet. */
  #line: Buffer = Buffer.alloc(0);
  #lineCut = false;
  #binary: BinaryField | undefined;

  constructor(fields: readonly string[]) {
    this.#wanted = new WantedFields(fields);
    this.#entry = this.#wanted.blank();
  }

  read(chunk: Buffer): readonly JournalEntry[] {
    const entries: JournalEntry[] = [];
    const ascii = isAscii(chunk);
    let at = 0;
    while (at < chunk.length) {
      if (this.#binary !== undefined) {
        at = this.#binary.read(chunk, at);
        if (this.#binary.complete()) {
          this.#set(this.#binary.field, this.#binary.value());
          this.#binary = undefined;
        }
        continue;
      }
      const begun = this.#line.length > 0;
      const same = begun ? 0 : this.#sameAsKnown(chunk, at);
      const known = same === 0 ? undefined : this.#known[this.#next];
      if (known !== undefined && same === known.length) {
        this.#set(known.field, known.value);
        this.#next++;
        at += same;
        continue;
      }
      const newline = chunk.indexOf(LF, at + same);
      if (!begun && newline !== -1 && newline - at <= valueBytes) {
        this.#endLine(chunk, at, newline, same, ascii, entries);
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
        this.#endLine(line, 0, line.length, 0, false, entries);
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

  /** How many bytes are those of a line that was expected here: none, or its name at the least. It is the next one then. */
  #sameAsKnown(chunk: Buffer, at: number): number {
    const last = Math.min(this.#next + leftOut, this.#known.length - 1);
    for (let place = this.#next; place <= last; place++) {
      const known = this.#known[place] as KnownLine;
      const same = known.sameBytes(chunk, at);
      if (same <= known.nameLength) continue;
      this.#next = place;
      return same;
    }
    return 0;
  }

  /** `same`: so many bytes are those of the line expected next. */
  #endLine(bytes: Buffer, start: number, end: number, same: number, ascii: boolean, entries: JournalEntry[]): void {
    if (start === end) {
      this.#endEntry(entries);
      return;
    }
    const known = same > 0 ? this.#known[this.#next] : this.#newLine(bytes, start, end);
    if (known === undefined) return;
    this.#next++;
    known.remember(bytes, start, end, same);
    if (known.field === -1) return;
    known.value = bytes.toString(ascii ? "latin1" : "utf8", start + known.nameLength + 1, end);
    this.#set(known.field, known.value);
  }

  #endEntry(entries: JournalEntry[]): void {
    this.#next = 0;
    if (this.#entryEmpty) return;
    entries.push(this.#entry);
    this.#entry = this.#wanted.blank();
    this.#entryEmpty = true;
  }

  /** A place for a line that was not expected; undefined for the name of a binary field. */
  #newLine(bytes: Buffer, start: number, end: number): KnownLine | undefined {
    let equals = start;
    while (equals < end && bytes[equals] !== EQUALS) equals++;
    const field = this.#wanted.find(bytes, start, equals);
    if (equals === end) {
      this.#binary = new BinaryField(field);
      return undefined;
    }
    if (this.#next >= knownLines) this.#next = 0;
    const known = new KnownLine(equals - start, field);
    this.#known.splice(this.#next, this.#known.length < knownLines ? 0 : 1, known);
    return known;
  }

  /** A client may send a field twice: the first one stands. */
  #set(field: number, value: string): void {
    if (field === -1 || this.#entry[field] !== undefined) return;
    this.#entry[field] = value;
    this.#entryEmpty = false;
  }
}

/** A line as it was in an entry before, its newline included. */
class KnownLine {
  readonly nameLength: number;
  readonly field: number;
  value = "";
  /** Of the whole line; 0 before there is one. Of a long one only the first bytes are kept, so none is the same. */
  length = 0;
  readonly #bytes = Buffer.alloc(knownBytes);

  constructor(nameLength: number, field: number) {
    this.nameLength = nameLength;
    this.field = field;
  }

  sameBytes(chunk: Buffer, start: number): number {
    const bytes = this.#bytes;
    const most = Math.min(this.length, knownBytes, chunk.length - start);
    let same = 0;
    while (same < most && bytes[same] === chunk[start + same]) same++;
    return same;
  }

  remember(chunk: Buffer, start: number, end: number, same: number): void {
    this.length = end - start + 1;
    chunk.copy(this.#bytes, same, start + same, Math.min(end, start + knownBytes));
    if (this.length <= knownBytes) this.#bytes[this.length - 1] = LF;
  }
}

class BinaryField {
  /** -1: not wanted, only passed over. */
  readonly field: number;
  readonly #length = Buffer.alloc(8);
  #lengthRead = 0;
  /** Bytes still to come, the final newline among them. */
  #remaining = Number.POSITIVE_INFINITY;
  readonly #kept: Buffer[] = [];
  #keptLength = 0;

  constructor(field: number) {
    this.field = field;
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
    const data = this.field === -1 ? 0 : Math.min(taken, this.#remaining - 1, valueBytes - this.#keptLength);
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
