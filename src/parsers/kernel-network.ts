/**
 * What the kernel says about the network: tables full, memory short, links and cards failing. Gives kernel.*.
 * Texts: net/netfilter/nf_conntrack_core.c, net/ipv4/tcp_input.c, tcp.c, net/core/neighbour.c, net/sched/sch_generic.c,
 * drivers; net_ratelimit() hides repeats and says how many (lib/ratelimit.c).
 */
import type { Event } from "../model/event.ts";
import { readPort } from "./address.ts";
import { noted, readCount, says } from "./wording.ts";

export const kernelNetwork = [
  says({
    id: "conntrack-table-full",
    versions: "2.6+",
    origin: "net/netfilter/nf_conntrack_core.c __nf_conntrack_alloc",
    starts: ["nf_conntrack: ", "ip_conntrack: "],
    read({ rest }) {
      const found = /^(?:nf_conntrack: )?table full(?: in netns (\d{1,10}))?, dropping packet\.?$/.exec(rest);
      if (found === null) return undefined;
      return { kind: "kernel.conntrack_full", ...(found[1] !== undefined && { netNamespace: Number(found[1]) }) };
    },
  }),
  says({
    id: "conntrack-detail",
    versions: "all",
    origin: "net/netfilter; helpers and allocation",
    starts: ["nf_conntrack: ", "nf_conntrack version "],
    read: ({ rest }) =>
      /^(?:nf_conntrack: )?(?:expectation table full|falling back to vmalloc|default automatic helper|\d|automatic helper)/.test(
        rest,
      )
        ? noted
        : undefined,
  }),
  says({
    id: "callbacks-suppressed",
    versions: "2.6+",
    origin: "lib/ratelimit.c ___ratelimit",
    starts: [""],
    read({ record: { message } }) {
      if (!message.endsWith(" callbacks suppressed")) return undefined;
      const count = readCount(/^[\w.]{1,60}: (\d{1,9}) callbacks suppressed$/.exec(message)?.[1] ?? "");
      return count === undefined ? undefined : { kind: "kernel.suppressed", count };
    },
  }),
  says({
    id: "tcp-out-of-memory",
    versions: "2.6+",
    origin: "net/ipv4/tcp.c tcp_check_oom",
    starts: ["TCP: out of memory -- consider tuning tcp_mem"],
    read: () => ({ kind: "kernel.tcp_memory", what: "memory" }),
  }),
  says({
    id: "tcp-orphans",
    versions: "2.6+",
    origin: "net/ipv4/tcp.c tcp_check_oom",
    starts: ["TCP: too many orphaned sockets", "TCP: too many of orphaned sockets"],
    read: () => ({ kind: "kernel.tcp_memory", what: "orphans" }),
  }),
  says({
    id: "tcp-syn-flood",
    versions: "2.6+",
    origin: "net/ipv4/tcp_input.c tcp_syn_flood_action; once per listener",
    starts: ["TCP: ", "TCPv6: ", "possible SYN flooding on port ", "Possible SYN flooding on port "],
    read: ({ record }) => synFlood(record.message),
  }),
  says({
    id: "tcp-noise",
    versions: "2.6+",
    origin: "net/ipv4/tcp_input.c, tcp_timer.c; peers that misbehave",
    starts: ["TCP: Peer ", "TCP: tcp_parse_options: ", "TCP: eth", "TCP: ens", "TCP: enp"],
    read: () => noted,
  }),
  says({
    id: "neighbour-table-overflow",
    versions: "2.6+",
    origin: "net/core/neighbour.c neigh_alloc",
    starts: ["neighbour: ", "Neighbour table overflow"],
    read: ({ record }) =>
      /^(?:neighbour: (?:arp_cache|ndisc_cache): neighbor table overflow!|Neighbour table overflow\.)$/.test(
        record.message,
      )
        ? { kind: "kernel.neighbour_overflow" }
        : undefined,
  }),
  says({
    id: "netdev-watchdog",
    versions: "2.6+",
    origin: "net/sched/sch_generic.c dev_watchdog",
    starts: [""],
    read({ record: { message } }) {
      if (!message.includes("NETDEV WATCHDOG: ")) return undefined;
      const found =
        /^NETDEV WATCHDOG: (\S{1,15}) \([^)]{0,40}\): transmit queue \d{1,5} timed out/.exec(message) ??
        /^\S{1,40} \S{1,40} (\S{1,15}): NETDEV WATCHDOG: CPU: \d{1,5}: transmit queue \d{1,5} timed out/.exec(message);
      return nicReset(found?.[1]);
    },
  }),
  says({
    id: "nic-reset",
    versions: "all",
    origin: "drivers/net: virtio_net, ena, e1000e, igb, ixgbe, gve, hv_netvsc",
    starts: ["virtio_net ", "ena ", "e1000", "igb", "ixgbe", "gve ", "hv_netvsc "],
    read({ record: { message } }) {
      const found =
        /^[a-z0-9_]{1,20} \S{1,40} (\S{1,15}): (?:TX timeout on queue: \d|Device reset completed successfully|Reset attempt failed\.|Reset adapter|Performing reset|Data path switched from VF: )/.exec(
          message,
        );
      return nicReset(found?.[1]);
    },
  }),
  says({
    id: "link-state",
    versions: "all",
    origin: "drivers/net, net/ipv6/addrconf.c, drivers/net/bonding",
    starts: [""],
    read: ({ record }) => linkState(record.message),
  }),
];

function synFlood(message: string): Event | undefined {
  const found =
    /^(?:TCP(?:v6)?: )?(?:(?:request_sock_)?TCP(?:v6)?: )?[Pp]ossible SYN flooding on port (?:\d{1,3}(?:\.\d{1,3}){3}:|\[[0-9a-f:]{2,45}\]:)?(\d{1,5})\. (?:Sending cookies|Dropping request)\.(?: {2}Check SNMP counters\.)?$/.exec(
      message,
    );
  const port = readPort(found?.[1] ?? "");
  return port === undefined ? undefined : { kind: "kernel.syn_flood", port };
}

function nicReset(name: string | undefined): Event | undefined {
  return name === undefined || !isInterface(name) ? undefined : { kind: "kernel.nic_reset", interface: name };
}

/** net/core/dev.c dev_valid_name, less what only a prankster uses. */
function isInterface(name: string): boolean {
  return /^[A-Za-z0-9][\w.@-]{0,14}$/.test(name);
}

// What may follow is spelled out: a process named `eth0 link up` begins lines too.
const linkForms = [
  /^(?:IPv6: )?ADDRCONF\(NETDEV_CHANGE\): ([\w.@-]{1,15}): link (becomes) ready$/,
  /^[\w.@-]{1,15}: \(slave ([\w.@-]{1,15})\): link status definitely (down|up)\b/,
  /^([\w.@-]{1,15}): carrier (lost)$/,
  /^(?:\S{1,30}: )?(?:\S{1,30} \S{1,40} )?([\w.@-]{1,15}):? (?:[a-z0-9]{1,10}: [\w.@-]{1,15} )?(?:NIC )?[Ll]ink (?:is )?([Dd]own|DOWN|[Uu]p|UP)(?:$|(?:,| -)? \d{1,7} ?[MG]bps)/,
];

function linkState(message: string): Event | undefined {
  if (!message.includes("ink ") && !message.endsWith(": carrier lost")) return undefined;
  for (const form of linkForms) {
    const found = form.exec(message.slice(0, 256));
    const name = found?.[1];
    if (found === null || name === undefined || !isInterface(name)) continue;
    const word = found[2]?.toLowerCase();
    return { kind: "kernel.link", interface: name, up: word === "up" || word === "becomes" };
  }
  return undefined;
}
