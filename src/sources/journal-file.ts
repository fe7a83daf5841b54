/**
 * One file of the journal, read as it lies on the disk: its entries in their order, and of those that match the wanted
 * fields. A process that writes to it meanwhile is no hindrance: objects are never changed once they are linked, and
 * only entries that were linked when the file was opened are read. Whatever is not as expected throws `Unsure`: then
 * journalctl has to read it. Source: https://systemd.io/JOURNAL_FILE_FORMAT
 */
import { closeSync, openSync, readSync } from "node:fs";
import { valueBytes, type WantedFields } from "./journal-export.ts";
import type { JournalMatch } from "./journal-match.ts";

const headerBytes = 240;
const signature = "LPKSHHRH";
/** Values compressed by xz, lz4, zstd; keyed hashes: neither matters here before a compressed value is wanted. */
const knownFlags = 0b11111;
const compactFlag = 0b10000;
const [dataType, entryType, arrayType] = [1, 3, 6];
const compressed = 0b111;
/** More than journald gives an entry. */
const itemsLimit = 2048;
const dataBytes = 64;
const entryBytes = 64;
const arrayBytes = 24;
const windowBytes = 256 * 1024;
/** The fields of an entry are written before it. */
const beforeBytes = 8 * 1024;
const arrayItems = 1024;
/** Values remembered: those that so many entries have, and no long ones. */
const dataLimit = 4096;
const sharedBy = 16;
const sharedLength = 512;

/** This cannot be read, or not for sure, in this way. */
export class Unsure extends Error {}

export interface FileHead {
  readonly path: string;
  readonly fileId: string;
  /** Whoever numbers the entries, and the numbers of the first one and the last one. */
  readonly by: string;
  readonly first: number;
  readonly last: number;
}

/** Undefined: it has no entries. */
export function readHead(path: string): FileHead | undefined {
  const fd = openSync(path, "r");
  try {
    const header = readAt(fd, Buffer.alloc(headerBytes), 0, headerBytes);
    const head = headOf(path, header);
    return u64(header, 152) === 0 ? undefined : head;
  } finally {
    closeSync(fd);
  }
}

function headOf(path: string, header: Buffer): FileHead {
  if (header.toString("latin1", 0, 8) !== signature) throw new Unsure(`${path} is no journal`);
  if ((header.readUInt32LE(12) & ~knownFlags) !== 0) throw new Unsure(`${path} has a format of its own`);
  return {
    path,
    fileId: header.toString("hex", 24, 40),
    by: header.toString("hex", 72, 88),
    first: u64(header, 168),
    last: u64(header, 160),
  };
}

/** A field that entries share: journald writes each value once. */
interface Data {
  /** -1: not wanted. */
  readonly field: number;
  readonly value: string;
  readonly match: number;
  readonly compressed: boolean;
}

const unwanted: Data = { field: -1, value: "", match: 0, compressed: false };
const unread: Data = { field: -1, value: "", match: 0, compressed: true };

export class JournalFile {
  /** Of the entry that it stands at; undefined after the last. */
  number: number | undefined;
  /** Where that entry lies. */
  at = 0;
  readonly #path: string;
  readonly #by: string;
  readonly #wanted: WantedFields;
  readonly #match: JournalMatch;
  readonly #fd: number;
  #compact = false;
  readonly #window = Buffer.allocUnsafe(windowBytes);
  #windowAt = 0;
  #windowLength = 0;
  readonly #aside = Buffer.allocUnsafe(valueBytes + 128);
  /** The values read last, by offset. */
  readonly #data = new Map<number, Data>();
  readonly #items: Data[] = [];
  #bootId = "";
  readonly #bootBytes = Buffer.alloc(16);
  // Entries are listed in arrays, each of which leads to the next.
  #arrayAt = 0;
  #arrayLength = 0;
  #arrayPlace = 0;
  readonly #slice = Buffer.alloc(arrayItems * 8);
  #slicePlace = -1;
  #remaining = 0;

  /** Throws `Unsure` if another file lies there now than the one whose head was read. */
  constructor(head: FileHead, wanted: WantedFields, match: JournalMatch) {
    this.#path = head.path;
    this.#by = head.by;
    this.#wanted = wanted;
    this.#match = match;
    this.#fd = openSync(head.path, "r");
    try {
      const header = readAt(this.#fd, Buffer.alloc(headerBytes), 0, headerBytes);
      if (headOf(head.path, header).fileId !== head.fileId) throw this.#unsure("rotated");
      this.#compact = (header.readUInt32LE(12) & compactFlag) !== 0;
      this.#remaining = u64(header, 152);
      this.#openArray(u64(header, 176));
    } catch (error) {
      this.close();
      throw error;
    }
  }

  close(): void {
    closeSync(this.#fd);
  }

  /** To the first entry with this number, or a higher one. */
  seek(number: number): void {
    for (; this.#remaining > 0; this.#nextArray()) {
      const length = Math.min(this.#arrayLength, this.#remaining);
      if (this.#numberAt(length - 1) < number) continue;
      let [low, high] = [0, length - 1];
      while (low < high) {
        const middle = (low + high) >>> 1;
        if (this.#numberAt(middle) < number) low = middle + 1;
        else high = middle;
      }
      this.#remaining -= low;
      this.#arrayPlace = low;
      break;
    }
    this.#stand();
  }

  next(): void {
    const before = this.number;
    this.#remaining--;
    this.#arrayPlace++;
    if (this.#arrayPlace === this.#arrayLength && this.#remaining > 0) this.#openArray(this.#nextAt());
    this.#stand();
    if (this.number !== undefined && before !== undefined && this.number <= before) throw this.#unsure("order");
  }

  /** The wanted fields of the entry that it stands at; undefined if it is none that matches. */
  entry(): (string | undefined)[] | undefined {
    const window = this.#window;
    const size = u64(window, this.#object(this.at, entryType, entryBytes) + 8);
    const itemBytes = this.#compact ? 4 : 16;
    const count = Math.floor((size - entryBytes) / itemBytes);
    if (count > itemsLimit) throw this.#unsure("items");
    const at = this.#load(this.at, size);
    let match = 0;
    let whole = true;
    for (let item = 0; item < count; item++) {
      const offset = this.#compact
        ? window.readUInt32LE(at + entryBytes + item * itemBytes)
        : u64(window, at + entryBytes + item * itemBytes);
      const data = this.#data.get(offset) ?? this.#readData(offset);
      this.#items[item] = data;
      match |= data.match;
      if (data.compressed) whole = false;
    }
    if (!this.#match.accepts(match)) return undefined;
    if (!whole) throw this.#unsure("compression");
    const entry = this.#wanted.blank();
    for (let item = 0; item < count; item++) {
      const { field, value } = this.#items[item] as Data;
      if (field !== -1 && entry[field] === undefined) entry[field] = value;
    }
    return entry;
  }

  /** Wall clock of the entry, microseconds. */
  timeUs(): number {
    return u64(this.#window, this.#object(this.at, entryType, entryBytes) + 24);
  }

  bootId(at = this.at): string {
    const start = this.#object(at, entryType, entryBytes) + 40;
    if (this.#bootId === "" || this.#bootBytes.compare(this.#window, start, start + 16) !== 0) {
      this.#window.copy(this.#bootBytes, 0, start, start + 16);
      this.#bootId = this.#bootBytes.toString("hex");
    }
    return this.#bootId;
  }

  /** Of the entry that lies there, as sd_journal_get_cursor(3) has it. */
  cursor(at: number): string {
    const bootId = this.bootId(at);
    const start = this.#object(at, entryType, entryBytes);
    const [i, t, m, x] = [16, 24, 32, 56].map((place) => hex64(this.#window, start + place));
    return `s=${this.#by};i=${i};b=${bootId};m=${m};t=${t};x=${x}`;
  }

  #stand(): void {
    if (this.#remaining <= 0) {
      this.number = undefined;
      return;
    }
    this.at = this.#listed(this.#arrayPlace);
    this.number = u64(this.#window, this.#object(this.at, entryType, entryBytes) + 16);
  }

  #numberAt(place: number): number {
    const header = this.#readAside(this.#listed(place), entryBytes);
    if (header[0] !== entryType) throw this.#unsure("entry");
    return u64(header, 16);
  }

  #nextArray(): void {
    this.#remaining -= Math.min(this.#arrayLength, this.#remaining);
    if (this.#remaining > 0) this.#openArray(this.#nextAt());
  }

  #nextAt(): number {
    return u64(this.#readAside(this.#arrayAt, arrayBytes), 16);
  }

  #openArray(offset: number): void {
    const header = this.#readAside(offset, arrayBytes);
    // Later ones lie further on: no chain of them is a ring.
    if (header[0] !== arrayType || offset <= this.#arrayAt) throw this.#unsure("array");
    this.#arrayAt = offset;
    this.#arrayLength = Math.floor((u64(header, 8) - arrayBytes) / (this.#compact ? 4 : 8));
    if (this.#arrayLength <= 0) throw this.#unsure("array");
    this.#arrayPlace = 0;
    this.#slicePlace = -1;
  }

  /** The offset of an entry by its place in the array. */
  #listed(place: number): number {
    const itemBytes = this.#compact ? 4 : 8;
    const begin = place - (place % arrayItems);
    if (begin !== this.#slicePlace) {
      const items = Math.min(arrayItems, this.#arrayLength - begin);
      readAt(this.#fd, this.#slice, this.#arrayAt + arrayBytes + begin * itemBytes, items * itemBytes);
      this.#slicePlace = begin;
    }
    const at = (place - begin) * itemBytes;
    return this.#compact ? this.#slice.readUInt32LE(at) : u64(this.#slice, at);
  }

  #readData(offset: number): Data {
    const inWindow = offset >= this.#windowAt && offset + dataBytes <= this.#windowAt + this.#windowLength;
    const header = inWindow ? this.#window : this.#readAside(offset, dataBytes);
    const start = inWindow ? offset - this.#windowAt : 0;
    if (header[start] !== dataType) throw this.#unsure("data");
    const shared = u64(header, start + 56) >= sharedBy;
    const data = this.#dataAt(offset, header, start, inWindow);
    if (shared && data.value.length <= sharedLength) {
      if (this.#data.size >= dataLimit) this.#data.clear();
      this.#data.set(offset, data);
    }
    return data;
  }

  #dataAt(offset: number, header: Buffer, start: number, inWindow: boolean): Data {
    if (((header[start + 1] as number) & compressed) !== 0) return unread;
    const payload = this.#compact ? 72 : dataBytes;
    const size = u64(header, start + 8);
    if (size <= payload) throw this.#unsure("data");
    const length = Math.min(size, payload + valueBytes);
    if (inWindow && offset + length <= this.#windowAt + this.#windowLength) {
      return this.#dataOf(header, start + payload, start + length);
    }
    return this.#dataOf(this.#readAside(offset, length), payload, length);
  }

  #dataOf(bytes: Buffer, start: number, end: number): Data {
    let equals = start;
    while (equals < end && bytes[equals] !== 61) equals++;
    const field = this.#wanted.find(bytes, start, equals);
    if (field === -1 || equals === end) return unwanted;
    const value = bytes.toString("utf8", equals + 1, end);
    const match = this.#match.bits(this.#wanted.names[field] ?? "", value);
    return { field, value, match, compressed: false };
  }

  /** Where in the window the object lies, with its first bytes. */
  #object(offset: number, type: number, bytes: number): number {
    const at = this.#load(offset, bytes);
    if (this.#window[at] !== type) throw this.#unsure("object");
    return at;
  }

  #load(offset: number, bytes: number): number {
    if (offset < this.#windowAt || offset + bytes > this.#windowAt + this.#windowLength) {
      if (offset < headerBytes || bytes > windowBytes - beforeBytes) throw this.#unsure("offset");
      this.#windowAt = Math.max(0, offset - beforeBytes);
      this.#windowLength = readSync(this.#fd, this.#window, 0, windowBytes, this.#windowAt);
      if (offset + bytes > this.#windowAt + this.#windowLength) throw this.#unsure("end");
    }
    return offset - this.#windowAt;
  }

  #readAside(offset: number, bytes: number): Buffer {
    if (offset < headerBytes || bytes > this.#aside.length) throw this.#unsure("offset");
    return readAt(this.#fd, this.#aside, offset, bytes);
  }

  #unsure(what: string): Unsure {
    return new Unsure(`${this.#path}: ${what}`);
  }
}

function readAt(fd: number, into: Buffer, offset: number, bytes: number): Buffer {
  if (readSync(fd, into, 0, bytes, offset) < bytes) throw new Unsure("it ends too early");
  return into;
}

/** Infinity where it is more than a number holds: no offset, and no end of anything. */
function u64(bytes: Buffer, at: number): number {
  const high = bytes.readUInt32LE(at + 4);
  return high > 0x1f_ffff ? Number.POSITIVE_INFINITY : high * 0x1_0000_0000 + bytes.readUInt32LE(at);
}

function hex64(bytes: Buffer, at: number): string {
  const [low, high] = [bytes.readUInt32LE(at), bytes.readUInt32LE(at + 4)];
  return high === 0 ? low.toString(16) : high.toString(16) + low.toString(16).padStart(8, "0");
}
