/** Step 2: CPUs are overloaded TOGETHER with logins of known peers that time out; never load alone. */
import type { Cause } from "../cause.ts";
import { and, increase, or, ratio, series } from "../condition.ts";
import { collected } from "../observable.ts";

export const cpuPressure: Cause = {
  id: "cpu_pressure",
  alert: "SshResetCpuPressure",
  step: 2,
  title: "the CPUs are overloaded",
  summary: "Logins of known peers time out while tasks wait for a CPU.",
  explanation:
    "Key exchange needs CPU time. Where tasks wait for it, logins take longer than LoginGraceTime (120 s) or the client's ConnectTimeout, and one side cuts. High load without slow logins is no cause and does not page.",
  severity: "warning",
  evidence: and(
    or(
      increase(series("pressure_stalled_seconds_total", { resource: ["cpu"] }), 5, ">=", "stalled"),
      ratio(series("load1"), series("cpus"), ">", "loadPerCpu"),
    ),
    increase(
      series("connections_ended_total", {
        outcome: ["timeout"],
        peer_class: ["known"],
        phase: ["banner", "kex", "auth"],
      }),
      10,
      ">=",
      "timeouts",
    ),
  ),
  thresholds: {
    stalled: {
      value: 150,
      unit: "seconds of waiting for a CPU in 5 minutes",
      reason: "Half of the time somebody waits: a busy build host reaches that, so it counts only with timeouts.",
    },
    loadPerCpu: {
      value: 4,
      unit: "running or waiting tasks per CPU",
      reason: "For kernels without pressure information: four times what the CPUs can do.",
    },
    timeouts: {
      value: 2,
      unit: "logins of known peers that timed out in 10 minutes",
      reason: "One may be a user who walked away from the password prompt.",
    },
  },
  forSeconds: 60,
  keepSeconds: 540,
  explains: [{ phases: ["banner", "kex", "auth"], outcomes: ["timeout", "closed", "reset"] }],
  inhibits: ["login_timeout"],
  ...collected("memory", "mount procfs, or set --path.procfs"),
  next: [
    { run: "cat /proc/pressure/cpu", shows: "`some avg60` near 100: tasks wait all the time." },
    { run: "uptime; nproc", shows: "Load average against the number of CPUs." },
    { run: "ps -eo pid,pcpu,comm --sort=-pcpu | head", shows: "Who takes the CPU." },
    { run: "time ssh -v HOST true", shows: "From a client: between which two `debug1:` lines the time goes." },
  ],
  references: ["Documentation/accounting/psi.rst", "sshd_config(5), LoginGraceTime"],
};
