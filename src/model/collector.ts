/** What a collector is: one reading of the host at scrape time. */
import type { MetricDef, Sample } from "./metric.ts";

export interface HostPaths {
  readonly procfs: string;
  readonly sysfs: string;
  readonly rootfs: string;
  readonly tracefs: string;
}

/** The reason of what is read in the background, until its first reading is done: who can wait, waits. */
export const notReadYet = "not read yet";

/** A part that is not there or not granted, and the step that would give it. */
export interface Missing {
  readonly reason: string;
  readonly grant?: string;
}

/**
 * Broken = throws; absent = the subsystem is not there or not granted, which is no failure.
 * A reading with `errors` keeps the samples of its good parts and still counts as failed.
 */
export type Reading =
  | {
      readonly status: "ok";
      readonly samples: readonly Sample[];
      readonly missing?: readonly Missing[];
      readonly errors?: readonly string[];
    }
  | ({ readonly status: "absent" } & Missing);

export interface CollectorContext {
  readonly paths: HostPaths;
  readonly nowMs: () => number;
  /** Ports that sshd listens on, as last seen. */
  readonly sshdPorts: () => readonly number[];
  readonly onWarning: (message: string, details?: Readonly<Record<string, unknown>>) => void;
  /** Each new reading of the SSH sockets, for those who join it with events. */
  readonly onSockets?: (reading: SocketReading) => void;
  /** Resets that the kernel accepted (tcp.reset_received) in the last minute or so; undefined where its events are not read. */
  readonly recentResets?: () => readonly ReceivedReset[];
}

export interface ReceivedReset {
  readonly timeMs: number;
  readonly address: string;
  readonly port: number;
}

/** One TCP connection of sshd as the kernel's socket diagnosis shows it. Fields that the kernel left out are undefined. */
export interface SshSocket {
  readonly state: string;
  readonly localAddress: string;
  readonly localPort: number;
  readonly address: string;
  readonly port: number;
  /** Bytes not yet acknowledged by the peer. */
  readonly sendQueueBytes: number;
  readonly rttMs?: number;
  /** Retransmitted segments now in flight, and over the connection's life. */
  readonly retransmitsNow: number;
  readonly retransmitsTotal: number;
  readonly lost: number;
  readonly sacked: number;
  readonly backoff: number;
  readonly pathMtuBytes?: number;
  readonly mssBytes?: number;
  readonly bytesReceived: number;
  readonly lastSentMs?: number;
  readonly lastReceivedMs?: number;
}

export interface SocketReading {
  readonly timeMs: number;
  readonly sockets: readonly SshSocket[];
  /** Sockets beyond the bound, not in `sockets`. */
  readonly leftOut: number;
}

export interface Collector {
  /** Bounded work, no subprocess: it runs on the scrape path. */
  read(): Reading | Promise<Reading>;
  /** Slow or forking work of its own, in the background, until the signal; `read` then gives the last good result. */
  run?(signal: AbortSignal): Promise<void>;
}

export interface CollectorModule {
  readonly name: string;
  /** One sentence for --help: what it reads. */
  readonly summary: string;
  readonly enabled: boolean;
  readonly metrics: readonly MetricDef[];
  create(context: CollectorContext): Collector;
}
