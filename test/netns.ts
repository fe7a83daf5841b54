/**
 * Three network namespaces, client - router - server, on two veth pairs, IPv4 and IPv6: a network of our own to break.
 * Needs root, ip(8). Everything in it ends with `close`, at exit, on SIGINT and SIGTERM; what a killed run left behind
 * is removed by the next. Addresses come from the pid, since the kernel's trace events tell no namespaces apart.
 */
import { type ChildProcess, execFile, spawn, spawnSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { promisify } from "node:util";
import { debian } from "../tools/debian.ts";

const execute = promisify(execFile);

export interface Namespace {
  readonly name: string;
  readonly address: string;
  readonly address6: string;
  /** Runs a program to its end; its standard output. Throws where it fails or takes longer than 20 s. */
  run(program: string, args: readonly string[]): Promise<string>;
  /** Starts a program, which `close` ends at the latest. */
  start(program: string, args: readonly string[], env?: NodeJS.ProcessEnv): ChildProcess;
}

export interface Lab {
  readonly client: Namespace;
  readonly router: Namespace;
  readonly server: Namespace;
  /** A second address of the client. */
  readonly otherClientAddress: string;
  close(): void;
}

const prefix = "sre";

/** Why it cannot run here; undefined where it can. */
export function labProblem(): string | undefined {
  if (process.getuid?.() !== 0) return "needs root: network namespaces";
  const { error, stderr, status } = spawnSync("ip", ["netns", "list"], { encoding: "utf8" });
  if (error !== undefined || status !== 0) return `needs ip(8): ${error?.message ?? stderr}`;
  const trial = spawnSync("unshare", ["--net", "true"], { encoding: "utf8" });
  return trial.status === 0 ? undefined : `no network namespaces here: ${trial.stderr}`;
}

export interface LabOptions {
  /** false switches segmentation offload off, without which path MTU tests lie. */
  readonly offload?: boolean;
  /** Of several networks of one process: 0 to 7, with addresses of its own each. */
  readonly number?: number;
}

export async function openLab({ offload = true, number = 0 }: LabOptions = {}): Promise<Lab> {
  removeStale();
  const id = process.pid;
  const net = `10.${64 + ((id + 16 * number) % 128)}`;
  const net6 = `fd77:${((id + 0x2000 * number) % 0xffff).toString(16)}`;
  const names = ["client", "router", "server"].map((role) => `${prefix}-${id}-${role}${number || ""}`);
  const [client = "", router = "", server = ""] = names;
  const children = new Set<ChildProcess>();
  let open = true;

  const close = (): void => {
    if (!open) return;
    open = false;
    process.removeListener("exit", close);
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.removeListener(signal, closeAndEnd);
    for (const child of children) endGroup(child);
    for (const name of names) spawnSync("ip", ["netns", "delete", name]);
  };
  const closeAndEnd = (signal: NodeJS.Signals): void => {
    close();
    process.kill(process.pid, signal);
  };
  process.on("exit", close);
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, closeAndEnd);

  const namespace = (name: string, address: string, address6: string): Namespace => ({
    name,
    address,
    address6,
    async run(program, args): Promise<string> {
      const { stdout } = await execute("ip", ["netns", "exec", name, program, ...args], { timeout: 20_000 });
      return stdout;
    },
    start(program, args, env = process.env) {
      const child: ChildProcess = spawn("ip", ["netns", "exec", name, program, ...args], {
        env,
        detached: true,
        stdio: ["ignore", "pipe", "pipe"],
      });
      children.add(child);
      child.once("close", () => children.delete(child));
      return child;
    },
  });

  try {
    await ip(names.map((name) => `netns add ${name}`));
    await ip([
      `link add c0 netns ${client} type veth peer name r1 netns ${router}`,
      `link add s0 netns ${server} type veth peer name r2 netns ${router}`,
    ]);
    const addresses = [
      { name: client, link: "c0", subnet: 1, host: 2 },
      { name: router, link: "r1", subnet: 1, host: 1 },
      { name: router, link: "r2", subnet: 2, host: 1 },
      { name: server, link: "s0", subnet: 2, host: 2 },
    ];
    for (const name of names) {
      const own = addresses.filter((entry) => entry.name === name);
      await ip(
        [
          "link set lo up",
          ...own.flatMap(({ link, subnet, host }) => [
            `address add ${net}.${subnet}.${host}/24 dev ${link}`,
            `-6 address add ${net6}:${subnet}::${host}/64 dev ${link} nodad`,
            `link set ${link} up`,
          ]),
          ...(name === client ? [`address add ${net}.1.3/24 dev c0`] : []),
        ],
        name,
      );
    }
    await ip([`route add default via ${net}.1.1`, `-6 route add default via ${net6}:1::1`], client);
    await ip([`route add default via ${net}.2.1`, `-6 route add default via ${net6}:2::1`], server);
    const lab: Lab = {
      client: namespace(client, `${net}.1.2`, `${net6}:1::2`),
      router: namespace(router, `${net}.2.1`, `${net6}:2::1`),
      server: namespace(server, `${net}.2.2`, `${net6}:2::2`),
      otherClientAddress: `${net}.1.3`,
      close,
    };
    for (const key of ["net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"]) await setInNamespace(lab.router, key, 1);
    if (!offload) await switchOffloadOff(lab);
    return lab;
  } catch (error) {
    close();
    throw error;
  }
}

/** Writes a per-namespace setting below /proc/sys. */
export async function setInNamespace(namespace: Namespace, key: string, value: number): Promise<void> {
  if (!key.startsWith("net/")) throw new Error(`"${key}" is no setting of a network namespace`);
  await namespace.run("sh", ["-c", `echo ${value} > /proc/sys/${key}`]);
}

async function switchOffloadOff(lab: Lab): Promise<void> {
  const ethtool = await debian("ethtool");
  for (const [namespace, link] of [
    [lab.client, "c0"],
    [lab.router, "r1"],
    [lab.router, "r2"],
    [lab.server, "s0"],
  ] as const)
    await namespace.run("env", [
      `LD_LIBRARY_PATH=${ethtool.env["LD_LIBRARY_PATH"] ?? ""}`,
      ethtool.path,
      ...["-K", link, "tso", "off", "gso", "off", "gro", "off", "tx", "off"],
    ]);
}

async function ip(lines: readonly string[], namespace?: string): Promise<void> {
  for (const line of lines) {
    const args = [...(namespace === undefined ? [] : ["-n", namespace]), ...line.split(" ")];
    await execute("ip", args).catch((error: { stderr?: string }) => {
      throw new Error(`ip ${args.join(" ")}: ${error.stderr ?? String(error)}`);
    });
  }
}

function endGroup(child: ChildProcess): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, "SIGKILL");
  } catch {
    // It has ended by itself.
  }
}

/** Namespaces of runs that were killed. */
function removeStale(): void {
  if (!existsSync("/run/netns")) return;
  for (const name of readdirSync("/run/netns")) {
    const pid = new RegExp(`^${prefix}-(\\d+)-\\w+$`).exec(name)?.[1];
    if (pid !== undefined && !existsSync(`/proc/${pid}`)) spawnSync("ip", ["netns", "delete", name]);
  }
}
