/** Beyond the checklist: sshd's own limits turn a load balancer away, which then takes the server for down. */
import type { Cause } from "../cause.ts";
import { and, increase, or, series } from "../condition.ts";
import { journalOrFiles } from "../observable.ts";

const dropped = (...peer_class: string[]) => series("connections_ended_total", { outcome: ["dropped"], peer_class });

export const balancerThrottled: Cause = {
  id: "balancer_throttled",
  alert: "SshdTurnsBalancerAway",
  step: "beyond",
  title: "sshd turns a load balancer away",
  summary: "sshd drops a load balancer's connections or health checks: MaxStartups or PerSourcePenalties.",
  explanation:
    "A health check connects and leaves without logging in. Since 9.8 sshd penalises that address, and drops what comes from it for a while; a full MaxStartups drops it, too. The balancer takes the server for down and sends nobody there; where users come from the same address they are dropped as well.",
  severity: "warning",
  evidence: or(
    increase(dropped("proxy"), 10, ">=", "proxy"),
    increase(dropped("health_check"), 10, ">=", "check"),
    and(
      increase(series("proxy_server_changes_total", { to: ["down"] }), 10, ">=", "down"),
      increase(series("connections_dropped_total"), 10, ">=", "drops"),
    ),
  ),
  thresholds: {
    proxy: {
      value: 1,
      unit: "connections of a configured proxy dropped in 10 minutes",
      reason: "Everybody comes from it, and sshd names one of many.",
    },
    check: {
      value: 2,
      unit: "health checks dropped in 10 minutes",
      reason:
        "Balancers take a server for down after two or three. An address that only behaves like one is a reason to look.",
    },
    down: {
      value: 1,
      unit: "times haproxy took a server for down in 10 minutes",
      reason: "Its own log says so; counts only while sshd drops.",
    },
    drops: {
      value: 1,
      unit: "connections dropped by sshd in 10 minutes",
      reason: "Counts only with a server taken for down.",
    },
  },
  forSeconds: 0,
  keepSeconds: 300,
  // Whom a balancer does not send here leaves no end here.
  explains: [],
  inhibits: [],
  ...journalOrFiles,
  next: [
    {
      run: "journalctl -u ssh -u sshd --since -1h | grep -E 'drop connection|penalty'",
      shows: "`from [ADDRESS]`: the balancer's; `penalty: connections without attempting authentication`: its checks.",
    },
    {
      run: "sshd -T | grep -iE 'maxstartups|persource'",
      shows: "`persourcepenaltyexemptlist`: the balancer's network belongs there.",
    },
    {
      run: "journalctl -t haproxy --since -1h | grep -E 'is (UP|DOWN)' || grep -E 'is (UP|DOWN)' /var/log/haproxy.log",
      shows: "On the balancer: when it took this server for down.",
    },
  ],
  references: ["sshd_config(5), PerSourcePenalties, PerSourcePenaltyExemptList, MaxStartups", "docs/proxies.md"],
};
