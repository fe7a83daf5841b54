/**
 * A small fleet with incidents, simulated: series as the exporter shows them, over three hours, for queries and pictures.
 * Verdicts are not written down but judged from these series by the exporter's own diagnosis; alerts follow them.
 */
import { catalogue } from "../../../src/diagnosis/catalogue.ts";
import { causeIds } from "../../../src/diagnosis/cause.ts";
import { Diagnosis } from "../../../src/diagnosis/verdict.ts";
import type { Sample } from "../../../src/model/metric.ts";
import { probeSamples } from "../../../src/probe/metrics.ts";
import type { ProbeResult } from "../../../src/probe/probe.ts";
import { idleAtEnd } from "../../../src/tallies/idle.ts";
import { type Change, type Outage, type Series, SimulatedHost } from "../../alerts/simulated-host.ts";

export const stepSeconds = 15;
export const hours = 3;
const end = hours * 3600;
/** When things begin to happen. */
const at = 80 * 60;

type Labels = Readonly<Record<string, string>>;
const gauge = (metric: string, start: number, labels: Labels = {}): Series => ({ metric, labels, start, perMinute: 0 });
const counter = (metric: string, labels: Labels = {}, perMinute = 0): Series => ({
  metric,
  labels,
  start: 0,
  perMinute,
});

const idleBuckets = [...(idleAtEnd.buckets ?? []).map(String), "+Inf"];
const peers = [
  ["198.51.100.23", "unknown"],
  ["203.0.113.77", "unknown"],
  ["192.0.2.10", "known"],
  ["192.0.2.31", "known"],
  ["192.0.2.44", "known"],
  ["other", "unknown"],
] as const;
const peer = (index: number): Labels => ({ peer: peers[index]?.[0] ?? "", peer_class: peers[index]?.[1] ?? "" });

/** What the dashboards show and no rule needs. */
const more: readonly Series[] = [
  ...["banner", "auth", "session"].map((phase) => gauge("connections_open", phase === "session" ? 14 : 0, { phase })),
  ...peers.flatMap((_, index) => [
    counter("peer_resets_received_total", peer(index)),
    counter("peer_resets_sent_total", peer(index)),
  ]),
  ...["login_grace", "client_alive"].map((timeout) => counter("timeouts_total", { timeout })),
  ...["reset", "closed", "disconnect", "timeout", "error"].flatMap((outcome) =>
    idleBuckets.map((le) => counter("session_idle_at_end_seconds_bucket", { outcome, le })),
  ),
  counter("connections_evicted_total"),
  gauge("tcp_wrappers_linked", 1),
  gauge("tcp_wrappers_deny_rules", 1),
  gauge("tcp_wrappers_malformed_lines", 0),
  gauge("interface_mtu_bytes", 65536, { interface: "lo" }),
  gauge("interface_mtu_bytes", 1500, { interface: "eth0" }),
  counter("interface_carrier_changes_total", { interface: "eth0" }),
  counter("interface_driver_resets_total", { interface: "eth0" }),
  gauge("interface_mtu_mismatches", 0),
  gauge("path_mtu_learned_routes", 2),
  gauge("path_mtu_learned_min_bytes", 1420),
  gauge("tcp_mtu_probing", 0),
  gauge("ssh_socket_path_mtu_bytes", 1420),
  gauge("ssh_sockets_kex_stuck", 0),
  gauge("ssh_socket_lost_segments", 0),
  gauge("ssh_socket_rtt_median_seconds", 0.012),
  gauge("ssh_socket_rtt_max_seconds", 0.08),
  ...["ipv4", "ipv6"].flatMap((family) => [
    counter("ip_fragmentation_failures_total", { family }),
    counter("icmp_destination_unreachable_received_total", { family }, 0.3),
  ]),
  counter("icmp_packet_too_big_received_total"),
  counter("conntrack_early_drops_total"),
  counter("resets_ttl_compared_total", {}, 0.4),
  counter("resets_ttl_unknown_total", {}, 0.05),
  gauge("cloud_conntrack_available", 180_000, { interface: "eth0" }),
  counter("connections_ended_total", { phase: "connect", outcome: "dropped", peer_class: "health_check" }),
  ...["known", "unknown"].flatMap((peer_class) => [
    counter("cloud_flows_unseen_total", { provider: "aws", peer_class }),
    counter("cloud_flows_unanswered_total", { provider: "aws", peer_class }),
  ]),
  ...["in", "out"].map((direction) => counter("cloud_flow_resets_total", { provider: "aws", direction }, 0.2)),
  gauge("sshd_unauthenticated_connections", 1),
  gauge("sshd_max_startups_begin", 10),
  gauge("sshd_max_startups_full", 100),
  gauge("sshd_memory_bytes", 60e6),
  gauge("sshd_memory_limit_bytes", 256e6),
  gauge("host_info", 1, {
    kernel: "6.12.48",
    distribution: "debian",
    distribution_version: "13",
    virtualization: "kvm",
    cloud: "aws",
  }),
  ...["journal", "kmsg", "tcp_trace"].flatMap((source) => [
    counter("source_untrusted_records_total", { source }),
    // The time of the scrape, once that is known.
    gauge("source_last_record_timestamp_seconds", 0, { source }),
  ]),
  ...["conntrack", "interfaces", "memory", "sockets", "sshd"].map((collector, index) =>
    gauge("scrape_collector_duration_seconds", 0.002 * (index + 1), { collector }),
  ),
  ...["success", "error"].map((result) => counter("state_commits_total", { result }, result === "success" ? 3.7 : 0)),
];

/** The same numbers at every run. */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 4_294_967_296;
  };
}

/** Events at random times, `perHour` on average. */
function sprinkled(
  seed: number,
  perHour: number,
  metric: string,
  labels: Labels = {},
  from = 0,
  until = end,
): Change[] {
  const next = random(seed);
  const found: Change[] = [];
  for (let seconds = from; seconds < until; seconds += 60) {
    let expected = perHour / 60;
    while (expected > 0) {
      if (next() < Math.min(1, expected)) found.push({ metric, labels, at: seconds + Math.floor(next() * 60), add: 1 });
      expected -= 1;
    }
  }
  return found;
}

/** A gauge that wanders from one value to the other, minute by minute. */
function ramp(metric: string, from: number, to: number, begin: number, until: number, labels: Labels = {}): Change[] {
  const next = random(begin + to);
  const minutes = Math.ceil((until - begin) / 60);
  return Array.from({ length: minutes }, (_, minute) => ({
    metric,
    labels,
    at: begin + minute * 60,
    until: begin + (minute + 1) * 60,
    value: (from + ((to - from) * minute) / minutes) * (0.98 + 0.04 * next()),
  }));
}

const ended = (seconds: number, add: number, phase: string, outcome: string, peer_class = "known"): Change => ({
  metric: "connections_ended_total",
  labels: { phase, outcome, peer_class },
  at: seconds,
  add,
});

/** A session's end with that idle age, in every bucket above it. */
const idle = (seconds: number, outcome: string, age: number): Change[] =>
  idleBuckets
    .filter((le) => le === "+Inf" || Number(le) >= age)
    .map((le) => ({ metric: "session_idle_at_end_seconds_bucket", labels: { outcome, le }, at: seconds, add: 1 }));

const knownReset = (seconds: number, count: number, phase: string): Change[] => [
  ended(seconds, count, phase, "reset"),
  { metric: "known_peers_reset", at: seconds, until: seconds + 600, value: count },
  ...[2, 3, 4].slice(0, count).map((index) => ({
    metric: "peer_resets_received_total",
    labels: peer(index),
    at: seconds,
    add: 1,
  })),
];

/** What every host lives with: people who come and go, scanners. */
function everyday(seed: number, scanners: number): Change[] {
  const next = random(seed);
  return [
    ...sprinkled(seed, 40, "connections_ended_total", { phase: "session", outcome: "disconnect", peer_class: "known" }),
    ...sprinkled(seed + 1, 0.6, "connections_ended_total", { phase: "session", outcome: "reset", peer_class: "known" }),
    ...sprinkled(seed + 2, scanners, "connections_ended_total", {
      phase: "banner",
      outcome: "reset",
      peer_class: "unknown",
    }),
    ...sprinkled(seed + 3, scanners / 2, "connections_ended_total", {
      phase: "auth",
      outcome: "disconnect",
      peer_class: "unknown",
    }),
    ...sprinkled(seed + 4, scanners, "tcp_resets_received_total"),
    ...sprinkled(seed + 5, scanners / 3, "tcp_resets_sent_total", { reason: "tcp_abort_on_close" }),
    ...sprinkled(seed + 6, scanners / 4, "tcp_resets_sent_total", { reason: "no_socket" }),
    ...sprinkled(seed + 7, scanners / 6, "peer_resets_received_total", peer(0)),
    ...sprinkled(seed + 8, scanners / 2, "peer_resets_received_total", peer(5)),
    ...Array.from({ length: 60 }, () => idle(Math.floor(next() * end), "closed", Math.exp(next() * 7))).flat(),
    ...ramp("memory_available_bytes", 5.8e9, 6.1e9, 0, end),
    ...ramp("conntrack_entries", 70_000, 82_000, 0, end),
    ...ramp("load1", 0.3, 0.5, 0, end),
  ];
}

interface Incident {
  readonly instance: string;
  readonly changes: readonly Change[];
  readonly outages?: readonly Outage[];
}

const down = (from: number, until: number): Change => ({ metric: "sshd_up", at: from, until, value: 0 });

/** A leak fills the memory; the OOM killer takes sessions, then sshd's main process; systemd restarts it, twice. */
const oomKills: readonly Change[] = [
  ...ramp("memory_available_bytes", 6e9, 0.25e9, at - 2400, at + 300),
  ...ramp("memory_available_bytes", 0.25e9, 0.4e9, at + 300, at + 1500),
  ...ramp("load1", 1, 9, at - 600, at + 1500),
  {
    metric: "pressure_stalled_seconds_total",
    labels: { resource: "memory" },
    at: at - 300,
    until: at + 1500,
    perMinute: 27,
  },
  {
    metric: "pressure_stalled_seconds_total",
    labels: { resource: "io" },
    at: at - 600,
    until: at + 1500,
    perMinute: 14,
  },
  {
    metric: "pressure_stalled_seconds_total",
    labels: { resource: "cpu" },
    at: at - 900,
    until: at + 1500,
    perMinute: 8,
  },
  ...[0, 420, 900].flatMap((after, index): Change[] => [
    { metric: "oom_kills_total", labels: { victim: "sshd_session", scope: "host" }, at: at + after, add: 2 },
    { metric: "oom_kills_total", labels: { victim: "other", scope: "host" }, at: at + after + 30, add: 1 },
    ...knownReset(at + after + 15, 3 + index, "session"),
    { metric: "tcp_resets_sent_total", labels: { reason: "tcp_abort_on_data" }, at: at + after + 15, add: 3 },
  ]),
  ...[600, 1200].flatMap((after): Change[] => [
    { metric: "oom_kills_total", labels: { victim: "sshd", scope: "host" }, at: at + after, add: 1 },
    { metric: "sshd_stops_total", labels: { reason: "oom_kill" }, at: at + after, add: 1 },
    { metric: "sshd_starts_total", at: at + after + 45, add: 1 },
    down(at + after, at + after + 60),
    ended(at + after, 2, "auth", "reset"),
    { metric: "tcp_resets_sent_total", labels: { reason: "no_socket" }, at: at + after + 15, add: 9 },
  ]),
];

/** A tunnel on the path takes 1400 bytes and tells nobody: logins hang in key exchange. */
const mtuBlackhole: readonly Change[] = [
  ...ramp("ssh_sockets_kex_stuck", 2, 5, at, at + 2400).map((change) => ({
    ...change,
    value: Math.round(Number(change.value)),
  })),
  { metric: "known_peers_stuck_in_kex", at, until: at + 2400, value: 3 },
  {
    metric: "ssh_sockets_full_size_stuck",
    labels: { small_segments: "delivered" },
    at: at + 60,
    until: at + 2400,
    value: 4,
  },
  { metric: "ssh_sockets_in_backoff", at, until: at + 2400, value: 6 },
  { metric: "ssh_socket_lost_segments", at, until: at + 2400, value: 11 },
  { metric: "ssh_socket_path_mtu_bytes", at, until: at + 2400, value: 1500 },
  { metric: "path_mtu_learned_routes", at, until: at + 2400, value: 0 },
  { metric: "path_mtu_learned_min_bytes", at, until: at + 2400, value: "missing" },
  { metric: "connections_open", labels: { phase: "banner" }, at, until: at + 2400, value: 5 },
  ...sprinkled(
    77,
    50,
    "connections_ended_total",
    { phase: "kex", outcome: "timeout", peer_class: "known" },
    at + 120,
    at + 2500,
  ),
  ...sprinkled(78, 50, "timeouts_total", { timeout: "login_grace" }, at + 120, at + 2500),
];

/** A leak of half-open connections fills the table for an hour; new ones are dropped until somebody enlarges it. */
const conntrackFilling: readonly Change[] = [
  ...ramp("conntrack_entries", 82_000, 262_000, at - 1800, at + 1500),
  { metric: "conntrack_entries", at: at + 1500, until: at + 2700, value: 262_144 },
  { metric: "conntrack_entries_limit", at: at + 2700, until: end, value: 524_288 },
  ...ramp("conntrack_entries", 262_000, 240_000, at + 2700, end),
  { metric: "conntrack_drops_total", at: at + 1500, until: at + 2700, perMinute: 180 },
  { metric: "conntrack_table_full_total", at: at + 1500, until: at + 2700, perMinute: 9 },
  { metric: "conntrack_early_drops_total", at: at + 1380, until: at + 2700, perMinute: 60 },
  ...sprinkled(
    91,
    30,
    "connections_ended_total",
    { phase: "connect", outcome: "timeout", peer_class: "known" },
    at + 1500,
    at + 2700,
  ),
];

/** A thousand resets a minute by addresses that never logged in; MaxStartups and TCP wrappers turn them away. */
const scannerStorm: readonly Change[] = [
  ["connect", "reset", 400],
  ["banner", "reset", 400],
  ["kex", "reset", 100],
  ["auth", "reset", 100],
  ["auth", "timeout", 30],
  ["connect", "dropped", 150],
  ["connect", "refused", 60],
].map(
  ([phase, outcome, perMinute]): Change => ({
    metric: "connections_ended_total",
    labels: { phase: String(phase), outcome: String(outcome), peer_class: "unknown" },
    at,
    until: at + 3600,
    perMinute: Number(perMinute),
  }),
);
const storm = (metric: string, labels: Labels, perMinute: number): Change => ({
  metric,
  labels,
  at,
  until: at + 3600,
  perMinute,
});
const scanners: readonly Change[] = [
  ...scannerStorm,
  storm("connections_dropped_total", { limit: "max_startups" }, 100),
  storm("connections_dropped_total", { limit: "per_source_penalty" }, 50),
  storm("tcp_wrappers_refusals_total", {}, 60),
  storm("tcp_resets_received_total", {}, 1000),
  storm("tcp_resets_sent_total", { reason: "tcp_abort_on_close" }, 210),
  storm("timeouts_total", { timeout: "login_grace" }, 30),
  storm("peer_resets_received_total", peer(0), 210),
  storm("peer_resets_received_total", peer(1), 160),
  storm("peer_resets_received_total", peer(5), 630),
  storm("peer_resets_sent_total", peer(0), 90),
  storm("source_records_total", { source: "journal" }, 2400),
  { metric: "sshd_unauthenticated_connections", at, until: at + 3600, value: 38 },
  { metric: "connections_open", labels: { phase: "auth" }, at, until: at + 3600, value: 21 },
  storm("pressure_stalled_seconds_total", { resource: "cpu" }, 12),
];

/** A firewall that forgets connections after 350 s of silence. */
const idleCuts: readonly Change[] = Array.from({ length: 14 }, (_, index) => at - 1800 + index * 420).flatMap(
  (seconds) => [
    ended(seconds, 1, "session", "closed"),
    { metric: "sessions_cut_idle_total", labels: { timeout: "350" }, at: seconds, add: 1 },
    ...idle(seconds, "closed", 350),
  ],
);

/** Small things that never page, for the panels that are about them. */
const trifles: readonly Change[] = [
  { metric: "source_lost_records_total", labels: { source: "journal" }, at: at + 600, add: 40 },
  { metric: "source_up", labels: { source: "tcp_trace" }, at: at + 900, until: end, value: 0 },
  { metric: "scrape_collector_available", labels: { collector: "cloud" }, at: 0, until: end, value: 0 },
  { metric: "sshd_stops_total", labels: { reason: "requested" }, at: at + 300, add: 1 },
  { metric: "sshd_starts_total", at: at + 305, add: 1 },
];

export const fleet: readonly Incident[] = [
  { instance: "db1:10922", changes: [...everyday(1, 20), ...oomKills] },
  { instance: "vpn1:10922", changes: [...everyday(2, 30), ...mtuBlackhole] },
  { instance: "gw1:10922", changes: [...everyday(3, 60), ...conntrackFilling] },
  { instance: "bastion1:10922", changes: [...everyday(4, 200), ...scanners] },
  { instance: "app1:10922", changes: [...everyday(5, 10), ...idleCuts] },
  { instance: "app2:10922", changes: [...everyday(6, 10), ...trifles] },
  { instance: "app3:10922", changes: everyday(7, 10) },
  { instance: "build1:10922", changes: everyday(8, 10), outages: [{ from: at + 1200, until: end }] },
];

export interface Scrape {
  readonly seconds: number;
  readonly samples: readonly Sample[];
}

/** What the fleet's rules would have recorded of a larger fleet, of which a network loses its peers for a while. */
export function counted(): readonly Scrape[] {
  const place = { cluster: "c1", network: "n1", load_balancer: "lb1" };
  return Array.from({ length: hours * 60 }, (_, minute) => {
    const lost = minute * 60 >= at && minute * 60 < at + 1800 ? 14 : 0;
    const samples = (["network", "load_balancer"] as const).flatMap((level) => {
      const labels = { cluster: place.cluster, [level]: place[level] };
      const values = { hosts: 60, hosts_in_use: 34, hosts_losing_peers: lost, hosts_blind: 1 };
      return Object.entries(values).map(([what, value]) => ({
        name: `${level}:sshreset_${what}:count`,
        labels,
        value,
      }));
    });
    const versions = ["6.1.0-44-amd64", "6.12.90+deb13-amd64"].flatMap((version, index) => [
      { name: "version:sshreset_hosts:count", labels: { kind: "kernel", version }, value: 40 - 20 * index },
      { name: "version:sshreset_hosts_crashed:count", labels: { kind: "kernel", version }, value: 1 + 4 * index },
    ]);
    return { seconds: minute * 60, samples: [...samples, ...versions] };
  });
}

/** vpn1 as a probe sees it: the key exchange stalls while its path eats large packets. */
export function probed(): readonly Scrape[] {
  const phaseSeconds = { dns: 0.001, connect: 0.02, banner: 0.03, kex_init: 0.02 };
  const ok: ProbeResult = {
    target: { host: "vpn1", port: 22 },
    timeMs: 0,
    result: "ok",
    phaseSeconds: { ...phaseSeconds, kex_reply: 0.06, new_keys: 0.001 },
    durationSeconds: 0.132,
    text: [],
  };
  const stalled: ProbeResult = {
    ...ok,
    result: "timeout",
    failure: { phase: "kex_reply", reason: "timeout" },
    phaseSeconds: { ...phaseSeconds, kex_reply: 9.4 },
    durationSeconds: 9.471,
  };
  return Array.from({ length: hours * 60 }, (_, minute) => ({
    seconds: minute * 60,
    samples: probeSamples(minute * 60 < at ? ok : stalled),
  }));
}

/** What Prometheus would have of one host, scrape by scrape, with what it adds itself. */
export function recorded({ changes, outages = [] }: Incident): readonly Scrape[] {
  const host = new SimulatedHost(changes, outages, more);
  const diagnosis = new Diagnosis();
  return Array.from({ length: end / stepSeconds }, (_, step) => {
    const seconds = step * stepSeconds;
    // Not the host's few: all verdicts are added below.
    const own = host.samples(seconds).filter(({ name }) => name !== "sshreset_cause_observable");
    if (own.length === 0) return { seconds, samples: [{ name: "up", value: 0 }] };
    diagnosis.record(seconds * 1000, own);
    return { seconds, samples: [...own, ...verdicts(diagnosis, seconds), ...ofTheScrape(seconds, own.length)] };
  });
}

function verdicts(diagnosis: Diagnosis, seconds: number): Sample[] {
  const all = diagnosis.verdicts(seconds * 1000);
  const alerts = catalogue.flatMap(({ id, alert, severity, step }): Sample[] => {
    if (all.find(({ cause }) => cause === id)?.state !== "active") return [];
    const labels = { alertname: alert, alertstate: "firing", severity, cause: id, step: String(step) };
    return [{ name: "ALERTS", labels, value: 1 }];
  });
  const verdicts = causeIds.flatMap((cause): Sample[] => {
    const verdict = all.find((each) => each.cause === cause);
    // This fleet does not watch TTLs.
    const observable = cause === "middlebox_reset" ? 0 : 1;
    return [
      { name: "sshreset_cause_active", labels: { cause }, value: verdict?.state === "active" ? 1 : 0 },
      { name: "sshreset_cause_observable", labels: { cause }, value: observable },
    ];
  });
  return [...alerts, ...verdicts];
}

function ofTheScrape(seconds: number, samples: number): Sample[] {
  return [
    { name: "up", value: 1 },
    { name: "scrape_samples_scraped", value: samples },
    { name: "scrape_duration_seconds", value: 0.011 + 0.002 * Math.sin(seconds / 400) },
    { name: "process_resident_memory_bytes", value: 84e6 + 2e6 * Math.sin(seconds / 900) },
    { name: "process_cpu_seconds_total", value: seconds * 0.004 },
    { name: "process_start_time_seconds", value: 1_700_000_000 },
  ];
}
