/**
 * What the kernel's log says about connection tracking, memory, links and limits. Most of these lines are rate-limited
 * or printed once: counts are lower bounds unless their help says otherwise.
 * Source: net/netfilter/nf_conntrack_core.c, net/ipv4/tcp.c, tcp_input.c, net/core/neighbour.c, kernel/cgroup/pids.c,
 * fs/file_table.c, net/core/utils.c (net_ratelimit: ten lines in five seconds).
 */
import type { Event, EventKind } from "../model/event.ts";
import type { MetricDef, Sample } from "../model/metric.ts";
import type { LogRecord } from "../model/record.ts";
import { amount, object, orNull, time } from "../model/saved.ts";
import { Counters } from "./counters.ts";
import { restoreAll, snapshotAll, type Tally } from "./tally.ts";

const lowerBound = "A lower bound: the kernel limits the rate of this line.";

export const conntrackFull: MetricDef = {
  name: "sshreset_conntrack_table_full_total",
  help:
    "New connections dropped because the connection tracking table was full, from the kernel's log, with the suppressed " +
    "repeats that net_ratelimit reports within 10 s of such a line (they may include other network messages). A lower bound. Of " +
    "other network namespaces' tables, which newer kernels name, nothing is counted.",
  type: "counter",
  labels: [],
};
export const tcpMemory: MetricDef = {
  name: "sshreset_tcp_memory_events_total",
  help: `Kernel lines about TCP out of memory (tcp_mem) or too many orphaned sockets; it then resets connections. ${lowerBound}`,
  type: "counter",
  labels: ["what"],
  values: { what: ["memory", "orphans"] },
};
export const synFloods: MetricDef = {
  name: "sshreset_syn_flood_warnings_total",
  help: "Kernel warnings of a possible SYN flood on one of sshd's ports. Printed once per listening socket.",
  type: "counter",
  labels: [],
};
export const neighbourOverflows: MetricDef = {
  name: "sshreset_neighbour_table_overflows_total",
  help: `Kernel lines about a full neighbour (ARP, NDP) table. ${lowerBound}`,
  type: "counter",
  labels: [],
};
export const linkDowns: MetricDef = {
  name: "sshreset_link_down_total",
  help: "Times that a network interface lost its link, from the kernel's log; which one: sshreset_interface_carrier_changes_total.",
  type: "counter",
  labels: [],
};
export const nicResets: MetricDef = {
  name: "sshreset_nic_resets_total",
  help: "Transmit timeouts and resets of network adapters, from the kernel's log.",
  type: "counter",
  labels: [],
};
export const forkRejections: MetricDef = {
  name: "sshreset_fork_rejections_total",
  help: "Kernel lines about a fork refused by the pids controller (TasksMax), by cgroup. Printed once per cgroup.",
  type: "counter",
  labels: ["cgroup"],
  values: { cgroup: ["sshd", "other"] },
};
export const fileMax: MetricDef = {
  name: "sshreset_file_max_reached_total",
  help: "Kernel lines about the system's limit of open files (fs.file-max). Printed only at a new high.",
  type: "counter",
  labels: [],
};
export const hungTasks: MetricDef = {
  name: "sshreset_sshd_hung_tasks_total",
  help: "Kernel lines about an sshd process blocked for minutes (hung_task_timeout_secs).",
  type: "counter",
  labels: [],
};

const suppressedWindowMs = 10_000;

export class KernelTally implements Tally {
  readonly kinds: readonly EventKind[] = [
    "kernel.conntrack_full",
    "kernel.suppressed",
    "kernel.tcp_memory",
    "kernel.syn_flood",
    "kernel.neighbour_overflow",
    "kernel.link",
    "kernel.nic_reset",
    "kernel.fork_rejected",
    "kernel.file_max",
    "kernel.hung_task",
  ];
  readonly #counters = {
    conntrackFull: new Counters(conntrackFull),
    tcpMemory: new Counters(tcpMemory),
    synFloods: new Counters(synFloods),
    neighbourOverflows: new Counters(neighbourOverflows),
    linkDowns: new Counters(linkDowns),
    nicResets: new Counters(nicResets),
    forkRejections: new Counters(forkRejections),
    fileMax: new Counters(fileMax),
    hungTasks: new Counters(hungTasks),
  };
  readonly #netNamespace: number | undefined;
  #conntrackFullMs = Number.NEGATIVE_INFINITY;
  /** Suppressed lines that no table full line is near to yet: the kernel prints their number before the next one. */
  #suppressed: { timeMs: number; count: number } | undefined;

  /** `netNamespace`: inode of the network namespace that is watched; undefined counts every one's. */
  constructor(netNamespace?: number) {
    this.#netNamespace = netNamespace;
  }

  handle(event: Event, { timeMs, count }: LogRecord): void {
    const counters = this.#counters;
    switch (event.kind) {
      case "kernel.conntrack_full":
        if (isForeign(event.netNamespace, this.#netNamespace)) {
          // So are the suppressed lines that were told before it.
          this.#suppressed = undefined;
          return;
        }
        counters.conntrackFull.add(count);
        this.#conntrackFullMs = timeMs;
        if (this.#suppressed && timeMs - this.#suppressed.timeMs <= suppressedWindowMs) {
          counters.conntrackFull.add(this.#suppressed.count);
        }
        this.#suppressed = undefined;
        return;
      case "kernel.suppressed":
        if (Math.abs(timeMs - this.#conntrackFullMs) <= suppressedWindowMs)
          counters.conntrackFull.add(event.count * count);
        else this.#suppressed = { timeMs, count: event.count * count };
        return;
      case "kernel.tcp_memory":
        counters.tcpMemory.add(count, event.what);
        return;
      case "kernel.syn_flood":
        counters.synFloods.add(count);
        return;
      case "kernel.neighbour_overflow":
        counters.neighbourOverflows.add(count);
        return;
      case "kernel.link":
        if (!event.up) counters.linkDowns.add(count);
        return;
      case "kernel.nic_reset":
        counters.nicResets.add(count);
        return;
      case "kernel.fork_rejected":
        counters.forkRejections.add(count, event.sshdCgroup ? "sshd" : "other");
        return;
      case "kernel.file_max":
        counters.fileMax.add(count);
        return;
      case "kernel.hung_task":
        counters.hungTasks.add(count);
        return;
    }
  }

  samples(): Sample[] {
    return Object.values(this.#counters).flatMap((counters) => counters.samples());
  }

  snapshot(): unknown {
    return {
      ...snapshotAll(this.#counters),
      conntrackFullMs: this.#conntrackFullMs === Number.NEGATIVE_INFINITY ? null : this.#conntrackFullMs,
      suppressed: this.#suppressed ?? null,
    };
  }

  restore(saved: unknown): void {
    restoreAll(this.#counters, saved);
    const state = object({
      conntrackFullMs: orNull(time),
      suppressed: orNull(object({ timeMs: time, count: amount })),
    })(saved, "kernel");
    this.#conntrackFullMs = state.conntrackFullMs ?? Number.NEGATIVE_INFINITY;
    this.#suppressed = state.suppressed ?? undefined;
  }
}

export const kernelMetrics = [
  conntrackFull,
  tcpMemory,
  synFloods,
  neighbourOverflows,
  linkDowns,
  nicResets,
  forkRejections,
  fileMax,
  hungTasks,
];

/** The ring buffer is the machine's: the table may be a container's, or that of the host around this one. */
export const isForeign = (netNamespace: number | undefined, own: number | undefined): boolean =>
  netNamespace !== undefined && own !== undefined && netNamespace !== own;
