/** This process itself, under the names that Prometheus client libraries use. */
import type { Sample } from "../model/metric.ts";

const startedSeconds = Date.now() / 1000 - process.uptime();

export function processSamples(): Sample[] {
  const { user, system } = process.cpuUsage();
  return [
    { name: "process_cpu_seconds_total", value: (user + system) / 1e6 },
    { name: "process_resident_memory_bytes", value: process.memoryUsage.rss() },
    { name: "process_start_time_seconds", value: startedSeconds },
  ];
}
