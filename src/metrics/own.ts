/** Metrics about the exporter itself: sources, state, verdicts, process. */

import type { MetricDef } from "../model/metric.ts";
import { sourceNames } from "../model/record.ts";

const bySource = { labels: ["source"], values: { source: sourceNames } } as const;

export const ownMetrics = [
  {
    name: "sshreset_build_info",
    help: "1, with the version that is running.",
    type: "gauge",
    labels: ["version", "node"],
  },
  {
    name: "sshreset_source_up",
    help: "1 if the source is reading, 0 if it is wanted and cannot. Absent: this host is read without it.",
    type: "gauge",
    ...bySource,
  },
  {
    name: "sshreset_source_records_total",
    help: "Records read of the identifiers that the parsers know (sshd, systemd, kernel and the like).",
    type: "counter",
    ...bySource,
  },
  {
    name: "sshreset_source_lost_records_total",
    help: "Records that are known to be lost: overwritten, vacuumed, rotated away, cut, or said to be lost by the log itself. A lower bound; but a log that is truncated while it grows counts 1 each time, since nobody sees whether lines went with it.",
    type: "counter",
    ...bySource,
  },
  {
    name: "sshreset_source_unmatched_records_total",
    help: "Records that no pattern recognised. A rising share means a release of sshd or systemd that prints something new.",
    type: "counter",
    ...bySource,
  },
  {
    name: "sshreset_source_untrusted_records_total",
    help: "Records that claim to come from sshd, systemd or the kernel and that journald says were written by somebody else. They are not parsed. A plain file cannot tell.",
    type: "counter",
    ...bySource,
  },
  {
    name: "sshreset_source_lag_bytes",
    help: "Bytes that are written and not read yet. Trouble is a lag that does not fall, never an idle host.",
    type: "gauge",
    ...bySource,
  },
  {
    name: "sshreset_source_last_record_timestamp_seconds",
    help: "Time of the last record read, by its own clock; 0 before the first.",
    type: "gauge",
    ...bySource,
  },
  {
    name: "sshreset_known_peers_stuck_in_kex",
    help: "Known peers with a connection that sent its banner and then, for five seconds or more, nothing: what a path that eats large inbound packets looks like. From the collector sockets.",
    type: "gauge",
    labels: [],
  },
  {
    name: "sshreset_state_commit_success",
    help: "1 if the last commit of the state directory succeeded. 0: counters go on, and are read again from the older position after a restart.",
    type: "gauge",
    labels: [],
  },
  {
    name: "sshreset_state_commits_total",
    help: "Commits of the state directory, by result.",
    type: "counter",
    labels: ["result"],
    values: { result: ["success", "error"] },
  },
  {
    name: "sshreset_config_last_reload_successful",
    help: "1 if the configuration was good when it was last read. 0: a reload failed and the configuration before it is in force.",
    type: "gauge",
    labels: [],
  },
  {
    name: "sshreset_cause_active",
    help: "1 while this exporter itself judges the cause to be at work, by the same conditions as the alert rules.",
    type: "gauge",
    labels: ["cause"],
  },
  {
    name: "sshreset_cause_observable",
    help: "1 if what this host grants is enough to judge the cause at all. 0: not seen is not absent.",
    type: "gauge",
    labels: ["cause"],
  },
  {
    name: "process_cpu_seconds_total",
    help: "User and system CPU time of this exporter.",
    type: "counter",
    labels: [],
  },
  { name: "process_resident_memory_bytes", help: "Resident memory of this exporter.", type: "gauge", labels: [] },
  {
    name: "process_start_time_seconds",
    help: "When this exporter was started, in seconds since 1970.",
    type: "gauge",
    labels: [],
  },
] as const satisfies readonly MetricDef[];
