/** The exporter at work: following a log, scraped, idle, started, and how soon a line is seen. */
import { type ChildProcess, spawn } from "node:child_process";
import { appendFileSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { collectorModules } from "../src/collectors/index.ts";
import { type ExporterProcess, startExporter } from "../test/cli/exporter-process.ts";
import { debian } from "../tools/debian.ts";
import { liveLines } from "./corpus.ts";
import { failedOf, freshState, pidOf } from "./exporter.ts";
import { cpuSeconds, memoryMb } from "./process-tree.ts";
import { fiveCounters } from "./reading.ts";
import { type Bench, type Row, ratio } from "./rows.ts";
import { type Scraped, scrapeInTurns } from "./scraping.ts";
import { freePort, standInForSshd } from "./sshd-stand-in.ts";
import { median } from "./statistics.ts";

const failedLine = (port: number): string =>
  `${new Date().toISOString()} host sshd[${port}]: Failed password for root from 192.0.2.1 port ${port} ssh2\n`;

/** Before it counts: V8 compiles what runs a few times a second only after some minutes, and then not for months. */
const warmUp = [
  { linesPerSecond: 5_000, seconds: 60 },
  { linesPerSecond: 1_000, seconds: 240 },
] as const;
const measured = { linesPerSecond: 1_000, seconds: 120 };

/**
 * All follow one log at the same time, and nobody scrapes them. What starts up once is nobody's cost: a warm-up comes
 * first, in which V8 compiles what it will run for months. mtail reads nothing but the log: beside the exporter as it is
 * installed, there is one without the collectors that look at the host in the background.
 */
export const followLog: Bench = async (folder, say) => {
  const log = join(folder, "auth.log");
  writeFileSync(log, "");
  const stand = await standInForSshd(folder);
  const ends: (() => unknown)[] = [() => stand.child.kill()];
  try {
    const start = async (...more: string[]): Promise<ExporterProcess> => {
      const exporter = await startExporter([
        `--state.directory=${freshState(folder)}`,
        `--source.logfile=${log}`,
        `--sshd.port=${stand.port}`,
        "--no-source.kmsg",
        "--no-source.tcp-trace",
        ...more,
      ]);
      ends.push(() => exporter.stop());
      return exporter;
    };
    const bare = await start(...collectorModules.map(({ name }) => `--no-collector.${name}`));
    const whole = await start();
    const reference = await startMtail(folder, log);
    ends.push(() => reference.kill());
    const pids = [pidOf(bare), pidOf(whole), reference.pid ?? 0] as const;

    await delay(2_000);
    const next = liveLines(6);
    let failed = 0;
    for (const pace of warmUp) failed += await writeAtPace(log, next, pace);
    await delay(10_000);
    const before = pids.map(cpuSeconds);
    failed += await writeAtPace(log, next, measured);
    await delay(1_000);
    const [bareS = 0, wholeS = 0, mtailS = 0] = pids.map((pid, n) => cpuSeconds(pid) - (before[n] ?? 0));
    for (const exporter of [bare, whole]) await exporter.until("all lines", (values) => failedOf(values) === failed);
    say(
      `${measured.linesPerSecond * measured.seconds} lines in ${measured.seconds} s: exporter ${bareS.toFixed(2)} s, with collectors ${wholeS.toFixed(2)} s, mtail ${mtailS.toFixed(2)} s`,
    );
    return [
      {
        work: "following at 1,000 lines/s, CPU / mtail, both polling every 250 ms, no collectors",
        must: "<= 1.2",
        aim: "<= 0.7",
        measured: ratio(bareS / mtailS),
      },
      { work: "the same, collectors in the background", must: "", aim: "", measured: ratio(wholeS / mtailS) },
    ];
  } finally {
    for (const end of ends.reverse()) await end();
  }
};

async function startMtail(folder: string, log: string): Promise<ChildProcess> {
  const programs = join(folder, "mtail");
  mkdirSync(programs);
  writeFileSync(join(programs, "five.mtail"), fiveCounters);
  const mtail = await debian("mtail", "trixie");
  const address = ["-address", "127.0.0.1", "-port", String(await freePort())];
  const polls = ["-poll_interval=250ms", "-poll_log_interval=250ms"];
  return spawn(mtail.path, ["-progs", programs, "-logs", log, "-log_dir", folder, ...address, ...polls], {
    env: mtail.env as NodeJS.ProcessEnv,
    stdio: "ignore",
  });
}

/** Gives how many failed logins were among the lines. */
async function writeAtPace(
  log: string,
  next: ReturnType<typeof liveLines>,
  { linesPerSecond, seconds }: typeof measured,
): Promise<number> {
  const startMs = Date.now();
  const all = linesPerSecond * seconds;
  let failed = 0;
  for (let written = 0; written < all; ) {
    await delay(20);
    const due = Math.min(all, Math.floor(((Date.now() - startMs) * linesPerSecond) / 1000));
    const { text, failed: more } = next(due - written);
    appendFileSync(log, text);
    written = due;
    failed += more;
  }
  return failed;
}

/** node_exporter's collectors that read what ours read. */
export const matching = ["conntrack", "netstat", "netclass", "meminfo", "loadavg", "sockstat", "vmstat"];

export const scrape: Bench = async (folder, say) => {
  const stand = await standInForSshd(folder);
  const exporter = await startEverything(folder, stand.port);
  const tool = await debian("prometheus-node-exporter");
  const port = await freePort();
  const reference = spawn(
    tool.path,
    [
      `--web.listen-address=127.0.0.1:${port}`,
      "--collector.disable-defaults",
      ...matching.map((name) => `--collector.${name}`),
    ],
    { env: tool.env as NodeJS.ProcessEnv, stdio: "ignore" },
  );
  try {
    await delay(3_000);
    const [own, theirs] = await scrapeInTurns([
      { url: `${exporter.url}/metrics`, pid: pidOf(exporter) },
      { url: `http://127.0.0.1:${port}/metrics`, pid: reference.pid ?? 0 },
    ]);
    if (own === undefined || theirs === undefined) throw new Error("two were scraped");
    say(`CPU a scrape: exporter ${own.cpuMs.toFixed(2)} ms, node_exporter ${theirs.cpuMs.toFixed(2)} ms`);
    return scrapeRows("scrape with everything on, compressed", own, theirs);
  } finally {
    reference.kill();
    stand.child.kill();
    await exporter.stop();
  }
};

export const startAndIdle: Bench = async (folder, say) => {
  const cpu: number[] = [];
  const rss: number[] = [];
  const stand = await standInForSshd(folder);
  try {
    for (let round = 0; round < 5; round++) {
      const exporter = await startEverything(folder, stand.port);
      await exporter.values();
      cpu.push(cpuSeconds(pidOf(exporter)));
      await delay(10_000);
      rss.push(memoryMb(pidOf(exporter)).now);
      await exporter.stop();
    }
  } finally {
    stand.child.kill();
  }
  say(`start ${cpu.join(", ")} s; idle ${rss.map((mb) => mb.toFixed(0)).join(", ")} MB`);
  return [
    { work: "start to first good scrape, CPU s", must: "<= 0.6", aim: "<= 0.3", measured: median(cpu).toFixed(2) },
    {
      work: "idle RSS, 10 s after the start",
      must: "<= 75 MB",
      aim: "<= 60 MB",
      measured: `${median(rss).toFixed(0)} MB`,
    },
  ];
};

export const seen: Bench = async (folder, say) => {
  const log = join(folder, "auth.log");
  writeFileSync(log, "");
  const exporter = await startExporter([
    `--state.directory=${freshState(folder)}`,
    `--source.logfile=${log}`,
    "--source.from-beginning",
  ]);
  try {
    // One scrape at each age: scrapes within a second share a commit, so to ask again and again would show that instead.
    let written = 0;
    for (const ageMs of [100, 200, 250, 275, 300, 350, 400, 500, 750, 1_000, 2_000]) {
      let visible = 0;
      for (let trial = 0; trial < 10; trial++) {
        await delay(1_050 + trial * 27);
        appendFileSync(log, failedLine(1024 + written++));
        await delay(ageMs);
        if (failedOf(await exporter.values()) === written) visible++;
      }
      say(`${ageMs} ms after it was written: ${visible} of 10 visible`);
      if (visible < 10) continue;
      const measured = `${(ageMs / 1000).toFixed(2)} s`;
      return [{ work: "log line written to visible in a scrape, 10 of 10", must: "<= 1 s", aim: "<= 0.3 s", measured }];
    }
    throw new Error("a line is not visible after 2 s");
  } finally {
    await exporter.stop();
  }
};

async function startEverything(folder: string, port: number): Promise<ExporterProcess> {
  const log = join(folder, "auth.log");
  appendFileSync(log, "");
  return startExporter([`--state.directory=${freshState(folder)}`, `--source.logfile=${log}`, `--sshd.port=${port}`]);
}

/** The two rows of a scrape beside node_exporter's. */
export function scrapeRows(what: string, own: Scraped, theirs: Scraped): readonly Row[] {
  const ms = (value: number): string => value.toFixed(1);
  return [
    {
      work: `${what}, CPU / node_exporter with matching collectors`,
      must: "<= 0.6",
      aim: "<= 0.3",
      measured: ratio(own.cpuMs / theirs.cpuMs),
    },
    {
      work: "the same, p99 against node_exporter's p50",
      must: "<= p50",
      aim: "",
      measured: `${ms(own.p99Ms)} ms (p50 ${ms(own.p50Ms)}, p99 of its time on a CPU ${ms(own.p99OnCpuMs)}) against ${ms(theirs.p50Ms)} ms (p99 ${ms(theirs.p99Ms)})`,
    },
  ];
}
