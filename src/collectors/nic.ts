/**
 * What network drivers dropped, and how often they reset their device, from `ethtool -S`. Names by driver:
 * hv_netvsc (drivers/net/hyperv/netvsc_drv.c), mana (.../microsoft/mana/mana_ethtool.c), gve (.../google/gve/gve_ethtool.c),
 * ena (.../amazon/ena/ena_ethtool.c), virtio_net (drivers/net/virtio_net.c); of other drivers the totals whose name says
 * dropped or discarded. Requeued packets (`tx_busy`) are no drops.
 */
import type { CollectorModule } from "../model/collector.ts";
import type { Sample } from "../model/metric.ts";
import { type InterfaceStatistics, statisticsReader } from "./ethtool.ts";

type Reason =
  | "no_memory"
  | "no_buffers"
  | "too_big"
  | "checksum"
  | "error"
  | "disabled"
  | "enforcement"
  | "vf"
  | "dropped";
type Table = readonly (readonly [name: RegExp, counts: Reason | "reset"])[];

/** The first row that matches counts; each row is one that no other row of its driver contains. */
const tables: Readonly<Record<string, Table>> = {
  ena: [
    [/^(tx_timeout|wd_expired)$/, "reset"],
    [/^rx_(page|skb)_alloc_fail$/, "no_memory"],
    [/^rx_bad_csum$/, "checksum"],
    [/^rx_bad_(desc_num|req_id)$/, "error"],
  ],
  hv_netvsc: [
    [/^[rt]x_no_memory$/, "no_memory"],
    [/^tx_no_space$/, "no_buffers"],
    [/^tx_too_big$/, "too_big"],
    [/^vlan_error$/, "error"],
    [/^vf_tx_dropped$/, "vf"],
  ],
  mana: [
    [/^hc_rx_discards_no_wqe$/, "no_buffers"],
    [/^hc_[rt]x_err_(vport|gf)_disabled$/, "disabled"],
    [/^hc_tx_err_\w+_enforcement$/, "enforcement"],
    [/^tx_cq_err$/, "error"],
    [/^hc_[rt]x_pkt_drop_phy$/, "dropped"],
  ],
  gve: [
    [/^(reset_cnt|tx_timeouts)$/, "reset"],
    [/^rx_(skb|buf)_alloc_fail$/, "no_memory"],
    [/^rx_(no_buffers_posted|queue_drop_cnt)$/, "no_buffers"],
    [/^rx_drops_packet_over_mru$/, "too_big"],
    [/^rx_drops_invalid_checksum$/, "checksum"],
    [/^rx_desc_err_dropped_pkt$/, "error"],
    [/^tx_dropped$/, "dropped"],
  ],
  virtio_net: [
    [/^tx_tx_timeouts$/, "reset"],
    [/^rx_hw_drop_overruns$/, "no_buffers"],
    [/^rx_drops$/, "dropped"],
  ],
};
const otherDrivers: Table = [
  [/^(rx|tx)_(drops?|dropped|discards?|discarded)(_packets|_pkts)?$/, "dropped"],
  [/^tx_timeouts?$/, "reset"],
];

export const nic: CollectorModule = {
  name: "nic",
  summary: "packets that network drivers dropped and resets of the device (`ethtool -S`)",
  enabled: true,
  metrics: [
    {
      name: "sshreset_interface_driver_drops_total",
      help: "Packets that the interface's driver or device dropped, by the driver's own reason.",
      type: "counter",
      labels: ["interface", "reason"],
    },
    {
      name: "sshreset_interface_driver_resets_total",
      help: "Transmit timeouts, watchdog expiries and resets of the interface's device that its driver counts.",
      type: "counter",
      labels: ["interface"],
    },
  ],
  create(context) {
    const { read, run } = statisticsReader(context, () => true, dropSamples);
    return {
      run,
      read: () => read({ reason: "no network driver of this host counts drops or resets" }),
    };
  },
};

export function dropSamples({ interface: name, driver, statistics }: InterfaceStatistics): readonly Sample[] {
  const table = (Object.hasOwn(tables, driver) ? tables[driver] : undefined) ?? otherDrivers;
  const counts = new Map<Reason | "reset", number>();
  for (const [statistic, value] of statistics) {
    const row = table.find(([pattern]) => pattern.test(statistic));
    if (row !== undefined) counts.set(row[1], (counts.get(row[1]) ?? 0) + value);
  }
  return [...counts].map(
    ([reason, value]): Sample =>
      reason === "reset"
        ? { name: "sshreset_interface_driver_resets_total", labels: { interface: name }, value }
        : { name: "sshreset_interface_driver_drops_total", labels: { interface: name, reason }, value },
  );
}
