/** Step 1: nothing listens on sshd's ports. */
import type { Cause } from "../cause.ts";
import { gauge, series } from "../condition.ts";
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
  thresholds: {
    listening: { value: 1, unit: "ports of sshd listened on", reason: "1 is listening, 0 is not." },
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
