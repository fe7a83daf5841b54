/** "SSH resets: exporter": whether the exporters themselves read everything, in time, at what price. */
import type { Dashboard } from "@grafana/grafana-foundation-sdk/dashboard";
import type { KitSettings } from "../settings.ts";
import { dashboard } from "./layout.ts";
import { bad, good, notJudged, plain, warning } from "./palette.ts";
import { graph, type Placed, stat, states, table } from "./panels.ts";
import { any, increase, max, min, own, rate, sum, total } from "./query.ts";
import { uids } from "./uids.ts";
import { runbooks } from "./verdicts.ts";

const empty = "No exporter answered in the time shown";

export function exporterDashboard(settings: KitSettings): Dashboard {
  const runbook = (...alerts: readonly string[]): readonly string[] =>
    runbooks(
      alerts.map((alert) => ({ alert })),
      settings,
    );
  return dashboard({
    uid: uids.exporter,
    title: "SSH resets: exporter",
    description: "The exporters themselves: what they read and lost, how long it takes, what it costs.",
    from: "now-6h",
    annotated: false,
    rows: [
      { panels: overview(runbook) },
      { title: "Sources: is everything read, and understood?", panels: reading(runbook) },
      { title: "Collectors: what is read at a scrape", panels: collectors(runbook) },
      { title: "What it costs", panels: costs(runbook) },
    ],
  });
}

type Runbook = (...alerts: readonly string[]) => readonly string[];

function overview(runbook: Runbook): readonly Placed[] {
  const single = { unit: "none", width: 4 };
  const trouble = [
    { from: null, colour: good },
    { from: 1, colour: bad },
  ];
  const none = `0 * count(${own("build_info")})`;
  return [
    stat({
      ...single,
      title: "Exporters",
      good: "As many as hosts.",
      act: "The next number counts those that do not answer.",
      empty: "No exporter answers",
      queries: [{ expr: `count(${own("build_info")})`, legend: "exporters" }],
      steps: plain,
    }),
    stat({
      ...single,
      title: "That do not answer",
      good: "0.",
      act: "`systemctl status ssh-reset-exporter`, then the network.",
      runbooks: runbook("SshResetExporterDown"),
      empty: "Prometheus scrapes none of them",
      queries: [{ expr: `count(${any("up")} == 0) or 0 * count(${any("up")})`, legend: "down" }],
      steps: trouble,
    }),
    stat({
      ...single,
      title: "Sources not reading",
      good: "0.",
      act: "The strips below name them.",
      runbooks: runbook("SshResetSourceNotReading"),
      empty: "No exporter answers",
      queries: [{ expr: `count(${own("source_up")} == 0) or ${none}`, legend: "sources" }],
      steps: trouble,
    }),
    stat({
      ...single,
      title: "Records lost",
      shows: "Within the time shown.",
      good: "0.",
      act: "Counters are too low by at least that many: see which source.",
      runbooks: runbook("SshResetRecordsLost"),
      empty: "No exporter answers",
      queries: [{ expr: sum(total(own("source_lost_records_total"))), legend: "records" }],
      steps: trouble,
    }),
    stat({
      ...single,
      title: "Collectors failing",
      good: "0.",
      act: "The exporter's page quotes the error.",
      runbooks: runbook("SshResetCollectorFailing"),
      empty: "No exporter answers",
      queries: [{ expr: `count(${own("scrape_collector_success")} == 0) or ${none}`, legend: "collectors" }],
      steps: trouble,
    }),
    stat({
      ...single,
      title: "State, configuration",
      shows: "State directories that could not be written, configurations that could not be reloaded.",
      good: "0.",
      act: "`ssh-reset-exporter --config.check`; `ls -ld /var/lib/ssh-reset-exporter`.",
      runbooks: runbook("SshResetStateNotSaved", "SshResetConfigNotReloaded"),
      empty: "No exporter answers",
      queries: [
        {
          expr: `count(${own("state_commit_success")} == 0 or ${own("config_last_reload_successful")} == 0) or ${none}`,
          legend: "exporters",
        },
      ],
      steps: trouble,
    }),
  ];
}

function reading(runbook: Runbook): readonly Placed[] {
  return [
    states({
      title: "Sources",
      shows: "The worst of the hosts chosen. Absent ones are not wanted.",
      good: "Every one is reading.",
      act: "The exporter's page names the reason and the grant.",
      runbooks: runbook("SshResetSourceNotReading"),
      empty,
      width: 8,
      height: 7,
      queries: [{ expr: min(own("source_up"), "source"), legend: "{{source}}" }],
      states: [
        { value: 1, text: "reading", colour: good },
        { value: 0, text: "not reading", colour: bad },
      ],
    }),
    graph({
      title: "Records read per second",
      shows: "Of the identifiers that the parsers know: sshd, systemd, kernel and the like.",
      good: "A rhythm of its own; an idle host reads nothing, and that is no fault.",
      act: "A busy host falls to 0: see whether its logger still writes.",
      empty,
      queries: [{ expr: sum(rate(own("source_records_total")), "source"), legend: "{{source}}" }],
      unit: "none",
      width: 8,
      height: 7,
    }),
    graph({
      title: "Written and not read yet",
      shows: "The largest of the hosts chosen.",
      good: "Falls back to 0 after each burst.",
      act: "It does not fall: the exporter is at its CPU limit, or the log grows faster than it reads.",
      runbooks: runbook("SshResetSourceLagging"),
      empty,
      queries: [{ expr: max(own("source_lag_bytes"), "source"), legend: "{{source}}" }],
      unit: "bytes",
      width: 8,
      height: 7,
    }),
    graph({
      title: "Records lost",
      shows: "Overwritten, vacuumed, rotated away, cut: a lower bound.",
      good: "Nothing.",
      act: "`journalctl --disk-usage`; the logger's own rate limits.",
      runbooks: runbook("SshResetRecordsLost"),
      empty,
      queries: [{ expr: sum(increase(own("source_lost_records_total")), "source"), legend: "{{source}}" }],
      unit: "none",
      bars: true,
      width: 8,
      height: 7,
    }),
    graph({
      title: "Share of records that no pattern knows",
      good: "Steady.",
      act: "It rises after an upgrade: sshd or systemd prints something new, and resets may be missed.",
      runbooks: runbook("SshResetRecordsUnmatched"),
      empty,
      queries: [
        {
          expr: `${sum(rate(own("source_unmatched_records_total")), "source")} / (${sum(rate(own("source_records_total")), "source")} > 0) or 0 * ${sum(own("source_up"), "source")}`,
          legend: "{{source}}",
        },
      ],
      unit: "percentunit",
      max: 1,
      width: 8,
      height: 7,
    }),
    graph({
      title: "Records of impostors",
      shows:
        "They claim to be sshd's, systemd's or the kernel's, and journald says that somebody else wrote them. Not parsed.",
      good: "Nothing.",
      act: "Somebody on the host forges log lines: find the process by the journal's own fields (`journalctl -o verbose`).",
      empty,
      queries: [{ expr: sum(increase(own("source_untrusted_records_total")), "source"), legend: "{{source}}" }],
      unit: "none",
      bars: true,
      width: 8,
      height: 7,
    }),
    table({
      title: "Sources, host by host",
      shows: "Now; records and losses within the time shown.",
      good: "No losses, an age that fits the host.",
      act: "An old last record on a busy host: its logger, or the exporter, stands still.",
      empty,
      width: 24,
      height: 8,
      sortBy: "Lost",
      columns: [
        { label: "instance", title: "Host" },
        { label: "source", title: "Source", width: 110 },
        { expr: by(own("source_up")), title: "Reading", width: 90 },
        { expr: by(total(own("source_records_total"))), title: "Records", width: 110, decimals: 0 },
        { expr: by(total(own("source_lost_records_total"))), title: "Lost", width: 90, decimals: 0 },
        { expr: by(total(own("source_unmatched_records_total"))), title: "Not understood", width: 130, decimals: 0 },
        { expr: by(own("source_lag_bytes")), title: "Not read yet", unit: "bytes", width: 120 },
        {
          expr: `time() - (${by(own("source_last_record_timestamp_seconds"))} > 0)`,
          title: "Last record, ago",
          unit: "s",
          width: 150,
          decimals: 0,
        },
      ],
    }),
  ];
}

const by = (vector: string): string => sum(vector, "instance, source");

function collectors(runbook: Runbook): readonly Placed[] {
  return [
    states({
      title: "Collectors",
      shows: "The worst of the hosts chosen: failing, absent, or read.",
      good: "Read; absent where the host has no such thing (connection tracking not loaded, no cloud).",
      act: "Failing: the exporter's page quotes the value and the place. Absent though it should not be: `ssh-reset-exporter check`.",
      runbooks: runbook("SshResetCollectorFailing"),
      empty,
      width: 12,
      height: 9,
      queries: [
        {
          // 0 failing, 1 absent, 2 read.
          expr: min(`${own("scrape_collector_success")} * (1 + ${own("scrape_collector_available")})`, "collector"),
          legend: "{{collector}}",
        },
      ],
      states: [
        { value: 2, text: "read", colour: good },
        { value: 1, text: "absent", colour: notJudged },
        { value: 0, text: "failing", colour: bad },
      ],
      legend: true,
    }),
    graph({
      title: "Time that collectors take",
      shows: "The slowest of the hosts chosen.",
      good: "Milliseconds.",
      act: "Seconds: a host under pressure, or a program (ss, sshd -T) that hangs.",
      empty,
      queries: [{ expr: max(own("scrape_collector_duration_seconds"), "collector"), legend: "{{collector}}" }],
      unit: "s",
      width: 12,
      height: 9,
      legend: "table",
    }),
  ];
}

function costs(runbook: Runbook): readonly Placed[] {
  return [
    graph({
      title: "Memory",
      shows: "Of the exporter's process: median and largest of the hosts chosen.",
      good: "Flat: everything it holds is bounded.",
      act: "It grows for days: report it, with `curl HOST:10922/metrics`.",
      empty,
      queries: [
        { expr: `quantile(0.5, ${any("process_resident_memory_bytes")})`, legend: "median" },
        { expr: max(any("process_resident_memory_bytes")), legend: "largest" },
      ],
      unit: "bytes",
      width: 8,
    }),
    graph({
      title: "CPU",
      shows: "Share of one CPU: median and largest of the hosts chosen.",
      good: "Below 1 % on a quiet host; more while scanners fill the log.",
      act: "Near 100 % for long: see what fills the log.",
      empty,
      queries: [
        { expr: `quantile(0.5, ${rate(any("process_cpu_seconds_total"))})`, legend: "median" },
        { expr: max(rate(any("process_cpu_seconds_total"))), legend: "largest" },
      ],
      unit: "percentunit",
      width: 8,
    }),
    graph({
      title: "Series of one host",
      shows: "As Prometheus counts them at a scrape.",
      good: "Some hundreds; bounded by 50 peers, 64 interfaces and closed sets of labels.",
      act: "Thousands: many interfaces. `--collector.interfaces` can be switched off.",
      empty,
      queries: [
        { expr: `quantile(0.5, ${any("scrape_samples_scraped")})`, legend: "median" },
        { expr: max(any("scrape_samples_scraped")), legend: "largest" },
      ],
      unit: "none",
      decimals: 0,
      width: 8,
    }),
    graph({
      title: "Time of a scrape",
      good: "Far below the scrape interval.",
      act: "See which collector takes it.",
      empty,
      queries: [
        { expr: `quantile(0.5, ${any("scrape_duration_seconds")})`, legend: "median" },
        { expr: max(any("scrape_duration_seconds")), legend: "longest" },
      ],
      unit: "s",
      width: 8,
    }),
    graph({
      title: "Commits of the state",
      good: "Only `success`, one for each scrape that had something new.",
      act: "`error`: the state directory is full or not writable; counters go on, and are read again after a restart.",
      runbooks: runbook("SshResetStateNotSaved"),
      empty,
      queries: [{ expr: sum(increase(own("state_commits_total")), "result"), legend: "{{result}}" }],
      unit: "none",
      bars: true,
      width: 8,
      colours: { success: good, error: bad },
    }),
    table({
      title: "Versions",
      good: "One version.",
      act: "Upgrade those that are behind.",
      empty,
      width: 8,
      height: 8,
      columns: [
        { label: "version", title: "Version", width: 110 },
        { label: "node", title: "Node.js" },
        { expr: `count by (version, node) (${own("build_info")})`, title: "Exporters", width: 90 },
      ],
    }),
    graph({
      title: "Starts of the exporter",
      shows: "Hosts whose exporter is younger than 15 minutes.",
      good: "0, but for upgrades and reboots.",
      act: "It starts again and again: `journalctl -u ssh-reset-exporter`.",
      empty,
      queries: [
        {
          expr: `count(time() - ${any("process_start_time_seconds")} < 900) or 0 * count(${own("build_info")})`,
          legend: "young exporters",
        },
      ],
      unit: "none",
      decimals: 0,
      width: 12,
      colours: { "young exporters": warning },
    }),
    graph({
      title: "Connections forgotten without an end",
      shows: "Too many, too old, or a process id that was given to another process.",
      good: "Near 0.",
      act: "Thousands an hour: a flood of connections that say nothing; counts of ends are a lower bound meanwhile.",
      empty,
      queries: [{ expr: sum(increase(own("connections_evicted_total"))), legend: "forgotten" }],
      unit: "none",
      bars: true,
      width: 12,
    }),
  ];
}
