/** Step 2: the kernel's OOM killer, or systemd-oomd, took sshd, one of its sessions, or something in sshd's cgroup. */
import type { Cause } from "../cause.ts";
import { gauge, increase, or, series } from "../condition.ts";
import { kernelLog } from "../observable.ts";
import { everyEnd } from "../scope.ts";

export const oomKill: Cause = {
  id: "oom_kill",
  alert: "SshdOomKilled",
  step: 2,
  title: "the OOM killer took sshd",
  summary: "The OOM killer ended sshd, one of its session processes, or a process in its cgroup.",
  explanation:
    "A killed session process resets its peer. A kill in sshd's cgroup can take the whole service with it on cgroup v2 (OOMPolicy=stop): its `Received signal 15` is then no operator's stop.",
  severity: "critical",
  evidence: or(
    increase(series("oom_kills_total", { victim: ["sshd"] }), 5, ">=", "kills"),
    increase(series("oom_kills_total", { victim: ["sshd_session"] }), 5, ">=", "sessionKills"),
    increase(series("sshd_stops_total", { reason: ["oom_kill"] }), 5, ">=", "stops"),
    increase(series("sshd_memory_events_total", { event: ["oom_kill"] }), 5, ">=", "inCgroup"),
  ),
  facts: increase(series("oom_kills_total", { victim: ["other"] }), 5, ">=", "others"),
  stay: gauge(series("sshd_up"), "<", "down"),
  thresholds: {
    kills: {
      value: 1,
      unit: "sshd main processes killed for memory in 5 minutes",
      reason: "One is a fault. Kills of anything else are no cause of a reset.",
    },
    sessionKills: {
      value: 1,
      unit: "processes of SSH sessions (victim sshd_session) killed for memory in 5 minutes",
      reason: "Each one resets its peer.",
    },
    stops: {
      value: 1,
      unit: "stops of sshd after an OOM kill in its cgroup in 5 minutes",
      reason: "systemd's own verdict: result oom-kill.",
    },
    inCgroup: {
      value: 1,
      unit: "kills for memory in sshd's control group in 5 minutes",
      reason: "On cgroup v2 one such kill ends the whole service.",
    },
    others: {
      value: 1,
      unit: "other processes killed for memory in 5 minutes",
      reason: "Told, never a cause by itself.",
    },
    down: { value: 1, unit: "sshd listening", reason: "While nothing listens the fault is not over." },
  },
  forSeconds: 0,
  keepSeconds: 420,
  explains: everyEnd,
  inhibits: ["sshd_crash", "sshd_down", "memory_pressure"],
  ...kernelLog,
  next: [
    {
      run: "journalctl -k --since -30min | grep -Ei 'out of memory|oom-kill:'",
      shows:
        "`Killed process N (sshd...)`, and `constraint=CONSTRAINT_MEMCG` for a cgroup's limit, `CONSTRAINT_NONE` for the whole host.",
    },
    {
      run: "systemctl show ssh -p MemoryMax -p MemoryCurrent -p OOMPolicy -p Result",
      shows: "A limit of sshd's own cgroup (unit `sshd` on RHEL).",
    },
    { run: "ps -eo pid,rss,comm --sort=-rss | head", shows: "Who holds the memory now." },
    {
      run: "cat /proc/$(pgrep -o -x sshd)/oom_score_adj",
      shows: "-1000: the main process is exempt, its sessions are not.",
    },
  ],
  references: ["Documentation/admin-guide/mm/concepts.rst", "systemd.service(5), OOMPolicy"],
};
