/** Beyond the checklist: known peers do not log in within LoginGraceTime, or do not answer ClientAlive. */
import type { Cause } from "../cause.ts";
import { increase, or, series } from "../condition.ts";
import { journalOrFiles } from "../observable.ts";

export const loginTimeout: Cause = {
  id: "login_timeout",
  alert: "SshdLoginTimeout",
  step: "beyond",
  title: "logins or sessions time out",
  summary: "sshd cuts connections of known peers: LoginGraceTime or ClientAliveCountMax ran out.",
  explanation:
    "sshd closes a connection that has not logged in within LoginGraceTime (120 s), and a session that does not answer ClientAliveCountMax times. Slow name lookups (UseDNS), PAM modules, directory servers or a lossy path make logins slow.",
  severity: "warning",
  evidence: or(
    increase(
      series("connections_ended_total", {
        outcome: ["timeout"],
        peer_class: ["known"],
        phase: ["connect", "banner", "kex", "auth"],
      }),
      6,
      ">=",
      "logins",
    ),
    increase(
      series("connections_ended_total", { outcome: ["timeout"], peer_class: ["known"], phase: ["session"] }),
      6,
      ">=",
      "sessions",
    ),
  ),
  thresholds: {
    logins: {
      value: 3,
      unit: "logins of known peers that timed out in 6 minutes",
      reason: "One or two are users who walked away from the prompt.",
    },
    sessions: {
      value: 5,
      unit: "sessions of known peers that timed out in 6 minutes",
      reason: "A laptop that sleeps times out its few sessions; five within minutes are the host or its network.",
    },
  },
  // Slower to be seen are the causes that this follows from: memory, CPU, a blackhole.
  forSeconds: 270,
  keepSeconds: 120,
  explains: [
    { phases: ["connect", "banner", "kex", "auth"], outcomes: ["timeout", "reset", "closed"] },
    { phases: ["session"], outcomes: ["timeout"] },
  ],
  inhibits: [],
  ...journalOrFiles,
  next: [
    { run: "sshd -T | grep -iE 'logingracetime|clientalive|usedns'", shows: "The limits in force." },
    {
      run: "journalctl -u ssh -u sshd --since -1h | grep -iE 'timeout|timed out'",
      shows: "`Timeout before authentication`, `Timeout, client not responding` (9.2 of Debian says nothing).",
    },
    { run: "ssh -v HOST true", shows: "From a client: the `debug1:` line after which it hangs." },
    { run: "time getent hosts ADDRESS", shows: "Slow reverse lookups hurt with `UseDNS yes`." },
  ],
  references: ["sshd_config(5), LoginGraceTime, ClientAliveCountMax, UseDNS"],
};
