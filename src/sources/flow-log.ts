/**
 * The `flow_log` source: files and folders that the user's own sync fills with a cloud's flow logs, plain or gzip. A file
 * is read once, and on from the item where it ended when it has grown; half a gzip file is read as far as it goes, and
 * the rest when the sync has brought it. Nothing is asked of the cloud.
 */
import { createReadStream, opendirSync, type Stats, statSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { createGunzip } from "node:zlib";
import { FlowLogDecoder } from "../flow-logs/decoder.ts";
import type { Flow } from "../flow-logs/flow.ts";
import type { LogRecord } from "../model/record.ts";
import { amount, number, object, record, time } from "../model/saved.ts";
import type { Batch, Position, Source, SourceStart, SourceStatus } from "../model/source.ts";

export interface FlowLogOptions extends SourceStart {
  readonly paths: readonly string[];
  /** sshd's. */
  readonly ports: () => readonly number[];
  readonly pollMs?: number;
  readonly nowMs?: () => number;
}

/** Files changed longer ago than this are not read at the first start. */
const historyMs = 3_600_000;
/** Files remembered one by one; those before the oldest of them are taken as read. */
const filesKept = 2_000;
/** Files looked at in one pass, in all folders. */
const filesLimit = 50_000;
const foldersDeep = 12;
/** Records handed over at once. */
const batchRecords = 5_000;

interface FileState {
  readonly modifiedMs: number;
  readonly bytes: number;
  /** Lines or records that have been read. */
  readonly items: number;
}

interface FlowLogPosition {
  /** Every file changed before was read, or left out. */
  readonly beforeMs: number;
  readonly files: Readonly<Record<string, FileState>>;
}
const positionShape = object({
  beforeMs: number,
  files: record(object({ modifiedMs: time, bytes: amount, items: amount }), filesKept),
});

export function createFlowLogSource(options: FlowLogOptions): Source {
  const nowMs = options.nowMs ?? Date.now;
  const saved: FlowLogPosition =
    options.position === undefined
      ? { beforeMs: options.fromBeginning ? 0 : nowMs() - historyMs, files: {} }
      : positionShape(options.position, "flow_log");
  let beforeMs = saved.beforeMs;
  const files = new Map(Object.entries(saved.files));
  let problem: string | undefined;
  const unread = new Map<string, number>();

  const position = (): Position => ({ beforeMs, files: Object.fromEntries(files) });
  const remember = (path: string, state: FileState): void => {
    files.delete(path);
    files.set(path, state);
    if (files.size <= filesKept) return;
    const [oldest] = [...files].sort(([, a], [, b]) => a.modifiedMs - b.modifiedMs);
    if (oldest === undefined) return;
    files.delete(oldest[0]);
    beforeMs = Math.max(beforeMs, oldest[1].modifiedMs);
  };
  const warn = (message: string): void => {
    if (message !== problem) options.onWarning(message);
    problem = message;
  };

  async function* readFile(path: string, stats: Stats): AsyncGenerator<Batch> {
    const before = files.get(path);
    const rewritten = before !== undefined && stats.size < before.bytes;
    const decoder = new FlowLogDecoder(new Set(options.ports()), rewritten ? 0 : (before?.items ?? 0));
    let waiting: LogRecord[] = [];
    let lost = 0;
    const flush = (bytes: number): Batch => {
      const batch = { records: waiting, lost: decoder.unreadable + lost };
      waiting = [];
      lost = -decoder.unreadable;
      remember(path, { modifiedMs: Math.trunc(stats.mtimeMs), bytes, items: decoder.items });
      return { ...batch, position: position() };
    };
    try {
      for await (const piece of piecesOf(path)) {
        for (const flow of decoder.push(piece)) waiting.push(recordOf(flow));
        // Remembered as if it had no bytes yet: a restart finds it changed, and goes on in its midst.
        if (waiting.length >= batchRecords) yield flush(0);
      }
      // A plain file may go on in the middle of a line.
      if (isGzip(path)) for (const flow of decoder.end()) waiting.push(recordOf(flow));
    } catch (error) {
      warn(`${path}: ${error instanceof Error ? error.message : String(error)}`);
    }
    if (decoder.unreadable > 0) warn(`${path}: ${decoder.unreadable} records could not be read: ${decoder.reason}`);
    yield flush(stats.size);
  }

  return {
    name: "flow_log",
    async *batches(signal: AbortSignal): AsyncGenerator<Batch> {
      while (!signal.aborted) {
        problem = undefined;
        const found = options.paths.flatMap((path) => filesBelow(path, warn));
        const changed = found.filter(({ path, stats }) => {
          const known = files.get(path);
          return known === undefined
            ? stats.mtimeMs > beforeMs
            : stats.size !== known.bytes || Math.trunc(stats.mtimeMs) !== known.modifiedMs;
        });
        unread.clear();
        for (const { path, stats } of changed) unread.set(path, stats.size);
        for (const { path, stats } of changed.sort((a, b) => a.stats.mtimeMs - b.stats.mtimeMs)) {
          for await (const batch of readFile(path, stats)) {
            yield batch;
            if (signal.aborted) return;
          }
          unread.delete(path);
        }
        await delay(options.pollMs ?? 30_000, undefined, { signal, ref: false }).catch(() => undefined);
      }
    },
    status(): SourceStatus {
      const lagBytes = [...unread.values()].reduce((sum, bytes) => sum + bytes, 0);
      return problem === undefined ? { up: true, lagBytes } : { up: false, reason: problem, lagBytes };
    },
  };
}

/** What `flowsOfWindow` keeps at most. */
const windowRecords = 500_000;

export interface FlowWindow {
  readonly paths: readonly string[];
  readonly ports: ReadonlySet<number>;
  readonly fromMs: number;
  readonly toMs: number;
  readonly onBytes: (bytes: number) => void;
  readonly onWarning: (message: string) => void;
}

/** All records of a window that these files hold, in the order of their times: files are not written in that order. */
export async function flowsOfWindow({
  paths,
  ports,
  fromMs,
  toMs,
  onBytes,
  onWarning,
}: FlowWindow): Promise<LogRecord[]> {
  const records: LogRecord[] = [];
  const take = (flows: readonly Flow[]): void => {
    for (const flow of flows)
      if (flow.timeMs >= fromMs && flow.timeMs <= toMs && records.length < windowRecords) records.push(recordOf(flow));
  };
  // A file is written after what it tells of.
  const files = paths.flatMap((path) => filesBelow(path, onWarning)).filter(({ stats }) => stats.mtimeMs >= fromMs);
  for (const { path } of files) {
    const decoder = new FlowLogDecoder(ports);
    try {
      for await (const piece of piecesOf(path)) {
        onBytes(piece.length);
        take(decoder.push(piece));
      }
      take(decoder.end());
    } catch (error) {
      onWarning(`${path}: ${error instanceof Error ? error.message : String(error)}`);
    }
    if (decoder.unreadable > 0)
      onWarning(`${path}: ${decoder.unreadable} records could not be read: ${decoder.reason}`);
  }
  if (records.length >= windowRecords)
    onWarning(`more than ${windowRecords} flows of sshd's ports: the rest is left out`);
  return records.sort((a, b) => a.timeMs - b.timeMs);
}

const isGzip = (path: string): boolean => path.endsWith(".gz");

/** The file's bytes, decompressed. Throws where it is only half there, after what there is. */
async function* piecesOf(path: string): AsyncGenerator<Buffer> {
  const file = createReadStream(path, { highWaterMark: 256 * 1024 });
  if (!isGzip(path)) {
    yield* file;
    return;
  }
  const gunzip = createGunzip();
  file.on("error", (error) => gunzip.destroy(error));
  try {
    yield* file.pipe(gunzip);
  } finally {
    file.destroy();
  }
}

/** Regular files at or below a path, in any order; what cannot be looked at is warned of. */
function filesBelow(top: string, warn: (message: string) => void): { readonly path: string; readonly stats: Stats }[] {
  const found: { path: string; stats: Stats }[] = [];
  const visit = (path: string, depth: number): void => {
    if (found.length >= filesLimit) return;
    try {
      const stats = statSync(path);
      if (stats.isFile()) found.push({ path, stats });
      if (!stats.isDirectory() || depth > foldersDeep) return;
      const folder = opendirSync(path);
      try {
        for (let entry = folder.readSync(); entry !== null; entry = folder.readSync())
          // Hidden and temporary names are the sync's own.
          if (!/^\.|\.(tmp|part|partial)$/.test(entry.name)) visit(join(path, entry.name), depth + 1);
      } finally {
        folder.closeSync();
      }
    } catch (error) {
      warn(`${path}: ${error instanceof Error ? error.message : String(error)}`);
    }
  };
  visit(top, 0);
  if (found.length >= filesLimit) warn(`${top}: more than ${filesLimit} files; remove those that are old`);
  return found;
}

/** What the parser reads: words of this project's own, and the rule's name at the end. */
function recordOf({ provider, action, direction, address, reset, unanswered, begins, timeMs, rule }: Flow): LogRecord {
  const marks = `${reset ? "reset" : "-"} ${unanswered ? "unanswered" : begins ? "begins" : "-"}`;
  return {
    source: "flow_log",
    timeMs,
    ident: "flow_log",
    pid: 0,
    message: `${provider} ${action} ${direction} ${address} ${marks} ${rule ?? "-"}`,
    count: 1,
  };
}
