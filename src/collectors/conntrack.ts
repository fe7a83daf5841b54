/**
 * Connection tracking: entries and limit from /proc/sys/net/netfilter/nf_conntrack_{count,max}
 * (Documentation/networking/nf_conntrack-sysctl.rst), events from /proc/net/stat/nf_conntrack by column name, summed over
 * CPUs. Most distribution kernels lack that file (CONFIG_NF_CONNTRACK_PROCFS); then `conntrack -S`, which asks the kernel by
 * netlink, runs in the background where permitted.
 * States of SSH entries are not read: that needs a walk over the whole table, which holds locks that packets wait for.
 */
import { join } from "node:path";
import type { Collector, CollectorContext, CollectorModule, Missing } from "../model/collector.ts";
import type { MetricDef, Sample } from "../model/metric.ts";
import { CommandMissing, Repeated, runCommand } from "./background.ts";
import { KernelFile, parseCount, quote } from "./kernel-file.ts";

const gauges: readonly MetricDef[] = [
  {
    name: "sshreset_conntrack_entries",
    help: "Connections in the connection tracking table of this network namespace (nf_conntrack_count). Entries of SSH are not counted apart: that would walk the whole table under its locks at every scrape.",
    type: "gauge",
    labels: [],
  },
  {
    name: "sshreset_conntrack_entries_limit",
    help: "Size of the connection tracking table (nf_conntrack_max); packets of new connections are dropped when it is full.",
    type: "gauge",
    labels: [],
  },
  {
    name: "sshreset_conntrack_info",
    help: "Always 1: where the connection tracking events come from, procfs (/proc/net/stat/nf_conntrack) or netlink (conntrack -S).",
    type: "gauge",
    labels: ["source"],
    values: { source: ["procfs", "netlink"] },
  },
];

/** `columns`: the name in /proc/net/stat/nf_conntrack of any kernel, and in `conntrack -S`. */
const events = [
  {
    metric: "drops",
    columns: ["drop"],
    help: "Packets dropped because no entry could be made: the table was full, or out of memory",
  },
  { metric: "early_drops", columns: ["early_drop"], help: "Entries thrown out early to make room in a full table" },
  {
    metric: "insert_failures",
    columns: ["insert_failed"],
    help: "Entries that could not be inserted, mostly two packets racing for one tuple",
  },
  { metric: "invalid", columns: ["invalid"], help: "Packets that could not be tracked" },
  { metric: "errors", columns: ["icmp_error", "error"], help: "Packets that failed the protocol's check" },
  { metric: "search_restarts", columns: ["search_restart"], help: "Lookups restarted because the table was resized" },
  {
    metric: "clashes_resolved",
    columns: ["clashres", "clash_resolve"],
    help: "Insert races resolved without a drop (5.10 and newer)",
  },
  {
    metric: "chains_too_long",
    columns: ["chainlength", "chaintoolong"],
    help: "Packets dropped because a hash chain was too long (5.15 and newer)",
  },
] as const;

const counters: readonly MetricDef[] = events.map(({ metric, columns, help }) => ({
  name: `sshreset_conntrack_${metric}_total`,
  help: `${help} (column ${columns[0]} of /proc/net/stat/nf_conntrack, all CPUs).`,
  type: "counter",
  labels: [],
}));

export const conntrack: CollectorModule = {
  name: "conntrack",
  summary: "connection tracking table: entries, limit, drops",
  enabled: true,
  metrics: [...gauges, ...counters],
  create: createConntrack,
};

function createConntrack({ paths, nowMs }: CollectorContext): Collector {
  const count = new KernelFile(join(paths.procfs, "sys/net/netfilter/nf_conntrack_count"));
  const limit = new KernelFile(join(paths.procfs, "sys/net/netfilter/nf_conntrack_max"));
  const stat = new KernelFile(join(paths.procfs, "net/stat/nf_conntrack"));
  const netlink = new Repeated(15_000, nowMs, async (signal) => {
    if (count.read() === undefined || stat.read() !== undefined) return undefined;
    return parseConntrackS(await runCommand("conntrack", ["-S"], { timeoutMs: 5_000, maxBytes: 1 << 20, signal }));
  });
  return {
    read() {
      const entries = count.read();
      const entriesLimit = limit.read();
      if (entries === undefined || entriesLimit === undefined) {
        return {
          status: "absent",
          reason: `${count.path} is not there: connection tracking is not loaded, so it cannot be full`,
        };
      }
      const samples: Sample[] = [
        { name: "sshreset_conntrack_entries", value: parseCount(entries.trim(), count.path) },
        { name: "sshreset_conntrack_entries_limit", value: parseCount(entriesLimit.trim(), limit.path) },
      ];
      const text = stat.read();
      if (text !== undefined) {
        samples.push(...eventSamples("procfs", parseConntrackStat(text, stat.path)));
        return { status: "ok", samples };
      }
      const { result } = netlink;
      if (result.state === "failed")
        return { status: "ok", samples, missing: [netlinkMissing(result.error, stat.path)] };
      if (result.state === "ok" && result.value) samples.push(...eventSamples("netlink", result.value));
      return { status: "ok", samples };
    },
    run: (signal) => netlink.run(signal),
  };
}

/** Column name to the sum over all CPUs. Throws on a header or value that is not the kernel's. */
export function parseConntrackStat(text: string, path: string): Map<string, number> {
  const [header, ...rows] = text.trimEnd().split("\n");
  const names = header?.trim().split(/\s+/) ?? [];
  if (names[0] !== "entries") throw new Error(`${path}: ${quote(header)} is no header`);
  const sums = new Map<string, number>(names.map((name) => [name, 0]));
  for (const row of rows) {
    const values = row.trim().split(/\s+/);
    if (values.length !== names.length)
      throw new Error(`${path}: ${quote(row)} has not the header's ${names.length} columns`);
    for (const [index, name] of names.entries()) {
      const value = values[index] ?? "";
      if (!/^[0-9a-f]{1,16}$/.test(value))
        throw new Error(`${path}: ${name.slice(0, 40)} ${quote(value)} is no hexadecimal count`);
      sums.set(name, (sums.get(name) ?? 0) + Number.parseInt(value, 16));
    }
  }
  return sums;
}

/** `cpu=0 found=0 ... drop=17 ...` per CPU (conntrack-tools), summed. */
export function parseConntrackS(text: string): Map<string, number> {
  const sums = new Map<string, number>();
  for (const line of text.split("\n")) {
    if (line.trim() === "") continue;
    if (!line.startsWith("cpu=")) throw new Error(`conntrack -S: ${quote(line)} is no line of a CPU`);
    for (const field of line.trim().split(/\s+/).slice(1)) {
      const [name = "", value] = field.split("=", 2);
      sums.set(name, (sums.get(name) ?? 0) + parseCount(value, `conntrack -S: ${name.slice(0, 40)}`));
    }
  }
  if (sums.size === 0) throw new Error("conntrack -S: no line of a CPU");
  return sums;
}

function eventSamples(source: "procfs" | "netlink", sums: ReadonlyMap<string, number>): Sample[] {
  const samples: Sample[] = [{ name: "sshreset_conntrack_info", labels: { source }, value: 1 }];
  for (const { metric, columns } of events) {
    const column = columns.find((name) => sums.has(name));
    if (column !== undefined)
      samples.push({ name: `sshreset_conntrack_${metric}_total`, value: sums.get(column) ?? 0 });
  }
  return samples;
}

function netlinkMissing(error: Error, statPath: string): Missing {
  return {
    reason: `no connection tracking drops: this kernel has no ${statPath}, and ${error.message}`,
    grant: error instanceof CommandMissing ? "install the conntrack program" : "let the exporter have CAP_NET_ADMIN",
  };
}
