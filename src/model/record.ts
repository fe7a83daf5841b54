/**
 * A record: one log line or kernel event, as a source hands it over. What it means is the parsers' business.
 */

import type { Event } from "./event.ts";

/** Where records come from. Also the `source` label, so a closed set. */
export const sourceNames = ["journal", "logfile", "kmsg", "tcp_trace", "flow_log", "haproxy"] as const;
export type SourceName = (typeof sourceNames)[number];

export interface LogRecord {
  readonly source: SourceName;
  /** Wall clock of the writer in ms since 1970; the reader's clock where the line has no usable time. */
  readonly timeMs: number;
  /** Who says it spoke: `sshd`, `sshd-session`, `systemd`, `kernel`; for trace events the event's name. */
  readonly ident: string;
  /** The pid in `ident[pid]:`; 0 where the line has none. */
  readonly pid: number;
  /** The text after `ident[pid]: `, without line end, at most 8 KiB. Hostile. */
  readonly message: string;
  /** How many times it was said: 1, or N for syslog's `message repeated N times`. */
  readonly count: number;
  /** What it means, where the source was given a `ByteReader` and that knew it: `message` is then empty. */
  readonly event?: Event;
  /** Only from the journal: what journald itself vouches for, and the fields of unit messages. */
  readonly journal?: JournalFields;
}

/**
 * Journal fields that parsers read. Those under `trusted` start with `_` in the journal and are set by journald
 * (systemd.journal-fields(7)); all others are the client's own and prove nothing unless `trusted.pid` is 1.
 */
export interface JournalFields {
  readonly trusted: {
    readonly transport?: string;
    readonly pid?: number;
    readonly uid?: number;
    readonly exe?: string;
    readonly comm?: string;
    readonly unit?: string;
    readonly cgroup?: string;
    readonly bootId?: string;
  };
  /** SYSLOG_FACILITY as a number; kernel records have 0. */
  readonly facility?: number;
  readonly messageId?: string;
  /** UNIT: the unit that the message is about. */
  readonly unit?: string;
  readonly exitCode?: string;
  readonly exitStatus?: string;
  readonly unitResult?: string;
  readonly jobResult?: string;
  readonly jobType?: string;
  readonly coredumpExe?: string;
  readonly coredumpComm?: string;
  readonly coredumpPid?: string;
  readonly coredumpSignal?: string;
  readonly coredumpUnit?: string;
  /** N_DROPPED of journald's own loss messages. */
  readonly dropped?: string;
}
