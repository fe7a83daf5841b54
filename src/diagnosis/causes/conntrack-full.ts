/** Step 5: the connection-tracking table of this host is full, or nearly. */
import type { Cause } from "../cause.ts";
import { increase, or, ratio, series } from "../condition.ts";
import { collected } from "../observable.ts";
import { settingUp } from "../scope.ts";

const drops = or(
  increase(series("conntrack_drops_total"), 5, ">=", "drops"),
  increase(series("conntrack_table_full_total"), 5, ">=", "messages"),
);

export const conntrackFull: Cause = {
  id: "conntrack_full",
  alert: "SshResetConntrackFull",
  step: 5,
  title: "the connection-tracking table is full",
  summary: "The connection-tracking table is full or close to its limit.",
  explanation:
    "A full table drops the packets of new connections: clients hang and give up. Connections that stand keep their entry. It fills for minutes before it is full: this is the time to act.",
  severity: "critical",
  evidence: or(ratio(series("conntrack_entries"), series("conntrack_entries_limit"), ">", "entries"), drops),
  stay: ratio(series("conntrack_entries"), series("conntrack_entries_limit"), ">", "entriesAgain"),
  thresholds: {
    entries: {
      value: 0.85,
      unit: "of the connection-tracking table in use",
      reason: "Leading: minutes before the first drop.",
    },
    entriesAgain: {
      value: 0.75,
      unit: "of the connection-tracking table in use",
      reason: "Hysteresis: not before there is room again.",
    },
    drops: {
      value: 3,
      unit: "packets dropped by connection tracking in 5 minutes",
      reason: "Single drops happen with clashing entries.",
    },
    messages: {
      value: 1,
      unit: "messages `table full` in 5 minutes",
      reason: "The kernel's own word; rate-limited, so a lower bound.",
    },
  },
  forSeconds: 0,
  keepSeconds: 600,
  explains: settingUp,
  explainsWhen: drops,
  inhibits: ["middlebox_reset", "login_timeout"],
  ...collected(
    "conntrack",
    "where nf_conntrack is not loaded it cannot be full; else read access to /proc/sys/net/netfilter",
  ),
  next: [
    {
      run: "sysctl net.netfilter.nf_conntrack_count net.netfilter.nf_conntrack_max",
      shows: "Entries against the limit.",
    },
    {
      run: "journalctl -k --since -1h | grep -c 'table full'",
      shows: "How often the kernel said it; lines are rate-limited.",
    },
    { run: "conntrack -S", shows: "`drop` and `insert_failed` per CPU (package conntrack)." },
    {
      run: "conntrack -L 2>/dev/null | awk '{print $3, $4}' | sort | uniq -c | sort -rn | head",
      shows: "Which protocol and state fill it. Costly on a large table.",
    },
  ],
  references: ["Documentation/networking/nf_conntrack-sysctl.rst"],
};
