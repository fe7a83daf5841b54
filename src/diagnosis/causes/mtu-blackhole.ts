/** Step 4: large packets vanish on the path and nobody says so; small ones pass, so it connects and then hangs. */
import type { Cause } from "../cause.ts";
import { gauge, increase, or, series } from "../condition.ts";
import { collected } from "../observable.ts";

export const mtuBlackhole: Cause = {
  id: "mtu_blackhole",
  alert: "SshResetMtuBlackhole",
  step: 4,
  title: "the path eats large packets",
  summary: "Full-size segments to SSH peers are lost again and again while small ones pass.",
  explanation:
    "The login hangs in key exchange, or a session hangs at its first large output, until one side gives up. A link on the way has a smaller MTU and its ICMP messages are filtered. A path MTU that was learned is healthy.",
  severity: "critical",
  evidence: or(
    gauge(series("ssh_sockets_full_size_stuck", { small_segments: ["delivered"] }), ">", "sockets"),
    gauge(series("known_peers_stuck_in_kex"), ">", "stuckPeers"),
    increase(series("path_mtu_failures_total"), 10, ">=", "probes"),
  ),
  thresholds: {
    sockets: {
      value: 0,
      unit: "SSH connections whose full-size segments are lost while small ones pass",
      reason: "The collector counts only repeated timeouts of full-size segments: congestion loses small ones too.",
    },
    stuckPeers: {
      value: 1,
      unit: "known peers stuck in key exchange with nothing received since the banner",
      reason: "Several peers: the other direction leaves nothing in our retransmits. One may be a dead client.",
    },
    probes: {
      value: 3,
      unit: "path MTU probes that failed in 10 minutes",
      reason: "Counted only where tcp_mtu_probing is on; one or two are ordinary loss.",
    },
  },
  forSeconds: 60,
  keepSeconds: 600,
  explains: [
    { phases: ["kex", "auth"], outcomes: ["reset", "closed", "timeout", "disconnect"] },
    { phases: ["session"], outcomes: ["closed", "timeout"] },
  ],
  inhibits: ["login_timeout"],
  ...collected("sockets", "let it read SSH sockets: the program ss (iproute2)"),
  next: [
    {
      run: "ping -M do -s 1472 -c 3 PEER",
      shows: "No answer where `-s 1372` is answered: the path is narrower than 1500.",
    },
    {
      run: "tracepath -n PEER",
      shows: "`pmtu` where it is learned; silence after a hop is the blackhole (ssh has no option for this).",
    },
    {
      run: "ss -tino state established '( sport = :22 )'",
      shows: "`backoff`, `retrans`, `lost` on a connection whose `pmtu` is still the interface's.",
    },
    { run: "ip route get PEER; ip -s link", shows: "A learned `mtu`, and the interfaces' own." },
  ],
  references: ["RFC 2923", "RFC 4821", "Documentation/networking/ip-sysctl.rst, tcp_mtu_probing"],
};
