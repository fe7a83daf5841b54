/**
 * sshd itself: listening or not (/proc/net/tcp), its open files and tasks against their limits (/proc/PID/fd, limits,
 * cgroup), connections not yet authenticated (the listener's process title), and the limits it runs with: `sshd -T` where
 * permitted, `sshd -G` (9.3+), else sshd_config read by us, else the built-in values, marked as such.
 */
import { existsSync, readdirSync, statfsSync, statSync } from "node:fs";
import { join } from "node:path";
import type { Collector, CollectorContext, CollectorModule, HostPaths, Missing } from "../model/collector.ts";
import type { MetricDef, Sample } from "../model/metric.ts";
import { Repeated, runCommand } from "./background.ts";
import { memoryEvents, parseProcCgroup, readCgroup } from "./cgroup.ts";
import { isDenied, isGone, KernelFiles, quote, readKernelFile } from "./kernel-file.ts";
import { allListenedOn, configPathOf, findSshdPorts, parseListenerTitle, stillListening } from "./sshd-process.ts";
import { builtInSettings, parseConfigLines, readSshdConfig, type SshdSettings, settingsOf } from "./sshd-settings.ts";
import { SshdVersion } from "./sshd-version.ts";

const settingsEveryMs = 300_000;
const processEveryMs = 60_000;
const limits = { timeoutMs: 5_000, maxBytes: 1024 * 1024 };
const settingSources = ["sshd_t", "sshd_g", "sshd_config", "built_in"] as const;
type SettingSource = (typeof settingSources)[number];
const procfsType = 0x9fa0; // statfs(2) PROC_SUPER_MAGIC
const programs = ["/usr/sbin/sshd", "/usr/bin/sshd", "/usr/local/sbin/sshd"];
const asking = [
  ["sshd_t", "-T"],
  ["sshd_g", "-G"],
] as const;

const gauge = (name: string, help: string): MetricDef => ({
  name: `sshreset_${name}`,
  help,
  type: "gauge",
  labels: [],
});

export const sshd: CollectorModule = {
  name: "sshd",
  summary: "sshd: listening, open files, tasks, control group, and the limits of its configuration",
  enabled: true,
  metrics: [
    {
      name: "sshreset_sshd_info",
      help: "Always 1: the release of OpenSSH whose sshd is installed, as the program itself names it.",
      type: "gauge",
      labels: ["version"],
    },
    gauge("sshd_up", "1 if something listens on every port of sshd."),
    gauge("sshd_open_files", "Open files of sshd's listening process."),
    gauge("sshd_open_files_limit", "Most open files that sshd's listening process may have (soft limit)."),
    gauge("sshd_tasks", "Processes and threads in sshd's control group."),
    gauge(
      "sshd_tasks_limit",
      "Most processes and threads in sshd's control group (pids.max, TasksMax=). Not there without a limit.",
    ),
    gauge("sshd_memory_bytes", "Memory of sshd's control group."),
    gauge("sshd_memory_limit_bytes", "Most memory of sshd's control group (MemoryMax=). Not there without a limit."),
    {
      name: "sshreset_sshd_forks_refused_total",
      help: "Forks refused in sshd's control group because of its task limit (pids.events).",
      type: "counter",
      labels: [],
    },
    {
      name: "sshreset_sshd_memory_events_total",
      help: "Events of sshd's control group: high (slowed down), max (limit met), oom (no memory left), oom_kill (a process was killed). On version 1 only max (memory.failcnt) and oom_kill.",
      type: "counter",
      labels: ["event"],
      values: { event: memoryEvents },
    },
    gauge(
      "sshd_unauthenticated_connections",
      "Connections that have not authenticated yet, as sshd's process title says (since OpenSSH 8.2). MaxStartups counts these.",
    ),
    {
      name: "sshreset_sshd_settings_info",
      help: "Always 1: where sshd's settings were read: sshd_t (sshd -T), sshd_g (sshd -G), sshd_config (the file, parsed here), built_in (not readable: sshd's own values assumed).",
      type: "gauge",
      labels: ["source"],
      values: { source: settingSources },
    },
    gauge(
      "sshd_max_startups_begin",
      "MaxStartups: unauthenticated connections from which on new ones are dropped at random.",
    ),
    gauge("sshd_max_startups_rate_ratio", "MaxStartups: share of new connections dropped from there on."),
    gauge("sshd_max_startups_full", "MaxStartups: unauthenticated connections from which on all new ones are dropped."),
    gauge(
      "sshd_per_source_max_startups",
      "PerSourceMaxStartups: unauthenticated connections of one source. Not there without a limit.",
    ),
    gauge(
      "sshd_per_source_penalties",
      "1 if PerSourcePenalties are on (OpenSSH 9.8 and newer). Not there where it cannot be told.",
    ),
    gauge("sshd_login_grace_seconds", "LoginGraceTime: time to authenticate; 0 for no limit."),
    gauge(
      "sshd_client_alive_interval_seconds",
      "ClientAliveInterval: silence after which sshd asks the client for an answer; 0 for never.",
    ),
    gauge(
      "sshd_client_alive_count_max",
      "ClientAliveCountMax: questions without an answer after which sshd ends the session.",
    ),
    gauge("sshd_tcp_keepalive", "1 if TCPKeepAlive is on."),
    gauge(
      "tcp_keepalive_time_seconds",
      "net.ipv4.tcp_keepalive_time: silence after which the kernel sends its first probe where TCPKeepAlive is on.",
    ),
    gauge("sshd_use_dns", "1 if UseDNS is on: a slow resolver then delays every login."),
  ],
  create: createSshd,
};

interface Settings {
  readonly source: SettingSource;
  readonly settings: SshdSettings;
  /** Why no better source was used. */
  readonly missing: readonly Missing[];
}

function createSshd({ paths, nowMs, sshdPorts }: CollectorContext): Collector {
  const listener = new Repeated(processEveryMs, nowMs, () => findSshdPorts(paths, sshdPorts()));
  const settings = new Repeated(settingsEveryMs, nowMs, async (signal) =>
    readSettings(paths, (await findSshdPorts(paths, sshdPorts())).pid, signal),
  );
  const files = new KernelFiles();
  const installed = new SshdVersion(paths.rootfs);
  const version = new Repeated(settingsEveryMs, nowMs, async () => installed.read());
  return {
    read() {
      const found = listener.result.state === "ok" ? listener.result.value : undefined;
      const pid = found?.pid;
      const certain = found === undefined ? [] : stillListening(paths, found);
      // Restarted: look for the new process now, not in a minute.
      if (pid !== undefined && certain.length === 0) void listener.once();
      const up = isUp(paths.procfs, sshdPorts(), certain);
      const samples: Sample[] = [{ name: "sshreset_sshd_up", value: up ? 1 : 0 }];
      if (version.result.state === "ok" && version.result.value !== undefined)
        samples.push({ name: "sshreset_sshd_info", labels: { version: version.result.value }, value: 1 });
      const missing: Missing[] = [];
      const errors: string[] = [];
      if (pid !== undefined) {
        const part = readProcess(paths, pid, files);
        samples.push(...part.samples);
        missing.push(...part.missing);
      } else if (up) {
        missing.push({
          reason: "no process of sshd's listener was found",
          grant: "run as root, or with CAP_SYS_PTRACE",
        });
      }
      if (settings.result.state === "ok") {
        samples.push(
          ...settingSamples(settings.result.value),
          ...known("tcp_keepalive_time_seconds", keepAliveTime(paths)),
        );
        missing.push(...settings.result.value.missing);
      }
      for (const { result } of [listener, settings, version])
        if (result.state === "failed") errors.push(result.error.message);
      return { status: "ok", samples, missing, errors };
    },
    async run(signal) {
      await Promise.all([listener.run(signal), settings.run(signal), version.run(signal)]);
    },
  };
}

/** Every port of sshd is listened on, for certain or as /proc/net/tcp says. */
function isUp(procfs: string, ports: readonly number[], certain: readonly number[]): boolean {
  if (ports.length === 0 || ports.every((port) => certain.includes(port))) return ports.length > 0;
  return allListenedOn(procfs, ports);
}

/** Nothing of a process that has ended; what may not be read is missing. */
function readProcess(
  { procfs, sysfs }: HostPaths,
  pid: number,
  held: KernelFiles,
): { samples: Sample[]; missing: Missing[] } {
  const folder = join(procfs, String(pid));
  const title = parseListenerTitle(held.read(join(folder, "cmdline")) ?? "");
  const limitsText = held.read(join(folder, "limits"));
  const cgroupText = held.read(join(folder, "cgroup"));
  const cgroup =
    cgroupText === undefined
      ? undefined
      : readCgroup(sysfs, parseProcCgroup(cgroupText, join(folder, "cgroup")), held.read);
  held.endReading();
  const files = countOpenFiles(join(folder, "fd"));
  const samples = [
    ...known("sshd_unauthenticated_connections", title?.unauthenticated),
    ...known("sshd_open_files", files === "denied" ? undefined : files),
    ...known(
      "sshd_open_files_limit",
      limitsText === undefined ? undefined : parseOpenFilesLimit(limitsText, join(folder, "limits")),
    ),
    ...known("sshd_tasks", cgroup?.tasks),
    ...known("sshd_tasks_limit", cgroup?.tasksLimit),
    ...known("sshd_memory_bytes", cgroup?.memoryBytes),
    ...known("sshd_memory_limit_bytes", cgroup?.memoryLimitBytes),
    ...known("sshd_forks_refused_total", cgroup?.forksRefused),
    ...Object.entries(cgroup?.memoryEvents ?? {}).map(([event, value]) => ({
      name: "sshreset_sshd_memory_events_total",
      labels: { event },
      value,
    })),
  ];
  const denied = { reason: `${folder}/fd may not be read`, grant: "run as root, or with CAP_SYS_PTRACE" };
  return { samples, missing: files === "denied" ? [denied] : [] };
}

/** Since Linux 6.2 the size of /proc/PID/fd is the count; older ones say 0, and the entries are counted. */
function countOpenFiles(folder: string): number | "denied" | undefined {
  try {
    const size = statfsSync(folder).type === procfsType ? statSync(folder).size : 0;
    return size > 0 ? size : readdirSync(folder).length;
  } catch (error) {
    if (isDenied(error)) return "denied";
    if (isGone(error)) return undefined;
    throw error;
  }
}

/** The soft limit of `Max open files            1024                 524288               files`. */
export function parseOpenFilesLimit(text: string, path: string): number | undefined {
  const soft = /^Max open files +(\S+) /m.exec(text)?.[1];
  if (soft === "unlimited") return undefined;
  if (soft === undefined || !/^\d+$/.test(soft)) throw new Error(`${path}: no "Max open files" in ${quote(text)}`);
  return Number(soft);
}

/** The best source that this host grants, for the listener `pid`. Throws on a configuration that cannot be read as one. */
export async function readSettings(paths: HostPaths, pid: number | undefined, signal: AbortSignal): Promise<Settings> {
  const config = pid === undefined ? undefined : configOf(join(paths.procfs, String(pid)));
  const missing: Missing[] = [];
  const program = paths.rootfs === "/" ? programs.find(existsSync) : undefined;
  for (const [source, option] of program === undefined ? [] : asking) {
    try {
      const args = config === undefined ? [option] : [option, "-f", config];
      const text = await runCommand(program ?? "", args, { ...limits, signal });
      return { source, settings: settingsOf(parseConfigLines(text, `sshd ${option}`)), missing: [] };
    } catch (error) {
      missing.push({ reason: `sshd ${option}: ${error instanceof Error ? error.message : String(error)}` });
    }
  }
  try {
    const { found, lines } = readSshdConfig(paths.rootfs, config);
    if (found) return { source: "sshd_config", settings: { ...builtInSettings, ...settingsOf(lines) }, missing };
  } catch (error) {
    if (!isDenied(error)) throw error;
    missing.push({ reason: (error as Error).message, grant: "let the exporter read sshd_config" });
  }
  return { source: "built_in", settings: builtInSettings, missing };
}

/** Only root's word is taken for which file to read: anybody may call a process sshd. */
function configOf(folder: string): string | undefined {
  if (statSync(folder, { throwIfNoEntry: false })?.uid !== 0) return undefined;
  return configPathOf(readKernelFile(join(folder, "cmdline")) ?? "");
}

function settingSamples({ source, settings }: Settings): Sample[] {
  const { maxStartups, perSourceMaxStartups: perSource } = settings;
  const bit = (value: boolean | undefined) => (value === undefined ? undefined : Number(value));
  return [
    { name: "sshreset_sshd_settings_info", labels: { source }, value: 1 },
    ...known("sshd_max_startups_begin", maxStartups?.begin),
    ...known("sshd_max_startups_rate_ratio", maxStartups === undefined ? undefined : maxStartups.rate / 100),
    ...known("sshd_max_startups_full", maxStartups?.full),
    ...known("sshd_per_source_max_startups", perSource === "none" ? undefined : perSource),
    ...known("sshd_per_source_penalties", bit(settings.perSourcePenalties)),
    ...known("sshd_login_grace_seconds", settings.loginGraceSeconds),
    ...known("sshd_client_alive_interval_seconds", settings.clientAliveIntervalSeconds),
    ...known("sshd_client_alive_count_max", settings.clientAliveCountMax),
    ...known("sshd_tcp_keepalive", bit(settings.tcpKeepAlive)),
    ...known("sshd_use_dns", bit(settings.useDns)),
  ];
}

/** Undefined where there is no such file. Throws where it holds no number. */
function keepAliveTime({ procfs }: HostPaths): number | undefined {
  const path = join(procfs, "sys/net/ipv4/tcp_keepalive_time");
  const text = readKernelFile(path)?.trim();
  if (text === undefined) return undefined;
  if (!/^\d{1,9}$/.test(text)) throw new Error(`${path}: ${quote(text)} is no time`);
  return Number(text);
}

function known(name: string, value: number | undefined): Sample[] {
  return value === undefined ? [] : [{ name: `sshreset_${name}`, value }];
}
