/**
 * A host of the lab: a copy of a Debian root, booted by systemd-nspawn(1) with its own systemd, journald, rsyslog and
 * sshd, in the network namespace of the lab's server and in cgroups of its own. The kernel is the machine's: its ring
 * buffer and trace events are everybody's, pids in them are outer ones.
 */
import { spawn } from "node:child_process";
import { appendFileSync, existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { debian } from "../../tools/debian.ts";
import { attempt, type Ended, run, until } from "./command.ts";
import type { Release } from "./roots.ts";
import type { Stage } from "./stage.ts";

/** /proc/loadavg of a host with little to do. */
const idle = "0.50 0.50 0.50 1/100 1\n";
const memoryLimit = 1024 * 1024 * 1024;
const environment = [
  "-i",
  "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
  "HOME=/root",
  "LANG=C.UTF-8",
];

export interface HostOptions {
  readonly release: Release;
  /** Of its own in this run. */
  readonly name: string;
  /** Where its process ids begin: exporters name their trace instances by them, and tracefs is the machine's. */
  readonly firstPid?: number;
  /** The cached root filesystem; copied. */
  readonly template: string;
  readonly networkNamespace: string;
  /** Public key that `deploy` may log in with. */
  readonly publicKey: string;
  /** Seen inside at /opt/project, read-only. */
  readonly project: string;
  readonly nodeModules: string;
}

export class Host {
  readonly release: Release;
  readonly root: string;
  readonly #leader: number;
  readonly #stage: Stage;
  readonly #name: string;
  #watch: NodeJS.Timeout | undefined;
  /** Ends the host at once, as a power cut would. */
  readonly halt: () => void;
  private constructor(stage: Stage, { release, name }: HostOptions, root: string, leader: number, halt: () => void) {
    this.#stage = stage;
    this.#name = name;
    this.release = release;
    this.root = root;
    this.#leader = leader;
    this.halt = halt;
  }

  static async boot(stage: Stage, options: HostOptions): Promise<Host> {
    const { release, name, template, networkNamespace, project, nodeModules } = options;
    const root = join(stage.folder, name, "root");
    mkdirSync(join(root, ".."));
    await run("cp", ["-a", "--reflink=auto", template, root], { timeoutMs: 120_000 });
    await furnish(root, options.publicKey);
    const cgroup = stage.cgroup(`host-${name}`);
    limitMemory(cgroup);
    const nspawn = await debian("systemd-nspawn");
    const enter = cgroup.map((path) => `echo $$ > ${path}/cgroup.procs`).join(" && ");
    const unified = existsSync("/sys/fs/cgroup/cgroup.controllers");
    const args = [
      nspawn.path,
      ...["-q", "-D", root, "-M", name, "--register=no", "--keep-unit", "--link-journal=no", "--console=pipe"],
      `--network-namespace-path=/run/netns/${networkNamespace}`,
      "--bind=/dev/kmsg",
      "--capability=CAP_SYSLOG,CAP_SYS_RESOURCE,CAP_NET_ADMIN",
      `--bind-ro=${project}:/opt/project`,
      `--bind-ro=${nodeModules}:/opt/project/node_modules`,
      `--bind-ro=${process.execPath}:/opt/node`,
      "--boot",
      // systemd 257 boots on version 1 only when told so.
      ...(unified ? [] : ["systemd.unified_cgroup_hierarchy=0", "SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1"]),
    ];
    const child = spawn("sh", ["-c", `${enter} && exec "$@"`, "sh", ...args], {
      env: { ...nspawn.env, SYSTEMD_NSPAWN_UNIFIED_HIERARCHY: unified ? "1" : "0" },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let said = "";
    for (const stream of [child.stdout, child.stderr]) {
      stream.on("data", (chunk: Buffer) => {
        said = (said + chunk.toString()).slice(-3000);
      });
    }
    const pid = child.pid ?? 0;
    const leader = await until(`Debian ${release} boots`, async () => {
      if (child.exitCode !== null) throw new Error(`systemd-nspawn ended with ${child.exitCode}: ${said}`);
      return childOf(pid);
    });
    const halt = (): void => {
      for (const victim of [leader, pid]) {
        if (child.exitCode !== null || child.signalCode !== null) return;
        try {
          process.kill(victim, "SIGKILL");
        } catch {
          // It has ended.
        }
      }
    };
    stage.onClose(halt);
    const host = new Host(stage, options, root, leader, halt);
    await until(
      `Debian ${release} is up`,
      async () => {
        if (child.exitCode !== null) throw new Error(`systemd-nspawn ended with ${child.exitCode}: ${said}`);
        const { stdout } = await host.attempt("systemctl is-system-running");
        return /running|degraded/.test(stdout);
      },
      { deadlineMs: 90_000, everyMs: 500 },
    );
    if (!unified) {
      // MemoryMax=, TasksMax= and CPUQuota= need these writable; nspawn mounts version 1 controllers read-only.
      for (const controller of ["memory", "pids", "cpu"]) {
        await host.run(`mount -o remount,bind,rw /sys/fs/cgroup/${controller}`);
      }
      await host.run("systemctl daemon-reexec");
    }
    const words = [
      "-t",
      String(leader),
      "-p",
      "sh",
      "-c",
      `echo ${options.firstPid ?? 1000} > /proc/sys/kernel/ns_last_pid`,
    ];
    await run("nsenter", words);
    await host.attempt("mountpoint -q /sys/kernel/tracing || mount -t tracefs tracefs /sys/kernel/tracing");
    writeFileSync(join(root, "etc/loadavg"), "");
    host.#showLoad(idle);
    await host.run("mount --bind /etc/loadavg /proc/loadavg");
    // nspawn gives it the sysfs of the machine's own network namespace.
    await host.run("mkdir -p /run/sysfs && mount -t sysfs sysfs /run/sysfs");
    await until("sshd listens", async () => (await host.attempt("ss -Hltn 'sport = :22'")).stdout.includes(":22"));
    return host;
  }

  /** A shell command inside, with all of the host's namespaces. Throws when it fails. */
  run(command: string, timeoutMs = 30_000): Promise<string> {
    const [program, args] = this.inside("sh", "-c", command);
    return run(program, args, { timeoutMs });
  }

  attempt(command: string, timeoutMs = 30_000): Promise<Ended> {
    const [program, args] = this.inside("sh", "-c", command);
    return attempt(program, args, { timeoutMs });
  }

  /** What it reads as its load average: that of the machine is none of its business. In place: a reader may hold it open. */
  #showLoad(text: string): void {
    // Never shorter, and never empty in between.
    writeFileSync(join(this.root, "etc/loadavg"), `${text.trim().padEnd(60)}\n`, { flag: "r+" });
  }

  /**
   * Shows the machine's load again, and adds to it:
   * so many tasks that want a CPU and yield to everybody else's: the machine's load average, at little cost. They end
   * with `unload`, and after two minutes at the latest.
   */
  load(tasks: number): void {
    this.#watch = setInterval(() => this.#showLoad(readFileSync("/proc/loadavg", "utf8")), 1000);
    const cgroup = this.#stage.cgroup(`load-${this.#name}`);
    for (const path of cgroup) {
      if (existsSync(join(path, "cpu.shares"))) writeFileSync(join(path, "cpu.shares"), "2");
      if (existsSync(join(path, "cpu.weight"))) writeFileSync(join(path, "cpu.weight"), "1");
    }
    const enter = cgroup.map((path) => `echo $$ > ${path}/cgroup.procs`).join(" && ");
    const busy = "nice -n 19 timeout 120 sh -c 'while :; do :; done' &";
    spawn("sh", ["-c", `${enter} && { ${busy.repeat(tasks)} }`], { stdio: "ignore" });
  }

  unload(): void {
    clearInterval(this.#watch);
    this.#showLoad(idle);
    for (const path of this.#stage.cgroup(`load-${this.#name}`)) endAll(path);
  }

  /** The words that run a program inside. */
  inside(...command: readonly string[]): readonly [string, string[]] {
    const namespaces = ["-m", "-u", "-i", "-n", "-p", "-C", "-r", "-w"];
    return ["nsenter", ["-t", String(this.#leader), ...namespaces, "env", ...environment, ...command]];
  }

  /** Inner pid of sshd's listener. */
  async listener(): Promise<number> {
    const pid = Number((await this.run("systemctl show -p MainPID --value ssh.service")).trim());
    if (!(pid > 1)) throw new Error("sshd has no main process");
    return pid;
  }

  /** How often systemd has started sshd again by itself, since somebody last started it. */
  async restarts(): Promise<number> {
    return Number((await this.run("systemctl show -p NRestarts --value ssh.service")).trim());
  }

  /** Restarts sshd, which must fail, and waits until systemd gives up. How often it tried. */
  async failedStarts(): Promise<number> {
    await this.run("systemctl reset-failed ssh.service");
    await this.attempt("systemctl restart ssh.service");
    await until("systemd gives up", async () => {
      return (await this.attempt("systemctl is-failed ssh.service")).stdout.trim() === "failed";
    });
    // The first start is no restart, and the last restart is refused: it hit the limit.
    return this.restarts();
  }

  /** Kills by the OOM killer since the machine's boot: /proc/vmstat. */
  async oomKillsOfKernel(): Promise<number> {
    return Number(/^oom_kill (\d+)$/m.exec(readFileSync("/proc/vmstat", "utf8"))?.[1] ?? Number.NaN);
  }

  /** How many processes of this name the kernel says it killed since then, once that number stands still; of any with "". */
  async oomKills(sinceMs: number, name = "sshd"): Promise<number> {
    const since = `--since=@${(sinceMs / 1000).toFixed(3)}`;
    const grep = `grep -c 'Memory cgroup out of memory: Killed process .*(${name}'`;
    const now = async (): Promise<number> =>
      Number((await this.attempt(`journalctl -k --no-pager -o cat ${since} | ${grep}`)).stdout.trim());
    let before = await now();
    for (;;) {
      await new Promise((resolve) => setTimeout(resolve, 1500));
      const after = await now();
      if (after === before) return after;
      before = after;
    }
  }

  /** Configuration of sshd in a file of the lab's own, read before all others; "" removes it. */
  async configure(lines: string, action: "restart" | "reload" | "none" = "restart"): Promise<void> {
    writeFileSync(join(this.root, "etc/ssh/sshd_config.d/10-scenario.conf"), lines);
    if (action !== "none") await this.run(`systemctl reset-failed ssh.service; systemctl ${action} ssh.service`);
    if (action !== "none")
      await until("sshd listens", async () => (await this.attempt("ss -Hltn 'sport = :22'")).stdout !== "");
  }

  /** A drop-in for ssh.service; "" removes it. */
  async unit(lines: string): Promise<void> {
    const folder = join(this.root, "etc/systemd/system/ssh.service.d");
    mkdirSync(folder, { recursive: true });
    const file = join(folder, "scenario.conf");
    if (lines === "") rmSync(file, { force: true });
    else writeFileSync(file, lines);
    await this.run("systemctl daemon-reload");
  }
}

/** Ends every process of a cgroup of our own. */
function endAll(cgroup: string): void {
  for (const pid of readFileSync(join(cgroup, "cgroup.procs"), "utf8").split("\n").filter(Boolean)) {
    try {
      process.kill(Number(pid), "SIGKILL");
    } catch {
      // It has ended.
    }
  }
}

function limitMemory(cgroup: readonly string[]): void {
  for (const path of cgroup) {
    for (const file of ["memory.limit_in_bytes", "memory.max"]) {
      const limit = join(path, file);
      if (existsSync(limit)) writeFileSync(limit, String(memoryLimit));
    }
  }
}

/** A user, its key, persistent journal, and nothing that would call home. */
async function furnish(root: string, publicKey: string): Promise<void> {
  const put = (path: string, text: string): void => writeFileSync(join(root, path), text);
  put("etc/hostname", "labsrv\n");
  put("etc/machine-id", "");
  mkdirSync(join(root, "var/log/journal"), { recursive: true });
  mkdirSync(join(root, "opt/project"), { recursive: true });
  writeFileSync(join(root, "opt/node"), "");
  await run("chroot", [root, "useradd", "--create-home", "--shell", "/bin/bash", "deploy"]);
  mkdirSync(join(root, "home/deploy/.ssh"));
  put("home/deploy/.ssh/authorized_keys", `${publicKey.trim()}\n`);
  await run("chroot", [root, "chown", "-R", "deploy:deploy", "/home/deploy/.ssh"]);
  // Else the user's manager ends ten seconds after a logout, and a login just then waits for it.
  mkdirSync(join(root, "var/lib/systemd/linger"), { recursive: true });
  put("var/lib/systemd/linger/deploy", "");
  put("etc/ssh/sshd_config.d/90-lab.conf", "UseDNS no\n");
  put("etc/ssh/sshd_config.d/10-scenario.conf", "");
  mkdirSync(join(root, "etc/systemd/journald.conf.d"), { recursive: true });
  // Storage on disk, and no copies of the machine's own kernel lines of before.
  put("etc/systemd/journald.conf.d/lab.conf", "[Journal]\nStorage=persistent\nForwardToSyslog=yes\n");
  // /proc/kmsg is read destructively, and the ring buffer is the machine's.
  const rsyslog = join(root, "etc/rsyslog.conf");
  writeFileSync(
    rsyslog,
    readFileSync(rsyslog, "utf8").replace(/^module\(load="imklog".*$/m, "# imklog: not in the lab"),
  );
  appendFileSync(join(root, "etc/hosts"), "127.0.0.1 labsrv\n");
  const masked = [
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "console-getty.service",
    "dpkg-db-backup.timer",
    "fstrim.timer",
  ];
  for (const unit of [...masked, "getty.target", "e2scrub_all.timer", "systemd-firstboot.service"]) {
    const path = join(root, "etc/systemd/system", unit);
    rmSync(path, { force: true });
    symlinkSync("/dev/null", path);
  }
}

/** nspawn's first child is the container's init. */
async function childOf(pid: number): Promise<number | undefined> {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ").map(Number);
  for (const child of children) {
    if (child > 0 && readFileSync(`/proc/${child}/comm`, "utf8").trim() === "systemd") return child;
  }
  return undefined;
}
