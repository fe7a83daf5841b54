/**
 * `npm run lab:pod`: the image as the chart's pod on a real node, the lab's Debian 12 host: as the chart comes, then
 * without each mount and right in turn. What is lost without it is compared with the table in docs/install-container.md;
 * `-- --write` writes the table; `-- --storage FOLDER` keeps the image there for the next run. At the end sshd is killed,
 * which the pod must report. Needs root, as the lab does.
 */
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { preparedInstance } from "../../src/sources/tcp-trace.ts";
import { debian } from "../../tools/debian.ts";
import { objectsOf, rendered } from "../../tools/kubernetes/chart.ts";
import { kubernetesTools } from "../../tools/kubernetes/tools.ts";
import { type Container, endContainer, execIn, type Node, type PodSpec, startContainer } from "../deploy/pod.ts";
import { Buildah, buildImage } from "../image/buildah.ts";
import { run, until } from "./command.ts";
import { Host } from "./host.ts";
import { mountTracefs } from "./instances.ts";
import { Network } from "./network.ts";
import { partsOf } from "./parts.ts";
import { rootfs } from "./roots.ts";
import { openStage, type Stage } from "./stage.ts";

const page = "docs/install-container.md";
const marks = ["<!-- table: npm run lab:pod -- --write -->", "<!-- end of table -->"] as const;
const image = "localhost/ssh-reset-exporter:lab";

/** Metrics that are there with a connection or a peer only. */
const comesAndGoes = /^sshreset_(source|ssh_socket|peer|session)/;
/** Names in one cell of a table. */
const most = 8;

interface Variant {
  /** As the table calls it. */
  readonly name: string;
  readonly what: string;
  /** Flags of "helm template". */
  readonly values?: readonly string[];
  readonly change?: (pod: PodSpec) => PodSpec;
}

const withoutMount =
  (mountPath: string) =>
  (pod: PodSpec): PodSpec => ({
    ...pod,
    containers: pod.containers.map((one) => ({
      ...one,
      volumeMounts: one.volumeMounts.filter((mount) => mount.mountPath !== mountPath),
    })),
  });

const complete: Variant = { name: "", what: "" };
/** Each of them is missing in turn; the rows of the table. */
const missing: readonly Variant[] = [
  {
    name: "the host's network",
    what: "sockets, counters and interfaces of a network namespace",
    change: (pod) => ({ ...pod, hostNetwork: false }),
  },
  { name: "`/proc`, read-only", what: "sshd's processes, the kernel's counters", change: withoutMount("/host/proc") },
  {
    name: "`/sys`, read-only, with what is mounted below",
    what: "interfaces, control groups, tracefs",
    change: withoutMount("/host/sys"),
  },
  {
    name: "`/etc`, read-only",
    what: "sshd_config, hosts.allow and hosts.deny, os-release",
    change: withoutMount("/host/etc"),
  },
  { name: "`/usr`, read-only", what: "whether sshd is linked with libwrap", change: withoutMount("/host/usr") },
  { name: "`/var/log`, read-only", what: "journal, log files", change: withoutMount("/host/var/log") },
  {
    name: "`/run/log`, read-only",
    what: "the journal where it is kept in memory",
    change: withoutMount("/host/run/log"),
  },
  { name: "group 4 (`adm`)", what: "reading them", values: ["supplementalGroups=null"] },
  {
    name: "once, as root with `CHOWN`: `observe trace`",
    what: "the kernel's TCP reset events",
    values: ["tcpTrace.enabled=false"],
  },
];
/** Each of them is granted in turn: what it adds. */
const extra: readonly Variant[] = [
  { name: "the host's process ids", what: "", change: (pod) => ({ ...pod, hostPID: true }) },
  { name: "root, without a capability", what: "", values: ["runAsRoot=true"] },
  { name: "root with `NET_ADMIN`, `observe install`", what: "", values: ["resetTtl.enabled=true"] },
];

interface Seen {
  readonly parts: ReadonlyMap<string, string>;
  readonly metrics: ReadonlySet<string>;
  readonly said: string;
}

const { values: flags } = parseArgs({ options: { write: { type: "boolean" }, storage: { type: "string" } } });
const startedMs = Date.now();
const say = (text: string): void =>
  console.log(`${((Date.now() - startedMs) / 1000).toFixed(0).padStart(5)} s  ${text}`);

process.exitCode = await main();

async function main(): Promise<number> {
  if (process.getuid?.() !== 0) {
    process.stderr.write("lab:pod needs root: namespaces, cgroups, systemd-nspawn, buildah\n");
    return 2;
  }
  const stage = openStage();
  if (typeof stage === "string") {
    process.stderr.write(`lab:pod: ${stage}\n`);
    return 1;
  }
  try {
    const buildah = await Buildah.create(flags.storage ?? stage.folder);
    if ((await buildah.run("images", "--quiet", "--filter", `reference=${image}`)) === "") {
      say("building the image");
      await buildImage(buildah, image);
    }
    const unpacked = await buildah.unpacked(image);
    const project = join(stage.folder, "project");
    mkdirSync(join(project, "node_modules"), { recursive: true });
    removeAtEnd(stage, join(mountTracefs(stage.folder), "instances", preparedInstance));
    const network = await Network.open(stage);
    say("booting Debian 12");
    const host = await Host.boot(stage, {
      release: "12",
      name: "lab-pod",
      template: await rootfs("12", say),
      networkNamespace: network.namespaces.server.name,
      publicKey: "",
      project,
      nodeModules: project,
    });
    const node = await nodeOf(host, unpacked);
    const first = await look(host, node, complete);
    say(`as it comes: ${[...first.parts].map(([part, state]) => `${part}: ${state}`).join(", ")}`);
    const rows: string[][] = [];
    for (const variant of missing) {
      const seen = await look(host, node, variant);
      rows.push([variant.name, variant.what, listed(difference(first, seen))]);
      say(`without ${rows.at(-1)?.join(": ")}`);
    }
    const gains: string[][] = [];
    for (const variant of extra) {
      const seen = await look(host, node, variant);
      gains.push([variant.name, listed(difference(seen, first)), listed(difference(first, seen))]);
      say(`with ${gains.at(-1)?.join(": ")}`);
    }
    await killSshd(host, node);
    return compare(tables(rows, gains)) ? 0 : 1;
  } finally {
    stage.close();
  }
}

/** What the pod's init container prepares outlives the pod. A reader that was killed just now holds it for a moment. */
function removeAtEnd(stage: Stage, instance: string): void {
  stage.onClose(() => {
    for (let tries = 0; existsSync(instance) && tries < 20; tries++) {
      if (spawnSync("rmdir", [instance]).status !== 0) spawnSync("sleep", ["0.1"]);
    }
  });
}

/** The lab's host as a node: image and runtime in its own files. */
async function nodeOf(host: Host, { root, entrypoint, env }: Node["image"]): Promise<Node> {
  await run("cp", ["-a", root, join(host.root, "opt/image")]);
  const crun = await debian("crun");
  cpSync(crun.root, join(host.root, "opt/crun"), { recursive: true, verbatimSymlinks: true });
  // The lab's host sees the machine's sysfs; its own network's is here. Its own boot id hides the journal's.
  await host.run("mkdir -p /run/sysfs/kernel/tracing; mount -t tracefs tracefs /run/sysfs/kernel/tracing");
  await host.run(
    "while umount /proc/sys/kernel/random/boot_id 2>/dev/null; do :; done; systemctl restart systemd-journald",
  );
  const folder = join(host.root, "opt/pod");
  const libraries = "LD_LIBRARY_PATH=/opt/crun/usr/lib/x86_64-linux-gnu:/opt/crun/lib/x86_64-linux-gnu";
  return {
    image: { root: "/opt/image", entrypoint, env },
    address: "127.0.0.1",
    folder,
    at: (hostPath) => (hostPath.startsWith("/sys") ? hostPath.replace("/sys", "/run/sysfs") : hostPath),
    inside: {
      folder: "/opt/pod",
      crun: "/opt/crun/usr/bin/crun",
      command: (...words) => host.inside("env", libraries, ...words),
    },
  };
}

/** The pod of this variant, until everything in it is settled and a reset and a record were provoked. */
async function look(host: Host, node: Node, variant: Variant): Promise<Seen> {
  await host.run("rm -rf /var/lib/ssh-reset-exporter; mkdir -p /var/lib/ssh-reset-exporter /run/log");
  const running = await started(node, variant);
  try {
    await settled(running);
    await host.attempt("ssh -o BatchMode=yes -o StrictHostKeyChecking=no nobody@127.0.0.1 true");
    const resetter =
      'const s = require("node:net").connect(22, "127.0.0.1"); s.once("data", () => s.resetAndDestroy())';
    await host.run(`/opt/node -e '${resetter}'`);
    const metrics = await running.ask("/metrics");
    if (/source_up\{source="journal"\} 1/.test(metrics))
      await until("a record", async () =>
        /source_records_total\{source="journal"\} [1-9]/.test(await running.ask("/metrics")),
      );
    if (/source_up\{source="tcp_trace"\} 1/.test(metrics) && variant === complete)
      await until("a reset event", async () => /tcp_resets_received_total [1-9]/.test(await running.ask("/metrics")));
    return { ...partsOf(await running.ask("/metrics")), said: running.said() };
  } catch (error) {
    throw new Error(`${variant.name}: ${error instanceof Error ? error.message : error}\n${running.said()}`);
  } finally {
    await running.end();
  }
}

interface Running {
  ask(path: string): Promise<string>;
  said(): string;
  end(): Promise<void>;
}

async function started(node: Node, { values = [], change = (pod) => pod }: Variant): Promise<Running> {
  const { helm } = await kubernetesTools();
  const objects = objectsOf(
    await rendered(
      helm,
      values.flatMap((value) => ["--set", value]),
    ),
  );
  const daemonSet = objects.find(({ kind }) => kind === "DaemonSet") as unknown as {
    spec: { template: { spec: PodSpec } };
  };
  const pod = change(daemonSet.spec.template.spec);
  let said = "";
  const begin = async (container: Container) => {
    const child = await startContainer(pod, container, node);
    for (const stream of [child.stdout, child.stderr])
      stream?.on("data", (chunk: Buffer) => {
        said = (said + chunk.toString()).slice(-8000);
      });
    return child;
  };
  for (const container of pod.initContainers ?? []) {
    const [code] = (await once(await begin(container), "close")) as [number | null];
    if (code !== 0) throw new Error(`${container.name} ended with ${code}: ${said}`);
  }
  const [exporter] = pod.containers as [Container];
  const child = await begin(exporter);
  const ended = once(child, "close");
  return {
    async ask(path) {
      const program = `fetch("http://127.0.0.1:10922${path}").then((r) => r.text()).then((t) => process.stdout.write(t), () => {})`;
      const asker = await execIn(exporter, node, "node", "-e", program);
      let text = "";
      asker.stdout?.on("data", (chunk: Buffer) => {
        text += chunk.toString();
      });
      await once(asker, "close");
      return text;
    },
    said: () => said,
    async end() {
      await endContainer(exporter, node);
      await ended;
    },
  };
}

/** It answers, and no collector waits for its first background reading. */
async function settled(running: Running): Promise<void> {
  await until("the exporter answers", async () => (await running.ask("/-/healthy")) !== "");
  await until("collectors are settled", async () => {
    await running.ask("/metrics");
    return !/not read yet|still being read|not answered yet/.test(await running.ask("/"));
  });
}

/** kill -9 of sshd's main process, as the lab's scenario does: seen by the pod. */
async function killSshd(host: Host, node: Node): Promise<void> {
  await host.run("rm -rf /var/lib/ssh-reset-exporter; mkdir -p /var/lib/ssh-reset-exporter");
  const running = await started(node, complete);
  try {
    await settled(running);
    await host.run(`kill -9 ${await host.listener()}`);
    const began = Date.now();
    await until(`the crash is reported; the pod said: ${running.said()}`, async () =>
      /sshd_stops_total\{reason="crash"\} 1/.test(await running.ask("/metrics")),
    );
    say(
      `kill -9 of sshd: sshreset_sshd_stops_total{reason="crash"} 1 after ${((Date.now() - began) / 1000).toFixed(1)} s`,
    );
  } finally {
    await running.end();
  }
}

/** What the first sees and the second does not: sources, collectors, then metrics of collectors that both have. */
function difference(first: Seen, second: Seen): string[] {
  const parts = [...first.parts].filter(([part, state]) => state === "yes" && second.parts.get(part) !== "yes");
  const failed = [...second.parts].filter(([part, state]) => state === "failed" && first.parts.get(part) !== "failed");
  const metrics = [...first.metrics].filter(
    (name) => !second.metrics.has(name) && !name.startsWith("sshreset_source_"),
  );
  return [
    ...parts.map(([part]) => part.replace(/ (.*)/, " `$1`")),
    ...failed.filter(([part]) => !parts.some(([name]) => name === part)).map(([part]) => `${part} fails`),
    ...metrics.map((name) => `\`${name.replace("sshreset_", "")}\``),
  ];
}

function listed(names: readonly string[]): string {
  if (names.length === 0) return "nothing";
  const more = names.length > most ? ` and ${names.length - most} more metrics` : "";
  return `${names.slice(0, most).join(", ")}${more}`;
}

function tables(rows: readonly (readonly string[])[], gains: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  return [
    line(["what it gets", "for", "lost without it"]),
    line(["---", "---", "---"]),
    ...rows.map(line),
    "",
    line(["what more could be given", "adds", "loses"]),
    line(["---", "---", "---"]),
    ...gains.map(line),
  ].join("\n");
}

function compare(fresh: string): boolean {
  const text = readFileSync(page, "utf8");
  const [begin, end] = [text.indexOf(marks[0]) + marks[0].length, text.indexOf(marks[1])];
  const written = text.slice(begin, end).trim();
  console.log(`\n${fresh}\n`);
  if (flags.write === true) writeFileSync(page, `${text.slice(0, begin)}\n\n${fresh}\n\n${text.slice(end)}`);
  if (flags.write === true || written === fresh) return true;
  console.error(`${page} says otherwise; npm run lab:pod -- --write writes it anew`);
  return false;
}
