/**
 * What the kernel says about sshd's processes and the limits they meet: crashes, hung tasks, refused forks, files.
 * Gives kernel.crash, kernel.hung_task, kernel.fork_rejected, kernel.file_max. Texts: arch/x86/mm/fault.c,
 * arch/x86/kernel/traps.c, kernel/auditsc.c, kernel/hung_task.c, kernel/cgroup/pids.c, fs/file_table.c.
 */
import type { Event } from "../model/event.ts";
import { isSshdProgram, sshdProcess } from "./process.ts";
import { isSshdCgroup } from "./unit.ts";
import { noted, readPid, says } from "./wording.ts";

export const kernelProcess = [
  says({
    id: "kernel-segfault",
    versions: "2.6+",
    origin: "arch/x86/mm/fault.c show_signal_msg",
    starts: ["sshd"],
    read: ({ record }) =>
      crash(
        /^([a-z-]{4,15})\[(\d{1,7})\]: segfault at [0-9a-f]{1,16} ip \S{1,20} sp \S{1,20} error \d/.exec(
          record.message,
        ),
      ),
  }),
  says({
    id: "kernel-trap",
    versions: "2.6+",
    origin: "arch/x86/kernel/traps.c do_trap",
    starts: ["traps: sshd"],
    read: ({ record }) =>
      crash(
        /^traps: ([a-z-]{4,15})\[(\d{1,7})\] (?:general protection|trap [a-z ]{1,30}) ?(?:fault )?ip:[0-9a-f]{1,16} sp:/.exec(
          record.message,
        ),
      ),
  }),
  says({
    id: "kernel-seccomp",
    versions: "3.5+",
    origin: "kernel/auditsc.c audit_seccomp",
    starts: ["audit: type=1326 "],
    read: ({ rest }) => audited(rest, (signal) => signal !== 0),
  }),
  says({
    id: "kernel-abnormal-end",
    versions: "2.6+",
    origin: "kernel/auditsc.c audit_core_dumps; signals that the lines above tell are left out",
    starts: ["audit: type=1701 "],
    read: ({ rest }) => audited(rest, (signal) => ![4, 5, 7, 8, 11, 31].includes(signal)),
  }),
  says({
    id: "kernel-hung-task",
    versions: "2.6.30+",
    origin: "kernel/hung_task.c check_hung_task",
    starts: ["INFO: task sshd"],
    read({ record: { message } }) {
      const name = /^INFO: task ([a-z-]{4,15}):\d{1,7} blocked (?:in I\/O wait )?for more than \d{1,9} seconds\.$/.exec(
        message,
      )?.[1];
      return name !== undefined && isSshdProgram(name)
        ? { kind: "kernel.hung_task", process: sshdProcess(name) }
        : undefined;
    },
  }),
  says({
    id: "kernel-fork-rejected",
    versions: "4.3+",
    origin: "kernel/cgroup/pids.c pids_can_fork; once per control group",
    starts: ["cgroup: fork rejected by pids controller in "],
    read: ({ rest }) => ({ kind: "kernel.fork_rejected", sshdCgroup: isSshdCgroup(rest) }),
  }),
  says({
    id: "kernel-file-max",
    versions: "2.6+",
    origin: "fs/file_table.c alloc_empty_file",
    starts: ["VFS: file-max limit "],
    read: ({ rest }) => (/^\d{1,20} reached$/.test(rest) ? { kind: "kernel.file_max" } : undefined),
  }),
];

function crash(found: RegExpExecArray | null): Event | undefined {
  const name = found?.[1];
  const pid = readPid(found?.[2] ?? "");
  if (name === undefined || pid === undefined || !isSshdProgram(name)) return undefined;
  return { kind: "kernel.crash", process: sshdProcess(name), pid };
}

/** Names with quotes or spaces are written in hexadecimal (audit_log_untrustedstring), so quoted ones are whole. */
function audited(rest: string, counts: (signal: number) => boolean): Event | undefined {
  const found =
    / pid=(\d{1,7}) (?:subj=\S{1,256} )?comm="([^" ]{1,15})" exe="([^" ]{1,256})" sig=(\d{1,2})(?: |$)/.exec(rest);
  const pid = readPid(found?.[1] ?? "");
  if (found === null || pid === undefined) return noted;
  const program = found[3]?.replace(/^.*\//, "") ?? "";
  if (!isSshdProgram(program) || !counts(Number(found[4]))) return noted;
  return { kind: "kernel.crash", process: sshdProcess(program), pid };
}
