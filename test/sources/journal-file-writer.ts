/** Journal files as journald lays them out, byte by byte, for shapes that no tool makes to order. */
import { writeFileSync } from "node:fs";

export interface WrittenEntry {
  readonly number: number;
  readonly fields: readonly string[];
}

export interface FileShape {
  readonly compact?: boolean;
  readonly by?: string;
  readonly fileId?: string;
  /** How many entries the header says are there. */
  readonly entries?: number;
  /** The last number, as the header says it. */
  readonly last?: number;
  readonly flags?: number;
  /** The first array leads to itself. */
  readonly ring?: boolean;
}

const headerBytes = 256;
export const writtenBootId = "12c43316b5a14ce7ad08dcb604ef0e05";
export const writtenBy = "391dba53a20545c7adafae95c3c72ad3";
export const writtenTimeUs = (number: number): number => 1_795_000_000_000_000 + number * 1_000_000;

export function cursorOf(number: number, by = writtenBy): string {
  const hex = (value: number): string => value.toString(16);
  return `s=${by};i=${hex(number)};b=${writtenBootId};m=${hex(number * 1_000_000)};t=${hex(writtenTimeUs(number))};x=${hex(number + 7)}`;
}

/** Values are written once, entries are listed in arrays of 4, 8, 16. */
export function writeJournalFile(path: string, entries: readonly WrittenEntry[], shape: FileShape = {}): void {
  writeFileSync(path, journalBytes(entries, shape));
}

export function journalBytes(entries: readonly WrittenEntry[], shape: FileShape = {}): Buffer {
  const { compact = false, by = writtenBy, fileId = by } = shape;
  const objects: Buffer[] = [];
  let end = headerBytes;
  const add = (bytes: Buffer): number => {
    const at = end;
    const padded = Buffer.alloc(Math.ceil(bytes.length / 8) * 8);
    bytes.copy(padded);
    objects.push(padded);
    end += padded.length;
    return at;
  };
  const values = new Map<string, { readonly at: number; readonly bytes: Buffer; count: number }>();
  const valueAt = (text: string): number => {
    const known = values.get(text);
    if (known !== undefined) return known.at;
    const payload = Buffer.from(text, "latin1");
    const bytes = object(1, Buffer.concat([Buffer.alloc(compact ? 56 : 48), payload]));
    const at = add(bytes);
    values.set(text, { at, bytes: objects.at(-1) as Buffer, count: 0 });
    return at;
  };
  const offset = (value: number): Buffer => {
    const bytes = Buffer.alloc(compact ? 4 : 8);
    bytes.writeUInt32LE(value);
    return bytes;
  };
  const places: number[] = [];
  for (const { number, fields } of entries) {
    const items = fields.map((field) => {
      const at = valueAt(field);
      const value = values.get(field);
      if (value !== undefined) value.bytes.writeUInt32LE(++value.count, 56);
      return compact ? offset(at) : Buffer.concat([offset(at), Buffer.alloc(8)]);
    });
    const head = Buffer.alloc(48);
    head.writeBigUInt64LE(BigInt(number), 0);
    head.writeBigUInt64LE(BigInt(writtenTimeUs(number)), 8);
    head.writeBigUInt64LE(BigInt(number * 1_000_000), 16);
    head.write(writtenBootId, 24, "hex");
    head.writeBigUInt64LE(BigInt(number + 7), 40);
    places.push(add(object(3, Buffer.concat([head, ...items]))));
  }
  let firstArray = 0;
  let before: Buffer | undefined;
  for (let at = 0, length = 4; at < places.length; at += length, length = Math.max(8, length * 2)) {
    const items = Array.from({ length }, (_, n) => offset(places[at + n] ?? 0));
    const array = add(object(6, Buffer.concat([Buffer.alloc(8), ...items])));
    if (before === undefined) firstArray = array;
    else before.writeUInt32LE(array, 16);
    before = objects.at(-1);
  }
  if (shape.ring) objects[objects.length - 1]?.writeUInt32LE(firstArray, 16);
  const header = Buffer.alloc(headerBytes);
  header.write("LPKSHHRH");
  header.writeUInt32LE(shape.flags ?? (compact ? 0b11100 : 0b01100), 12);
  header.write(fileId, 24, "hex");
  header.write(by, 72, "hex");
  header.writeBigUInt64LE(BigInt(headerBytes), 88);
  header.writeBigUInt64LE(BigInt(shape.entries ?? entries.length), 152);
  header.writeBigUInt64LE(BigInt(shape.last ?? entries.at(-1)?.number ?? 0), 160);
  header.writeBigUInt64LE(BigInt(entries[0]?.number ?? 0), 168);
  header.writeBigUInt64LE(BigInt(firstArray), 176);
  return Buffer.concat([header, ...objects]);
}

function object(type: number, content: Buffer): Buffer {
  const head = Buffer.alloc(16);
  head[0] = type;
  head.writeBigUInt64LE(BigInt(16 + content.length), 8);
  return Buffer.concat([head, content]);
}
