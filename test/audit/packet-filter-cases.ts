/**
 * Rule sets of nftables and iptables with the answers expected of the audit. PEER, PEER6 and OTHER are the client's
 * addresses, SERVER and SERVER6 the server's. The kernel's own answers are held against the same expectations, and what
 * its programs print of these rules is kept in test/fixtures/audit/packet-filters.json.
 */
import type { Decision } from "../../src/audit/answer.ts";

export interface FilterCase {
  readonly name: string;
  readonly program: "nft" | "iptables" | "ip6tables";
  readonly rules: string;
  readonly from?: "PEER" | "OTHER" | "PEER6";
  readonly port?: number;
  readonly connect: Decision;
  readonly reply?: Decision;
  readonly established?: Decision;
  /** The audit is asked without --interface and --local: these rule sets it cannot tell. */
  readonly unaided?: Decision;
}

const nftInput = (rules: string, policy = "accept"): string =>
  `table inet filter {\n chain input {\n  type filter hook input priority 0; policy ${policy};\n  ${rules}\n }\n}`;
const filterTable = (rules: string, policy = "ACCEPT", chains = ""): string =>
  `*filter\n:INPUT ${policy} [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n${chains}${rules}\nCOMMIT\n`;
const stateful = "ct state established,related accept";
const statefulTables = "-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n";

const nft: readonly Omit<FilterCase, "program">[] = [
  { name: "no rule at all", rules: "table inet filter { }", connect: "pass" },
  { name: "an empty chain that accepts", rules: nftInput(""), connect: "pass" },
  { name: "an empty chain that drops", rules: nftInput("", "drop"), connect: "dropped", established: "dropped" },
  { name: "stateful, port admitted", rules: nftInput(`${stateful}\n tcp dport 22 accept`, "drop"), connect: "pass" },
  {
    name: "new connections only",
    rules: nftInput("tcp dport 22 ct state new accept", "drop"),
    connect: "pass",
    established: "dropped",
  },
  {
    name: "another port admitted",
    rules: nftInput(`${stateful}\n tcp dport { 80, 443 } accept`, "drop"),
    connect: "dropped",
  },
  {
    name: "peer's address in a set with prefixes",
    rules: nftInput("ip saddr { PEER/24, 192.0.2.1 } tcp dport 22 drop"),
    connect: "dropped",
    established: "dropped",
  },
  {
    name: "another address is not in the set",
    rules: nftInput("ip saddr { PEER, 192.0.2.1 } tcp dport 22 drop"),
    from: "OTHER",
    connect: "pass",
  },
  {
    name: "a named set of intervals",
    rules: `table ip filter {
 set allowed { type ipv4_addr; flags interval; elements = { PEER-OTHER } }
 chain input { type filter hook input priority 0; policy drop; ip saddr @allowed accept; }
}`,
    connect: "pass",
  },
  {
    name: "not in a named set",
    rules: `table ip filter {
 set allowed { type ipv4_addr; elements = { OTHER } }
 chain input { type filter hook input priority 0; policy accept; ip saddr != @allowed tcp dport 22 reject; }
}`,
    connect: "rejected",
    established: "rejected",
  },
  {
    name: "reject with tcp reset",
    rules: nftInput("tcp dport 22 ct state new reject with tcp reset"),
    connect: "reset",
  },
  {
    name: "reject by ICMP",
    rules: nftInput("tcp dport 22 ct state new reject with icmpx admin-prohibited"),
    connect: "rejected",
  },
  {
    name: "a chain that returns, and then the policy",
    rules: `table inet filter {
 chain ssh { ip saddr OTHER return; accept; }
 chain input { type filter hook input priority 0; policy drop; tcp dport 22 jump ssh; }
}`,
    from: "OTHER",
    connect: "dropped",
    established: "dropped",
  },
  {
    name: "a jump that accepts",
    rules: `table inet filter {
 chain ssh { ip saddr OTHER return; accept; }
 chain input { type filter hook input priority 0; policy drop; tcp dport 22 jump ssh; }
}`,
    connect: "pass",
  },
  {
    name: "goto does not come back",
    rules: `table inet filter {
 chain ssh { ip saddr OTHER accept; }
 chain input { type filter hook input priority 0; policy drop; tcp dport 22 goto ssh; accept; }
}`,
    connect: "dropped",
    established: "dropped",
  },
  {
    name: "an accept does not end the next base chain",
    rules: `table inet first { chain input { type filter hook input priority -10; tcp dport 22 accept; }
}
table inet second { chain input { type filter hook input priority 10; tcp dport 22 drop; }
}`,
    connect: "dropped",
    established: "dropped",
  },
  {
    name: "a drop before all others",
    rules: `table inet first { chain pre { type filter hook prerouting priority -300; ip saddr PEER drop; }
}
table inet second { chain input { type filter hook input priority 10; tcp dport 22 accept; }
}`,
    connect: "dropped",
    established: "dropped",
  },
  {
    name: "a verdict map of ports",
    rules: nftInput("tcp dport vmap { 22 : drop, 80 : accept }"),
    connect: "dropped",
    established: "dropped",
  },
  {
    name: "a verdict map of states",
    rules: nftInput(
      "ct state vmap { established : accept, related : accept, invalid : drop }\n tcp dport 22 accept",
      "drop",
    ),
    connect: "pass",
  },
  {
    name: "a named verdict map that jumps",
    rules: `table inet filter {
 map ports { type inet_service : verdict; elements = { 22 : jump ssh } }
 chain ssh { ip saddr OTHER accept; drop; }
 chain input { type filter hook input priority 0; tcp dport vmap @ports; }
}`,
    from: "OTHER",
    connect: "pass",
  },
  {
    name: "address and port together in a set",
    rules: `table inet filter {
 set pairs { type ipv4_addr . inet_service; elements = { PEER . 22 } }
 chain input { type filter hook input priority 0; policy drop; ip saddr . tcp dport @pairs accept; }
}`,
    connect: "pass",
  },
  {
    name: "a rate limit that accepts what is below",
    rules: nftInput(`${stateful}\n tcp dport 22 limit rate 100/minute burst 50 packets accept`, "drop"),
    connect: "pass",
  },
  {
    name: "a limit of connections not yet reached",
    rules: nftInput("tcp dport 22 ct state new ct count over 30 reject with tcp reset"),
    connect: "pass",
  },
  {
    name: "a meter by address not yet reached",
    rules: nftInput(
      "tcp dport 22 ct state new meter ssh4 { ip saddr limit rate over 100/minute burst 100 packets } drop",
    ),
    connect: "pass",
  },
  {
    name: "SYN by its flags under a mask",
    rules: nftInput("tcp dport 22 tcp flags & (fin|syn|rst|ack) == syn drop"),
    connect: "dropped",
  },
  {
    name: "any packet with SYN, answers included",
    rules: `table inet filter { chain output { type filter hook output priority 0; tcp sport 22 tcp flags syn drop; }
}`,
    connect: "pass",
    reply: "dropped",
  },
  {
    name: "answers only from the established state",
    rules: `table inet filter { chain output { type filter hook output priority 0; policy drop; ct state established accept; }
}`,
    connect: "pass",
  },
  {
    name: "untracked SSH that a stateful filter then drops",
    rules: `table inet raw { chain pre { type filter hook prerouting priority -300; tcp dport 22 notrack; }
}
table inet filter { chain input { type filter hook input priority 0; policy drop; ct state established,related,new accept; }
}`,
    connect: "dropped",
    established: "dropped",
  },
  {
    name: "the interface by name",
    rules: nftInput('iifname "s0" tcp dport 22 drop'),
    connect: "dropped",
    established: "dropped",
    unaided: "unknown",
  },
  {
    name: "another interface",
    rules: nftInput('iifname "lo" accept\n iifname "wg*" tcp dport 22 accept\n tcp dport 22 drop'),
    connect: "dropped",
    established: "dropped",
    unaided: "unknown",
  },
  {
    name: "the server's own address",
    rules: nftInput("ip daddr SERVER tcp dport 22 accept\n drop"),
    connect: "pass",
    unaided: "unknown",
  },
  {
    name: "IPv6 is not meant by an IPv4 address",
    rules: nftInput("ip saddr PEER tcp dport 22 drop"),
    from: "PEER6",
    connect: "pass",
  },
  {
    name: "IPv6 by its prefix",
    rules: nftInput("ip6 saddr PEER6/64 tcp dport 22 reject with tcp reset"),
    from: "PEER6",
    connect: "reset",
    established: "reset",
  },
  {
    name: "a table of the other protocol",
    rules: `table ip6 filter { chain input { type filter hook input priority 0; policy drop; }
}`,
    connect: "pass",
  },
  {
    name: "protocols that are not TCP",
    rules: nftInput("meta l4proto { icmp, udp } drop\n udp dport 22 drop\n ip protocol icmp drop"),
    connect: "pass",
  },
  {
    name: "a port that is redirected to sshd",
    rules: `table ip nat { chain pre { type nat hook prerouting priority -100; tcp dport 2222 redirect to :22; }
}
table ip filter { chain input { type filter hook input priority 0; policy drop; tcp dport 22 accept; }
}`,
    port: 2222,
    connect: "pass",
  },
  {
    name: "ports above a number",
    rules: nftInput("tcp dport < 1024 tcp sport > 1023 drop"),
    connect: "dropped",
    established: "dropped",
  },
  {
    name: "the address is one of this host",
    rules: nftInput("fib daddr type local tcp dport 22 accept\n drop"),
    connect: "pass",
  },
];

const iptables: readonly Omit<FilterCase, "program">[] = [
  { name: "nothing but policies", rules: filterTable(""), connect: "pass" },
  { name: "policy DROP", rules: filterTable("", "DROP"), connect: "dropped", established: "dropped" },
  {
    name: "stateful, port admitted",
    rules: filterTable(`${statefulTables}-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT`, "DROP"),
    connect: "pass",
  },
  {
    name: "NEW only",
    rules: filterTable("-A INPUT -p tcp -m state --state NEW -m tcp --dport 22 -j ACCEPT", "DROP"),
    connect: "pass",
    established: "dropped",
  },
  {
    name: "one source is refused with a reset",
    rules: filterTable("-A INPUT -s PEER/32 -p tcp -m tcp --dport 22 --syn -j REJECT --reject-with tcp-reset"),
    connect: "reset",
  },
  {
    name: "REJECT by ICMP, as firewalls end their chain",
    rules: filterTable(`${statefulTables}-A INPUT -j REJECT --reject-with icmp-host-prohibited`),
    connect: "rejected",
  },
  {
    name: "all but one source",
    rules: filterTable("-A INPUT ! -s PEER/32 -p tcp -m tcp --dport 22 -j DROP"),
    from: "OTHER",
    connect: "dropped",
    established: "dropped",
  },
  {
    name: "a chain of its own that returns",
    rules: filterTable(
      "-A INPUT -p tcp -m tcp --dport 22 -j SSH\n-A INPUT -j DROP\n-A SSH -s OTHER/32 -j ACCEPT\n-A SSH -j RETURN",
      "ACCEPT",
      ":SSH - [0:0]\n",
    ),
    connect: "dropped",
    established: "dropped",
  },
  {
    name: "goto, then the policy",
    rules: filterTable(
      "-A INPUT -p tcp -m tcp --dport 22 -g SSH\n-A INPUT -j ACCEPT\n-A SSH -s OTHER/32 -j ACCEPT",
      "DROP",
      ":SSH - [0:0]\n",
    ),
    connect: "dropped",
    established: "dropped",
  },
  {
    name: "multiport",
    rules: filterTable("-A INPUT -p tcp -m multiport --dports 21:23,80 -j DROP"),
    connect: "dropped",
    established: "dropped",
  },
  {
    name: "a range of addresses",
    rules: filterTable("-A INPUT -m iprange --src-range PEER-OTHER -j DROP"),
    connect: "dropped",
    established: "dropped",
  },
  {
    name: "connlimit not yet reached",
    rules: filterTable("-A INPUT -p tcp --syn -m connlimit --connlimit-above 30 -j REJECT --reject-with tcp-reset"),
    connect: "pass",
  },
  {
    name: "recent not yet reached",
    rules: filterTable(
      "-A INPUT -p tcp --syn -m recent --name ssh --set\n-A INPUT -p tcp --syn -m recent --name ssh --update --seconds 60 --hitcount 20 -j DROP",
    ),
    connect: "pass",
  },
  {
    name: "limit accepts what is below",
    rules: filterTable(
      `${statefulTables}-A INPUT -p tcp --syn -m limit --limit 100/minute --limit-burst 50 -j ACCEPT`,
      "DROP",
    ),
    connect: "pass",
  },
  {
    name: "hashlimit above",
    rules: filterTable(
      "-A INPUT -p tcp --syn -m hashlimit --hashlimit-above 100/minute --hashlimit-burst 100 --hashlimit-mode srcip --hashlimit-name ssh -j DROP",
    ),
    connect: "pass",
  },
  {
    name: "SYN by mask and comparison",
    rules: filterTable("-A INPUT -p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -j DROP"),
    connect: "dropped",
  },
  {
    name: "answers dropped on their way out",
    rules: filterTable("-A OUTPUT -p tcp -m tcp --sport 22 -d PEER/32 -j DROP"),
    connect: "pass",
    reply: "dropped",
  },
  {
    name: "NOTRACK and a stateful filter",
    rules: `*raw\n:PREROUTING ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n-A PREROUTING -p tcp -m tcp --dport 22 -j CT --notrack\nCOMMIT\n${filterTable("-A INPUT -m conntrack --ctstate NEW,ESTABLISHED -j ACCEPT", "DROP")}`,
    connect: "dropped",
    established: "dropped",
  },
  {
    name: "a mark of the mangle table",
    rules: `*mangle\n:PREROUTING ACCEPT [0:0]\n:INPUT ACCEPT [0:0]\n-A PREROUTING -s PEER/32 -j DROP\nCOMMIT\n${filterTable("")}`,
    connect: "dropped",
    established: "dropped",
  },
  {
    name: "the interface by name",
    rules: filterTable(
      "-A INPUT -i lo -j ACCEPT\n-A INPUT -i s+ -p tcp -m tcp --dport 22 -j REJECT --reject-with tcp-reset",
    ),
    connect: "reset",
    established: "reset",
    unaided: "unknown",
  },
  {
    name: "a comment with quotes, and a log before the drop",
    rules: filterTable(
      '-A INPUT -p tcp -m comment --comment "no \\"ssh\\" -j ACCEPT" -j LOG --log-prefix "x -j ACCEPT "\n-A INPUT -p tcp -m tcp --dport 22 -j DROP',
    ),
    connect: "dropped",
    established: "dropped",
  },
  {
    name: "REDIRECT of another port",
    rules: `*nat\n:PREROUTING ACCEPT [0:0]\n:INPUT ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\n-A PREROUTING -p tcp -m tcp --dport 2222 -j REDIRECT --to-ports 22\nCOMMIT\n${filterTable("-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT", "DROP")}`,
    port: 2222,
    connect: "pass",
  },
];

const ip6tables: readonly Omit<FilterCase, "program">[] = [
  {
    name: "IPv6 from a prefix",
    rules: filterTable("-A INPUT -s PEER6/64 -p tcp -m tcp --dport 22 -j REJECT --reject-with tcp-reset"),
    from: "PEER6",
    connect: "reset",
    established: "reset",
  },
  {
    name: "IPv6 from another prefix",
    rules: filterTable("-A INPUT -s 2001:db8::/32 -p tcp -m tcp --dport 22 -j DROP"),
    from: "PEER6",
    connect: "pass",
  },
];

export const filterCases: readonly FilterCase[] = [
  ...nft.map((each) => ({ ...each, program: "nft" as const })),
  ...iptables.map((each) => ({ ...each, program: "iptables" as const })),
  ...ip6tables.map((each) => ({ ...each, program: "ip6tables" as const })),
];
export const titleOf = ({ program, name }: FilterCase): string => `${program}: ${name}`;
