/** Step 1: nothing listens on sshd's ports. */
import type { Cause } from "../cause.ts";
import { gauge, increase, or, series } from "../condition.ts";
import { collected } from "../observable.ts";
import { atTheDoor } from "../scope.ts";

export const sshdDown: Cause = {
  id: "sshd_down",
  alert: "SshdDown",
  step: 1,
  title: "sshd is down",
  summary: "Nothing listens on the ports of sshd.",
  explanation:
    "The kernel answers every new connection with a reset: clients print `Connection refused`. Sessions that are open may live on. The usual reasons are a bad configuration, missing host keys, a start limit that was hit, or a stop that nobody undid.",
  severity: "critical",
  evidence: gauge(series("sshd_up"), "<", "listening"),
  facts: or(
    increase(series("sshd_start_failures_total", { reason: ["configuration"] }), 60, ">=", "configuration"),
    increase(series("sshd_start_failures_total", { reason: ["host_keys"] }), 60, ">=", "hostKeys"),
    increase(series("sshd_start_failures_total", { reason: ["bind"] }), 60, ">=", "bind"),
    increase(series("sshd_stops_total", { reason: ["start_limit"] }), 60, ">=", "startLimit"),
    increase(series("sshd_stops_total", { reason: ["requested"] }), 60, ">=", "requested"),
  ),
  thresholds: {
    listening: { value: 1, unit: "ports of sshd listened on", reason: "1 is listening, 0 is not." },
    configuration: { value: 1, unit: "starts failed within the hour for a bad configuration", reason: "A reason." },
    hostKeys: { value: 1, unit: "starts failed within the hour for host keys", reason: "A reason." },
    bind: { value: 1, unit: "starts failed within the hour because the port was taken", reason: "A reason." },
    startLimit: { value: 1, unit: "times within the hour that systemd gave up restarting sshd", reason: "A reason." },
    requested: { value: 1, unit: "stops on request within the hour", reason: "Somebody stopped it." },
  },
  forSeconds: 60,
  keepSeconds: 300,
  explains: atTheDoor,
  inhibits: [],
  ...collected("sshd", "mount procfs, or set --path.procfs"),
  next: [
    {
      run: "systemctl status ssh || systemctl status sshd",
      shows: "`failed` with its result, or `start request repeated too quickly`.",
    },
    { run: "sshd -t", shows: "The bad line of the configuration, or `no hostkeys available -- exiting.`" },
    { run: "ss -ltnp 'sport = :22'", shows: "Who listens: nobody, or another program that took the port." },
    { run: "journalctl -u ssh -u sshd -b -n 50", shows: "Why the last start failed." },
  ],
  references: ["sshd(8), -t", "systemd.unit(5), StartLimitBurst"],
};
