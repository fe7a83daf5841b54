/**
 * Shared libraries that an ELF program asks for (DT_NEEDED of its dynamic section, elf(5)), read from the file without
 * running it. Only the pieces needed are read, each bounded.
 */
import { closeSync, openSync, readSync } from "node:fs";

const ptLoad = 1;
const ptDynamic = 2;
const dtNeeded = 1;
const dtStrtab = 5;
const maxHeaders = 256;
const maxDynamicBytes = 64 * 1024;

/** Such as `["libwrap.so.0", "libc.so.6"]`; empty for a static program. Throws when the file may not be read or is no ELF file. */
export function readNeeded(path: string): string[] {
  const fd = openSync(path, "r");
  try {
    return needed((offset, length) => {
      const bytes = Buffer.alloc(length);
      return bytes.subarray(0, readSync(fd, bytes, 0, length, offset));
    });
  } catch (error) {
    throw new Error(`${path}: ${error instanceof Error ? error.message : String(error)}`);
  } finally {
    closeSync(fd);
  }
}

type ReadAt = (offset: number, length: number) => Buffer;

interface Segment {
  readonly type: number;
  readonly offset: number;
  readonly address: number;
  readonly bytes: number;
}

function needed(readAt: ReadAt): string[] {
  const head = readAt(0, 64);
  if (head.length < 52 || head.toString("latin1", 0, 4) !== "\x7fELF") throw new Error("is no ELF file");
  const wide = head[4] === 2;
  const read = reader(wide, head[5] === 1);
  const headersAt = read.word(head, wide ? 32 : 28);
  const headerBytes = read.half(head, wide ? 54 : 42);
  const headers = read.half(head, wide ? 56 : 44);
  if (headers > maxHeaders || headerBytes < (wide ? 56 : 32) || headerBytes > 256)
    throw new Error("has program headers that make no sense");
  const table = readAt(headersAt, headers * headerBytes);
  const segments = Array.from({ length: headers }, (_, index): Segment => {
    const entry = table.subarray(index * headerBytes, (index + 1) * headerBytes);
    return {
      type: read.int(entry, 0),
      offset: read.word(entry, wide ? 8 : 4),
      address: read.word(entry, wide ? 16 : 8),
      bytes: read.word(entry, wide ? 32 : 16),
    };
  });
  const dynamic = segments.find(({ type }) => type === ptDynamic);
  if (dynamic === undefined) return [];
  const entries = readAt(dynamic.offset, Math.min(dynamic.bytes, maxDynamicBytes));
  const step = wide ? 16 : 8;
  const names: number[] = [];
  let strings: number | undefined;
  for (let at = 0; at + step <= entries.length; at += step) {
    const tag = read.word(entries, at);
    const value = read.word(entries, at + step / 2);
    if (tag === 0) break;
    if (tag === dtNeeded) names.push(value);
    if (tag === dtStrtab) strings = value;
  }
  const stringsAt = segments.find(
    ({ type, address, bytes }) =>
      type === ptLoad && strings !== undefined && strings >= address && strings < address + bytes,
  );
  if (names.length === 0) return [];
  if (strings === undefined || stringsAt === undefined) throw new Error("has no table of library names");
  const start = strings - stringsAt.address + stringsAt.offset;
  return names.map(
    (offset) =>
      readAt(start + offset, 256)
        .toString("latin1")
        .split("\0", 1)[0] ?? "",
  );
}

/** Numbers of the file's own width and byte order. */
function reader(wide: boolean, little: boolean) {
  const int = (bytes: Buffer, at: number) => (little ? bytes.readUInt32LE(at) : bytes.readUInt32BE(at));
  const half = (bytes: Buffer, at: number) => (little ? bytes.readUInt16LE(at) : bytes.readUInt16BE(at));
  const long = (bytes: Buffer, at: number) => Number(little ? bytes.readBigUInt64LE(at) : bytes.readBigUInt64BE(at));
  return { int, half, word: wide ? long : int };
}
