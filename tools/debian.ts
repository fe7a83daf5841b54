/**
 * Debian programs for tests, in a private cache: packages are downloaded with apt-get's own client (own lists, own
 * state, the mirror that this machine's apt is configured with) and unpacked with dpkg-deb -x. Nothing is installed,
 * no service starts, no root is needed. Remove the folder `${XDG_CACHE_HOME:-~/.cache}/ssh-reset-exporter/debian` to
 * fetch newer versions. Sources: apt-get(8), apt.conf(5), dpkg-deb(1), ld.so(8).
 */
import { execFile, spawn } from "node:child_process";
import { chmod, mkdir, open, readdir, readFile, rename, rm, stat, unlink, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";
import { skip } from "./skip.ts";

const run = promisify(execFile);

export interface Tool {
  readonly path: string;
  /** To be spawned with: this process' environment and where the libraries are. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The folder that the packages are unpacked in. */
  readonly root: string;
}

/** `machine`: this machine's own release. */
export type Suite = "machine" | "bookworm" | "trixie" | "sid";

/**
 * What is fetched together. `alone`: without its dependencies (static or libc only); `before`: its older packages;
 * `data`: a folder whose files the program looks for by absolute path.
 */
const groups = {
  prometheus: { packages: ["prometheus"], alone: true, programs: ["prometheus"] },
  // Part of prometheus until trixie, a package of its own since.
  promtool: { packages: ["promtool"], before: ["prometheus"], alone: true, programs: ["promtool"] },
  alertmanager: {
    packages: ["prometheus-alertmanager"],
    alone: true,
    data: "usr/share",
    programs: ["prometheus-alertmanager", "amtool"],
  },
  "node-exporter": { packages: ["prometheus-node-exporter"], alone: true, programs: ["prometheus-node-exporter"] },
  "blackbox-exporter": {
    packages: ["prometheus-blackbox-exporter"],
    alone: true,
    programs: ["prometheus-blackbox-exporter"],
  },
  // Last in bookworm: newer releases of Debian have none.
  "victoria-metrics": { packages: ["victoria-metrics"], alone: true, programs: ["victoria-metrics", "vmalert"] },
  mtail: { packages: ["mtail"], alone: true, programs: ["mtail"] },
  "journal-remote": { packages: ["systemd-journal-remote"], programs: ["systemd-journal-remote"] },
  systemd: {
    packages: ["systemd", "systemd-container"],
    programs: ["journalctl", "systemd-analyze", "systemd-nspawn", "systemd-tmpfiles", "systemd-sysusers"],
  },
  rsyslog: { packages: ["rsyslog"], programs: ["rsyslogd"] },
  openssh: {
    packages: ["openssh-server", "openssh-client"],
    programs: ["sshd", "ssh", "scp", "sftp", "ssh-keygen", "ssh-keyscan", "sshd-session", "sftp-server"],
  },
  dropbear: { packages: ["dropbear-bin"], programs: ["dropbear", "dbclient"] },
  logger: { packages: ["bsdutils"], programs: ["logger"] },
  logrotate: { packages: ["logrotate"], programs: ["logrotate"] },
  haproxy: { packages: ["haproxy"], programs: ["haproxy"] },
  nftables: { packages: ["nftables"], programs: ["nft"] },
  iptables: {
    packages: ["iptables"],
    programs: [
      "iptables-nft",
      "iptables-nft-save",
      "iptables-nft-restore",
      "ip6tables-nft-restore",
      "iptables-legacy-restore",
    ],
  },
  conntrack: { packages: ["conntrack"], programs: ["conntrack"] },
  iproute2: { packages: ["iproute2"], programs: ["ip", "ss", "tc", "nstat"] },
  ethtool: { packages: ["ethtool"], programs: ["ethtool"] },
  tcpdump: { packages: ["tcpdump"], programs: ["tcpdump"] },
  tcpd: { packages: ["tcpd"], programs: ["tcpdmatch", "tcpdchk"] },
  "python3-prometheus-client": { packages: ["python3", "python3-prometheus-client"], programs: ["python3"] },
  yamllint: { packages: ["yamllint"], programs: ["yamllint"] },
  shellcheck: { packages: ["shellcheck"], programs: ["shellcheck"] },
  buildah: { packages: ["buildah"], programs: ["buildah"] },
  crun: { packages: ["crun"], programs: ["crun"] },
  "docker-compose": { packages: ["docker-compose"], alone: true, programs: ["docker-compose"] },
  unzip: { packages: ["unzip"], programs: ["unzip"] },
  chromium: { packages: ["chromium", "fonts-dejavu-core"], programs: ["chromium"] },
  debootstrap: { packages: ["debootstrap"], programs: ["debootstrap"] },
  mandoc: { packages: ["mandoc"], programs: ["mandoc"] },
  zsh: { packages: ["zsh"], programs: ["zsh"] },
  fish: { packages: ["fish"], programs: ["fish"] },
  lintian: { packages: ["lintian"], programs: ["lintian"] },
} as const satisfies Record<string, Group>;

interface Group {
  readonly packages: readonly string[];
  readonly before?: readonly string[];
  readonly alone?: boolean;
  readonly data?: string;
  readonly programs: readonly string[];
}
type GroupName = keyof typeof groups;
export type Program = (typeof groups)[GroupName]["programs"][number];

const cache = join(process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "ssh-reset-exporter", "debian");

/** Finds the program in the cache, else fetches its group first. Throws a reason where that is impossible. */
export async function debian(program: Program, suite: Suite = "machine"): Promise<Tool> {
  const name = (Object.keys(groups) as GroupName[]).find((key) =>
    (groups[key].programs as readonly string[]).includes(program),
  );
  if (name === undefined) throw new Error(`no Debian package is known for the program "${program}"`);
  const own = await machineSuite();
  const release = suite === "machine" ? own : suite;
  const root = join(cache, release, name);
  if (!(await exists(root))) await locked(join(cache, release), () => fetchGroup(name, release, own, root));
  const tool = await toolIn(root, program, release === own);
  const { data }: Group = groups[name];
  return data === undefined ? tool : { ...tool, path: await overlaid(tool, program, data) };
}

/** The same in mocha: skips with the reason, and throws in CI. */
export async function debianOr(context: Mocha.Context, program: Program, suite: Suite = "machine"): Promise<Tool> {
  context.timeout(600_000);
  try {
    return await debian(program, suite);
  } catch (error) {
    return skip(context, `${program}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** Where this machine's apt fetches its own release from: for debootstrap. */
export async function mirror(): Promise<string> {
  const own = await machineSuite();
  const main = (await machineSources()).find((entry) => entry.suites.includes(own));
  if (main === undefined) throw new Error(`apt has no source for this machine's release "${own}"`);
  return main.uri;
}

async function machineSuite(): Promise<string> {
  const text = await readFile("/etc/os-release", "utf8").catch(() => "");
  const codename = /^VERSION_CODENAME=(\w+)$/m.exec(text)?.[1];
  if (codename === undefined) throw new Error("this machine is no Debian release: /etc/os-release has no codename");
  return codename;
}

const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );

/** The folder of everything that tests keep between runs. */
export const cacheFolder = join(cache, "..");

/** One fetch at a time per release, across processes; a lock whose owner is gone is taken over. */
export async function locked(folder: string, work: () => Promise<void>): Promise<void> {
  await mkdir(folder, { recursive: true });
  const lock = join(folder, "lock");
  const deadline = Date.now() + 15 * 60_000;
  for (;;) {
    const handle = await open(lock, "wx").catch(() => undefined);
    if (handle !== undefined) {
      await handle.writeFile(String(process.pid));
      await handle.close();
      break;
    }
    const owner = Number(await readFile(lock, "utf8").catch(() => ""));
    if (owner > 0 && !alive(owner)) await unlink(lock).catch(() => undefined);
    if (Date.now() > deadline) throw new Error(`another fetch holds ${lock} for 15 minutes (pid ${owner})`);
    await delay(300);
  }
  try {
    await work();
  } finally {
    await unlink(lock);
  }
}

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

async function fetchGroup(name: GroupName, release: string, own: string, root: string): Promise<void> {
  if (await exists(root)) return;
  const group: Group = groups[name];
  const started = Date.now();
  const say = (text: string): void => {
    if (process.stderr.isTTY) process.stderr.write(`debian: ${text}\n`);
  };
  say(`fetching ${group.packages.join(", ")} (${release}) into ${root}`);
  const fresh = `${root}.new`;
  await rm(fresh, { recursive: true, force: true });
  await mkdir(join(fresh, "archives", "partial"), { recursive: true });
  const config = await aptConfig(release, own);
  const archives = join(fresh, "archives");
  if (group.alone === true) {
    await apt(config, ["download", ...group.packages], archives).catch((error: unknown) => {
      if (group.before === undefined) throw error;
      return apt(config, ["download", ...group.before], archives);
    });
  } else {
    const options = ["--download-only", "--reinstall", "--no-install-recommends", "--yes"];
    await apt(config, [...options, `-oDir::Cache::archives=${archives}/`, "install", ...group.packages], archives);
  }
  const debs = (await readdir(archives)).filter((file) => file.endsWith(".deb"));
  if (debs.length === 0) throw new Error(`apt-get gave no package for ${group.packages.join(", ")}`);
  for (const deb of debs) await run("dpkg-deb", ["-x", join(archives, deb), fresh]);
  await rm(archives, { recursive: true });
  await writeFile(join(fresh, "packages.txt"), `${debs.sort().join("\n")}\n`);
  await rename(fresh, root);
  say(`${debs.length} packages in ${((Date.now() - started) / 1000).toFixed(1)} s`);
}

/** apt's own folders for one release, and its lists, updated once. Gives the configuration file for `apt-get -c`. */
async function aptConfig(release: string, own: string): Promise<string> {
  const folder = join(cache, release, "apt");
  const config = join(folder, "apt.conf");
  if (await exists(config)) return config;
  for (const part of ["lists/partial", "cache/archives/partial", "empty"]) {
    await mkdir(join(folder, part), { recursive: true });
  }
  await writeFile(join(folder, "sources.list"), await sourcesFor(release, own));
  // A foreign release shares no library with this machine: its whole closure is fetched.
  await writeFile(join(folder, "status"), "");
  const status = release === own ? "/var/lib/dpkg/status" : join(folder, "status");
  const text = `Dir::Etc::sourcelist "${folder}/sources.list";
Dir::Etc::sourceparts "${folder}/empty";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "${folder}/empty";
Dir::State "${folder}";
Dir::State::lists "${folder}/lists/";
Dir::State::status "${status}";
Dir::State::extended_states "${folder}/extended_states";
Dir::Cache "${folder}/cache/";
Dir::Log "${folder}";
APT::Sandbox::User "";
APT::Install-Recommends "false";
Acquire::Languages "none";
Acquire::Retries "3";
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Post-Invoke;
#clear DPkg::Pre-Install-Pkgs;
`;
  const fresh = `${config}.new`;
  await writeFile(fresh, text);
  await apt(fresh, ["update"], folder);
  await rename(fresh, config);
  return config;
}

/** One-line entries of this machine's Debian archive; for another release the same archive with its name. */
async function sourcesFor(release: string, own: string): Promise<string> {
  const entries = await machineSources();
  const archive = entries.filter((entry) => entry.suites.some((suite) => suite.split("-")[0] === own));
  if (archive.length === 0) throw new Error(`apt has no source for this machine's release "${own}"`);
  if (release === own) return archive.flatMap((e) => e.suites.map((s) => sourceLine(e, s))).join("");
  const main = archive.find((entry) => entry.suites.includes(own));
  if (main === undefined) throw new Error(`apt has no source for "${own}" to take "${release}" from`);
  return sourceLine(main, release);
}

interface AptSource {
  readonly uri: string;
  readonly suites: readonly string[];
  readonly components: readonly string[];
  readonly signedBy: string | undefined;
}

const sourceLine = (s: AptSource, suite: string): string =>
  `deb ${s.signedBy === undefined ? "" : `[signed-by=${s.signedBy}] `}${s.uri} ${suite} ${s.components.join(" ")}\n`;

/** sources.list(5), one-line and deb822 form. */
async function machineSources(): Promise<AptSource[]> {
  const parts = await readdir("/etc/apt/sources.list.d").catch(() => [] as string[]);
  const paths = ["/etc/apt/sources.list", ...parts.map((part) => `/etc/apt/sources.list.d/${part}`)];
  const found: AptSource[] = [];
  for (const path of paths) {
    const text = await readFile(path, "utf8").catch(() => "");
    if (path.endsWith(".list")) found.push(...oneLineSources(text));
    if (path.endsWith(".sources")) found.push(...deb822Sources(text));
  }
  return found;
}

function oneLineSources(text: string): AptSource[] {
  return [...text.matchAll(/^deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)\s+(.+)$/gm)].map(
    ([, options, uri, suite, rest]) => ({
      uri: uri ?? "",
      suites: [suite ?? ""],
      components: (rest ?? "").trim().split(/\s+/),
      signedBy: /signed-by=(\S+)/.exec(options ?? "")?.[1],
    }),
  );
}

function deb822Sources(text: string): AptSource[] {
  const stanzas = text.replace(/^#.*\n/gm, "").split(/\n\s*\n/);
  return stanzas.flatMap((stanza) => {
    const field = (name: string): string[] =>
      new RegExp(`^${name}:[ \\t]*(.+)$`, "mi").exec(stanza)?.[1]?.trim().split(/\s+/) ?? [];
    const [uri] = field("URIs");
    if (uri === undefined || field("Enabled")[0] === "no" || !field("Types").includes("deb")) return [];
    return [{ uri, suites: field("Suites"), components: field("Components"), signedBy: field("Signed-By")[0] }];
  });
}

/** Ends with the last lines of apt-get's own words where it fails. */
async function apt(config: string, args: readonly string[], cwd: string): Promise<void> {
  const child = spawn("apt-get", ["-q", "-c", config, "-oDebug::NoLocking=true", ...args], {
    cwd,
    stdio: ["ignore", "ignore", "pipe"],
  });
  let stderr = "";
  child.stderr.setEncoding("utf8").on("data", (chunk: string) => {
    stderr = (stderr + chunk).slice(-2000);
  });
  const code = await new Promise<number | string>((resolve) => {
    child.on("error", (error) => resolve(error.message));
    child.on("close", (status, signal) => resolve(status ?? signal ?? "unknown"));
  });
  if (code !== 0)
    throw new Error(`apt-get ${args.at(-1)} failed (${code}): ${stderr.trim().split("\n").slice(-3).join("; ")}`);
}

const programFolders = ["usr/bin", "bin", "usr/sbin", "sbin", "usr/lib/systemd", "lib/systemd", "usr/lib/openssh"];

/**
 * This machine's own release: the program runs with this machine's loader and the cached libraries in front.
 * Another release (or a newer libc): a wrapper beside it starts it through the cached loader, so that its children
 * do not inherit foreign libraries.
 */
async function toolIn(root: string, program: string, own: boolean): Promise<Tool> {
  const candidates = [root, ...(own ? ["/"] : [])].flatMap((top) => programFolders.map((f) => join(top, f, program)));
  const path = await firstExisting(candidates);
  if (path === undefined) throw new Error(`the package has no program "${program}" (looked in ${root})`);
  const libraries = await libraryFolders(root);
  const pythonPath = join(root, "usr/lib/python3/dist-packages");
  const env = {
    ...process.env,
    ...((await exists(pythonPath)) ? { PYTHONPATH: pythonPath } : {}),
  };
  const loader = await firstExisting([
    ...libraries.map((folder) => join(folder, "ld-linux-x86-64.so.2")),
    ...libraries.map((folder) => join(folder, "ld-linux-aarch64.so.1")),
  ]);
  if (loader !== undefined && path.startsWith(root)) {
    const wrapper = join(root, "run", program);
    if (!(await exists(wrapper))) {
      await writeScript(wrapper, `exec "${loader}" --library-path "${libraries.join(":")}" "${path}" "$@"`);
    }
    return { path: wrapper, env, root };
  }
  if (libraries.length === 0) return { path, env, root };
  const inherited = process.env["LD_LIBRARY_PATH"];
  return {
    path,
    env: { ...env, LD_LIBRARY_PATH: [...libraries, ...(inherited ? [inherited] : [])].join(":") },
    root,
  };
}

/** A wrapper that starts it in a mount namespace of its own, with its data laid over this machine's folder. */
async function overlaid({ path, root }: Tool, program: string, data: string): Promise<string> {
  const wrapper = join(root, "run", program);
  const user = process.getuid?.() === 0 ? "" : "--user --map-root-user ";
  const mount = `mount -t overlay overlay -o "lowerdir=${join(root, data)}:/${data}" "/${data}"`;
  const line = `exec unshare --mount ${user}sh -c '${mount} && exec "$0" "$@"' "${path}" "$@"`;
  if (!(await exists(wrapper))) await writeScript(wrapper, line);
  return wrapper;
}

async function writeScript(wrapper: string, line: string): Promise<void> {
  await mkdir(join(wrapper, ".."), { recursive: true });
  const fresh = `${wrapper}.${process.pid}`;
  await writeFile(fresh, `#!/bin/sh\n${line}\n`);
  await chmod(fresh, 0o755);
  await rename(fresh, wrapper);
}

async function firstExisting(paths: readonly string[]): Promise<string | undefined> {
  for (const path of paths) if (await exists(path)) return path;
  return undefined;
}

/** Folders below lib and usr/lib that hold shared libraries: the architecture's own, and systemd's private one. */
async function libraryFolders(root: string): Promise<string[]> {
  const found: string[] = [];
  for (const top of ["usr/lib", "lib"]) {
    const names = await readdir(join(root, top)).catch(() => [] as string[]);
    for (const name of names) {
      const folder = join(root, top, name);
      if (/-linux-gnu/.test(name)) found.push(folder, join(folder, "systemd"));
      if (name === "systemd") found.push(folder);
    }
  }
  const holding = await Promise.all(
    found.map(async (folder) => (await readdir(folder).catch(() => [])).some((file) => /\.so(\.|$)/.test(file))),
  );
  return found.filter((_, index) => holding[index]);
}

if (process.argv[1] === import.meta.filename) {
  const [program, suite] = process.argv.slice(2);
  if (program === undefined) {
    process.stdout.write("usage: node --import=tsx tools/debian.ts PROGRAM [SUITE]   prints its path\n");
  } else {
    process.stdout.write(`${(await debian(program as Program, suite as Suite | undefined)).path}\n`);
  }
}
