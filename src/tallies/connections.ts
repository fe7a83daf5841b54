/** Connections as they end, are accepted, fail to authenticate, time out; from the log's and the kernel's joined ends. */
import type { Connections } from "../connections/connections.ts";
import type { ConnectionEnd } from "../model/connection.ts";
import type { Event, EventKind } from "../model/event.ts";
import type { MetricDef, Sample } from "../model/metric.ts";
import type { LogRecord } from "../model/record.ts";
import { Counters } from "./counters.ts";
import { restoreAll, snapshotAll, type Tally } from "./tally.ts";

export const ended: MetricDef = {
  name: "sshreset_connections_ended_total",
  help:
    "SSH connections that ended, each once, by phase, outcome and class of peer, from sshd's lines and the kernel's reset " +
    "events joined. Told one second after the end, when all its lines are in. Drops that sshd only sums up are in " +
    "sshreset_connections_dropped_total alone. Only combinations that can occur start at 0.",
  type: "counter",
  labels: ["phase", "outcome", "peer_class"],
};
export const accepted: MetricDef = {
  name: "sshreset_connections_accepted_total",
  help: "Logins: sshd's Accepted lines.",
  type: "counter",
  labels: [],
};
export const authenticationFailures: MetricDef = {
  name: "sshreset_authentication_failures_total",
  help: "Refused authentication attempts that sshd logged. At LogLevel INFO it leaves out most failed public keys.",
  type: "counter",
  labels: [],
};
export const wrappersRefusals: MetricDef = {
  name: "sshreset_tcp_wrappers_refusals_total",
  help: "Connections refused by TCP wrappers (hosts.allow, hosts.deny): libwrap's refused connect lines.",
  type: "counter",
  labels: [],
};
export const loginTimeouts: MetricDef = {
  name: "sshreset_timeouts_total",
  help:
    "Connections that sshd ended by a timeout of its own: login_grace = LoginGraceTime before authentication (Debian 12's " +
    "9.2 does not log it), client_alive = ClientAliveCountMax unanswered.",
  type: "counter",
  labels: ["timeout"],
  values: { timeout: ["login_grace", "client_alive"] },
};
export const integrityErrors: MetricDef = {
  name: "sshreset_integrity_errors_total",
  help: "Connections ended by a wrong MAC, a corrupt packet or a bad packet length: damaged on the way, or no SSH at all.",
  type: "counter",
  labels: [],
};
export const open: MetricDef = {
  name: "sshreset_connections_open",
  help:
    "Open connections whose beginning was seen, by the phase last proved. Before authentication sshd tells of them only " +
    "at LogLevel VERBOSE, or after a failed attempt.",
  type: "gauge",
  labels: ["phase"],
  values: { phase: ["banner", "auth", "session"] },
};
export const evicted: MetricDef = {
  name: "sshreset_connections_evicted_total",
  help: "Connections forgotten without a seen end: too many, too old, or their process id was given to another process.",
  type: "counter",
  labels: [],
};

const abnormal = ["reset", "closed", "disconnect", "timeout", "error"];
const outcomesByPhase: Readonly<Record<string, readonly string[]>> = {
  connect: ["reset", "dropped", "refused"],
  banner: ["reset", "closed", "timeout", "error"],
  kex: abnormal,
  auth: abnormal,
  session: abnormal,
  unknown: abnormal,
};
const phasesByClass: Readonly<Record<string, readonly string[]>> = {
  known: ["connect", "banner", "kex", "auth", "session", "unknown"],
  unknown: ["connect", "banner", "kex", "auth", "unknown"],
  health_check: ["connect", "banner"],
  proxy: ["connect", "banner", "kex", "auth", "session", "unknown"],
};

/** A session's peer is known by its login; health checks go no further than the banner. */
function* possible(): Generator<readonly string[]> {
  for (const [peerClass, phases] of Object.entries(phasesByClass)) {
    for (const phase of phases) {
      for (const outcome of outcomesByPhase[phase] ?? []) yield [phase, outcome, peerClass];
    }
  }
}

export class ConnectionTally implements Tally {
  readonly kinds: readonly EventKind[] = ["sshd.accepted", "sshd.authentication_failed"];
  readonly #connections: Connections;
  readonly #counters = {
    ended: new Counters(ended, possible()),
    accepted: new Counters(accepted),
    authenticationFailures: new Counters(authenticationFailures),
    wrappersRefusals: new Counters(wrappersRefusals),
    timeouts: new Counters(loginTimeouts),
    integrityErrors: new Counters(integrityErrors),
  };

  constructor(connections: Connections) {
    this.#connections = connections;
  }

  handle(event: Event, record: LogRecord): void {
    if (event.kind === "sshd.accepted") this.#counters.accepted.add(record.count);
    else if (event.kind === "sshd.authentication_failed") this.#counters.authenticationFailures.add(record.count);
  }

  ended({ phase, outcome, peerClass, detail, count }: ConnectionEnd): void {
    const counters = this.#counters;
    counters.ended.add(count, phase, outcome, peerClass);
    if (detail === "tcp_wrappers") counters.wrappersRefusals.add(count);
    else if (detail === "integrity") counters.integrityErrors.add(count);
    else if (detail === "login_grace" || detail === "client_alive") counters.timeouts.add(count, detail);
  }

  samples(): Sample[] {
    return [
      ...Object.values(this.#counters).flatMap((counters) => counters.samples()),
      ...Object.entries(this.#connections.open()).map(([phase, value]) => ({
        name: open.name,
        labels: { phase },
        value,
      })),
      { name: evicted.name, value: this.#connections.evicted },
    ];
  }

  snapshot(): unknown {
    return snapshotAll(this.#counters);
  }

  restore(saved: unknown): void {
    restoreAll(this.#counters, saved);
  }
}

export const connectionMetrics = [
  ended,
  accepted,
  authenticationFailures,
  wrappersRefusals,
  loginTimeouts,
  integrityErrors,
  open,
  evicted,
];
