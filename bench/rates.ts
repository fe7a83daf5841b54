/** Records faster than they can be read: a log file at a million lines a second for a minute, the journal as fast as journald writes. */
import { execFile } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { boundsRow, measure } from "./bounded.ts";
import { PrivateJournald } from "./private-journald.ts";
import type { Bench, Row } from "./rows.ts";

const run = promisify(execFile);
const writer = join(import.meta.dirname, "log-writer.ts");
const linesPerSecond = 1_000_000;
const fileSeconds = 60;
const journalSeconds = 20;

export const rates: Bench = async (folder, say) => {
  const rows: Row[] = [await fileRow(folder)];
  say("log file");
  if (process.getuid?.() !== 0) return rows;
  rows.push(await journalRow(folder));
  return rows;
};

/** In memory, where there is room: it is 6 GB. */
async function fileRow(folder: string): Promise<Row> {
  const place = mkdtempSync(join(existsSync("/dev/shm") ? "/dev/shm" : folder, "bench-rates-"));
  try {
    let written = 0;
    let over = false;
    const fill = async (log: string): Promise<void> => {
      const args = ["--import=tsx", writer, log, String(linesPerSecond), String(fileSeconds)];
      const { stdout } = await run(process.execPath, args);
      written = Number(stdout);
      over = true;
    };
    let read = 0;
    let lost = 0;
    const bounds = await measure(
      place,
      (log) => void fill(log),
      (values) => {
        read = values.get('sshreset_source_records_total{source="logfile"}') ?? 0;
        lost = values.get('sshreset_source_lost_records_total{source="logfile"}') ?? Number.NaN;
        return over;
      },
    );
    return boundsRow(
      `${(written / fileSeconds / 1e6).toFixed(1)} M lines a second for a minute (${((100 * read) / written).toFixed(0)} % read by then, ${lost} lost)`,
      bounds,
    );
  } finally {
    rmSync(place, { recursive: true });
  }
}

async function journalRow(folder: string): Promise<Row> {
  const journald = new PrivateJournald(join(folder, "journald"));
  try {
    await journald.open();
    let over = false;
    let perSecond = 0;
    const fill = async (): Promise<void> => {
      const startMs = Date.now();
      while (Date.now() - startMs < journalSeconds * 1000) await journald.write(1_000);
      perSecond = journald.written / ((Date.now() - startMs) / 1000);
      over = true;
    };
    const bounds = await measure(
      folder,
      () => void fill(),
      (values) => over && values.get("sshreset_authentication_failures_total") === journald.written,
      `--source.journal.directory=${journald.journal}`,
    );
    return boundsRow(
      `the journal as fast as journald writes it, ${Math.round(perSecond)} records a second (journalctl's memory among it, without ${bounds.mapsMb.toFixed(0)} MB of journal that it maps)`,
      bounds,
    );
  } finally {
    await journald.close();
  }
}
