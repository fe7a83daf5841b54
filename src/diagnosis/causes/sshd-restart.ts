/** Step 1: sshd was stopped, restarted or reloaded because somebody asked for it. Explains resets, pages nobody. */
import type { Cause } from "../cause.ts";
import { increase, series } from "../condition.ts";
import { journalOrFiles } from "../observable.ts";
import { everyEnd } from "../scope.ts";

export const sshdRestart: Cause = {
  id: "sshd_restart",
  alert: "SshdRestarted",
  step: 1,
  title: "sshd was restarted",
  summary: "sshd was stopped, restarted or reloaded on request.",
  explanation:
    "Connections that are being set up are cut at a restart; sessions live on with KillMode=process and die without. This is planned work: it explains resets for 5 minutes and pages nobody.",
  severity: "info",
  evidence: increase(series("sshd_stops_total", { reason: ["requested", "reload"] }), 3, ">=", "stops"),
  thresholds: {
    stops: {
      value: 1,
      unit: "stops or reloads of sshd on request in 3 minutes",
      reason: "With the 2 minutes that ends may trail their cause, it explains 5 minutes.",
    },
  },
  forSeconds: 0,
  keepSeconds: 0,
  explains: everyEnd,
  inhibits: [],
  ...journalOrFiles,
  next: [
    {
      run: "journalctl -u ssh -u sshd --since -15min",
      shows: "`Received signal 15; terminating.` is a stop, `Received SIGHUP; restarting.` a reload.",
    },
    { run: "last -x reboot shutdown | head", shows: "Whether the host itself was restarted." },
    {
      run: "grep -E 'install|upgrade' /var/log/dpkg.log | grep -E 'ssh|libc6|libssl' | tail",
      shows: "An upgrade restarts sshd (RHEL: dnf history).",
    },
  ],
  references: ["sshd(8)", "systemd.kill(5), KillMode"],
};
