/** Step 5: a proxy or firewall cuts sessions at one and the same idle age. */
import type { Cause } from "../cause.ts";
import { increase, or, series } from "../condition.ts";
import { collected } from "../observable.ts";

export const idleTimeout: Cause = {
  id: "idle_timeout",
  alert: "SshResetIdleTimeout",
  step: 5,
  title: "idle sessions are cut",
  summary: "Sessions are cut at the same idle age, as a proxy, load balancer or firewall does.",
  explanation:
    "A device on the way forgets connections that say nothing for a fixed time: 60 s (AWS classic and application balancers), 240 s (Azure), 350 s (AWS network balancer, firewall), 600 s (Google). Keepalives that are sent more often than that end it.",
  severity: "warning",
  evidence: increase(series("sessions_cut_idle_total"), 60, ">=", "cut"),
  facts: or(
    increase(series("sessions_cut_idle_total", { timeout: ["60"] }), 60, ">=", "at60"),
    increase(series("sessions_cut_idle_total", { timeout: ["240"] }), 60, ">=", "at240"),
    increase(series("sessions_cut_idle_total", { timeout: ["350"] }), 60, ">=", "at350"),
    increase(series("sessions_cut_idle_total", { timeout: ["600"] }), 60, ">=", "at600"),
  ),
  thresholds: {
    at60: { value: 1, unit: "of them at 60 s", reason: "Balancers' default." },
    at240: { value: 1, unit: "of them at 240 s", reason: "Azure." },
    at350: { value: 1, unit: "of them at 350 s", reason: "AWS." },
    at600: { value: 1, unit: "of them at 600 s", reason: "Google Cloud." },
    cut: {
      value: 3,
      unit: "sessions cut within the hour at an idle age that is well known or repeats",
      reason: "One or two at such an age are chance.",
    },
  },
  forSeconds: 0,
  keepSeconds: 300,
  explains: [{ phases: ["session"], outcomes: ["reset", "closed", "timeout"] }],
  inhibits: [],
  ...collected("sockets", "the program ss (iproute2), run as root or with CAP_NET_ADMIN where hidepid is set"),
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
