/**
 * sshd's `Accepted ` lines of the past, for learning at the first start who is a known peer: from the journal, or from
 * log files with their rotated siblings (.gz too), oldest first. Bounded in time; whatever cannot be read is left out.
 * Sources: journalctl(1) (--since, --grep), logrotate(8).
 */
import type { LogRecord } from "../model/record.ts";
import { HeldFile } from "./held-file.ts";
import { JournalctlRun, type JournalPlace, placeArguments } from "./journal.ts";
import { JournalExport } from "./journal-export.ts";
import { journalMatches } from "./journal-match.ts";
import { JournalRecords, journalFields } from "./journal-record.ts";
import { openSibling, siblings } from "./log-rotation.ts";
import { SyslogLines } from "./syslog-line.ts";

export interface HistoryOptions {
  /** Undefined: the journal is not read. */
  readonly journal?: JournalPlace;
  readonly logfiles: readonly string[];
  /** Only the rotated siblings: the files themselves are read from their beginning anyway. */
  readonly rotatedOnly?: boolean;
  /** sshd's identifiers. */
  readonly idents: readonly string[];
  readonly sinceMs: number;
  /** What is not read within this time is left out: 60 s. */
  readonly timeLimitMs?: number;
  readonly signal: AbortSignal;
  readonly onWarning: (message: string, details?: Readonly<Record<string, unknown>>) => void;
}

export async function* acceptedHistory(options: HistoryOptions): AsyncGenerator<readonly LogRecord[]> {
  const signal = AbortSignal.any([options.signal, AbortSignal.timeout(options.timeLimitMs ?? 60_000)]);
  const accepted = ({ message, timeMs }: LogRecord) => message.startsWith("Accepted ") && timeMs >= options.sinceMs;
  const reading = async function* () {
    if (options.journal !== undefined) yield* fromJournal(options, options.journal, signal);
    for (const path of options.logfiles) yield* fromFiles(options, path, signal);
  };
  for await (const records of reading()) {
    const found = records.filter(accepted);
    if (found.length > 0) yield found;
    if (signal.aborted) break;
  }
  if (signal.aborted && !options.signal.aborted) options.onWarning("history was not read to its end: it took too long");
}

async function* fromJournal(options: HistoryOptions, place: JournalPlace, signal: AbortSignal) {
  const records = new JournalRecords(options.idents);
  const command = place.command ?? "journalctl";
  // --grep needs a systemd of 237 or later with PCRE2; without it there is more to read.
  for (const grep of [["--grep=^Accepted "], []]) {
    const since = `--since=@${Math.floor(options.sinceMs / 1000)}`;
    const args = ["--output=export", since, ...grep, ...placeArguments(place)];
    const run = new JournalctlRun(command, [...args, ...journalMatches(options.idents)], signal);
    const parser = new JournalExport(journalFields);
    try {
      for await (const chunk of run.output()) {
        yield parser.read(chunk).flatMap((entry) => records.record(entry) ?? []);
      }
    } finally {
      run.end();
    }
    if (!/grep|pattern matching/i.test(run.stderr)) return;
  }
}

async function* fromFiles(options: HistoryOptions, path: string, signal: AbortSignal) {
  const openers = siblings(path)
    .filter(({ modifiedNs }) => Number(modifiedNs / 1_000_000n) >= options.sinceMs)
    .map((sibling) => () => openSibling(sibling));
  const live = options.rotatedOnly ? [] : [() => new HeldFile(path)];
  for (const open of [...openers, ...live]) {
    try {
      const reader = open();
      if (reader === undefined) continue;
      const lines = new SyslogLines(options.idents);
      try {
        for (let block = await reader.read(); block !== undefined && !signal.aborted; block = await reader.read()) {
          const records: LogRecord[] = [];
          const taken = lines.read(block, records);
          // A block without a newline is no log line: passed over.
          reader.consume(taken === 0 ? block.length : taken);
          yield records;
        }
      } finally {
        reader.close();
      }
    } catch (error) {
      options.onWarning(`history: ${(error as Error).message}`);
    }
    if (signal.aborted) return;
  }
}
