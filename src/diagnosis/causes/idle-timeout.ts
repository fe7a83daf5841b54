/** Step 5: a proxy or firewall cuts sessions at one and the same idle age. */
import { knownIdleSeconds, productsWith } from "../../model/idle-timeouts.ts";
import type { Cause } from "../cause.ts";
import { gauge, increase, or, series, type Thresholds } from "../condition.ts";
import { idleWitness } from "../observable.ts";

const atKnownAges: Thresholds = Object.fromEntries(
  knownIdleSeconds.map((seconds) => [
    `at${seconds}`,
    {
      value: 1,
      unit: `of them at ${seconds} s, as ${productsWith(seconds)} do by default`,
      reason: "docs/idle-timeouts.md has the sources.",
    },
  ]),
);

export const idleTimeout: Cause = {
  id: "idle_timeout",
  alert: "SshResetIdleTimeout",
  step: 5,
  title: "idle sessions are cut",
  summary: "Sessions are cut at the same idle age, as a proxy, load balancer or firewall does.",
  explanation:
    "A device on the way forgets connections that say nothing for a fixed time: 240 s (Azure), 350 s (AWS), 600 s (Google Cloud, nginx); which product has which is in docs/idle-timeouts.md. Keepalives that are sent more often than that end it; a proxy counts only SSH's own (ClientAliveInterval), not TCP's.",
  severity: "warning",
  evidence: or(
    increase(series("sessions_cut_idle_total"), 60, ">=", "cut"),
    increase(
      series("proxy_sessions_ended_total", { ended_by: ["client_timeout", "server_timeout"], stage: ["data"] }),
      60,
      ">=",
      "proxyCut",
    ),
  ),
  facts: or(
    ...knownIdleSeconds.map((seconds) =>
      increase(series("sessions_cut_idle_total", { timeout: [String(seconds)] }), 60, ">=", `at${seconds}`),
    ),
    gauge(series("sshd_client_alive_interval_seconds"), "<", "silent"),
    gauge(series("tcp_keepalive_time_seconds"), ">", "lateProbe"),
  ),
  thresholds: {
    ...atKnownAges,
    silent: {
      value: 0.5,
      unit: "s is sshd's ClientAliveInterval: it sends nothing over an idle session",
      reason: "0 is sshd's default.",
    },
    lateProbe: {
      value: 350,
      unit: "s until the kernel's first keep-alive probe (net.ipv4.tcp_keepalive_time): too late for a cloud's firewall or balancer",
      reason: "7200 is the kernel's default; 350 s is AWS's timeout, 240 s Azure's. A proxy counts no probes at all.",
    },
    cut: {
      value: 3,
      unit: "sessions cut within the hour at an idle age that is well known or repeats",
      reason: "One or two at such an age are chance.",
    },
    proxyCut: {
      value: 3,
      unit: "sessions within the hour that haproxy's log says its own timeout ended (cD, sD)",
      reason: "haproxy itself says so; one or two are clients that left the network.",
    },
  },
  forSeconds: 0,
  keepSeconds: 300,
  explains: [{ phases: ["session"], outcomes: ["reset", "closed", "timeout"] }],
  inhibits: [],
  ...idleWitness,
  next: [
    {
      run: "sshd -T | grep -iE 'clientalive|tcpkeepalive'; sysctl net.ipv4.tcp_keepalive_time",
      shows:
        "`clientaliveinterval 0`: sshd sends nothing over an idle session; the kernel's first probe comes after 7200 s.",
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
  references: ["docs/idle-timeouts.md", "sshd_config(5), ClientAliveInterval", "ssh_config(5), ServerAliveInterval"],
};
