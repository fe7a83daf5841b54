/**
 * Memory, load, CPUs and pressure: /proc/meminfo and /proc/loadavg (proc(5)), /sys/devices/system/cpu/online,
 * /proc/pressure/{cpu,memory,io} (Documentation/accounting/psi.rst; since 4.20, on some distributions switched off).
 * A host short of memory or CPU answers late: logins time out long before anything is killed.
 */
import { join } from "node:path";
import type { Collector, CollectorContext, CollectorModule, Missing } from "../model/collector.ts";
import type { Sample } from "../model/metric.ts";
import { KernelFile, parseCount, quote } from "./kernel-file.ts";

const resources = ["cpu", "memory", "io"] as const;

export const memory: CollectorModule = {
  name: "memory",
  summary: "memory, load, CPUs and pressure stall information",
  enabled: true,
  metrics: [
    {
      name: "sshreset_memory_total_bytes",
      help: "Memory that the kernel can use (MemTotal of /proc/meminfo).",
      type: "gauge",
      labels: [],
    },
    {
      name: "sshreset_memory_available_bytes",
      help: "Memory that could be had without swapping (MemAvailable of /proc/meminfo).",
      type: "gauge",
      labels: [],
    },
    { name: "sshreset_load1", help: "Load average over one minute (/proc/loadavg).", type: "gauge", labels: [] },
    { name: "sshreset_cpus", help: "CPUs online (/sys/devices/system/cpu/online).", type: "gauge", labels: [] },
    {
      name: "sshreset_pressure_stalled_seconds_total",
      help: "Time in which at least one task waited for the resource (`some` of /proc/pressure/RESOURCE). Not there where the kernel runs without PSI.",
      type: "counter",
      labels: ["resource"],
      values: { resource: resources },
    },
  ],
  create: createMemory,
};

function createMemory({ paths }: CollectorContext): Collector {
  const meminfo = new KernelFile(join(paths.procfs, "meminfo"));
  const loadavg = new KernelFile(join(paths.procfs, "loadavg"));
  const online = new KernelFile(join(paths.sysfs, "devices/system/cpu/online"));
  const pressure = resources.map((resource) => ({
    resource,
    file: new KernelFile(join(paths.procfs, "pressure", resource)),
  }));
  return {
    read() {
      const memText = meminfo.read();
      const loadText = loadavg.read();
      if (memText === undefined || loadText === undefined) {
        return {
          status: "absent",
          reason: `${paths.procfs} has no meminfo`,
          grant: "mount procfs, or set --path.procfs",
        };
      }
      const { totalBytes, availableBytes } = parseMeminfo(memText, meminfo.path);
      const samples: Sample[] = [
        { name: "sshreset_memory_total_bytes", value: totalBytes },
        { name: "sshreset_load1", value: parseLoad1(loadText, loadavg.path) },
      ];
      const missing: Missing[] = [];
      if (availableBytes === undefined)
        missing.push({ reason: `${meminfo.path} has no MemAvailable (Linux before 3.14)` });
      else samples.push({ name: "sshreset_memory_available_bytes", value: availableBytes });
      const cpuList = online.read();
      if (cpuList === undefined)
        missing.push({ reason: `${online.path} is not there`, grant: "mount sysfs, or set --path.sysfs" });
      else samples.push({ name: "sshreset_cpus", value: parseCpuList(cpuList, online.path) });
      for (const { resource, file } of pressure) {
        const text = file.read();
        if (text === undefined) {
          missing.push({ reason: `${file.path} is not there`, grant: "boot with psi=1" });
          continue;
        }
        const value = parsePressure(text, file.path);
        samples.push({ name: "sshreset_pressure_stalled_seconds_total", labels: { resource }, value });
      }
      return { status: "ok", samples, missing };
    },
  };
}

/** MemAvailable is undefined before Linux 3.14. Throws without MemTotal. */
export function parseMeminfo(text: string, path: string): { totalBytes: number; availableBytes?: number } {
  const field = (name: string) => {
    const line = new RegExp(`^${name}:(.*)$`, "m").exec(text);
    if (line === null) return undefined;
    const kib = /^\s+(\d{1,20}) kB$/.exec(line[1] ?? "");
    if (kib === null) throw new Error(`${path}: ${name} ${quote(line[1])} is no count of kB`);
    return Number(kib[1]) * 1024;
  };
  const totalBytes = field("MemTotal");
  const availableBytes = field("MemAvailable");
  if (totalBytes === undefined) throw new Error(`${path}: no MemTotal in ${quote(text)}`);
  return availableBytes === undefined ? { totalBytes } : { totalBytes, availableBytes };
}

export function parseLoad1(text: string, path: string): number {
  const load = /^(\d+\.\d+) \d+\.\d+ \d+\.\d+ \d+\/\d+ \d+\s*$/.exec(text);
  if (load === null) throw new Error(`${path}: ${quote(text)} is no load average`);
  return Number(load[1]);
}

/** The number of CPUs in a list such as `0-3,8`. */
export function parseCpuList(text: string, path: string): number {
  let cpus = 0;
  for (const part of text.trim().split(",")) {
    const range = /^(\d{1,6})(?:-(\d{1,6}))?$/.exec(part);
    if (range === null) throw new Error(`${path}: ${quote(text)} is no list of CPUs`);
    cpus += range[2] === undefined ? 1 : Number(range[2]) - Number(range[1]) + 1;
  }
  return cpus;
}

/** Seconds of the line `some avg10=0.00 avg60=0.00 avg300=0.00 total=<microseconds>`. */
export function parsePressure(text: string, path: string): number {
  const total = /^some .*\btotal=(\S*)$/m.exec(text);
  if (total === null) throw new Error(`${path}: no line "some ... total=" in ${quote(text)}`);
  return parseCount(total[1], `${path}: total`) / 1e6;
}
