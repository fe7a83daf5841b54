/** Step 2: sshd may not fork, or may not open files: TasksMax, pids, RLIMIT_NOFILE, fs.file-max. */
import type { Cause } from "../cause.ts";
import { increase, or, ratio, series } from "../condition.ts";
import { journalOrFiles } from "../observable.ts";
import { atTheDoor } from "../scope.ts";

const refused = or(
  increase(series("sshd_resource_errors_total", { resource: ["process", "files", "memory"] }), 5, ">=", "errors"),
  increase(series("sshd_forks_refused_total"), 5, ">=", "forks"),
);

export const processLimit: Cause = {
  id: "process_limit",
  alert: "SshdProcessLimit",
  step: 2,
  title: "sshd may not fork or open files",
  summary: "sshd was refused a process, a file descriptor or memory, or is close to such a limit.",
  explanation:
    "sshd accepts the connection, fails to fork or to open a pipe for it, and closes: the client reads a reset or a close before the banner. TasksMax of the unit comes first, then open files, then the limits of the whole system.",
  severity: "critical",
  evidence: or(
    refused,
    ratio(series("sshd_tasks"), series("sshd_tasks_limit"), ">", "tasks"),
    ratio(series("sshd_open_files"), series("sshd_open_files_limit"), ">", "files"),
  ),
  facts: or(
    increase(series("file_max_reached_total"), 60, ">=", "fileMax"),
    increase(series("fork_rejections_total"), 60, ">=", "otherForks"),
  ),
  thresholds: {
    errors: {
      value: 1,
      unit: "times in 5 minutes that sshd was refused a process, a file or memory",
      reason: "Each one is a connection that was turned away.",
    },
    forks: { value: 1, unit: "forks refused in sshd's control group in 5 minutes", reason: "The kernel's own count." },
    fileMax: {
      value: 1,
      unit: "kernel messages about fs.file-max within the hour",
      reason: "The whole system's limit.",
    },
    otherForks: {
      value: 1,
      unit: "kernel messages about forks refused within the hour",
      reason: "Printed once per cgroup.",
    },
    tasks: {
      value: 0.9,
      unit: "of the tasks allowed to sshd's unit in use",
      reason: "A login needs two or three more.",
    },
    files: {
      value: 0.9,
      unit: "of the files allowed to sshd open",
      reason: "A connection needs several in the main process.",
    },
  },
  forSeconds: 0,
  keepSeconds: 300,
  explains: atTheDoor,
  explainsWhen: refused,
  inhibits: [],
  ...journalOrFiles,
  next: [
    {
      run: "systemctl show ssh -p TasksCurrent -p TasksMax",
      shows: "Current against the limit (unit `sshd` on RHEL); sessions count in their own scope.",
    },
    {
      run: "journalctl -u ssh -u sshd -k --since -30min | grep -E 'fork|Too many open files|pids controller'",
      shows: "`error: fork: Resource temporarily unavailable`, `fork rejected by pids controller in ...`.",
    },
    { run: "prlimit --pid $(pgrep -o -x sshd) --nofile --nproc", shows: "Limits of the main process." },
    {
      run: "cat /proc/sys/fs/file-nr /proc/sys/kernel/pid_max",
      shows: "Files open and allowed, and pids, of the whole system.",
    },
  ],
  references: ["systemd.resource-control(5), TasksMax", "getrlimit(2)"],
};
