/**
 * An event: what one record means. The record beside it says when it was said, by whom (pid) and how often.
 * Addresses are canonical IP texts (checked with isIP, IPv4-mapped ones as IPv4); ports are 1 to 65535.
 * No event carries a text from a log.
 */
import type { Outcome, Phase } from "./connection.ts";

export type Event =
  | SshdEvent
  | UnitEvent
  | OomEvent
  | KernelEvent
  | TcpResetEvent
  | FlowEvent
  | ProxyEvent
  | LossEvent
  | NotedEvent;
export type EventKind = Event["kind"];

/** Recognised, and of no consequence: keeps `source_unmatched_records_total` meaningful. */
export interface NotedEvent {
  readonly kind: "noted";
}

export type SshdEvent =
  | SshdConnection
  | SshdAccepted
  | SshdAuthenticationFailed
  | SshdEnded
  | SshdDrop
  | SshdDropTotal
  | SshdPenalty
  | SshdSessionOpened
  | SshdSessionClosed
  | SshdUserChild
  | SshdListening
  | SshdSignal
  | SshdReload
  | SshdStartFailed
  | SshdResourceError
  | SshdSessionCrash;

/** `Connection from A port P on L port LP` (LogLevel VERBOSE). */
export interface SshdConnection {
  readonly kind: "sshd.connection";
  readonly address: string;
  readonly port: number;
  readonly localPort?: number;
}

export interface SshdAccepted {
  readonly kind: "sshd.accepted";
  readonly address: string;
  readonly port?: number;
}

/** One refused attempt. `Invalid user` and `Failed ... for invalid user` are one attempt: only the latter is parsed as this. */
export interface SshdAuthenticationFailed {
  readonly kind: "sshd.authentication_failed";
  readonly address?: string;
  readonly port?: number;
}

/** Why sshd says that it ended; finer than the outcome, never from a log's own words. */
export const endDetails = [
  "read",
  "write",
  "banner",
  "disconnect",
  "login_grace",
  "client_alive",
  "inactive",
  "packet_timeout",
  "negotiation",
  "integrity",
  "protocol",
  "proxy_header",
  "empty_identification",
  "authentication_limit",
  "tcp_wrappers",
  "refuse_connection",
  "other",
] as const;
export type EndDetail = (typeof endDetails)[number];

/**
 * A line that says a connection ended. Several lines may speak of one end (`kex_exchange_identification: read:
 * Connection reset by peer` and the `Connection reset by A port P` after it): joining them is src/connections' work.
 */
export interface SshdEnded {
  readonly kind: "sshd.ended";
  readonly outcome: Outcome;
  /** As far as the text itself tells: `banner`, `kex`, `auth`, `session`; undefined where only the connection's history can. */
  readonly phase?: Phase;
  readonly detail: EndDetail;
  /** Undefined: an address-less line of an old release, or a companion line; its pid is the only join. */
  readonly address?: string;
  readonly port?: number;
  /** The connection's process where the text names it and the line's own pid is the listener's (9.8+ grace timeout). */
  readonly subjectPid?: number;
}

export const dropLimits = ["max_startups", "per_source_penalty", "penalty_table_full", "systemd_socket"] as const;
export type DropLimit = (typeof dropLimits)[number];

/** `drop connection #N from [A]:P on [L]:LP ...`: one connection dropped at accept. */
export interface SshdDrop {
  readonly kind: "sshd.drop";
  readonly limit: DropLimit;
  readonly address?: string;
  readonly port?: number;
  /** #N: unauthenticated connections at that moment. */
  readonly unauthenticated?: number;
}

/** A count of drops that sshd did not print one by one. */
export interface SshdDropTotal {
  readonly kind: "sshd.drop_total";
  readonly limit: DropLimit;
  /**
   * begin: an episode starts (8.4 to 9.9); running: drops since it began; total: the same at its end, authoritative;
   * additional: drops beyond the lines printed (10.0+).
   */
  readonly scope: "begin" | "running" | "total" | "additional";
  readonly count: number;
}

/** A penalty that became active (9.8+): the peer's next connections will be dropped. */
export interface SshdPenalty {
  readonly kind: "sshd.penalty";
  readonly address: string;
}

export interface SshdSessionOpened {
  readonly kind: "sshd.session_opened";
}
/** `pam_unix(sshd:session): session closed`: without a disconnect before it the session ended abnormally. */
export interface SshdSessionClosed {
  readonly kind: "sshd.session_closed";
}
/** `User child is on pid N` (VERBOSE): links the post-authentication pid to the monitor's. */
export interface SshdUserChild {
  readonly kind: "sshd.user_child";
  readonly childPid: number;
}
export interface SshdListening {
  readonly kind: "sshd.listening";
  readonly address: string;
  readonly port: number;
}
export interface SshdSignal {
  readonly kind: "sshd.signal";
  readonly signal: number;
}
export interface SshdReload {
  readonly kind: "sshd.reload";
}
export const startFailures = [
  "configuration",
  "host_keys",
  "bind",
  "privilege_separation",
  "binary",
  "restart",
  "other",
] as const;
export interface SshdStartFailed {
  readonly kind: "sshd.start_failed";
  readonly reason: (typeof startFailures)[number];
}
/** sshd itself could not get a process, a file descriptor, memory or a terminal. */
export interface SshdResourceError {
  readonly kind: "sshd.resource_error";
  readonly resource: "process" | "files" | "memory" | "terminal";
}
/** A session process (monitor or unprivileged child) died by itself. */
export interface SshdSessionCrash {
  readonly kind: "sshd.session_crash";
  readonly address?: string;
  readonly pid?: number;
  readonly signal?: number;
}

/** Whose unit: the daemon's own, one connection's (`sshd@...`), one login's (`session-N.scope`), or another. */
export type UnitRole = "daemon" | "socket" | "connection" | "session" | "other";

export type UnitEvent =
  | {
      readonly kind:
        | "unit.starting"
        | "unit.started"
        | "unit.stopping"
        | "unit.stopped"
        | "unit.reloading"
        | "unit.reloaded";
      readonly role: UnitRole;
    }
  | {
      readonly kind: "unit.exited";
      readonly role: UnitRole;
      readonly process: "main" | "control";
      readonly how: "exited" | "killed" | "dumped";
      readonly status: number;
    }
  | { readonly kind: "unit.failed"; readonly role: UnitRole; readonly result: UnitResult }
  | { readonly kind: "unit.start_failed"; readonly role: UnitRole }
  | { readonly kind: "unit.restart_scheduled"; readonly role: UnitRole }
  | { readonly kind: "unit.start_limit"; readonly role: UnitRole }
  | { readonly kind: "unit.oom_kill"; readonly role: UnitRole; readonly by: "kernel" | "oomd" }
  | { readonly kind: "unit.timeout"; readonly role: UnitRole }
  | { readonly kind: "unit.fork_failed"; readonly role: UnitRole }
  | { readonly kind: "unit.core_dump"; readonly role: UnitRole; readonly process: "sshd" | "sshd_session" };

export const unitResults = [
  "resources",
  "protocol",
  "timeout",
  "exit-code",
  "signal",
  "core-dump",
  "watchdog",
  "start-limit-hit",
  "oom-kill",
  "other",
] as const;
export type UnitResult = (typeof unitResults)[number];

/**
 * The kernel's OOM killer. `oom.context` is the `oom-kill:constraint=` line (4.19+) before the kill: it tells scope
 * and cgroup; `oom.kill` is the `Killed process` line, which alone counts. `pid` joins the two.
 */
export type OomEvent =
  | { readonly kind: "oom.context"; readonly scope: OomScope; readonly pid: number; readonly cgroup: OomCgroup }
  | { readonly kind: "oom.kill"; readonly scope: OomScope; readonly pid: number; readonly victim: OomVictim };
export const oomScopes = ["host", "cgroup"] as const;
export type OomScope = (typeof oomScopes)[number];
/** Whose control group the victim was in: sshd's own, a login's session, anybody else's or not told. */
export const oomCgroups = ["sshd", "session", "other"] as const;
export type OomCgroup = (typeof oomCgroups)[number];
export type OomVictim = "sshd" | "sshd_session" | "other";

/** What the kernel says about network, processes and files. `lowerBound` counts suppressed repeats. */
export type KernelEvent =
  /** `netNamespace`: inode of the network namespace whose table it is; older kernels do not tell. */
  | { readonly kind: "kernel.conntrack_full"; readonly netNamespace?: number }
  | { readonly kind: "kernel.tcp_memory"; readonly what: "memory" | "orphans" }
  | { readonly kind: "kernel.syn_flood"; readonly port: number }
  | { readonly kind: "kernel.neighbour_overflow" }
  | { readonly kind: "kernel.link"; readonly interface: string; readonly up: boolean }
  | { readonly kind: "kernel.nic_reset"; readonly interface?: string }
  | { readonly kind: "kernel.fork_rejected"; readonly sshdCgroup: boolean }
  | { readonly kind: "kernel.file_max" }
  | { readonly kind: "kernel.crash"; readonly process: "sshd" | "sshd_session"; readonly pid: number }
  | { readonly kind: "kernel.hung_task"; readonly process: "sshd" | "sshd_session" }
  /** `net_ratelimit: N callbacks suppressed`: N more lines of some kind, a lower bound of what is missing. */
  | { readonly kind: "kernel.suppressed"; readonly count: number };

/** Why the kernel sent a reset: enum sk_rst_reason in include/net/rstreason.h (6.10+), lower case. MPTCP's are `other`. */
export const resetReasons = [
  "not_specified",
  "no_socket",
  "tcp_invalid_ack_sequence",
  "tcp_rfc7323_paws",
  "tcp_too_old_ack",
  "tcp_ack_unsent_data",
  "tcp_flags",
  "tcp_old_ack",
  "tcp_abort_on_data",
  "tcp_timewait_socket",
  "invalid_syn",
  "tcp_abort_on_close",
  "tcp_abort_on_linger",
  "tcp_abort_on_memory",
  "tcp_state",
  "tcp_keepalive_timeout",
  "tcp_disconnect_with_data",
  "error",
  "other",
] as const;
export type ResetReason = (typeof resetReasons)[number];

/** A TCP reset that the kernel sent or received, from its trace events. */
export type TcpResetEvent = {
  readonly kind: "tcp.reset_received" | "tcp.reset_sent";
  readonly localAddress: string;
  readonly localPort: number;
  /** Undefined for a reset sent by a listener (the event has no peer). */
  readonly address?: string;
  readonly port?: number;
  /** Only of sent ones. */
  readonly reason?: ResetReason;
};

export const flowProviders = ["aws", "azure", "gcp"] as const;
export const flowActions = ["accept", "reject"] as const;

/** A flow to or from sshd's port, as the cloud's own log tells it. */
export interface FlowEvent {
  readonly kind: "flow";
  readonly provider: (typeof flowProviders)[number];
  readonly action: (typeof flowActions)[number];
  /** `in`: from the client to sshd. */
  readonly direction: "in" | "out";
  /** The client's. */
  readonly address: string;
  /** A RST was seen in it, where the log tells TCP flags. */
  readonly reset: boolean;
  /** Admitted, and nothing but SYNs came: nobody answered. */
  readonly unanswered: boolean;
  /** The connection surely began in it, as far as the log tells: not one that has stood for long. */
  readonly begins: boolean;
}

/** By whom a session through a proxy ended; `nobody`: both sides closed when all was said. */
export const proxyEnders = [
  "nobody",
  "client",
  "server",
  "client_timeout",
  "server_timeout",
  "server_down",
  "resource",
  "proxy",
] as const;
/** `setup`: before the proxy was connected to the server. */
export const proxyStages = ["setup", "data"] as const;

/** What a proxy in front of sshd says: how a session ended, or that its health check changed its mind of a server. */
export type ProxyEvent =
  | {
      readonly kind: "proxy.ended";
      readonly endedBy: (typeof proxyEnders)[number];
      readonly stage: (typeof proxyStages)[number];
      /** The client's, as the proxy sees it. */
      readonly address: string;
      readonly port: number;
    }
  | { readonly kind: "proxy.server"; readonly up: boolean };

/** The log itself says that it lost records. */
export interface LossEvent {
  readonly kind: "log.lost";
  readonly count: number;
}
