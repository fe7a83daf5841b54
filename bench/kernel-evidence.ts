/**
 * What the kernel's own evidence costs: 10,000 real SSH sockets, a hosts.deny of 5,000 lines, 10,000 resets a second read
 * from a real tracefs, a scrape with all of it on; and a flooded kernel ring. In a network namespace of its own; needs root.
 */
import { type ChildProcess, spawnSync } from "node:child_process";
import { once } from "node:events";
import { closeSync, constants, mkdirSync, openSync, readFileSync, readSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { parseHostsAccess } from "../src/collectors/hosts-access.ts";
import { parseValues, startExporter, waitFor } from "../test/cli/exporter-process.ts";
import { mountTracefs } from "../test/kernel/tracefs.ts";
import { type Namespace, openLab } from "../test/netns.ts";
import { debian } from "../tools/debian.ts";
import { freshState } from "./exporter.ts";
import { cpuSeconds, runToEnd } from "./process-tree.ts";
import type { Bench, Row } from "./rows.ts";
import { matching, scrapeRows } from "./running.ts";
import type { Scraped } from "./scraping.ts";
import { median } from "./statistics.ts";

const here = import.meta.dirname;
const program = join(here, "../dist/cli/main.js");
const url = "http://127.0.0.1:9000/metrics";
const referenceUrl = "http://127.0.0.1:9100/metrics";
const sshdPort = 22;
const floodedPort = 2222;
const sockets = 10_000;
const denyLines = 5_000;
const resets = 100_000;
const resetsPerSecond = 10_000;

export const kernelEvidence: Bench = async (folder, say) => {
  if (process.getuid?.() !== 0) throw new Error("needs root: tracefs and network namespaces");
  const rows: Row[] = [await kmsgFlood(folder, say)];
  const tracefs = mountTracefs();
  const lab = await openLab();
  const { server } = lab;
  try {
    const held = await holdSockets(server, folder);
    say(`${sockets} sockets`);
    const rootfs = join(folder, "root");
    rows.push(hostsDeny(rootfs));
    const slices = join(folder, "slices");
    const log = join(folder, "auth.log");
    for (const path of [slices, log]) writeFileSync(path, "");
    const exporter = server.start(
      process.execPath,
      [
        program,
        `--web.listen-address=127.0.0.1:9000`,
        `--state.directory=${freshState(folder)}`,
        `--source.logfile=${log}`,
        `--path.rootfs=${rootfs}`,
        `--path.tracefs=${tracefs.path}`,
        "--source.tcp-trace",
        `--sshd.port=${sshdPort}`,
        `--sshd.port=${floodedPort}`,
      ],
      { ...process.env, NODE_OPTIONS: `--require=${join(here, "slice-probe.cjs")}`, SLICES_FILE: slices },
    );
    const pid = exporter.pid ?? 0;
    await read(server, "tracefs and sockets", 30_000, (values) => {
      const traced = values.get('sshreset_source_up{source="tcp_trace"}') === 1;
      return traced && values.get('sshreset_ssh_sockets{state="established"}') === sockets;
    });
    exporter.kill("SIGUSR2");
    rows.push(await flood(server, pid, say));
    rows.push(await socketReading(server));
    say("sockets read");
    const tool = await debian("prometheus-node-exporter");
    const reference = server.start(
      tool.path,
      [
        "--web.listen-address=127.0.0.1:9100",
        "--collector.disable-defaults",
        ...matching.map((name) => `--collector.${name}`),
      ],
      tool.env as NodeJS.ProcessEnv,
    );
    await delay(3_000);
    const targets = [
      { url, pid },
      { url: referenceUrl, pid: reference.pid ?? 0 },
    ];
    const args = ["--import=tsx", join(here, "scraping.ts"), JSON.stringify(targets)];
    const [own, theirs] = JSON.parse(await output(server.start(process.execPath, args))) as Scraped[];
    if (own === undefined || theirs === undefined) throw new Error("two were scraped");
    say(`CPU a scrape: exporter ${own.cpuMs.toFixed(2)} ms, node_exporter ${theirs.cpuMs.toFixed(2)} ms`);
    rows.push(...scrapeRows("scrape with all of that on", own, theirs));
    rows.push({
      work: "the same, longest slice of the event loop, the flood included",
      must: "<= 20 ms",
      aim: "",
      measured: `${Number(readFileSync(slices, "utf8")).toFixed(0)} ms`,
    });
    exporter.kill();
    await once(exporter, "close");
    held.kill();
    return rows;
  } finally {
    lab.close();
    tracefs.close();
  }
};

/** A process of sshd's name with both ends of each connection. */
async function holdSockets(server: Namespace, folder: string): Promise<ChildProcess> {
  const sshd = join(folder, "sshd");
  symlinkSync(
    spawnSync("python3", ["-c", "import sys; print(sys.executable)"], { encoding: "utf8" }).stdout.trim(),
    sshd,
  );
  // Its standard input is never closed by us: it ends with the namespace.
  const child = server.start("sh", [
    "-c",
    `tail -f /dev/null | exec ${sshd} "$@"`,
    "sh",
    join(here, "hold-sockets.py"),
    String(sockets),
    String(sshdPort),
    String(floodedPort),
  ]);
  let said = "";
  child.stderr?.on("data", (chunk: Buffer) => (said += chunk));
  let held = false;
  child.stdout?.on("data", () => (held = true));
  await waitFor("the sockets", 60_000, async () => {
    if (child.exitCode !== null) throw new Error(`no sockets: ${said}`);
    return held || undefined;
  });
  return child;
}

function hostsDeny(rootfs: string): Row {
  mkdirSync(join(rootfs, "etc"), { recursive: true });
  const line = (n: number): string => `sshd: 10.${n >> 8}.${n & 255}.0/255.255.255.0 EXCEPT 10.${n >> 8}.${n & 255}.7`;
  const text = `${Array.from({ length: denyLines }, (_, n) => line(n)).join("\n")}\n`;
  writeFileSync(join(rootfs, "etc/hosts.deny"), text);
  const ms: number[] = [];
  for (let round = 0; round < 7; round++) {
    const { user, system } = process.cpuUsage();
    if (parseHostsAccess(text, "hosts.deny").rules.length !== denyLines) throw new Error("not all lines are rules");
    const after = process.cpuUsage();
    ms.push((after.user + after.system - user - system) / 1000);
  }
  return {
    work: `a hosts.deny of ${denyLines} lines: CPU when it has changed (at other scrapes: none)`,
    must: "",
    aim: "",
    measured: `${median(ms).toFixed(0)} ms`,
  };
}

async function flood(server: Namespace, pid: number, say: (text: string) => void): Promise<Row> {
  const received = "sshreset_tcp_resets_received_total";
  const lost = 'sshreset_source_lost_records_total{source="tcp_trace"}';
  const before = await values(server);
  const cpuBefore = cpuSeconds(pid);
  const args = [resets, floodedPort, resetsPerSecond].map(String);
  const flooder = server.start("python3", [join(here, "../test/kernel/flood.py"), ...args]);
  const seconds = Number(await output(flooder));
  const caused = (before.get(received) ?? 0) + resets;
  const told = (now: ReadonlyMap<string, number>): number => (now.get(received) ?? 0) + (now.get(lost) ?? 0);
  const after = await read(server, "the resets", 60_000, (now) => told(now) >= caused);
  const cpu = cpuSeconds(pid) - cpuBefore;
  const perSecond = Math.round(resets / seconds);
  say(`${resets} resets in ${seconds.toFixed(1)} s, exporter ${cpu.toFixed(2)} s`);
  return {
    work: `${resets} resets of connections to sshd at ${perSecond} a second: counted; lost; CPU a reset`,
    must: `${resets}; 0`,
    aim: "",
    measured: `${(after.get(received) ?? 0) - (before.get(received) ?? 0)}; ${after.get(lost) ?? 0}; ${((cpu / resets) * 1e6).toFixed(0)} us`,
  };
}

async function socketReading(server: Namespace): Promise<Row> {
  const args = ["--import=tsx", join(here, "read-sockets.ts"), String(sshdPort)];
  const cost = JSON.parse(await output(server.start(process.execPath, args))) as Record<string, number>;
  return {
    work: `${cost["sockets"]} SSH sockets: one reading (every 15 s, in the background): CPU of exporter and ss; time`,
    must: "",
    aim: "",
    measured: `${cost["ownMs"]?.toFixed(0)} and ${cost["ssMs"]?.toFixed(0)} ms; ${cost["wallMs"]?.toFixed(0)} ms`,
  };
}

/** Written to as the device allows it: ten records for each time that it is opened. None of them is the kernel's own. */
const kmsgWriter = `
import os, sys
for _ in range(int(sys.argv[1])):
    fd = os.open("/dev/kmsg", os.O_WRONLY)
    for _ in range(10):
        os.write(fd, b"<15>bench: %s\\n" % (b"x" * 100))
    os.close(fd)
`;

/** The exporter stands still while the ring is overwritten: what it then tells is held against the numbers that are gone. */
async function kmsgFlood(folder: string, say: (text: string) => void): Promise<Row> {
  const state = freshState(folder);
  const log = join(folder, "kmsg.log");
  writeFileSync(log, "");
  const exporter = await startExporter([
    `--state.directory=${state}`,
    `--source.logfile=${log}`,
    "--source.kmsg",
    "--no-source.tcp-trace",
  ]);
  const lost = 'sshreset_source_lost_records_total{source="kmsg"}';
  const next = (): number =>
    JSON.parse(readFileSync(join(state, "counts.json"), "utf8")).data.pipeline.positions.kmsg.next;
  try {
    // One record, so that there is a place; then a commit that has it.
    await runToEnd("python3", ["-c", kmsgWriter, "1"]);
    await exporter.until("a place in the ring", () => Number.isInteger(next()));
    await delay(1_500);
    await exporter.values();
    exporter.child.kill("SIGSTOP");
    const expected = next();
    await runToEnd("python3", ["-c", kmsgWriter, "20000"]);
    const oldest = oldestInRing();
    exporter.child.kill("SIGCONT");
    const values = await exporter.until("the loss", (now) => (now.get(lost) ?? 0) >= oldest - expected);
    say(`the ring was overwritten ${Math.round((oldest - expected) / 1000)} thousand records on`);
    return {
      work: "kernel ring flooded with 200000 records while nobody reads: told as lost of those that the kernel overwrote",
      must: "all",
      aim: "",
      measured: `${values.get(lost)} of ${oldest - expected}`,
    };
  } finally {
    exporter.child.kill("SIGCONT");
    await exporter.stop();
  }
}

/** The number of the first record that /dev/kmsg gives. */
function oldestInRing(): number {
  const fd = openSync("/dev/kmsg", constants.O_RDONLY | constants.O_NONBLOCK);
  const record = Buffer.alloc(8192);
  try {
    for (;;) {
      try {
        return Number(record.toString("latin1", 0, readSync(fd, record)).split(",", 2)[1]);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "EPIPE") throw error;
      }
    }
  } finally {
    closeSync(fd);
  }
}

async function output(child: ChildProcess): Promise<string> {
  let text = "";
  let said = "";
  child.stdout?.on("data", (chunk: Buffer) => (text += chunk));
  child.stderr?.on("data", (chunk: Buffer) => (said += chunk));
  const [code] = (await once(child, "close")) as [number | null];
  if (code !== 0) throw new Error(`ended with ${code}: ${said}`);
  return text;
}

async function values(server: Namespace): Promise<ReadonlyMap<string, number>> {
  const script = `fetch("${url}").then((r) => r.text()).then((t) => process.stdout.write(t))`;
  return parseValues(await server.run(process.execPath, ["-e", script]));
}

function read(
  server: Namespace,
  what: string,
  deadlineMs: number,
  holds: (values: ReadonlyMap<string, number>) => boolean,
): Promise<ReadonlyMap<string, number>> {
  let last: ReadonlyMap<string, number> = new Map();
  return waitFor(
    what,
    deadlineMs,
    async () => {
      last = await values(server).catch(() => new Map<string, number>());
      return holds(last) ? last : undefined;
    },
    () => [...last].filter(([name]) => /source|ssh_sockets|resets_received/.test(name)).join("\n"),
  );
}
