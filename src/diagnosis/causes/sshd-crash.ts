/** Step 1: sshd's main process, or processes of sessions, ended by a signal or an error that nobody asked for. */
import type { Cause } from "../cause.ts";
import { and, gauge, increase, or, series } from "../condition.ts";
import { journalOrFiles } from "../observable.ts";
import { settingUp } from "../scope.ts";

export const sshdCrash: Cause = {
  id: "sshd_crash",
  alert: "SshdCrashed",
  step: 1,
  title: "sshd crashed",
  summary: "sshd, or processes of its sessions, ended by a signal, a core dump or an error exit.",
  explanation:
    "When the main process dies, connections that are being set up die with it; with KillMode=process sessions live on. When a session's process dies, its peer reads a reset or a close.",
  severity: "critical",
  evidence: or(
    increase(series("sshd_stops_total", { reason: ["crash"] }), 5, ">=", "stops"),
    and(
      increase(series("sshd_stops_total", { reason: ["error"] }), 5, ">=", "errors"),
      increase(series("sshd_start_failures_total"), 5, "<", "startFailures"),
    ),
    increase(series("sshd_session_crashes_total"), 5, ">=", "sessionCrashes"),
  ),
  stay: gauge(series("sshd_up"), "<", "down"),
  thresholds: {
    stops: {
      value: 1,
      unit: "stops of sshd by a signal, a core dump or the watchdog in 5 minutes",
      reason: "A main process never ends like this in health.",
    },
    errors: {
      value: 1,
      unit: "stops of sshd with an error status in 5 minutes",
      reason: "Only while it was running: a start that fails is SshdDown's.",
    },
    startFailures: { value: 1, unit: "failed starts of sshd in 5 minutes", reason: "See above." },
    sessionCrashes: {
      value: 2,
      unit: "crashed session processes in 5 minutes",
      reason: "One crash is one peer's affair; two within minutes are the host's.",
    },
    down: {
      value: 1,
      unit: "sshd listening",
      reason: "A crash that leaves nothing listening is not over, and stays one page with SshdDown.",
    },
  },
  forSeconds: 0,
  keepSeconds: 300,
  explains: settingUp,
  inhibits: ["sshd_down"],
  ...journalOrFiles,
  next: [
    {
      run: "systemctl status ssh || systemctl status sshd",
      shows:
        "`Main process exited, code=..., status=...` names the signal; the unit is `ssh` on Debian, `sshd` on RHEL.",
    },
    {
      run: "journalctl -u ssh -u sshd --since -15min -o short-precise",
      shows: "The last lines before the exit, and whether systemd starts it again.",
    },
    { run: "coredumpctl list sshd sshd-session", shows: "A core dump, where systemd-coredump is installed." },
    { run: "sshd -t", shows: "Nothing: the configuration is good, so a restart will work." },
  ],
  references: ["systemd.service(5), KillMode and Restart", "sshd(8)"],
};
