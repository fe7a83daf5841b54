/**
 * The exporter for 40 minutes under load: 4,000 log lines a second (1 GB in all) of which some 240 are resets, the log
 * rotated every 30 s and the rotated one compressed, sshd restarted every minute, a scrape every second, a small
 * request ten times a second whose delay shows how long the event loop is busy. At the end counters against truth.
 * Beside it a second exporter that follows a journald of its own, 100 records a second, rotated and restarted.
 */
import { execFile } from "node:child_process";
import { closeSync, existsSync, openSync, renameSync, writeSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";
import { startExporter } from "../test/cli/exporter-process.ts";
import { conversation, peerOf, randomFrom, stamp } from "./corpus.ts";
import { freshState } from "./exporter.ts";
import { PrivateJournald } from "./private-journald.ts";
import { cpuSeconds, memoryMb, openDescriptors } from "./process-tree.ts";
import type { Bench, Row } from "./rows.ts";
import { percentile } from "./statistics.ts";

const compress = promisify(execFile);
const linesPerSecond = 4_000;
const rotateEveryMs = 30_000;
const restartEveryMs = 60_000;
const sampleEveryMs = 60_000;
const journalRecordsPerSecond = 100;
const journalSeconds = { betweenRotations: 20, betweenRestarts: 60 } as const;

export interface SoakSample {
  readonly minute: number;
  readonly rssMb: number;
  readonly descriptors: number;
  readonly cpuPercent: number;
  readonly scrapeP99Ms: number;
  readonly delayP99Ms: number;
  readonly delayMaxMs: number;
}

export interface SoakResult {
  readonly samples: readonly SoakSample[];
  /** MB an hour, fitted to all but the first quarter. */
  readonly rssSlope: number;
  readonly bytes: number;
  readonly truth: Readonly<Record<string, number>>;
  readonly counted: Readonly<Record<string, number>>;
  readonly lost: number;
}

export async function soak(
  folder: string,
  minutes: number,
  onSample: (sample: SoakSample) => void,
): Promise<SoakResult> {
  const log = join(folder, "auth.log");
  let fd = openSync(log, "a");
  const exporter = await startExporter(
    [`--state.directory=${folder}`, `--source.logfile=${log}`, "--source.from-beginning"],
    // As the unit and the image have it.
    { MALLOC_ARENA_MAX: "1" },
  );
  const pid = exporter.child.pid ?? 0;
  const random = randomFrom(1);
  const truth = { failed: 0, accepted: 0 };
  const open: { messages: readonly string[]; next: number; pid: number }[] = [];
  let serial = 0;
  let bytes = 0;
  const scrapes: number[] = [];
  const delays: number[] = [];
  const samples: SoakSample[] = [];

  function write(lines: number): void {
    let text = "";
    const header = `${stamp(Date.now())} bastion `;
    for (let i = 0; i < lines; i++) {
      if (open.length < 50) {
        const { messages, counts } = conversation(
          random,
          peerOf(Math.floor(100_000 ** random())),
          1024 + (serial % 60_000),
        );
        truth.failed += counts.failed ?? 0;
        truth.accepted += counts.accepted ?? 0;
        open.push({ messages, next: 0, pid: 300 + (serial++ % 4_000_000) });
      }
      const place = Math.floor(random() * open.length);
      const current = open[place];
      if (current === undefined) continue;
      text += `${header}sshd[${current.pid}]: ${current.messages[current.next++]}\n`;
      if (current.next === current.messages.length) open.splice(place, 1);
    }
    bytes += writeSync(fd, text);
  }

  /** As logrotate does with delaycompress: the file of the rotation before is compressed by a process of its own. */
  async function rotate(): Promise<void> {
    if (existsSync(`${log}.1`)) {
      renameSync(`${log}.1`, `${log}.2`);
      await compress("gzip", ["-1", "-f", `${log}.2`]);
    }
    renameSync(log, `${log}.1`);
    closeSync(fd);
    fd = openSync(log, "a");
  }

  const startMs = Date.now();
  const untilMs = startMs + minutes * 60_000;
  const running = new AbortController();
  const timed = async (path: string, into: number[], everyMs: number): Promise<void> => {
    while (!running.signal.aborted) {
      const beganMs = performance.now();
      await (await exporter.get(path)).arrayBuffer();
      into.push(performance.now() - beganMs);
      await delay(everyMs);
    }
  };
  const clients = [timed("/metrics", scrapes, 1_000), timed("/-/healthy", delays, 100)];
  let lines = 0;
  let rotatedMs = startMs;
  let restartedMs = startMs;
  let sampledMs = startMs;
  let cpuBefore = cpuSeconds(pid);
  while (Date.now() < untilMs) {
    await delay(50);
    const nowMs = Date.now();
    const due = Math.floor(((nowMs - startMs) / 1000) * linesPerSecond);
    write(Math.min(due - lines, linesPerSecond));
    lines = due;
    if (nowMs - rotatedMs >= rotateEveryMs) {
      await rotate();
      rotatedMs = nowMs;
    }
    if (nowMs - restartedMs >= restartEveryMs) {
      const header = `${stamp(nowMs)} bastion sshd[200]: `;
      bytes += writeSync(
        fd,
        `${header}Received signal 15; terminating.\n${header}Server listening on 0.0.0.0 port 22.\n`,
      );
      restartedMs = nowMs;
    }
    if (nowMs - sampledMs >= sampleEveryMs || nowMs >= untilMs) {
      const cpu = cpuSeconds(pid);
      const sample = {
        minute: Math.round((nowMs - startMs) / 60_000),
        rssMb: memoryMb(pid).own,
        descriptors: openDescriptors(pid),
        cpuPercent: ((cpu - cpuBefore) / ((nowMs - sampledMs) / 1000)) * 100,
        scrapeP99Ms: percentile(scrapes, 0.99),
        delayP99Ms: percentile(delays, 0.99),
        delayMaxMs: Math.max(...delays),
      };
      samples.push(sample);
      onSample(sample);
      scrapes.length = 0;
      delays.length = 0;
      cpuBefore = cpu;
      sampledMs = nowMs;
    }
  }
  running.abort();
  await Promise.all(clients);
  for (const { messages, next } of open) {
    for (const message of messages.slice(next)) {
      if (message.startsWith("Failed ")) truth.failed--;
      if (message.startsWith("Accepted ")) truth.accepted--;
    }
  }
  const read = (now: ReadonlyMap<string, number>) => ({
    failed: now.get("sshreset_authentication_failures_total") ?? 0,
    accepted: now.get("sshreset_connections_accepted_total") ?? 0,
  });
  const values = await exporter.until("all lines", (now) => read(now).failed >= truth.failed, 60_000);
  const counted = read(values);
  await exporter.stop();
  closeSync(fd);
  return {
    samples,
    rssSlope: slope(samples.slice(Math.floor(samples.length / 4))),
    bytes,
    truth,
    counted,
    lost: values.get('sshreset_source_lost_records_total{source="logfile"}') ?? Number.NaN,
  };
}

/** Least squares, in MB an hour. */
function slope(samples: readonly SoakSample[]): number {
  const meanX = samples.reduce((sum, { minute }) => sum + minute, 0) / samples.length;
  const meanY = samples.reduce((sum, { rssMb }) => sum + rssMb, 0) / samples.length;
  const covariance = samples.reduce((sum, { minute, rssMb }) => sum + (minute - meanX) * (rssMb - meanY), 0);
  const variance = samples.reduce((sum, { minute }) => sum + (minute - meanX) ** 2, 0);
  return variance === 0 ? 0 : (covariance / variance) * 60;
}

export interface JournalSoakResult {
  /** Every minute: the exporter's alone, and its descriptors. */
  readonly rssMb: readonly number[];
  readonly descriptors: readonly number[];
  readonly restarts: number;
  /** A record that journald had not taken when it ended is in no journal. */
  readonly written: number;
  readonly counted: number;
  readonly lost: number;
}

async function journalSoak(folder: string, minutes: number): Promise<JournalSoakResult> {
  const journald = new PrivateJournald(folder);
  await journald.open();
  const exporter = await startExporter(
    [
      `--state.directory=${freshState(folder)}`,
      `--source.journal.directory=${journald.journal}`,
      "--source.from-beginning",
      "--no-source.kmsg",
      "--no-source.tcp-trace",
    ],
    { MALLOC_ARENA_MAX: "1" },
  );
  const pid = exporter.child.pid ?? 0;
  const rssMb: number[] = [];
  const descriptors: number[] = [];
  let restarts = 0;
  try {
    const startMs = Date.now();
    for (let second = 1; second <= minutes * 60; second++) {
      await delay(startMs + second * 1000 - Date.now());
      await journald.write(journalRecordsPerSecond);
      await exporter.values();
      if (second % journalSeconds.betweenRotations === 0) journald.rotate();
      if (second % journalSeconds.betweenRestarts === 0) {
        journald.restart();
        restarts++;
        rssMb.push(memoryMb(pid).own);
        descriptors.push(openDescriptors(pid));
      }
    }
    await delay(2_000);
    // Rotated so often it has vacuumed its oldest files; what it still has was all counted, and more.
    const held = journald.held();
    const values = await exporter.until(
      "all records",
      (now) => (now.get("sshreset_authentication_failures_total") ?? 0) >= held,
      60_000,
    );
    return {
      rssMb,
      descriptors,
      restarts,
      written: journald.written,
      counted: values.get("sshreset_authentication_failures_total") ?? 0,
      lost: values.get('sshreset_source_lost_records_total{source="journal"}') ?? Number.NaN,
    };
  } finally {
    await exporter.stop();
    await journald.close();
  }
}

/** 40 minutes unless told. */
export const soakBench =
  (minutes = 40): Bench =>
  async (folder, say) => {
    const isRoot = process.getuid?.() === 0;
    const [result, journal] = await Promise.all([
      soak(folder, minutes, (sample) => say(JSON.stringify(sample))),
      isRoot ? journalSoak(join(folder, "journald"), minutes) : undefined,
    ]);
    return [...soakRows(minutes, result), ...(journal === undefined ? [] : journalRows(journal))];
  };

/** Of every fifth minute, and of the last. */
function everyFifth<T>(samples: readonly T[]): readonly T[] {
  return samples.filter((_, index) => index % 5 === 4 || index === samples.length - 1);
}

function journalRows({ rssMb, descriptors, restarts, written, counted, lost }: JournalSoakResult): readonly Row[] {
  const figures = (all: readonly number[]): string =>
    everyFifth(all)
      .map((figure) => figure.toFixed(0))
      .join(", ");
  return [
    {
      work: `an exporter that follows a journald restarted ${restarts} times, ${journalRecordsPerSecond} records a second: RSS without journalctl's`,
      must: "<= 100 MB",
      aim: "<= 80 MB",
      measured: `${figures(rssMb)} MB`,
    },
    { work: "the same, open descriptors", must: "steady", aim: "", measured: figures(descriptors) },
    {
      work: "the same, records counted of those written; lost",
      must: "equal; 0",
      aim: "",
      measured: `${counted} of ${written}; ${lost}`,
    },
  ];
}

function soakRows(minutes: number, { samples, rssSlope, bytes, truth, counted, lost }: SoakResult): readonly Row[] {
  const every = everyFifth(samples);
  const series = (of: (sample: SoakSample) => number): string =>
    every.map((sample) => of(sample).toFixed(0)).join(", ");
  const must = "<= 100 MB";
  return [
    {
      work: `RSS over ${minutes} minutes, every 5, at ${(bytes / 1e9).toFixed(2)} GB of log and a scrape a second`,
      must,
      aim: "<= 80 MB",
      measured: `${series((s) => s.rssMb)} MB`,
    },
    {
      work: "the same, slope of RSS after the first quarter",
      must: "",
      aim: "",
      measured: `${rssSlope.toFixed(1)} MB an hour`,
    },
    { work: "the same, open descriptors", must: "steady", aim: "", measured: series((s) => s.descriptors) },
    {
      work: "the same, delay of a small request: p99 of each minute (the event loop's, and the machine's)",
      must: "",
      aim: "",
      measured: `${series((s) => s.delayP99Ms)} ms`,
    },
    { work: "the same, CPU", must: "", aim: "", measured: `${series((s) => s.cpuPercent)} %` },
    {
      work: "the same, refused logins and logins counted of those written; lost",
      must: "equal; 0",
      aim: "",
      measured: `${counted["failed"]} of ${truth["failed"]}, ${counted["accepted"]} of ${truth["accepted"]}; ${lost}`,
    },
  ];
}
