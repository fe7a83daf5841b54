/** Inputs without bound: what memory, series and the longest synchronous slice come to. */
import { appendFileSync, closeSync, mkdirSync, openSync, readFileSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { startExporter } from "../test/cli/exporter-process.ts";
import { writeCorpus } from "./corpus.ts";
import { freshState, pidOf } from "./exporter.ts";
import { memoryMb } from "./process-tree.ts";
import type { Bench, Row } from "./rows.ts";
import { standInForSshd } from "./sshd-stand-in.ts";

export interface Bounds {
  /** With what is its children's alone; the files that these map are `mapsMb`. */
  readonly peakMb: number;
  readonly mapsMb: number;
  readonly series: number;
  readonly sliceMs: number;
  readonly slowestScrapeMs: number;
}

type Values = ReadonlyMap<string, number>;

/** `fill` writes the log once the exporter runs; it is scraped every 250 ms until `done`. */
export async function measure(
  folder: string,
  fill: (log: string) => void,
  done: (values: Values) => boolean,
  ...args: string[]
): Promise<Bounds> {
  const log = join(folder, "bounded.log");
  writeFileSync(log, "");
  const slices = join(folder, "slices");
  writeFileSync(slices, "0");
  const sshd = await standInForSshd(folder);
  const exporter = await startExporter(
    [
      `--state.directory=${freshState(folder)}`,
      `--sshd.port=${sshd.port}`,
      ...(args.some((arg) => arg.startsWith("--source.journal")) ? [] : [`--source.logfile=${log}`]),
      "--source.from-beginning",
      "--no-source.kmsg",
      "--no-source.tcp-trace",
      ...args,
    ],
    {
      NODE_OPTIONS: `--require=${new URL("slice-probe.cjs", import.meta.url).pathname}`,
      SLICES_FILE: slices,
      // As the unit and the image have it.
      MALLOC_ARENA_MAX: "1",
    },
  );
  try {
    await delay(2_500);
    await exporter.values();
    exporter.child.kill("SIGUSR2");
    fill(log);
    let series = 0;
    let slowestScrapeMs = 0;
    for (const untilMs = Date.now() + 300_000; ; ) {
      const startMs = performance.now();
      const values = await exporter.values();
      slowestScrapeMs = Math.max(slowestScrapeMs, performance.now() - startMs);
      series = Math.max(series, values.size);
      if (done(values)) break;
      if (Date.now() > untilMs) throw new Error("not done after 5 minutes");
      await delay(250);
    }
    await delay(3_000);
    const sliceMs = Number(readFileSync(slices, "utf8"));
    const { ownPeak, childrensOwn, childrensMaps } = memoryMb(pidOf(exporter));
    return { peakMb: ownPeak + childrensOwn, mapsMb: childrensMaps, series, sliceMs, slowestScrapeMs };
  } finally {
    sshd.child.kill();
    await exporter.stop();
  }
}

const lagOver = (values: Values): boolean => values.get('sshreset_source_lag_bytes{source="logfile"}') === 0;

export function boundsRow(work: string, { peakMb, series, sliceMs, slowestScrapeMs }: Bounds): Row {
  return {
    work,
    must: "<= 120 MB; slices <= 20 ms",
    aim: "<= 90 MB",
    measured: `${peakMb.toFixed(0)} MB; slices ${sliceMs.toFixed(0)} ms; ${series} series; slowest scrape ${slowestScrapeMs.toFixed(0)} ms`,
  };
}

export const bounded: Bench = async (folder, say) => {
  const rows: Row[] = [];
  const add = (work: string, bounds: Bounds): void => {
    say(work);
    rows.push(boundsRow(work, bounds));
  };

  const flood = join(folder, "flood.log");
  const truth = writeCorpus({ path: flood, lines: 5_000_000, seed: 4, peers: "each" });
  const records = (values: Values): number => values.get('sshreset_source_records_total{source="logfile"}') ?? 0;
  const startMs = Date.now();
  const whole = await measure(
    folder,
    () => undefined,
    (values) => records(values) > 0.55 * truth.lines && lagOver(values),
    `--source.logfile=${flood}`,
  );
  const perSecond = truth.lines / ((Date.now() - startMs) / 1000);
  add(`5 M lines of ${truth.peers} peers at once (read at ${Math.round(perSecond / 1000)}k lines/s)`, whole);

  const open = 100_000;
  const accepted = (n: number): string =>
    `${new Date().toISOString()} host sshd[${1000 + n}]: Accepted publickey for u from 10.${n >> 16}.${(n >> 8) & 255}.${n & 255} port ${1024 + (n % 60_000)} ssh2\n`;
  add(
    "100,000 simultaneous connections",
    await measure(
      folder,
      (log) => {
        for (let n = 0; n < open; n += 1_000) {
          appendFileSync(log, Array.from({ length: 1_000 }, (_, i) => accepted(n + i)).join(""));
        }
      },
      (values) => (values.get("sshreset_connections_accepted_total") ?? 0) >= open,
    ),
  );

  add(
    "a line of 2 GB",
    await measure(
      folder,
      (log) => {
        const piece = Buffer.alloc(64 * 1024 * 1024, "a");
        const fd = openSync(log, "a");
        for (let i = 0; i < 32; i++) writeSync(fd, piece);
        writeSync(fd, `\n${accepted(1)}`);
        closeSync(fd);
      },
      (values) => values.get("sshreset_connections_accepted_total") === 1,
    ),
  );

  return rows;
};

export const interfaces: Bench = async (folder) => {
  const sysfs = join(folder, "sys");
  for (let n = 0; n < 10_000; n++) {
    const link = join(sysfs, "class/net", `eth${n}`);
    mkdirSync(link, { recursive: true });
    for (const [name, text] of [
      ["mtu", "1500"],
      ["operstate", "up"],
      ["flags", "0x1003"],
      ["carrier_changes", "1"],
    ] as const) {
      writeFileSync(join(link, name), `${text}\n`);
    }
  }
  let scrapes = 0;
  const bounds = await measure(
    folder,
    () => undefined,
    () => ++scrapes > 20,
    `--path.sysfs=${sysfs}`,
  );
  return [boundsRow("10,000 interfaces", bounds)];
};
