/**
 * What a lab run owns, and its end: one folder, one set of cgroups, its children. A second run refuses to start beside
 * the first; what a killed run left is recognised by its folder and removed. Everything here ends synchronously, so
 * that it also works in a signal handler and at exit.
 */
import { spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { unmountTracefs } from "./instances.ts";

const prefix = "ssh-reset-exporter-lab";
/** Root filesystems are large: not a memory file system. */
const folders = "/var/tmp";
const owner = `/run/${prefix}.pid`;
const cgroups = "/sys/fs/cgroup";

export interface Stage {
  /** Removed at the end. */
  readonly folder: string;
  /** A cgroup of this run in every hierarchy; write a pid to each one's cgroup.procs. */
  cgroup(name: string): readonly string[];
  /** Undone at the end, the last first. */
  onClose(undo: () => void): void;
  close(): void;
}

/** Gives the reason instead when another run is alive. */
export function openStage(): Stage | string {
  const other = otherRun();
  if (other !== undefined) return other;
  removeLeftovers();
  const folder = mkdtempSync(join(folders, prefix));
  try {
    writeFileSync(owner, `${process.pid} ${startTime(process.pid)} ${folder}\n`, { flag: "wx" });
  } catch {
    rmSync(folder, { recursive: true });
    return otherRun() ?? `${owner} cannot be written`;
  }
  const undo: (() => void)[] = [];
  let open = true;

  const close = (): void => {
    if (!open) return;
    open = false;
    for (const step of undo.reverse()) {
      try {
        step();
      } catch (error) {
        process.stderr.write(`lab: cleaning up: ${error instanceof Error ? error.message : error}\n`);
      }
    }
    unmountTracefs(folder);
    removeFolder(folder);
    rmSync(owner, { force: true });
  };
  process.on("exit", close);
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.once(signal, () => {
      process.stderr.write(`\nlab: ${signal}, cleaning up\n`);
      close();
      process.exit(130);
    });
  }
  return {
    folder,
    cgroup(name) {
      const made = hierarchies().map((top) => join(top, `${prefix}-${process.pid}-${name}`));
      for (const path of made) {
        mkdirSync(path, { recursive: true });
        inheritCpuset(path);
      }
      undo.push(() => {
        for (const path of made) removeCgroup(path);
      });
      return made;
    },
    onClose: (step) => undo.push(step),
    close,
  };
}

/** Version 2: one hierarchy; version 1: the controllers' and systemd's own. */
function hierarchies(): string[] {
  if (existsSync(join(cgroups, "cgroup.controllers"))) return [cgroups];
  return readdirSync(cgroups)
    .map((name) => join(cgroups, name))
    .filter((path) => existsSync(join(path, "cgroup.procs")));
}

/** On version 1 a new cpuset is empty, and nobody can enter it. */
function inheritCpuset(path: string): void {
  for (const file of ["cpuset.cpus", "cpuset.mems"]) {
    const own = join(path, file);
    const parent = join(path, "..", file);
    if (existsSync(own) && existsSync(parent) && readFileSync(own, "utf8").trim() === "") {
      writeFileSync(own, readFileSync(parent, "utf8"));
    }
  }
}

function otherRun(): string | undefined {
  if (!existsSync(owner)) return undefined;
  const [pid = "", started = ""] = readFileSync(owner, "utf8").trim().split(" ");
  return startTime(Number(pid)) === started ? `another lab runs (pid ${pid}, ${owner}): one at a time` : undefined;
}

/** Everything that bears the lab's name and whose owner is gone. */
function removeLeftovers(): void {
  if (existsSync(owner)) {
    const [pid = "", , folder = ""] = readFileSync(owner, "utf8").trim().split(" ");
    process.stderr.write("lab: removing what a killed run left behind\n");
    for (const top of hierarchies()) {
      for (const name of readdirSync(top).filter((entry) => entry.startsWith(`${prefix}-`)))
        removeCgroup(join(top, name));
    }
    removeNamespaces(pid);
    if (folder.startsWith(join(folders, prefix))) {
      unmountTracefs(folder);
      removeFolder(folder);
    }
    rmSync(owner);
  }
}

/** Its network namespaces (test/netns.ts names them by its pid), with what still runs in them. */
function removeNamespaces(pid: string): void {
  if (!/^\d+$/.test(pid) || !existsSync("/run/netns")) return;
  for (const name of readdirSync("/run/netns").filter((entry) => entry.startsWith(`sre-${pid}-`))) {
    const inside = spawnSync("ip", ["netns", "pids", name], { encoding: "utf8" }).stdout;
    for (const one of inside.split("\n").filter(Boolean)) {
      try {
        process.kill(Number(one), "SIGKILL");
      } catch {
        // It has ended.
      }
    }
    spawnSync("ip", ["netns", "delete", name]);
  }
}

/** Ends what still runs in it, then removes it with what the container's systemd made below. */
function removeCgroup(path: string): void {
  if (!existsSync(path)) return;
  const deadline = Date.now() + 10_000;
  for (;;) {
    let busy = false;
    for (const folder of [path, ...below(path)].reverse()) {
      for (const pid of pidsIn(folder)) {
        busy = true;
        try {
          process.kill(pid, "SIGKILL");
        } catch {
          // Gone meanwhile.
        }
      }
      try {
        rmdirSync(folder);
      } catch {
        busy = true;
      }
    }
    if (!busy || !existsSync(path)) return;
    if (Date.now() > deadline) throw new Error(`cgroup ${path} cannot be removed`);
    spawnSync("sleep", ["0.1"]);
  }
}

function below(path: string): string[] {
  const entries = readdirSync(path, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  return entries.flatMap((entry) => [join(path, entry.name), ...below(join(path, entry.name))]);
}

function pidsIn(folder: string): number[] {
  try {
    const text = readFileSync(join(folder, "cgroup.procs"), "utf8");
    return text.split("\n").filter(Boolean).map(Number);
  } catch {
    return [];
  }
}

/** Mounts below it first, and never across a mount that does not go. */
function removeFolder(folder: string): void {
  if (!existsSync(folder)) return;
  const mounts = readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .map((line) => line.split(" ")[4] ?? "")
    .filter((path) => path.startsWith(`${folder}/`));
  for (const path of mounts.reverse()) spawnSync("umount", [path]);
  const { dev } = statSync(folder);
  if (statSync(join(folder, "..")).dev !== dev) throw new Error(`${folder} is a mount point`);
  spawnSync("rm", ["-rf", "--one-file-system", folder]);
}

/** Field 22 of /proc/PID/stat: tells a pid from its reuse. */
function startTime(pid: number): string {
  try {
    return (
      readFileSync(`/proc/${pid}/stat`, "utf8")
        .replace(/^.*\) /, "")
        .split(" ")[19] ?? ""
    );
  } catch {
    return "";
  }
}
