/** Step 5: resets that the peer did not send: a firewall, IDS or balancer on the way forged them. */
import type { Cause } from "../cause.ts";
import { and, increase, series } from "../condition.ts";
import { collected } from "../observable.ts";

export const middleboxReset: Cause = {
  id: "middlebox_reset",
  alert: "SshResetMiddlebox",
  step: 5,
  title: "a device on the path sends resets",
  summary: "Resets arrive with a TTL that the peer's own segments never had.",
  explanation:
    "A firewall, IDS or load balancer between us and the peer cuts the connection in the peer's name. The log reads exactly like a client's reset: only the TTL (hop limit) tells, and only resets that the kernel accepted are counted.",
  severity: "critical",
  evidence: and(
    increase(series("middlebox_resets_total"), 5, ">=", "resets"),
    increase(series("connections_ended_total", { outcome: ["reset"], peer_class: ["known"] }), 10, ">=", "harmed"),
  ),
  thresholds: {
    harmed: {
      value: 2,
      unit: "connections of known peers reset in 10 minutes",
      reason: "Scanners' resets have odd TTLs too.",
    },
    resets: {
      value: 3,
      unit: "resets in 5 minutes with a TTL that differs by 3 or more from the same connection's segments",
      reason: "Paths change and NAT mixes TTLs: single ones prove nothing.",
    },
  },
  forSeconds: 0,
  keepSeconds: 180,
  explains: [{ phases: ["connect", "banner", "kex", "auth", "session", "unknown"], outcomes: ["reset"] }],
  inhibits: [],
  ...collected("reset_ttl", "ssh-reset-exporter observe install (adds an nftables table that drops nothing)"),
  next: [
    { run: "ssh-reset-exporter observe show", shows: "Resets and segments by address and TTL." },
    {
      run: "tcpdump -nvi any 'tcp port 22 and tcp[tcpflags] & tcp-rst != 0'",
      shows: "`ttl` of the reset against `ttl` of the peer's other packets.",
    },
    { run: "traceroute -n PEER", shows: "How many hops away the device is: the difference of the TTLs." },
  ],
  references: ["RFC 9293, section 3.5.3", "RFC 3360"],
};
