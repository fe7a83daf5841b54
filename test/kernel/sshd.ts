/**
 * A real sshd (Debian's, from the private cache) in a namespace of the lab, logging through a real rsyslogd. They run in a
 * mount namespace of their own with the user and folder of privilege separation and a /dev/log, so that the machine itself
 * needs none of these.
 */
import type { ChildProcess } from "node:child_process";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { debian, type Suite } from "../../tools/debian.ts";
import type { Namespace } from "../netns.ts";
import { waitFor } from "./wait.ts";

export interface LabSshd {
  readonly port: number;
  /** The key that root may log in with. */
  readonly identityFile: string;
  /** What rsyslogd writes, as Debian 12 does by default. */
  readonly logFile: string;
  /** What it logged so far. */
  log(): string;
  close(): Promise<void>;
}

export interface SshdOptions {
  readonly port?: number;
  readonly config?: readonly string[];
  readonly hostsDeny?: string;
  readonly suite?: Suite;
}

/** Listens when it resolves. */
export async function startSshd(namespace: Namespace, options: SshdOptions = {}): Promise<LabSshd> {
  const { port = 22, config = [], hostsDeny = "", suite = "machine" } = options;
  const sshd = await debian("sshd", suite);
  const rsyslogd = await debian("rsyslogd");
  const folder = mkdtempSync(join(tmpdir(), "ssh-reset-exporter-sshd-"));
  const at = (name: string): string => join(folder, name);
  for (const name of ["host_key", "identity"])
    execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", at(name)]);
  writeFileSync(at("authorized_keys"), readFileSync(at("identity.pub")));
  const passwd = readFileSync("/etc/passwd", "utf8").replace(/^sshd:.*\n/m, "");
  mkdirSync(at("etc"));
  writeFileSync(at("etc/passwd"), `${passwd}sshd:x:65534:65534::/run/sshd:/usr/sbin/nologin\n`);
  writeFileSync(at("etc/hosts.deny"), hostsDeny);
  writeFileSync(
    at("sshd_config"),
    [
      `Port ${port}`,
      `HostKey ${at("host_key")}`,
      `AuthorizedKeysFile ${at("authorized_keys")}`,
      ...["PermitRootLogin yes", "StrictModes no", "UsePAM no", "PidFile none", "UseDNS no"],
      ...config,
      "",
    ].join("\n"),
  );
  const logFile = at("auth.log");
  writeFileSync(logFile, "");
  writeFileSync(
    at("rsyslog.conf"),
    `module(load="imuxsock")
action(type="omfile" file="${logFile}" template="RSYSLOG_FileFormat")
`,
  );
  const libraries = readdirSync(join(rsyslogd.root, "usr/lib")).find((name) => name.includes("-linux-gnu")) ?? "";
  const modules = join(rsyslogd.root, "usr/lib", libraries, "rsyslog");
  const script = `set -e
mount -t overlay overlay -o lowerdir=${at("etc")}:/etc /etc
mount -t tmpfs tmpfs /run
mkdir -m 755 /run/sshd
mount -t tmpfs -o mode=755 tmpfs /dev
mknod -m 666 /dev/null c 1 3
mknod -m 666 /dev/urandom c 1 9
LD_LIBRARY_PATH='${rsyslogd.env["LD_LIBRARY_PATH"] ?? ""}' ${rsyslogd.path} -n -f ${at("rsyslog.conf")} -i ${at("rsyslogd.pid")} -M ${modules} &
until [ -S /dev/log ]; do sleep 0.02; done
exec ${sshd.path} -D -f ${at("sshd_config")}`;
  const child = namespace.start("unshare", ["--mount", "sh", "-c", script], sshd.env);
  let complaints = "";
  child.stderr?.on("data", (chunk: Buffer) => {
    complaints += chunk.toString();
  });
  const log = (): string => readFileSync(logFile, "utf8");
  const close = async (): Promise<void> => {
    await ended(child);
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    await waitFor(
      () => log().includes("Server listening on ::"),
      () => `sshd does not listen: ${log()}${complaints}`,
    );
  } catch (error) {
    await close();
    throw error;
  }
  return { port, identityFile: at("identity"), logFile, log, close };
}

/** The whole process group: sessions too. */
async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
  const end = new Promise((resolve) => child.once("close", resolve));
  process.kill(-child.pid, "SIGKILL");
  await end;
}
