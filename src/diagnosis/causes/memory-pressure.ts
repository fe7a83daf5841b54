/** Step 2: little memory left and tasks waiting for it: what comes before the OOM killer. */
import type { Cause } from "../cause.ts";
import { and, gauge, increase, ratio, series } from "../condition.ts";

export const memoryPressure: Cause = {
  id: "memory_pressure",
  alert: "SshResetMemoryPressure",
  step: 2,
  title: "memory is short",
  summary: "Little memory is available and tasks wait for it.",
  explanation:
    "Logins become slow and time out, and the OOM killer is near. Its choice may be an SSH session. Little available memory alone is no fault: it must come with stalls.",
  severity: "warning",
  evidence: and(
    ratio(series("memory_available_bytes"), series("memory_total_bytes"), "<", "available"),
    increase(series("pressure_stalled_seconds_total", { resource: ["memory"] }), 5, ">=", "stalled"),
  ),
  stay: ratio(series("memory_available_bytes"), series("memory_total_bytes"), "<", "availableAgain"),
  thresholds: {
    available: { value: 0.1, unit: "of memory available", reason: "Below a tenth the kernel reclaims all the time." },
    availableAgain: { value: 0.15, unit: "of memory available", reason: "Hysteresis: half as much again." },
    stalled: {
      value: 30,
      unit: "seconds of waiting for memory in 5 minutes",
      reason: "A tenth of the time: a healthy host stays below a second.",
    },
  },
  forSeconds: 120,
  keepSeconds: 600,
  explains: [{ phases: ["connect", "banner", "kex", "auth"], outcomes: ["timeout"] }],
  inhibits: ["login_timeout"],
  observable: gauge(series("pressure_stalled_seconds_total", { resource: ["memory"] }), ">", "present"),
  grant: "boot with psi=1: this kernel has no /proc/pressure",
  next: [
    { run: "free -m", shows: "`available`, not `free`, is what counts." },
    { run: "cat /proc/pressure/memory", shows: "`some avg60` above 10: tasks wait for memory a tenth of the time." },
    { run: "ps -eo pid,rss,comm --sort=-rss | head", shows: "Who holds it." },
  ],
  references: ["Documentation/accounting/psi.rst", "proc(5), /proc/meminfo"],
};
