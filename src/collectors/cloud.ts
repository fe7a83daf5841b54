/**
 * Allowances of a cloud instance, as its network driver counts them: packets that the cloud queued or dropped beyond
 * tracked connections, packets per second, bandwidth, link-local services. No log of the host shows these.
 * Sources: Amazon EC2 User Guide, "Monitor network performance for ENA settings" (driver 2.2.10; conntrack available:
 * 2.8.1); Virtual I/O Device specification 1.4, network device statistics (`hw_ratelimit_packets`, Linux 6.11).
 * Azure's and Google's drivers count no allowance: what they do count is the collector nic's.
 */
import type { CollectorModule } from "../model/collector.ts";
import type { Sample } from "../model/metric.ts";
import { type InterfaceStatistics, statisticsReader } from "./ethtool.ts";

type Allowance = "conntrack" | "pps" | "linklocal" | "bandwidth_in" | "bandwidth_out" | "rate_limit";

/** Driver, then its statistic to the allowance; several of one allowance add up. */
const allowances: Readonly<Record<string, Readonly<Record<string, Allowance>>>> = {
  ena: {
    conntrack_allowance_exceeded: "conntrack",
    pps_allowance_exceeded: "pps",
    linklocal_allowance_exceeded: "linklocal",
    bw_in_allowance_exceeded: "bandwidth_in",
    bw_out_allowance_exceeded: "bandwidth_out",
  },
  // The device does not tell whether packets or bytes per second were too many.
  virtio_net: { rx_hw_ratelimit_packets: "rate_limit", tx_hw_ratelimit_packets: "rate_limit" },
};

export const cloud: CollectorModule = {
  name: "cloud",
  summary: "allowances of a cloud instance that its network driver counts (`ethtool -S`)",
  enabled: true,
  metrics: [
    {
      name: "sshreset_cloud_allowance_exceeded_total",
      help: "Packets that the cloud queued or dropped because the instance was beyond an allowance: conntrack, pps, linklocal, bandwidth_in, bandwidth_out (AWS ENA), rate_limit (virtio).",
      type: "counter",
      labels: ["interface", "allowance"],
    },
    {
      name: "sshreset_cloud_conntrack_available",
      help: "Connections that the instance can still track before the cloud drops new ones (AWS ENA 2.8.1 or later).",
      type: "gauge",
      labels: ["interface"],
    },
  ],
  create(context) {
    const { read, run } = statisticsReader(context, (driver) => Object.hasOwn(allowances, driver), allowanceSamples);
    return {
      run,
      read: () =>
        read({
          reason: "no network driver of this host counts allowances",
          grant: "on AWS the ENA driver 2.2.10 or later; other clouds' drivers count none",
        }),
    };
  },
};

/** Nothing where the driver, or this release of it, counts none. */
export function allowanceSamples({ interface: name, driver, statistics }: InterfaceStatistics): readonly Sample[] {
  const counts = new Map<Allowance, number>();
  for (const [statistic, allowance] of Object.entries(allowances[driver] ?? {})) {
    const value = statistics.get(statistic);
    if (value !== undefined) counts.set(allowance, (counts.get(allowance) ?? 0) + value);
  }
  const samples = [...counts].map(([allowance, value]): Sample => {
    return { name: "sshreset_cloud_allowance_exceeded_total", labels: { interface: name, allowance }, value };
  });
  const available = driver === "ena" ? statistics.get("conntrack_allowance_available") : undefined;
  if (available === undefined) return samples;
  return [...samples, { name: "sshreset_cloud_conntrack_available", labels: { interface: name }, value: available }];
}
