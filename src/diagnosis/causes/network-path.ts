/** Beyond the checklist: links flap, network cards reset, packets are damaged or lost in numbers. */
import type { Cause } from "../cause.ts";
import { and, increase, or, ratio, series } from "../condition.ts";
import { collected } from "../observable.ts";

// The kernel log's counters have no series before their first event, and PromQL sees no increase in that one;
// carrier changes are there from the start.
const links = or(
  increase(series("interface_carrier_changes_total"), 10, ">=", "carrier"),
  increase(series("link_down_total"), 10, ">=", "links"),
  increase(series("nic_resets_total"), 10, ">=", "cards"),
);
const harmed = increase(
  series("connections_ended_total", { outcome: ["reset", "timeout"], peer_class: ["known"] }),
  10,
  ">=",
  "harmed",
);

export const networkPath: Cause = {
  id: "network_path",
  alert: "SshResetNetworkPath",
  step: "beyond",
  title: "the network is at fault",
  summary: "A link or network card fails, or packets arrive damaged, while known peers are cut.",
  explanation:
    "A link that goes down and up, a network card that hangs, or a path that damages packets (sshd: `Corrupted MAC on input`) cuts whatever runs over it. It counts only when known peers were cut at the same time.",
  severity: "critical",
  evidence: or(
    and(links, harmed),
    and(
      increase(series("integrity_errors_total"), 10, ">=", "damaged"),
      increase(
        series("connections_ended_total", {
          outcome: ["error"],
          peer_class: ["known"],
          phase: ["kex", "auth", "session"],
        }),
        10,
        ">=",
        "errors",
      ),
    ),
    and(
      ratio(series("ssh_sockets_in_backoff"), series("ssh_sockets", { state: ["established"] }), ">", "backoff"),
      harmed,
    ),
  ),
  thresholds: {
    links: {
      value: 1,
      unit: "times in 10 minutes that a link went down",
      reason: "A server's link does not go down in health.",
    },
    carrier: {
      value: 1,
      unit: "times in 10 minutes that a network interface lost or found its carrier",
      reason: "A server's link does neither in health.",
    },
    backoff: {
      value: 0.5,
      unit: "of the SSH connections send the same segment again and again",
      reason: "Half of all: one or two dead clients on an idle host do not page, since known peers must be harmed too.",
    },
    harmed: {
      value: 2,
      unit: "connections of known peers in 10 minutes that ended by a reset or a timeout",
      reason: "A flap that nobody felt, or of a link that carries no SSH, is no cause.",
    },
    cards: { value: 1, unit: "resets of network cards in 10 minutes", reason: "The driver's own alarm." },
    errors: {
      value: 2,
      unit: "connections of known peers in 10 minutes that ended with an error",
      reason: "Scanners send garbage all day: damage counts only where known peers are hit.",
    },
    damaged: {
      value: 2,
      unit: "connections in 10 minutes that ended with damaged packets",
      reason: "One may be a broken client.",
    },
  },
  forSeconds: 0,
  keepSeconds: 540,
  explains: [
    {
      phases: ["connect", "banner", "kex", "auth", "session", "unknown"],
      outcomes: ["reset", "closed", "timeout", "error", "disconnect"],
    },
  ],
  explainsWhen: and(links, harmed),
  inhibits: ["login_timeout"],
  ...collected("interfaces", "mount sysfs, or set --path.sysfs"),
  next: [
    {
      run: "journalctl -k --since -1h | grep -Ei 'link is (up|down)|NETDEV WATCHDOG|reset adapter'",
      shows: "Flaps and resets of network cards.",
    },
    { run: "ip -s -s link show", shows: "Errors, drops and carrier changes per interface." },
    { run: "ethtool -S IFACE | grep -iE 'err|drop|crc' | grep -v ': 0$'", shows: "The card's own counters." },
    { run: "mtr -rwzc 100 PEER", shows: "Where on the path packets are lost." },
  ],
  references: ["Documentation/networking/statistics.rst", "ip-link(8)"],
};
