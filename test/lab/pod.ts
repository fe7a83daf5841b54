/**
 * `npm run lab:pod`: the image as the chart's pod on a real node, the lab's Debian 12 host, as the chart comes and with
 * other rights. It must see the journal, a reset by the kernel's event, and a kill -9 of sshd.
 * `-- --storage FOLDER` keeps the image there for the next run. Needs root, as the lab does.
 */
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { preparedInstance } from "../../src/sources/tcp-trace.ts";
import { debian } from "../../tools/debian.ts";
import type { Node } from "../deploy/pod.ts";
import { complete, difference, settled, startPod, type Variant } from "../deploy/variants.ts";
import { Buildah, buildImage } from "../image/buildah.ts";
import { run, until } from "./command.ts";
import { Host } from "./host.ts";
import { mountTracefs } from "./instances.ts";
import { Network } from "./network.ts";
import { type Parts, partsOf } from "./parts.ts";
import { rootfs } from "./roots.ts";
import { openStage, type Stage } from "./stage.ts";

const image = "localhost/ssh-reset-exporter:lab";

/** To what each loses. What a process of the host can tell is there without its process ids. */
const variants: readonly (readonly [Variant, string])[] = [
  [{ name: "no reset events", what: "", values: ["tcpTrace.enabled=false"] }, "source `tcp_trace`"],
  [{ name: "without group 4", what: "", values: ["supplementalGroups=null"] }, "source `journal`"],
  [{ name: "with the host's process ids", what: "", change: (pod) => ({ ...pod, hostPID: true }) }, "nothing"],
  [{ name: "root without a capability", what: "", values: ["runAsRoot=true"] }, "nothing"],
  [{ name: "root with NET_ADMIN", what: "", values: ["resetTtl.enabled=true"] }, "nothing"],
];

const { values: flags } = parseArgs({ options: { storage: { type: "string" } } });
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
    const problems: string[] = [];
    for (const part of ["source journal", "source tcp_trace", "collector sshd", "collector sockets"])
      if (first.parts.get(part) !== "yes") problems.push(`${part} is not seen as the chart comes`);
    for (const [variant, wanted] of variants) {
      const lost = difference(first, await look(host, node, variant));
      say(`${variant.name}: lost ${lost}`);
      if (lost !== wanted) problems.push(`${variant.name}: lost ${lost}, not ${wanted}`);
    }
    await killSshd(host, node);
    for (const problem of problems) console.error(`NOT AS PROMISED: ${problem}`);
    return problems.length === 0 ? 0 : 1;
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
async function look(host: Host, node: Node, variant: Variant): Promise<Parts> {
  await host.run("rm -rf /var/lib/ssh-reset-exporter; mkdir -p /var/lib/ssh-reset-exporter /run/log");
  const running = await startPod(node, variant);
  const has = (what: string, pattern: RegExp) =>
    until(`${what}; the pod said: ${running.said()}`, async () => pattern.test(await running.ask("/metrics")));
  try {
    await settled(running);
    await host.attempt("ssh -o BatchMode=yes -o StrictHostKeyChecking=no nobody@127.0.0.1 true");
    const resetter =
      'const s = require("node:net").connect(22, "127.0.0.1"); s.once("data", () => s.resetAndDestroy())';
    await host.run(`/opt/node -e '${resetter}'`);
    if (variant === complete) {
      await has("a record of sshd", /source_records_total\{source="journal"\} [1-9]/);
      await has("a reset event", /tcp_resets_received_total [1-9]/);
    }
    return partsOf(await running.ask("/metrics"));
  } finally {
    await running.end();
  }
}

/** kill -9 of sshd's main process, as the lab's scenario does: seen by the pod. */
async function killSshd(host: Host, node: Node): Promise<void> {
  await host.run("rm -rf /var/lib/ssh-reset-exporter; mkdir -p /var/lib/ssh-reset-exporter");
  const running = await startPod(node, complete);
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
