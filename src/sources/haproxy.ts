/**
 * The `haproxy` source: haproxy's own log files, followed as any log file is (logfile.ts), and of them the lines of the
 * backends that lead to sshd. haproxy logs to syslog; Debian's package has rsyslog write /var/log/haproxy.log.
 * Source: haproxy doc/configuration.txt, 8.2.2 "TCP log format".
 */
import type { LogRecord } from "../model/record.ts";
import type { Batch, Source } from "../model/source.ts";
import { createLogfileSource, type LogfileOptions } from "./logfile.ts";

export interface HaproxyOptions extends Omit<LogfileOptions, "idents" | "identsByPath"> {
  /** Names of backends that lead to sshd; none: all of them do. */
  readonly backends: readonly string[];
}

/** Throws `NotRegularFile` as the logfile source does. */
export function createHaproxySource({ backends, ...options }: HaproxyOptions): Source {
  const files = createLogfileSource({ ...options, idents: ["haproxy"] });
  const ofBackends = haproxyRecords(backends);
  return {
    name: "haproxy",
    async *batches(signal: AbortSignal): AsyncGenerator<Batch> {
      for await (const { records, ...rest } of files.batches(signal)) yield { ...rest, records: ofBackends(records) };
    },
    status: () => files.status(),
  };
}

/** Records of a log file as this source's own, only those about these backends; none named: all. */
export function haproxyRecords(backends: readonly string[]): (records: readonly LogRecord[]) => LogRecord[] {
  const wanted = new Set(backends);
  const isWanted = ({ message }: LogRecord): boolean => wanted.size === 0 || wanted.has(backendOf(message) ?? "");
  return (records) => records.filter(isWanted).map((record) => ({ ...record, source: "haproxy" }));
}

/** Of `CLIENT [DATE] FRONTEND BACKEND/SERVER ...` or `Server BACKEND/SERVER is ...`; undefined for other lines. */
function backendOf(message: string): string | undefined {
  return /^(?:\S{1,80} \[[^\]]{1,40}\] \S{1,256}|(?:Backup )?Server) ([^\s/]{1,256})\//.exec(message)?.[1];
}
