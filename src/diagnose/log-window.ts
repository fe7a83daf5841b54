/**
 * The records of a time window from a log file and its rotated siblings. The window's start is looked for from the end
 * backwards, in blocks at growing distance, then halved: of a large file only the window is read. The file is held by its
 * descriptor from the beginning on, so that a rotation meanwhile loses nothing.
 * Sources: logrotate(8), syslog-line.ts (how a line is read).
 */
import { type FileHandle, open } from "node:fs/promises";
import type { LogRecord } from "../model/record.ts";
import { GzipFile } from "../sources/held-file.ts";
import { type Sibling, siblings } from "../sources/log-rotation.ts";
import { SyslogLines } from "../sources/syslog-line.ts";
import type { TimeWindow } from "./time-window.ts";

const blockBytes = 256 * 1024;
const probeBytes = 64 * 1024;
/** Closer than this it is cheaper to read than to look. */
const closeBytes = 4 * 1024 * 1024;
/** Lines of several writers are out of order by so much. */
const disorderMs = 60_000;

export interface LogWindow extends TimeWindow {
  readonly path: string;
  readonly idents: readonly string[];
  /** Only lines that have this somewhere; all others are passed over unread. */
  readonly containing?: string;
  /** File by file, for reading that may be cut short. */
  readonly newestFirst?: boolean;
  readonly onBytes: (bytes: number) => void;
  /** A file that belongs to the window and cannot be read. */
  readonly onUnreadable: (reason: string) => void;
}

/** Oldest first unless told. Rejects where `path` itself cannot be opened. */
export async function* logWindow(options: LogWindow): AsyncGenerator<readonly LogRecord[]> {
  const handle = await open(options.path);
  try {
    const { dev, ino } = await handle.stat();
    const older = siblings(options.path).filter(
      ({ device, inode, modifiedNs }) =>
        !(device === dev && inode === ino) && Number(modifiedNs / 1_000_000n) >= options.fromMs,
    );
    if (options.newestFirst) yield* fromFile(handle, options);
    for (const sibling of options.newestFirst ? older.toReversed() : older) yield* fromSibling(sibling, options);
    if (!options.newestFirst) yield* fromFile(handle, options);
  } finally {
    await handle.close();
  }
}

async function* fromSibling(sibling: Sibling, options: LogWindow): AsyncGenerator<readonly LogRecord[]> {
  try {
    if (sibling.compressed) {
      yield* fromGzip(sibling, options);
      return;
    }
    const handle = await open(sibling.path);
    try {
      yield* fromFile(handle, options);
    } finally {
      await handle.close();
    }
  } catch (error) {
    options.onUnreadable((error as Error).message);
  }
}

async function* fromFile(handle: FileHandle, options: LogWindow): AsyncGenerator<readonly LogRecord[]> {
  const { size } = await handle.stat();
  const lines = new SyslogLines(options.idents);
  const block = Buffer.allocUnsafe(blockBytes);
  let offset = await startOf(handle, size, options);
  let kept = 0;
  let skipping = offset > 0;
  while (offset < size) {
    const { bytesRead } = await handle.read(block, kept, Math.min(blockBytes - kept, size - offset), offset);
    // Truncated meanwhile: what was cut off is gone.
    if (bytesRead === 0) break;
    offset += bytesRead;
    options.onBytes(bytesRead);
    const length = kept + bytesRead;
    let start = 0;
    if (skipping) {
      const newline = block.subarray(0, length).indexOf(10);
      start = newline === -1 ? length : newline + 1;
      skipping = newline === -1;
    }
    const records: LogRecord[] = [];
    const taken = start + readLines(lines, block.subarray(start, length), records, options.containing);
    // A line longer than the block is no log line: passed over to its end.
    if (taken === start && length === blockBytes) {
      skipping = true;
      kept = 0;
    } else {
      block.copyWithin(0, taken, length);
      kept = length - taken;
    }
    if (records.length > 0) {
      const wanted = within(records, options);
      if (wanted.length > 0) yield wanted;
      if (beyond(records, options)) return;
    }
  }
  if (kept > 0 && !skipping) {
    const records: LogRecord[] = [];
    lines.readLine(block.subarray(0, kept), records);
    yield within(records, options);
  }
}

async function* fromGzip(sibling: Sibling, options: LogWindow): AsyncGenerator<readonly LogRecord[]> {
  const file = new GzipFile(sibling.path);
  const lines = new SyslogLines(options.idents);
  try {
    for (let block = await file.read(); block !== undefined; block = await file.read()) {
      const records: LogRecord[] = [];
      const taken = readLines(lines, block, records, options.containing);
      // What is too long for a line is passed over.
      const used = taken === 0 && block.length >= blockBytes ? block.length : taken;
      file.consume(used);
      options.onBytes(used);
      yield within(records, options);
      if (beyond(records, options)) return;
    }
  } finally {
    file.close();
  }
}

/** The bytes that complete lines take; `containing` is looked for in all of them at once. */
function readLines(lines: SyslogLines, bytes: Buffer, records: LogRecord[], containing: string | undefined): number {
  if (containing === undefined) return lines.read(bytes, records);
  const whole = bytes.lastIndexOf(10) + 1;
  const complete = bytes.subarray(0, whole);
  for (let at = complete.indexOf(containing); at !== -1; ) {
    const end = complete.indexOf(10, at);
    const start = at === 0 ? 0 : complete.lastIndexOf(10, at) + 1;
    lines.readLine(complete.subarray(start, end), records);
    at = complete.indexOf(containing, end);
  }
  return whole;
}

const within = (records: readonly LogRecord[], { fromMs, toMs }: TimeWindow): readonly LogRecord[] =>
  records.filter(({ timeMs }) => timeMs >= fromMs && timeMs <= toMs);

/** The window is behind us, even for lines out of order. */
const beyond = (records: readonly LogRecord[], { toMs }: TimeWindow): boolean => {
  const [first] = records;
  return first !== undefined && first.timeMs > toMs + disorderMs;
};

/** An offset before which nothing of the window stands; may fall into a line. */
async function startOf(handle: FileHandle, size: number, { fromMs, idents }: LogWindow): Promise<number> {
  const probe = Buffer.allocUnsafe(probeBytes);
  /** Whether what stands there is surely older than the window. */
  const isBefore = async (offset: number): Promise<boolean> => {
    const { bytesRead } = await handle.read(probe, 0, probeBytes, offset);
    const bytes = probe.subarray(0, bytesRead);
    const records: LogRecord[] = [];
    new SyslogLines(idents).read(bytes.subarray(bytes.indexOf(10) + 1), records);
    return records.length > 0 && records.every(({ timeMs }) => timeMs < fromMs - disorderMs);
  };
  let after = size;
  let before = 0;
  for (let distance = closeBytes; distance < size; distance *= 2) {
    if (await isBefore(size - distance)) {
      before = size - distance;
      break;
    }
    after = size - distance;
  }
  while (after - before > closeBytes) {
    const middle = before + Math.floor((after - before) / 2);
    if (await isBefore(middle)) before = middle;
    else after = middle;
  }
  return before;
}
