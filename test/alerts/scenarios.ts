/**
 * What happens to a host, and what must page. Times in seconds. One list for promtool (shipped windows), for the
 * in-process diagnosis and for the live chain (time-scaled).
 */
import { catalogue } from "../../src/diagnosis/catalogue.ts";
import type { CauseId } from "../../src/diagnosis/cause.ts";
import type { Change, Outage } from "./simulated-host.ts";

export interface Scenario {
  readonly name: string;
  readonly changes: readonly Change[];
  readonly outages?: readonly Outage[];
  readonly minutes: number;
  /** Alerts: from when until when (seconds after the start) they fire. All others never do. */
  readonly fires: readonly Firing[];
}

export interface Firing {
  readonly alert: string;
  /** Undefined: at any time. */
  readonly from?: number;
  readonly until?: number;
}

/** When things begin to happen: the longest window but one is full by then. */
export const startSeconds = 900;

/** `count` connections of a class that end, at once. */
const ended = (at: number, add: number, phase: string, outcome: string, peer_class = "known"): Change => ({
  metric: "connections_ended_total",
  labels: { phase, outcome, peer_class },
  at,
  add,
});

/** Distinct known peers reset in that phase: the ends, and the gauge that remembers them for 10 minutes. */
export const knownPeersReset = (at: number, peers: number, phase: string): Change[] => [
  ended(at, peers, phase, "reset"),
  { metric: "tcp_resets_received_total", at, add: peers },
  { metric: "known_peers_reset", at, until: at + 600, value: peers },
];

const counter = (metric: string, labels: Record<string, string>, at: number, add: number): Change => ({
  metric,
  labels,
  at,
  add,
});
const gauge = (metric: string, at: number, until: number, value: number | "missing", labels = {}): Change => ({
  metric,
  labels,
  at,
  until,
  value,
});

export interface Fault {
  readonly changes: (at: number) => readonly Change[];
  /** Seconds from the fault to the page, at a scrape and evaluation every 15 s; and to its end. */
  readonly from: number;
  readonly until: number;
}

/** What makes each cause active; the same faults as in the lab, as far as the exporter shows them. */
export const faults: Readonly<
  Record<CauseId, { changes: (at: number) => readonly Change[]; from: number; until: number }>
> = {
  // kill -9 of the main process; systemd starts it again at once. Seen in the next scrape, 5 minutes of window, 5 kept.
  sshd_crash: {
    changes: (at) => [counter("sshd_stops_total", { reason: "crash" }, at, 1), counter("sshd_starts_total", {}, at, 1)],
    from: 0,
    until: 585,
  },
  // Bad configuration: stopped on request, does not come back for 10 minutes.
  sshd_down: {
    changes: (at) => [
      gauge("sshd_up", at, at + 600, 0),
      counter("sshd_start_failures_total", { reason: "configuration" }, at, 1),
    ],
    from: 60,
    until: 885,
  },
  sshd_restart: {
    changes: (at) => [
      counter("sshd_stops_total", { reason: "requested" }, at, 1),
      counter("sshd_starts_total", {}, at, 1),
    ],
    from: 0,
    until: 180,
  },
  oom_kill: {
    changes: (at) => [counter("oom_kills_total", { victim: "sshd_session", scope: "host" }, at, 1)],
    from: 0,
    until: 705,
  },
  memory_pressure: {
    changes: (at) => [
      gauge("memory_available_bytes", at, at + 900, 3e8),
      { metric: "pressure_stalled_seconds_total", labels: { resource: "memory" }, at, until: at + 900, perMinute: 20 },
    ],
    from: 210,
    until: 1485,
  },
  cpu_pressure: {
    changes: (at) => [
      gauge("load1", at, at + 900, 16),
      ended(at + 120, 1, "kex", "timeout"),
      ended(at + 180, 1, "auth", "timeout"),
    ],
    from: 240,
    until: 1245,
  },
  process_limit: {
    changes: (at) => [
      counter("sshd_resource_errors_total", { resource: "process" }, at, 4),
      counter("sshd_forks_refused_total", {}, at, 4),
      ended(at, 4, "banner", "closed"),
    ],
    from: 0,
    until: 585,
  },
  tcp_wrappers: {
    changes: (at) => [ended(at, 2, "connect", "refused"), counter("tcp_wrappers_refusals_total", {}, at, 2)],
    from: 0,
    until: 885,
  },
  mtu_blackhole: {
    changes: (at) => [gauge("ssh_sockets_full_size_stuck", at, at + 600, 3, { small_segments: "delivered" })],
    from: 60,
    until: 1185,
  },
  conntrack_full: {
    changes: (at) => [
      gauge("conntrack_entries", at, at + 900, 262_144),
      { metric: "conntrack_drops_total", at, until: at + 600, perMinute: 30 },
      counter("conntrack_table_full_total", {}, at, 22),
    ],
    from: 0,
    until: 1485,
  },
  idle_timeout: {
    changes: (at) => [counter("sessions_cut_idle_total", { timeout: "350" }, at, 3), ended(at, 3, "session", "closed")],
    from: 0,
    until: 3885,
  },
  middlebox_reset: {
    changes: (at) => [counter("middlebox_resets_total", {}, at, 4), ...knownPeersReset(at, 4, "session")],
    from: 0,
    until: 465,
  },
  proxy_protocol: {
    changes: (at) => [
      counter("proxy_headers_refused_total", { header: "v1", peer_class: "known" }, at, 4),
      ended(at, 4, "banner", "error"),
    ],
    from: 0,
    until: 885,
  },
  cloud_limit: {
    changes: (at) => [
      {
        metric: "cloud_allowance_exceeded_total",
        labels: { allowance: "conntrack" },
        at,
        until: at + 300,
        perMinute: 120,
      },
    ],
    from: 75,
    until: 885,
  },
  connection_throttling: {
    changes: (at) => [
      counter("connections_dropped_total", { limit: "max_startups" }, at, 8),
      ended(at, 1, "connect", "dropped"),
      ended(at, 3, "connect", "dropped", "unknown"),
    ],
    from: 0,
    until: 885,
  },
  balancer_throttled: {
    changes: (at) => [
      counter("connections_dropped_total", { limit: "per_source_penalty" }, at, 3),
      ended(at, 3, "connect", "dropped", "health_check"),
    ],
    from: 0,
    until: 885,
  },
  login_timeout: { changes: (at) => [ended(at, 3, "auth", "timeout")], from: 270, until: 465 },
  network_path: {
    changes: (at) => [counter("link_down_total", {}, at, 2), ...knownPeersReset(at, 5, "session")],
    from: 0,
    until: 1125,
  },
};

const at = startSeconds;
const alertOf = (id: CauseId): string => catalogue.find((cause) => cause.id === id)?.alert ?? id;

/** One fault each: exactly one alert, its own. */
const single = Object.entries(faults).map(
  ([id, { changes, from, until }]): Scenario => ({
    name: `${id}: its fault`,
    changes: changes(at),
    minutes: Math.ceil((at + until) / 60) + 5,
    fires: [{ alert: alertOf(id as CauseId), from: at + from, until: at + until }],
  }),
);

/** The other ways to the same causes. */
const otherWays: readonly Scenario[] = [
  {
    name: "cloud_limit: the cloud's rules reject a known peer, as its flow logs say ten minutes later",
    changes: [counter("cloud_flows_total", { provider: "aws", action: "reject", peer_class: "known" }, at, 4)],
    from: 60,
    until: 1185,
    alert: alertOf("cloud_limit"),
  },
  {
    name: "idle_timeout: haproxy says that its own timeouts ended sessions",
    changes: [
      counter("proxy_sessions_ended_total", { ended_by: "client_timeout", stage: "data" }, at, 2),
      counter("proxy_sessions_ended_total", { ended_by: "server_timeout", stage: "data" }, at, 1),
    ],
    from: 0,
    until: 3885,
    alert: alertOf("idle_timeout"),
  },
  {
    name: "balancer_throttled: haproxy takes the server for down while sshd drops",
    changes: [
      counter("proxy_server_changes_total", { to: "down" }, at, 1),
      counter("connections_dropped_total", { limit: "max_startups" }, at, 5),
    ],
    from: 0,
    until: 885,
    alert: alertOf("balancer_throttled"),
  },
  {
    name: "balancer_throttled: one connection of a configured proxy is dropped",
    changes: [
      counter("connections_dropped_total", { limit: "max_startups" }, at, 1),
      ended(at, 1, "connect", "dropped", "proxy"),
    ],
    from: 0,
    until: 885,
    alert: alertOf("balancer_throttled"),
  },
].map(({ from, until, alert, ...scenario }) => ({
  ...scenario,
  minutes: Math.ceil((at + until) / 60) + 5,
  fires: [{ alert, from: at + from, until: at + until }],
}));

const minutely = (metric: string, labels: Record<string, string>, perMinute: number): Change => ({
  metric,
  labels,
  at: 0,
  perMinute,
});
const noise = (phase: string, outcome: string, peer_class: string, perMinute: number): Change =>
  minutely("connections_ended_total", { phase, outcome, peer_class }, perMinute);

/** An internet-facing host's day: a thousand resets a minute by peers that never logged in, drops, refusals, timeouts. */
export const scanners: readonly Change[] = [
  noise("connect", "reset", "unknown", 400),
  noise("banner", "reset", "unknown", 400),
  noise("kex", "reset", "unknown", 100),
  noise("auth", "reset", "unknown", 100),
  noise("auth", "timeout", "unknown", 30),
  noise("banner", "closed", "unknown", 200),
  noise("kex", "error", "unknown", 20),
  noise("connect", "dropped", "unknown", 150),
  noise("connect", "refused", "unknown", 60),
  minutely("connections_dropped_total", { limit: "max_startups" }, 100),
  minutely("connections_dropped_total", { limit: "per_source_penalty" }, 50),
  minutely("tcp_wrappers_refusals_total", {}, 60),
  minutely("authentication_failures_total", {}, 300),
  minutely("integrity_errors_total", {}, 10),
  minutely("tcp_resets_received_total", {}, 1000),
];

/** Healthy twins and noise: nothing fires. */
const quiet: readonly Scenario[] = [
  { name: "an idle host", changes: [] },
  { name: "scanners' noise, 1,000 unknown peers reset each minute", changes: scanners },
  {
    name: "a health check every second",
    changes: [noise("banner", "closed", "health_check", 60), noise("connect", "reset", "health_check", 60)],
  },
  {
    name: "one laptop reset 50 times",
    changes: Array.from({ length: 50 }, (_, n) => [ended(at + 10 * n, 1, "session", "reset")])
      .flat()
      .concat({ metric: "known_peers_reset", at, until: at + 1100, value: 1 }),
  },
  {
    name: "scanners are rejected by the cloud, and send PROXY headers",
    changes: [
      minutely("cloud_flows_total", { provider: "aws", action: "reject", peer_class: "unknown" }, 200),
      minutely("proxy_headers_refused_total", { header: "v1", peer_class: "unknown" }, 5),
    ],
  },
  {
    name: "two of a proxy's clients leave the network",
    changes: [counter("proxy_sessions_ended_total", { ended_by: "client_timeout", stage: "data" }, at, 2)],
  },
  {
    name: "a proxy's server goes down for its own reasons",
    changes: [counter("proxy_server_changes_total", { to: "down" }, at, 3)],
  },
  { name: "two of twenty known peers reset", changes: knownPeersReset(at, 2, "session") },
  {
    name: "OOM kills of something else",
    changes: [counter("oom_kills_total", { victim: "other", scope: "cgroup" }, at, 5)],
  },
  { name: "the connection-tracking table at 60 %", changes: [gauge("conntrack_entries", at, at + 1200, 157_286)] },
  {
    name: "a build host at full load whose logins work",
    changes: [gauge("load1", at, at + 1200, 60), minutely("pressure_stalled_seconds_total", { resource: "cpu" }, 55)],
  },
  { name: "little memory without stalls", changes: [gauge("memory_available_bytes", at, at + 1200, 3e8)] },
  {
    name: "a dead client's full-size segments (learned path MTU: none is stuck)",
    changes: [gauge("ssh_sockets_full_size_stuck", at, at + 1200, 2, { small_segments: "not_seen" })],
  },
  {
    name: "a link without SSH goes down",
    changes: [
      counter("link_down_total", {}, at, 3),
      counter("interface_carrier_changes_total", { interface: "eth1" }, at, 6),
    ],
  },
  { name: "one user walks away from the prompt", changes: [ended(at, 1, "auth", "timeout")] },
  {
    name: "one session is cut at 350 s",
    changes: [counter("sessions_cut_idle_total", { timeout: "350" }, at, 1), ended(at, 1, "session", "closed")],
  },
  { name: "the exporter restarts", changes: scanners, outages: [{ from: at, until: at + 60 }] },
  {
    name: "the exporter restarts and has forgotten its counters",
    changes: scanners,
    outages: [{ from: at, until: at + 60, forgets: true }],
  },
  {
    name: "the host reboots: four minutes, sshd up half a minute after the exporter",
    changes: [gauge("sshd_up", at + 240, at + 270, 0), counter("sshd_starts_total", {}, at + 270, 1), ...scanners],
    outages: [{ from: at, until: at + 240 }],
  },
].map((scenario) => ({ minutes: 45, fires: [], ...scenario }));

const restarted = (from: number): Firing => ({ alert: "SshdRestarted", from, until: from + 180 });

/** Nothing but the information that sshd was restarted. */
const restart: readonly Scenario[] = [
  {
    name: "a planned restart that takes 30 seconds and cuts five known peers",
    changes: [
      ...faults.sshd_restart.changes(at),
      gauge("sshd_up", at, at + 30, 0),
      ...knownPeersReset(at + 15, 5, "auth"),
      ...scanners,
    ],
    minutes: 45,
    fires: [restarted(at)],
  },
  {
    name: "known peers are reset four minutes after a restart: explained",
    changes: [...faults.sshd_restart.changes(at), ...knownPeersReset(at + 240, 5, "session")],
    minutes: 45,
    fires: [restarted(at)],
  },
  {
    name: "known peers are reset seven minutes after a restart: not explained",
    changes: [...faults.sshd_restart.changes(at), ...knownPeersReset(at + 420, 5, "session")],
    minutes: 45,
    fires: [restarted(at), { alert: "SshKnownPeersReset", from: at + 600, until: at + 1320 }],
  },
];

/** Known sessions reset in mid-session while scanners keep everything busy that they can: the symptom pages. */
const symptom: readonly Scenario[] = [
  {
    name: "three known peers reset in mid-session",
    changes: knownPeersReset(at, 3, "session"),
    minutes: 45,
    fires: [{ alert: "SshKnownPeersReset", from: at + 180, until: at + 900 }],
  },
  {
    name: "two of eight known peers reset",
    changes: [gauge("known_peers_active", 0, 9e9, 8), ...knownPeersReset(at, 2, "session")],
    minutes: 45,
    fires: [{ alert: "SshKnownPeersReset", from: at + 180, until: at + 900 }],
  },
  {
    name: "known peers reset before the banner while sshd throttles: explained",
    changes: [...faults.connection_throttling.changes(at), ...knownPeersReset(at + 15, 5, "banner")],
    minutes: 45,
    fires: [{ alert: "SshdConnectionThrottling", from: at, until: at + 885 }],
  },
];

/** Causes that scanners alone can keep active: how, every minute. They explain no session's reset. */
const busy: readonly { readonly id: CauseId; readonly changes: readonly Change[] }[] = [
  { id: "sshd_crash", changes: [minutely("sshd_session_crashes_total", {}, 2)] },
  { id: "process_limit", changes: [minutely("sshd_resource_errors_total", { resource: "process" }, 2)] },
  {
    id: "conntrack_full",
    changes: [gauge("conntrack_entries", 0, 9e9, 262_000), minutely("conntrack_drops_total", {}, 90)],
  },
  { id: "cloud_limit", changes: [minutely("cloud_allowance_exceeded_total", { allowance: "conntrack" }, 90)] },
  { id: "mtu_blackhole", changes: [gauge("ssh_sockets_full_size_stuck", 0, 9e9, 2, { small_segments: "delivered" })] },
  // These five need a known peer that is hit too: one that shares the scanners' address.
  { id: "tcp_wrappers", changes: [noise("connect", "refused", "known", 2)] },
  { id: "connection_throttling", changes: [noise("connect", "dropped", "known", 2)] },
  { id: "login_timeout", changes: [noise("auth", "timeout", "known", 2)] },
  { id: "cpu_pressure", changes: [gauge("load1", 0, 9e9, 16), noise("kex", "timeout", "known", 1)] },
  { id: "sshd_down", changes: [gauge("sshd_up", 0, 9e9, 0)] },
  {
    id: "memory_pressure",
    changes: [
      gauge("memory_available_bytes", 0, 9e9, 3e8),
      minutely("pressure_stalled_seconds_total", { resource: "memory" }, 20),
    ],
  },
];

/** What follows from a busy cause; Alertmanager inhibits it. */
const also: Partial<Record<CauseId, readonly Firing[]>> = { cpu_pressure: [{ alert: "SshdLoginTimeout" }] };

const reverse: readonly Scenario[] = busy.map(({ id, changes }) => ({
  name: `known sessions are reset while ${id} is kept active`,
  changes: [...changes, ...scanners, ...knownPeersReset(at + 300, 4, "session")],
  minutes: 40,
  fires: [
    { alert: alertOf(id) },
    ...(also[id] ?? []),
    { alert: "SshKnownPeersReset", from: at + 480, until: at + 1200 },
  ],
}));

/** The exporter's own trouble. */
const own: readonly Scenario[] = (
  [
    {
      alert: "SshResetSourceNotReading",
      from: 300,
      changes: [gauge("source_up", at, at + 900, 0, { source: "kmsg" })],
    },
    {
      alert: "SshResetRecordsLost",
      from: 0,
      changes: [counter("source_lost_records_total", { source: "journal" }, at, 7)],
    },
    {
      alert: "SshResetSourceLagging",
      from: 900,
      changes: [gauge("source_lag_bytes", at, at + 1500, 5e6, { source: "journal" })],
    },
    {
      alert: "SshResetCollectorFailing",
      from: 600,
      changes: [gauge("scrape_collector_success", at, at + 900, 0, { collector: "sockets" })],
    },
    { alert: "SshResetStateNotSaved", from: 600, changes: [gauge("state_commit_success", at, at + 900, 0)] },
    {
      alert: "SshResetConfigNotReloaded",
      from: 300,
      changes: [gauge("config_last_reload_successful", at, at + 900, 0)],
    },
    {
      alert: "SshResetRecordsUnmatched",
      changes: [
        {
          metric: "source_unmatched_records_total",
          labels: { source: "journal" },
          at,
          until: at + 900,
          perMinute: 200,
        },
      ],
    },
  ] as const
).map(({ alert, changes, ...times }) => ({
  name: `the exporter itself: ${alert}`,
  changes,
  minutes: 45,
  fires: [{ alert, ...("from" in times ? { from: at + times.from } : {}) }],
}));

const ownQuiet: readonly Scenario[] = [
  {
    name: "the exporter is down for half an hour",
    changes: [],
    outages: [{ from: at, until: at + 1800 }],
    minutes: 60,
    fires: [{ alert: "SshResetExporterDown", from: at + 600, until: at + 1800 }],
  },
  {
    name: "a lag that falls",
    changes: [0, 1, 2, 3].map((n) =>
      gauge("source_lag_bytes", at + n * 300, at + n * 300 + 300, 8e6 - n * 2.2e6, { source: "journal" }),
    ),
    minutes: 45,
    fires: [],
  },
];

export const scenarios: readonly Scenario[] = [
  ...single,
  ...otherWays,
  ...quiet,
  ...restart,
  ...symptom,
  ...reverse,
  ...own,
  ...ownQuiet,
];
