/** Beyond the checklist: links flap, network cards reset, packets are damaged or lost in numbers. */
import type { Cause } from "../cause.ts";
import { increase, or, series } from "../condition.ts";
import { collected } from "../observable.ts";

export const networkPath: Cause = {
  id: "network_path",
  alert: "SshResetNetworkPath",
  step: "beyond",
  title: "the network is at fault",
  summary: "The interface that carries SSH flaps or resets, or SSH packets arrive damaged.",
  explanation:
    "A link that goes down and up, a network card that hangs, or a path that damages packets (sshd: `Corrupted MAC on input`) cuts whatever runs over it. Only the interface that carries SSH counts.",
  severity: "critical",
  evidence: or(
    increase(series("ssh_link_failures_total"), 10, ">=", "links"),
    increase(series("ssh_nic_resets_total"), 10, ">=", "cards"),
    increase(series("integrity_errors_total"), 10, ">=", "damaged"),
  ),
  thresholds: {
    links: {
      value: 1,
      unit: "times in 10 minutes that the link under SSH went down",
      reason: "A server's link does not go down in health.",
    },
    cards: { value: 1, unit: "resets of the network card under SSH in 10 minutes", reason: "The driver's own alarm." },
    damaged: {
      value: 2,
      unit: "connections in 10 minutes that ended with damaged packets",
      reason: "One may be a broken client.",
    },
  },
  forSeconds: 0,
  keepSeconds: 300,
  explains: [
    {
      phases: ["connect", "banner", "kex", "auth", "session", "unknown"],
      outcomes: ["reset", "closed", "timeout", "error", "disconnect"],
    },
  ],
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
