/**
 * The `haproxy` source: haproxy's own log, from its files, followed as any log file is (logfile.ts), or from the journal; and
 * of it the lines of the backends that lead to sshd. haproxy logs to syslog: Debian's package has rsyslog write
 * /var/log/haproxy.log; without rsyslog the journal has it. Source: haproxy doc/configuration.txt, 8.2.2 "TCP log format".
 */
import type { LogRecord } from "../model/record.ts";
import type { Batch, Source, SourceStart } from "../model/source.ts";
import { createJournalSource, type JournalPlace } from "./journal.ts";
import { createLogfileSource } from "./logfile.ts";

/** Instead of a path: the journal. */
export const journalWord = "journal";

export interface HaproxyOptions extends Omit<SourceStart, "idents"> {
  /** Files, or `journal` alone. */
  readonly paths: readonly string[];
  readonly journal: JournalPlace;
  /** Names of backends that lead to sshd; none: all of them do. */
  readonly backends: readonly string[];
  readonly pollMs?: number;
}

/** Throws `NotRegularFile` as the logfile source does. */
export function createHaproxySource({ backends, journal, ...options }: HaproxyOptions): Source {
  const own = { ...options, idents: ["haproxy"] };
  const inner = options.paths.includes(journalWord)
    ? createJournalSource({ ...own, ...journal })
    : createLogfileSource(own);
  const ofBackends = haproxyRecords(backends);
  return {
    name: "haproxy",
    async *batches(signal: AbortSignal): AsyncGenerator<Batch> {
      for await (const { records, ...rest } of inner.batches(signal)) yield { ...rest, records: ofBackends(records) };
    },
    status: () => inner.status(),
  };
}

/** Records of a log as this source's own, only those about these backends; none named: all. */
export function haproxyRecords(backends: readonly string[]): (records: readonly LogRecord[]) => LogRecord[] {
  const wanted = new Set(backends);
  const isWanted = ({ message }: LogRecord): boolean => wanted.size === 0 || wanted.has(backendOf(message) ?? "");
  return (records) => records.filter(isWanted).map((record) => ({ ...record, source: "haproxy" }));
}

/** Of `CLIENT [DATE] FRONTEND BACKEND/SERVER ...` or `Server BACKEND/SERVER is ...`; undefined for other lines. */
function backendOf(message: string): string | undefined {
  return /^(?:\S{1,80} \[[^\]]{1,40}\] \S{1,256}|(?:Backup )?Server) ([^\s/]{1,256})\//.exec(message)?.[1];
}
