/**
 * Everything that this host's logs hold of a window: the journal or log files, the kernel's ring buffer where neither
 * has the kernel's lines; merged by time. What cannot be read is told with the step that would grant it.
 * Sources: journalctl(1) (--since, --until), Documentation/ABI/testing/dev-kmsg.
 */
import { closeSync, constants, openSync, readSync } from "node:fs";
import type { Missing } from "../model/collector.ts";
import type { LogRecord, SourceName } from "../model/record.ts";
import { idents } from "../parsers/index.ts";
import { flowsOfWindow } from "../sources/flow-log.ts";
import { type HaproxyOptions, haproxyRecords, journalWord } from "../sources/haproxy.ts";
import { JournalctlRun, type JournalPlace, placeArguments } from "../sources/journal.ts";
import { JournalExport } from "../sources/journal-export.ts";
import { journalMatches } from "../sources/journal-match.ts";
import { JournalRecords, journalFields } from "../sources/journal-record.ts";
import { createKmsgSource, type KmsgDevice } from "../sources/kmsg.ts";
import { identsOfKinds, type SourceSelection } from "../sources/select.ts";
import { logWindow } from "./log-window.ts";
import type { TimeWindow } from "./time-window.ts";

/** How one source was read, in the end. */
export interface SourceRead {
  readonly source: SourceName;
  /** A path, or the program that read it. */
  readonly from: string;
  readonly records: number;
  readonly missing?: Missing;
}

export interface Reading {
  readonly records: AsyncIterable<readonly LogRecord[]>;
  /** What became of each source: complete when `records` has ended. */
  readonly sources: () => readonly SourceRead[];
}

export interface ReadOptions {
  readonly selection: SourceSelection;
  readonly window: TimeWindow;
  readonly signal: AbortSignal;
  readonly onProgress?: (bytes: number, timeMs: number | undefined) => void;
  /** A cloud's flow logs, and sshd's ports. */
  readonly flowLogs?: { readonly paths: readonly string[]; readonly ports: () => Promise<readonly number[]> };
  readonly haproxy?: Pick<HaproxyOptions, "paths" | "backends" | "journal">;
  /** The program, `journalctl` unless told otherwise. */
  readonly journalctl?: string;
}

type Batches = AsyncGenerator<readonly LogRecord[]>;
interface Input {
  readonly source: SourceName;
  readonly from: string;
  records: number;
  missing?: Missing;
  readonly open: (input: Input) => Batches;
}

export function readWindow(options: ReadOptions): Reading {
  const { selection, window, onProgress = () => undefined } = options;
  const inputs: Input[] = [];
  let bytes = 0;
  const onBytes = (more: number, timeMs?: number): void => {
    bytes += more;
    onProgress(bytes, timeMs);
  };
  if (selection.journal !== undefined) {
    const { kinds, ...rest } = selection.journal;
    const place: JournalPlace = { ...rest, ...(options.journalctl !== undefined && { command: options.journalctl }) };
    inputs.push({
      source: "journal",
      from: place.file ?? place.directory ?? "journalctl",
      records: 0,
      open: (input) => fromJournal(place, identsOfKinds(idents, kinds), options, input, onBytes),
    });
  }
  for (const { path, kinds } of selection.logfile ?? []) {
    inputs.push({
      source: "logfile",
      from: path,
      records: 0,
      open: (input) => {
        const onUnreadable = (reason: string) => {
          input.missing = { reason, grant: logGrant };
        };
        return logWindow({ ...window, path, idents: identsOfKinds(idents, kinds), onBytes, onUnreadable });
      },
    });
  }
  for (const path of options.haproxy?.paths ?? []) {
    const ofBackends = haproxyRecords(options.haproxy?.backends ?? []);
    inputs.push({
      source: "haproxy",
      from: path,
      records: 0,
      async *open(input) {
        const onUnreadable = (reason: string) => {
          input.missing = { reason, grant: logGrant };
        };
        const all =
          path === journalWord
            ? fromJournal(options.haproxy?.journal ?? {}, ["haproxy"], options, input, onBytes)
            : logWindow({ ...window, path, idents: ["haproxy"], onBytes, onUnreadable });
        for await (const records of all) yield ofBackends(records);
      },
    });
  }
  const { flowLogs } = options;
  if (flowLogs !== undefined && flowLogs.paths.length > 0) {
    inputs.push({
      source: "flow_log",
      from: flowLogs.paths.join(", "),
      records: 0,
      async *open(input) {
        const onWarning = (reason: string) => {
          input.missing = { reason };
        };
        const ports = new Set(await flowLogs.ports());
        yield await flowsOfWindow({ ...window, paths: flowLogs.paths, ports, onBytes, onWarning });
      },
    });
  }
  if (selection.kmsg !== undefined) {
    inputs.push({ source: "kmsg", from: "/dev/kmsg", records: 0, open: (input) => fromRing(window, input) });
  }
  return {
    records: merge(inputs.map((input) => guarded(input, options.signal))),
    sources: () =>
      inputs.map(({ source, from, records, missing }) => ({
        source,
        from,
        records,
        ...(missing !== undefined && { missing }),
      })),
  };
}

export const logGrant = "membership in the group adm (Debian) or root, for the files below /var/log";
const kmsgGrant = "CAP_SYSLOG, or sysctl kernel.dmesg_restrict=0";

/** A source that fails leaves what it gave before, and says so. */
async function* guarded(input: Input, signal: AbortSignal): Batches {
  try {
    for await (const records of input.open(input)) {
      if (signal.aborted) return;
      input.records += records.length;
      if (records.length > 0) yield records;
    }
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const denied = code === "EACCES" || code === "EPERM";
    const grant = input.source === "kmsg" ? kmsgGrant : logGrant;
    input.missing = { reason: denied ? `${input.from}: permission denied` : message, ...(denied && { grant }) };
  }
}

async function* fromJournal(
  place: JournalPlace,
  wanted: readonly string[],
  { window, signal }: ReadOptions,
  input: Input,
  onBytes: (bytes: number, timeMs?: number) => void,
): Batches {
  const reader = new JournalRecords(wanted);
  const run = new JournalctlRun(
    place.command ?? "journalctl",
    [
      "--output=export",
      `--since=@${Math.floor(window.fromMs / 1000)}`,
      `--until=@${Math.ceil(window.toMs / 1000)}`,
      ...placeArguments(place),
      ...journalMatches(wanted),
    ],
    signal,
  );
  const parser = new JournalExport(journalFields);
  try {
    for await (const chunk of run.output()) {
      const records = parser.read(chunk).flatMap((entry) => reader.record(entry) ?? []);
      const wantedOnes = records.filter(({ timeMs }) => timeMs >= window.fromMs && timeMs <= window.toMs);
      onBytes(chunk.length, records.at(-1)?.timeMs);
      yield wantedOnes;
    }
  } finally {
    run.end();
  }
  const { up, reason, grant } = run.complaint();
  const failed = run.failure();
  if (!up) input.missing = { reason: reason ?? failed.reason, ...(grant !== undefined && { grant }) };
  else if (!/ ended with exit code 0\b/.test(failed.reason)) input.missing = failed;
}

/** What the ring buffer holds now: of this boot only, and as far back as it reaches. */
async function* fromRing({ fromMs, toMs }: TimeWindow, input: Input): Batches {
  const atEnd = new AbortController();
  const source = createKmsgSource({
    position: undefined,
    fromBeginning: true,
    idents: ["kernel"],
    onWarning: () => undefined,
    open: (path) => untilEmpty(path, atEnd),
  });
  for await (const { records } of source.batches(atEnd.signal)) {
    yield records.filter(({ timeMs }) => timeMs >= fromMs && timeMs <= toMs);
    if (!source.status().up) break;
  }
  const { up, reason = "", grant } = source.status();
  if (!up) input.missing = { reason, ...(grant !== undefined && { grant }) };
}

/** The device, which ends the reading at the first read that would wait, or where it cannot be opened. */
function untilEmpty(path: string, atEnd: AbortController): KmsgDevice {
  try {
    const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    return {
      read(into) {
        try {
          return readSync(fd, into, 0, into.length, null);
        } catch (error) {
          if ((error as NodeJS.ErrnoException).code === "EAGAIN") atEnd.abort();
          throw error;
        }
      },
      close: () => closeSync(fd),
    };
  } catch (error) {
    atEnd.abort();
    throw error;
  }
}

/** Several streams, each in order of time, to one. */
export async function* merge(streams: readonly Batches[]): Batches {
  const [only] = streams;
  if (only !== undefined && streams.length === 1) {
    yield* only;
    return;
  }
  const heads: { stream: Batches; batch: readonly LogRecord[]; at: number }[] = [];
  for (const stream of streams) heads.push({ stream, batch: [], at: 0 });
  const refill = async (head: (typeof heads)[number]): Promise<boolean> => {
    while (head.at >= head.batch.length) {
      const { value, done } = await head.stream.next();
      if (done === true) return false;
      head.batch = value;
      head.at = 0;
    }
    return true;
  };
  let open = heads;
  for (;;) {
    const filled = await Promise.all(open.map(refill));
    open = open.filter((_, index) => filled[index]);
    if (open.length === 0) return;
    // The head that is behind goes on up to where the next one begins.
    const timeOf = ({ batch, at }: (typeof heads)[number]): number => batch[at]?.timeMs ?? Number.POSITIVE_INFINITY;
    const [first, second] = open.toSorted((a, b) => timeOf(a) - timeOf(b));
    if (first === undefined) return;
    const limitMs = second === undefined ? Number.POSITIVE_INFINITY : timeOf(second);
    const start = first.at;
    while (first.at < first.batch.length && timeOf(first) <= limitMs) first.at += 1;
    yield first.batch.slice(start, Math.max(first.at, start + 1));
    first.at = Math.max(first.at, start + 1);
  }
}
