/**
 * Real servers of Debian's in a namespace of the lab: sshd of any release, dropbear, haproxy. A foreign release runs
 * in a root of its own, its files over this machine's, so that its libraries and helper programs are its own; nothing
 * outside the mount namespace changes.
 */
import { type ChildProcess, execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { debian, type Suite } from "../../tools/debian.ts";
import { waitFor } from "../kernel/wait.ts";
import type { Namespace } from "../netns.ts";

export interface Daemon {
  /** What it printed so far. */
  log(): string;
  close(): Promise<void>;
}

const folderOf = (name: string): string => mkdtempSync(join(tmpdir(), `ssh-reset-exporter-${name}-`));

async function start(
  namespace: Namespace,
  folder: string,
  command: readonly string[],
  ready: (log: string) => boolean | Promise<boolean>,
  env = process.env,
): Promise<Daemon> {
  let log = "";
  const [program = "", ...args] = command;
  const child = namespace.start(program, args, env);
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on("data", (chunk: Buffer) => {
      log += chunk.toString();
    });
  }
  const close = async (): Promise<void> => {
    await ended(child);
    // A session process of sshd's may outlive it and hold these.
    child.stdout?.destroy();
    child.stderr?.destroy();
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    await waitFor(
      () => ready(log),
      () => `${command.join(" ")} does not come up: ${log}`,
    );
  } catch (error) {
    await close();
    throw error;
  }
  return { log: () => log, close };
}

export interface SshdOptions {
  readonly suite: Suite;
  readonly port?: number;
  readonly config?: readonly string[];
  readonly hostsDeny?: string;
}

export async function startSshd(namespace: Namespace, options: SshdOptions): Promise<Daemon> {
  const { suite, port = 22, config = [], hostsDeny = "" } = options;
  const { root } = await debian("sshd", suite);
  const folder = folderOf("sshd");
  const etc = join(folder, "root/etc");
  mkdirSync(join(etc, "ssh"), { recursive: true });
  for (const type of ["ed25519", "rsa"]) {
    execFileSync("ssh-keygen", ["-q", "-t", type, "-N", "", "-f", join(etc, "ssh", `${type}_key`)]);
  }
  writeFileSync(
    join(etc, "passwd"),
    "root:x:0:0::/:/bin/sh\nsshd:x:65534:65534::/run/sshd:/usr/sbin/nologin\nalice:x:1000:1000::/:/bin/sh\n",
  );
  writeFileSync(join(etc, "group"), "root:x:0:\nnogroup:x:65534:\n");
  writeFileSync(join(etc, "hosts.deny"), hostsDeny);
  writeFileSync(join(etc, "nsswitch.conf"), "passwd: files\ngroup: files\nhosts: files\n");
  const lines = [
    `Port ${port}`,
    ...["HostKey /etc/ssh/ed25519_key", "HostKey /etc/ssh/rsa_key"],
    ...["UsePAM no", "PidFile none", "UseDNS no", "LogLevel VERBOSE", ...config],
  ];
  writeFileSync(join(etc, "ssh/sshd_config"), `${lines.join("\n")}\n`);
  // A foreign release brings its whole closure; this machine's own finds what it lacks below its own files.
  const foreign = existsSync(join(root, "usr/lib64"));
  const script = `set -e
cd ${folder}/root
mkdir usr dev run proc tmp
for name in bin sbin lib lib64; do ln -s usr/$name $name; done
${foreign ? `mount --bind ${root}/usr usr` : `mount -t overlay overlay -o lowerdir=${root}/usr:/usr usr`}
mount --bind /dev dev
mount -t tmpfs tmpfs run
mkdir -m 755 run/sshd
exec chroot . /usr/sbin/sshd -D -e`;
  const ready = (log: string): boolean => log.includes("Server listening on ::");
  return start(namespace, folder, ["unshare", "--mount", "sh", "-c", script], ready);
}

export async function startDropbear(namespace: Namespace, port: number): Promise<Daemon> {
  const dropbear = await debian("dropbear");
  const folder = folderOf("dropbear");
  const key = join(folder, "key");
  const create = join(dropbear.root, "usr/bin/dropbearkey");
  execFileSync(create, ["-t", "ed25519", "-f", key], { env: { ...dropbear.env }, stdio: "ignore" });
  const command = [dropbear.path, "-F", "-E", "-r", key, "-p", String(port), "-P", join(folder, "pid")];
  return start(namespace, folder, command, (log) => log.includes("Not backgrounding"), { ...dropbear.env });
}

/** A TCP proxy that cuts what is idle for so long. */
export async function startHaproxy(
  namespace: Namespace,
  port: number,
  server: string,
  idleMs: number,
): Promise<Daemon> {
  const haproxy = await debian("haproxy");
  const folder = folderOf("haproxy");
  const file = join(folder, "haproxy.cfg");
  const config = `defaults
  mode tcp
  timeout connect 2s
  timeout client ${idleMs}ms
  timeout server ${idleMs}ms
listen ssh
  bind :${port}
  server sshd ${server}
`;
  writeFileSync(file, config);
  const listens = async (): Promise<boolean> =>
    (await namespace.run("cat", ["/proc/net/tcp"])).includes(
      `:${port.toString(16).toUpperCase().padStart(4, "0")} 00000000:0000 0A`,
    );
  return start(namespace, folder, [haproxy.path, "-db", "-f", file], listens, { ...haproxy.env });
}

/** A connection that stays before its login, and so counts for MaxStartups. */
export async function holdConnection(namespace: Namespace, address: string, port: number): Promise<Daemon> {
  const script = `exec 3<>/dev/tcp/${address}/${port}; read -r line <&3; echo "$line"; exec sleep 100`;
  return start(namespace, folderOf("hold"), ["bash", "-c", script], (log) => log.startsWith("SSH-2.0-"));
}

/** A fault server (fault-server.ts) for each `phase:fault`, on ports from 4000 on. */
export async function startFaults(namespace: Namespace, faults: readonly string[]): Promise<Daemon> {
  const file = new URL("./fault-server.ts", import.meta.url).pathname;
  const command = [process.execPath, "--import=tsx", file, ...faults];
  return start(namespace, folderOf("faults"), command, (log) => log.includes("listening"));
}

/** The whole process group. */
async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
  const end = new Promise((resolve) => child.once("exit", resolve));
  process.kill(-child.pid, "SIGKILL");
  await end;
}
