/**
 * Root filesystems of the lab's hosts: a minimal Debian with systemd, journald, rsyslog and sshd, made once by
 * debootstrap(8) from the mirror of this machine's apt, kept in the cache folder and copied for each host.
 */
import { spawn } from "node:child_process";
import { mkdir, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { cacheFolder, debian, locked, mirror } from "../../tools/debian.ts";

export const releases = { "12": "bookworm", "13": "trixie" } as const;
export type Release = keyof typeof releases;

const packages =
  "systemd,systemd-sysv,dbus,openssh-server,openssh-client,rsyslog,iproute2,procps,libpam-systemd,nftables,util-linux,libwrap0,cron,logrotate";

/** The release's root filesystem: to be copied, never to be booted itself. */
export async function rootfs(release: Release, say: (text: string) => void): Promise<string> {
  const suite = releases[release];
  const folder = join(cacheFolder, "lab", "roots");
  const root = join(folder, suite);
  if (await exists(root)) return root;
  await locked(folder, async () => {
    if (await exists(root)) return;
    const fresh = `${root}.new`;
    say(`building the root filesystem of Debian ${release}, once (1 to 2 minutes)`);
    await rm(fresh, { recursive: true, force: true });
    await mkdir(fresh, { recursive: true });
    await debootstrap(suite, fresh);
    await rm(join(fresh, "var/cache/apt/archives"), { recursive: true });
    await rename(fresh, root);
  });
  return root;
}

async function debootstrap(suite: string, target: string): Promise<void> {
  const tool = await debian("debootstrap");
  const folders = ["usr/sbin", "usr/bin", "sbin", "bin"];
  const path = [process.env["PATH"], "/usr/sbin", "/sbin", ...folders.map((folder) => join(tool.root, folder))].join(
    ":",
  );
  const args = ["-n", "10", tool.path, "--variant=minbase", `--include=${packages}`, suite, target, await mirror()];
  const env = { ...tool.env, PATH: path, DEBOOTSTRAP_DIR: join(tool.root, "usr/share/debootstrap") };
  const child = spawn("nice", args, { env, stdio: ["ignore", "pipe", "pipe"] });
  let last = "";
  const keep = (chunk: Buffer): void => {
    last = (last + chunk.toString()).slice(-600);
  };
  child.stdout.on("data", keep);
  child.stderr.on("data", keep);
  const code = await new Promise((resolve) => child.on("close", resolve));
  if (code !== 0) throw new Error(`debootstrap ${suite} failed (${code}): ${last.trim()}`);
}

const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );
