/** Step 5: a proxy or firewall cuts sessions at one and the same idle age. */
import type { Cause } from "../cause.ts";
import { increase, series } from "../condition.ts";
import { journalOrFiles } from "../observable.ts";

export const idleTimeout: Cause = {
  id: "idle_timeout",
  alert: "SshResetIdleTimeout",
  step: 5,
  title: "idle sessions are cut",
  summary: "Sessions are cut at the same idle age, as a proxy, load balancer or firewall does.",
  explanation:
    "A device on the way forgets connections that say nothing for a fixed time: 60 s (AWS classic and application balancers), 240 s (Azure), 350 s (AWS network balancer, firewall), 600 s (Google). Keepalives that are sent more often than that end it.",
  severity: "warning",
  evidence: increase(series("sessions_cut_idle_total", { timeout: ["60", "240", "350", "600"] }), 60, ">=", "cut"),
  thresholds: {
    cut: {
      value: 3,
      unit: "sessions cut at one of the well-known idle ages in an hour",
      reason: "One or two at such an age are chance.",
    },
  },
  forSeconds: 0,
  keepSeconds: 300,
  explains: [{ phases: ["session"], outcomes: ["reset", "closed", "timeout"] }],
  inhibits: [],
  ...journalOrFiles,
  next: [
    {
      run: "sshd -T | grep -iE 'clientalive|tcpkeepalive'",
      shows: "`clientaliveinterval 0`: sshd sends nothing over an idle session.",
    },
    {
      run: "ss -tino state established '( sport = :22 )'",
      shows: "`lastrcv` in ms: how long each session has been idle.",
    },
    {
      run: "ssh -o ServerAliveInterval=30 HOST",
      shows: "From a client: a session that now survives the age proves it.",
    },
  ],
  references: ["sshd_config(5), ClientAliveInterval", "ssh_config(5), ServerAliveInterval"],
};
