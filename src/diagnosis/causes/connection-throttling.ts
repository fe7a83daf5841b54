/** Beyond the checklist: MaxStartups, PerSourceMaxStartups, PerSourcePenalties turn known peers away. */
import type { Cause } from "../cause.ts";
import { and, increase, or, series } from "../condition.ts";
import { journalOrFiles } from "../observable.ts";
import { atTheDoor } from "../scope.ts";

export const connectionThrottling: Cause = {
  id: "connection_throttling",
  alert: "SshdConnectionThrottling",
  step: "beyond",
  title: "sshd throttles connections",
  summary: "sshd drops connections of known peers: MaxStartups, PerSourceMaxStartups or PerSourcePenalties.",
  explanation:
    "Beyond MaxStartups (10:30:100) unauthenticated connections sshd drops new ones at random, then all; since 9.8 an address that misbehaved is dropped for a while. The client reads a reset or a close before the banner. It is the commonest cause, and before 10.0 sshd names only one of many drops.",
  severity: "critical",
  evidence: or(
    increase(series("connections_ended_total", { outcome: ["dropped"], peer_class: ["known"] }), 10, ">=", "known"),
    and(
      increase(series("connections_dropped_total"), 10, ">=", "drops"),
      increase(
        series("connections_ended_total", { outcome: ["reset"], peer_class: ["known"], phase: ["connect", "banner"] }),
        10,
        ">=",
        "turnedAway",
      ),
    ),
  ),
  thresholds: {
    known: {
      value: 1,
      unit: "connections of known peers dropped in 10 minutes",
      reason:
        "sshd names one of many: one named known peer stands for several. Scanners that are dropped are no fault.",
    },
    drops: {
      value: 1,
      unit: "connections dropped by sshd in 10 minutes",
      reason: "Counts only with known peers turned away.",
    },
    turnedAway: {
      value: 2,
      unit: "known peers' connections reset before the banner in 10 minutes",
      reason: "What the kernel sees of drops that sshd did not name.",
    },
  },
  forSeconds: 0,
  keepSeconds: 300,
  explains: atTheDoor,
  inhibits: [],
  ...journalOrFiles,
  next: [
    {
      run: "journalctl -u ssh -u sshd --since -1h | grep -E 'drop connection|MaxStartups|penalty'",
      shows: "`past MaxStartups`, `Maxstartups`, `penalty: ...`: which limit, and whom.",
    },
    { run: "sshd -T | grep -iE 'maxstartups|persource'", shows: "The limits in force." },
    {
      run: "ss -Htn state established '( sport = :22 )' | awk '{print $4}' | sort | uniq -c | sort -rn | head",
      shows: "Who holds the connections.",
    },
    {
      run: "ps -eo pid,etimes,args | grep -E '\\[(preauth|net|accepted|listener)\\]'",
      shows: "How many connections wait unauthenticated.",
    },
  ],
  references: ["sshd_config(5), MaxStartups, PerSourceMaxStartups, PerSourcePenalties"],
};
