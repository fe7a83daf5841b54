/**
 * The kernel's own counters of resets, retransmissions and path MTU: /proc/net/snmp, /proc/net/netstat and
 * /proc/net/snmp6 (Documentation/networking/snmp_counter.rst, RFC 1213, RFC 4293). They count all TCP of this network
 * namespace, not only SSH: they are what is left where reset events cannot be traced, and prove that nothing was missed.
 */
import { join } from "node:path";
import type { Collector, CollectorContext, CollectorModule, Missing } from "../model/collector.ts";
import type { MetricDef, Sample } from "../model/metric.ts";
import { KernelFile, parseCount, quote } from "./kernel-file.ts";

interface Counter {
  readonly metric: string;
  /** `Table.Field` of /proc/net/snmp or netstat, or a name of /proc/net/snmp6. */
  readonly field: string;
  readonly family?: "ipv4" | "ipv6";
  readonly help: string;
}

const families = ["ipv4", "ipv6"] as const;
const everyTcp = "All TCP connections of this network namespace, not only SSH.";

const counters: readonly Counter[] = [
  {
    metric: "tcp_established_resets",
    field: "Tcp.EstabResets",
    help: `Established connections that ended at once, by a reset received or sent. ${everyTcp}`,
  },
  {
    metric: "tcp_rst_segments_sent",
    field: "Tcp.OutRsts",
    help: `Segments sent with the RST flag, answers to packets for closed ports among them. ${everyTcp}`,
  },
  {
    metric: "tcp_attempt_failures",
    field: "Tcp.AttemptFails",
    help: `Connections that ended while still being opened, by a reset or a timeout. ${everyTcp}`,
  },
  { metric: "tcp_retransmitted_segments", field: "Tcp.RetransSegs", help: `Segments sent again. ${everyTcp}` },
  {
    metric: "tcp_embryonic_resets",
    field: "TcpExt.EmbryonicRsts",
    help: `Resets received for connections in SYN_RECV: the peer gave up before the handshake was complete. ${everyTcp}`,
  },
  {
    metric: "tcp_aborts_on_data",
    field: "TcpExt.TCPAbortOnData",
    help: `Resets sent because data came for a socket that was closed, as when sshd's process ends in mid-session. ${everyTcp}`,
  },
  {
    metric: "tcp_aborts_on_close",
    field: "TcpExt.TCPAbortOnClose",
    help: `Resets sent because the program closed with data unread, as MaxStartups and TCP wrappers do. ${everyTcp}`,
  },
  {
    metric: "tcp_aborts_on_memory",
    field: "TcpExt.TCPAbortOnMemory",
    help: `Connections ended because TCP ran out of memory or had too many orphans. ${everyTcp}`,
  },
  {
    metric: "tcp_aborts_on_timeout",
    field: "TcpExt.TCPAbortOnTimeout",
    help: `Connections given up because a timer ran out, mostly a peer that answered no more. ${everyTcp}`,
  },
  {
    metric: "tcp_aborts_on_linger",
    field: "TcpExt.TCPAbortOnLinger",
    help: `Orphaned connections ended in FIN_WAIT_2. ${everyTcp}`,
  },
  {
    metric: "tcp_aborts_failed",
    field: "TcpExt.TCPAbortFailed",
    help: `Resets that should have been sent and could not. ${everyTcp}`,
  },
  {
    metric: "tcp_retransmission_timeouts",
    field: "TcpExt.TCPTimeouts",
    help: `Retransmission timeouts: nothing came back for a whole timer. ${everyTcp}`,
  },
  {
    metric: "tcp_lost_retransmits",
    field: "TcpExt.TCPLostRetransmit",
    help: `Retransmitted segments that were lost again. ${everyTcp}`,
  },
  {
    metric: "tcp_challenge_acks",
    field: "TcpExt.TCPChallengeACK",
    help: `Challenge ACKs sent (RFC 5961): resets or SYNs that did not fit, spoofed ones among them. ${everyTcp}`,
  },
  {
    metric: "tcp_listen_overflows",
    field: "TcpExt.ListenOverflows",
    help: `Connections dropped because the program's accept queue was full. ${everyTcp}`,
  },
  {
    metric: "tcp_listen_drops",
    field: "TcpExt.ListenDrops",
    help: `Connections dropped at a listening socket, for any reason. ${everyTcp}`,
  },
  {
    metric: "path_mtu_failures",
    field: "TcpExt.TCPMTUPFail",
    help: `Packet size probes that failed: larger segments do not pass. Moves only with tcp_mtu_probing on. ${everyTcp}`,
  },
  {
    metric: "path_mtu_probe_successes",
    field: "TcpExt.TCPMTUPSuccess",
    help: `Packet size probes that passed. Moves only with tcp_mtu_probing on. ${everyTcp}`,
  },
  {
    metric: "ip_fragmentation_failures",
    field: "Ip.FragFails",
    family: "ipv4",
    help: "Packets too large to forward or send whole that could not be fragmented.",
  },
  { metric: "ip_fragmentation_failures", field: "Ip6FragFails", family: "ipv6", help: "" },
  {
    metric: "icmp_destination_unreachable_received",
    field: "Icmp.InDestUnreachs",
    family: "ipv4",
    help: "ICMP messages received that say a packet did not arrive. IPv4's `fragmentation needed` (packet too big) is one of them.",
  },
  { metric: "icmp_destination_unreachable_received", field: "Icmp6InDestUnreachs", family: "ipv6", help: "" },
  {
    metric: "icmp_destination_unreachable_sent",
    field: "Icmp.OutDestUnreachs",
    family: "ipv4",
    help: "ICMP messages sent that say a packet did not arrive.",
  },
  { metric: "icmp_destination_unreachable_sent", field: "Icmp6OutDestUnreachs", family: "ipv6", help: "" },
  {
    metric: "icmp_packet_too_big_received",
    field: "Icmp6InPktTooBigs",
    help: "ICMPv6 `packet too big` received: a router on the path takes only smaller packets. IPv4 has no counter of its own for it.",
  },
  {
    metric: "icmp_packet_too_big_sent",
    field: "Icmp6OutPktTooBigs",
    help: "ICMPv6 `packet too big` sent: this host forwards to a link that takes only smaller packets.",
  },
];

function definition({ metric, field, family, help }: Counter): MetricDef {
  const file = field.startsWith("TcpExt.") ? "netstat" : field.includes(".") ? "snmp" : "snmp6";
  const source = `${field.replace(".", " ")} of /proc/net/${file}, Documentation/networking/snmp_counter.rst`;
  return {
    name: `sshreset_${metric}_total`,
    help: `${help} (${source})`,
    type: "counter",
    labels: family === undefined ? [] : ["family"],
    ...(family === undefined ? {} : { values: { family: families } }),
  };
}

export const tcpCounters: CollectorModule = {
  name: "tcp_counters",
  summary: "the kernel's counters of resets, retransmissions, fragmentation and ICMP",
  enabled: true,
  metrics: counters.filter(({ help }) => help !== "").map(definition),
  create: createTcpCounters,
};

function createTcpCounters({ paths }: CollectorContext): Collector {
  const snmp = new KernelFile(join(paths.procfs, "net/snmp"));
  const netstat = new KernelFile(join(paths.procfs, "net/netstat"));
  const snmp6 = new KernelFile(join(paths.procfs, "net/snmp6"));
  return {
    read() {
      const snmpText = snmp.read();
      const netstatText = netstat.read();
      if (snmpText === undefined || netstatText === undefined) {
        return { status: "absent", reason: `${snmp.path} is not there`, grant: "mount procfs, or set --path.procfs" };
      }
      const values = new Map([...parseSnmp(snmpText, snmp.path), ...parseSnmp(netstatText, netstat.path)]);
      const snmp6Text = snmp6.read();
      const missing: Missing[] = [];
      if (snmp6Text === undefined) missing.push({ reason: `${snmp6.path} is not there: IPv6 is off` });
      else for (const [name, value] of parseSnmp6(snmp6Text, snmp6.path)) values.set(name, value);
      return { status: "ok", samples: counterSamples(values), missing };
    },
  };
}

function counterSamples(values: ReadonlyMap<string, string>): Sample[] {
  const samples: Sample[] = [];
  for (const { metric, field, family } of counters) {
    const text = values.get(field);
    if (text === undefined) continue; // this kernel does not count it
    const value = parseCount(text, field.replace(".", " "));
    samples.push({ name: `sshreset_${metric}_total`, ...(family === undefined ? {} : { labels: { family } }), value });
  }
  return samples;
}

/** `Tcp:` to the names in that table that are read here, each with its `Table.Field`. */
const fieldsByTable = new Map<string, Map<string, string>>();
for (const { field } of counters) {
  const [table = "", name] = field.split(".");
  if (name === undefined) continue;
  const names = fieldsByTable.get(`${table}:`) ?? new Map<string, string>();
  fieldsByTable.set(`${table}:`, names.set(name, field));
}

/** `Table.Field` of what is read here to its value, of pairs of lines `Tcp: names` and `Tcp: values`. */
export function parseSnmp(text: string, path: string): Map<string, string> {
  const values = new Map<string, string>();
  const lines = text.trimEnd().split("\n");
  for (let index = 0; index < lines.length; index += 2) {
    const names = lines[index]?.split(" ") ?? [];
    const numbers = lines[index + 1]?.split(" ") ?? [];
    const table = names[0] ?? "";
    if (!/^\w+:$/.test(table) || numbers[0] !== table || numbers.length !== names.length) {
      throw new Error(`${path}: ${quote(lines[index])} and the line after it are no table`);
    }
    const wanted = fieldsByTable.get(table);
    if (wanted === undefined) continue;
    for (let column = 1; column < names.length; column++) {
      const field = wanted.get(names[column] ?? "");
      if (field !== undefined) values.set(field, numbers[column] ?? "");
    }
  }
  return values;
}

/** Name to value, of lines `Ip6FragFails    0`. */
export function parseSnmp6(text: string, path: string): Map<string, string> {
  const values = new Map<string, string>();
  for (const line of text.trimEnd().split("\n")) {
    const pair = /^(\w+)\s+(-?\w+)\s*$/.exec(line);
    if (pair === null) throw new Error(`${path}: ${quote(line)} is no name and count`);
    values.set(pair[1] ?? "", pair[2] ?? "");
  }
  return values;
}
