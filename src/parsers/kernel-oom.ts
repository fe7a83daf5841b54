/**
 * The kernel's OOM killer: whom it killed, and in which control group. Gives oom.context, oom.kill.
 * Texts: mm/oom_kill.c (oom_kill_process, dump_oom_summary), mm/memcontrol.c. Process and control group names in these
 * lines are their owners' choice: everything is anchored at the end.
 */
import type { Event, OomCgroup, OomScope } from "../model/event.ts";
import { isSshdProgram, sshdProcess } from "./process.ts";
import { isSessionCgroup, isSshdCgroup } from "./unit.ts";
import { noted, readPid, says } from "./wording.ts";

export const kernelOom = [
  says({
    id: "oom-context",
    versions: "4.19+",
    origin: "mm/oom_kill.c dump_oom_summary",
    starts: ["oom-kill:constraint="],
    read: ({ rest }) => context(rest),
  }),
  says({
    id: "oom-killed",
    versions: "5.1+",
    origin: "mm/oom_kill.c __oom_kill_process",
    starts: ["Out of memory: Killed process ", "Out of memory (oom_kill_allocating_task): Killed process "],
    read: ({ rest }) => killed(rest, "host"),
  }),
  says({
    id: "oom-killed-cgroup",
    versions: "5.1+",
    origin: "mm/oom_kill.c __oom_kill_process",
    starts: ["Memory cgroup out of memory: Killed process "],
    read: ({ rest }) => killed(rest, "cgroup"),
  }),
  says({
    id: "oom-killed-old",
    versions: "<=5.0",
    origin: "mm/oom_kill.c oom_kill_process, the second of two lines; it may name a child",
    starts: ["Killed process "],
    read: ({ rest }) => killed(rest, "host"),
  }),
  says({
    id: "oom-kill-old",
    versions: "<=5.0",
    origin: "mm/oom_kill.c oom_kill_process, the first of two lines; the second counts",
    starts: ["Out of memory: Kill process ", "Out of memory (oom_kill_allocating_task): Kill process "],
    read: () => noted,
  }),
  says({
    id: "oom-kill-cgroup-old",
    versions: "<=5.0",
    origin: "mm/oom_kill.c oom_kill_process, the first of two lines: it tells the scope",
    starts: ["Memory cgroup out of memory: Kill process "],
    read({ rest }) {
      const pid = readPid(/^(\d{1,7}) \(.{0,15}\) score \d{1,5} or sacrifice child$/s.exec(rest)?.[1] ?? "");
      return pid === undefined ? undefined : { kind: "oom.context", scope: "cgroup", pid, cgroup: "other" };
    },
  }),
  says({
    id: "oom-detail",
    versions: "all",
    origin: "mm/oom_kill.c, mm/memcontrol.c; lines around the kill",
    starts: [
      "oom_reaper: ",
      "Tasks in /",
      "Task in /",
      "Memory cgroup stats for ",
      "Out of memory and no killable processes...",
      "Memory cgroup out of memory and no killable",
      "Kernel panic - not syncing: Out of memory",
    ],
    read: () => noted,
  }),
];

/** `CONSTRAINT_MEMCG,...,task_memcg=PATH,task=COMM,pid=N,uid=N`; paths and names may hold commas. */
function context(rest: string): Event | undefined {
  const tail = /,task=.{0,15},pid=(\d{1,7}),uid=\d{1,10}$/s.exec(rest.slice(-64));
  const pid = readPid(tail?.[1] ?? "");
  if (tail === null || pid === undefined || !/^CONSTRAINT_[A-Z_]{1,20},/.test(rest)) return undefined;
  const scope: OomScope = rest.startsWith("CONSTRAINT_MEMCG,") ? "cgroup" : "host";
  return { kind: "oom.context", scope, pid, cgroup: owner(taskMemcg(rest)) };
}

function owner(path: string): OomCgroup {
  if (isSshdCgroup(path)) return "sshd";
  return isSessionCgroup(path) ? "session" : "other";
}

/** Empty where a control group's name makes the line ambiguous. */
function taskMemcg(rest: string): string {
  const at = rest.indexOf(",task_memcg=");
  const end = rest.lastIndexOf(",task=");
  const ambiguous = rest.indexOf(",task_memcg=", at + 1) !== -1 || rest.indexOf(",task=") !== end;
  return at === -1 || ambiguous ? "" : rest.slice(at + 12, end);
}

/** `N (COMM) total-vm:NkB, anon-rss:NkB, file-rss:NkB⟦...⟧`; RHEL 7 puts `, UID N,` behind the name. */
function killed(rest: string, scope: OomScope): Event | undefined {
  const found =
    /^(\d{1,7}) \((.{0,15})\)(?:, UID \d{1,10},)? total-vm:\d{1,15}kB, anon-rss:\d{1,15}kB, file-rss:\d{1,15}kB(?:,? [a-z_-]{1,20}:-?\d{1,15}(?:kB)?|,? UID:\d{1,10}){0,5}$/s.exec(
      rest,
    );
  const pid = readPid(found?.[1] ?? "");
  if (found === null || pid === undefined) return undefined;
  const name = found[2] ?? "";
  return { kind: "oom.kill", scope, pid, victim: isSshdProgram(name) ? sshdProcess(name) : "other" };
}
