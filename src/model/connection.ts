/** A connection: one TCP connection to sshd, identified by (address, port), and how it ended. */

/** Where it was. `unknown`: not seen from its start. */
export const phases = ["connect", "banner", "kex", "auth", "session", "unknown"] as const;
export type Phase = (typeof phases)[number];

/**
 * How it ended. `reset`: a RST, by either side; `closed`: FIN without an SSH disconnect; `disconnect`: an SSH disconnect
 * message; `timeout`; `dropped`: at accept, by sshd's own limits; `refused`: TCP wrappers; `error`: protocol or integrity
 * errors, a crash, or a session that closed without a word.
 */
export const outcomes = ["reset", "closed", "disconnect", "timeout", "dropped", "refused", "error"] as const;
export type Outcome = (typeof outcomes)[number];

/** `known`: authenticated here within 30 days; `proxy`: a configured balancer, never known. */
export const peerClasses = ["known", "unknown", "health_check", "proxy"] as const;
export type PeerClass = (typeof peerClasses)[number];

/** The one end of a connection, as src/connections tells it exactly once. */
export interface ConnectionEnd {
  readonly timeMs: number;
  readonly phase: Phase;
  readonly outcome: Outcome;
  readonly detail: string;
  readonly peerClass: PeerClass;
  /** Undefined where no line told the address. */
  readonly address?: string | undefined;
  readonly port?: number | undefined;
  /** Time since the last segment was received, where sockets are watched. */
  readonly idleMs?: number | undefined;
  /** How many such ends the record stands for (syslog's repeats); else 1. */
  readonly count: number;
}
