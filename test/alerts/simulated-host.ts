/**
 * A host as its exporter shows it: series over time, healthy by themselves, changed by what a scenario does to them.
 * The same series go to promtool, to the in-process diagnosis and, played faster, to a live Prometheus.
 */
import type { Sample } from "../../src/model/metric.ts";

type Labels = Readonly<Record<string, string>>;

/** What a scenario does to one series. Times in seconds from its start. */
export interface Change {
  readonly metric: string;
  readonly labels?: Labels;
  readonly at: number;
  /** Counters: added at once. */
  readonly add?: number;
  /** Counters: added in each minute until `until`. */
  readonly perMinute?: number;
  /** Gauges: the value from `at` until `until`. `missing`: no sample. */
  readonly value?: number | "missing";
  readonly until?: number;
}

/** What happens to the exporter rather than to one series. */
export interface Outage {
  /** Prometheus gets no answer. */
  readonly from: number;
  readonly until: number;
  /** It came back with nothing: every counter starts again at 0. */
  readonly forgets?: boolean;
}

export interface Series {
  readonly metric: string;
  readonly labels: Labels;
  readonly start: number;
  readonly perMinute: number;
}

type Changed = Series & { readonly changes: readonly Change[] };

const phases = ["connect", "banner", "kex", "auth", "session", "unknown"];
const outcomes = ["reset", "closed", "disconnect", "timeout", "dropped", "refused", "error"];

const own = (metric: string, start: number, perMinute = 0, labels: Labels = {}): Series => ({
  metric,
  labels,
  start,
  perMinute,
});
const each = (metric: string, label: string, values: readonly string[], start = 0): Series[] =>
  values.map((value) => own(metric, start, 0, { [label]: value }));

const collectors = ["conntrack", "interfaces", "memory", "sockets", "sshd", "tcp_counters", "reset_ttl", "cloud"];

/** A healthy host: 20 known peers that work, and nothing else. */
const healthy: readonly Series[] = [
  own("up", 1),
  own("build_info", 1, 0, { version: "0.0.0", node: "v20" }),
  own("sshd_up", 1),
  ...each("sshd_stops_total", "reason", ["requested", "reload", "crash", "oom_kill", "start_limit", "error"]),
  own("sshd_starts_total", 1),
  own("sshd_session_crashes_total", 0),
  ...each("sshd_start_failures_total", "reason", ["configuration", "host_keys", "bind", "restart", "other"]),
  own("sshd_forks_refused_total", 0),
  ...each("sshd_memory_events_total", "event", ["high", "max", "oom", "oom_kill"]),
  ...each("fork_rejections_total", "cgroup", ["sshd", "other"]),
  own("file_max_reached_total", 0),
  ...each("sshd_resource_errors_total", "resource", ["process", "files", "memory", "terminal"]),
  ...phases.flatMap((phase) =>
    outcomes.map((outcome) => own("connections_ended_total", 0, 0, { phase, outcome, peer_class: "known" })),
  ),
  own("connections_accepted_total", 40, 2),
  own("authentication_failures_total", 7),
  ...each("connections_dropped_total", "limit", [
    "max_startups",
    "per_source_penalty",
    "penalty_table_full",
    "systemd_socket",
  ]),
  own("tcp_wrappers_refusals_total", 0),
  own("tcp_resets_received_total", 3),
  ...each("tcp_resets_sent_total", "reason", [
    "not_specified",
    "no_socket",
    "tcp_abort_on_data",
    "tcp_abort_on_close",
    "other",
  ]),
  own("known_peers", 60),
  own("known_peers_active", 20),
  own("known_peers_reset", 0),
  own("known_peers_stuck_in_kex", 0),
  ...each("sessions_cut_idle_total", "timeout", ["50", "60", "240", "350", "600", "1200", "3600", "other"]),
  own("sshd_client_alive_interval_seconds", 0),
  own("tcp_keepalive_time_seconds", 7200),
  ...["client", "client_timeout", "server_timeout"].map((ended_by) =>
    own("proxy_sessions_ended_total", 0, 0, { ended_by, stage: "data" }),
  ),
  ...each("proxy_server_changes_total", "to", ["up", "down"]),
  ...["known", "unknown"].map((peer_class) => own("proxy_headers_refused_total", 0, 0, { header: "v1", peer_class })),
  ...["sshd", "sshd_session", "other"].flatMap((victim) =>
    ["host", "cgroup"].map((scope) => own("oom_kills_total", 0, 0, { victim, scope })),
  ),
  own("conntrack_entries", 78_000),
  own("conntrack_entries_limit", 262_144),
  own("conntrack_drops_total", 0),
  own("conntrack_table_full_total", 0),
  own("memory_available_bytes", 6e9),
  own("memory_total_bytes", 8e9),
  own("load1", 0.4),
  own("cpus", 2),
  ...each("pressure_stalled_seconds_total", "resource", ["cpu", "memory", "io"], 10),
  own("sshd_open_files", 9),
  own("sshd_open_files_limit", 1024),
  own("sshd_tasks", 12),
  own("sshd_tasks_limit", 4915),
  ...each("ssh_sockets_full_size_stuck", "small_segments", ["delivered", "not_seen"]),
  own("path_mtu_failures_total", 0),
  own("middlebox_resets_total", 0),
  ...["known", "unknown"].flatMap((peer_class) => [
    own("cloud_flows_total", 0, 0, { provider: "aws", action: "reject", peer_class }),
    own("cloud_flows_total", 0, 0, { provider: "aws", action: "accept", peer_class }),
  ]),
  ...each("cloud_allowance_exceeded_total", "allowance", [
    "conntrack",
    "pps",
    "linklocal",
    "bandwidth_in",
    "bandwidth_out",
  ]),
  ...each("interface_carrier_changes_total", "interface", ["eth0", "eth1"], 3),
  own("link_down_total", 0),
  own("nic_resets_total", 0),
  ...each("ssh_sockets", "state", ["established"], 20),
  own("ssh_sockets_in_backoff", 1),
  own("integrity_errors_total", 0),
  ...["journal", "kmsg", "tcp_trace"].flatMap((source) => [
    own("source_up", 1, 0, { source }),
    own("source_records_total", 500, 60, { source }),
    own("source_lost_records_total", 0, 0, { source }),
    own("source_unmatched_records_total", 2, 0, { source }),
    own("source_lag_bytes", 0, 0, { source }),
  ]),
  ...each("cause_observable", "cause", ["middlebox_reset", "mtu_blackhole"], 1),
  own("state_commit_success", 1),
  own("config_last_reload_successful", 1),
  ...collectors.flatMap((collector) => [
    own("scrape_collector_success", 1, 0, { collector }),
    own("scrape_collector_available", 1, 0, { collector }),
  ]),
];

const full = (metric: string): string => (metric === "up" ? "up" : `sshreset_${metric}`);
const sameSeries = (a: { metric: string; labels?: Labels }, b: { metric: string; labels?: Labels }): boolean =>
  a.metric === b.metric && JSON.stringify(sorted(a.labels)) === JSON.stringify(sorted(b.labels));
const sorted = (labels: Labels = {}): [string, string][] => Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1));

export class SimulatedHost {
  readonly #outages: readonly Outage[];
  readonly #series: readonly Changed[];

  /** Throws when a change names a series that neither the healthy host nor `more` has. */
  constructor(changes: readonly Change[], outages: readonly Outage[] = [], more: readonly Series[] = []) {
    this.#outages = outages;
    const all = [...healthy, ...more.filter((one) => !healthy.some((series) => sameSeries(series, one)))];
    const others = new Map<string, Series>();
    for (const { metric, labels = {} } of changes) {
      if (all.some((series) => sameSeries(series, { metric, labels }))) continue;
      // Other classes of peers: only where something happens to them, which keeps the tests fast.
      if (metric !== "connections_ended_total") throw new Error(`no series ${metric} ${JSON.stringify(labels)}`);
      others.set(JSON.stringify(sorted(labels)), own(metric, 0, 0, labels));
    }
    this.#series = [...all, ...others.values()].map((series) => ({
      ...series,
      changes: changes.filter((change) => sameSeries(series, change)),
    }));
  }

  /** The exporter's own samples at that time; none during an outage. */
  samples(seconds: number): Sample[] {
    return this.#series.flatMap((series) => {
      const value = series.metric === "up" ? undefined : this.#value(series, seconds);
      return value === undefined ? [] : [{ name: full(series.metric), labels: series.labels, value }];
    });
  }

  #value(series: Changed, seconds: number): number | undefined {
    const outage = this.#outages.findLast(({ from }) => seconds >= from);
    const down = outage !== undefined && seconds < outage.until;
    if (series.metric === "up") return down ? 0 : 1;
    if (down) return undefined;
    const value = valueAt(series, seconds);
    const forgotten = outage?.forgets && series.metric.endsWith("_total") ? valueAt(series, outage.until) : undefined;
    return value === undefined ? undefined : value - (forgotten ?? 0);
  }

  /** promtool's input_series over `steps` scrapes. */
  inputSeries(steps: number, interval: number, host: Labels): { series: string; values: string }[] {
    return this.#series.map((series) => {
      const values = Array.from({ length: steps }, (_, step) => this.#value(series, step * interval) ?? "stale");
      return { series: `${full(series.metric)}${braces({ ...host, ...series.labels })}`, values: compact(values) };
    });
  }

  /** Text format 0.0.4. */
  page(seconds: number): string {
    return this.samples(seconds)
      .map(({ name, labels, value }) => `${name}${braces(labels ?? {})} ${value}\n`)
      .join("");
  }
}

function braces(labels: Labels): string {
  return `{${Object.entries(labels)
    .map(([name, value]) => `${name}="${value}"`)
    .join(",")}}`;
}

function valueAt({ start, perMinute, changes }: Changed, seconds: number): number | undefined {
  let value = start + Math.floor((perMinute * seconds) / 60);
  for (const { at, until = Number.POSITIVE_INFINITY, add, perMinute: rate, value: fixed } of changes) {
    if (seconds < at) continue;
    if (add !== undefined) value += add;
    if (rate !== undefined) value += (rate * (Math.min(seconds, until) - at)) / 60;
    if (fixed !== undefined && seconds < until) {
      if (fixed === "missing") return undefined;
      value = fixed;
    }
  }
  return value;
}

/** promtool's shorthand for runs: `0x19` is twenty times 0. */
function compact(values: readonly (number | "stale")[]): string {
  const parts: string[] = [];
  for (let index = 0; index < values.length; ) {
    let end = index + 1;
    while (end < values.length && values[end] === values[index]) end += 1;
    const run = end - index;
    parts.push(
      run === 1 || values[index] === "stale" ? Array(run).fill(values[index]).join(" ") : `${values[index]}x${run - 1}`,
    );
    index = end;
  }
  return parts.join(" ");
}
