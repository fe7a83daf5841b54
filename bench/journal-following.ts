/** The journal of a real journald, rotated, vacuumed, its writer restarted: what the exporter and journalctl -f miss. */
import { spawn } from "node:child_process";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { startExporter, waitFor } from "../test/cli/exporter-process.ts";
import { failedOf, freshState } from "./exporter.ts";
import { PrivateJournald } from "./private-journald.ts";
import type { Row } from "./rows.ts";

const seconds = 10;
const linesAtOnce = 2_000;

/** Done every second while lines are written as fast as journald takes them. */
const disturbances: Readonly<Record<string, (journald: PrivateJournald) => void>> = {
  rotated: (journald) => journald.rotate(),
  "rotated and vacuumed to two files": (journald) => {
    journald.rotate();
    journald.vacuum(2);
  },
  "with journald restarted": (journald) => journald.restart(),
};

export async function journalFollowing(folder: string, say: (text: string) => void): Promise<Row[]> {
  const rows: Row[] = [];
  for (const [name, disturb] of Object.entries(disturbances)) {
    rows.push(await follow(join(folder, name.replaceAll(" ", "-")), name, disturb));
    say(`journal ${name}`);
  }
  return rows;
}

async function follow(folder: string, name: string, disturb: (journald: PrivateJournald) => void): Promise<Row> {
  const journald = new PrivateJournald(folder);
  try {
    await journald.open();
    const exporter = await startExporter([
      `--state.directory=${freshState(folder)}`,
      `--source.journal.directory=${journald.journal}`,
      "--source.from-beginning",
      "--no-source.kmsg",
      "--no-source.tcp-trace",
    ]);
    const args = ["--follow", "--no-tail", "--output=cat", `--directory=${journald.journal}`, "SYSLOG_IDENTIFIER=sshd"];
    const reference = spawn("journalctl", args, { stdio: ["ignore", "pipe", "ignore"] });
    let theirs = 0;
    reference.stdout.on("data", (chunk: Buffer) => {
      for (let at = chunk.indexOf(10); at !== -1; at = chunk.indexOf(10, at + 1)) theirs++;
    });
    try {
      await exporter.until("the first line", (values) => failedOf(values) === 1);
      const startMs = Date.now();
      for (let done = 0; done < seconds; ) {
        await journald.write(linesAtOnce);
        if (Date.now() - startMs < (done + 1) * 1000) continue;
        disturb(journald);
        done++;
      }
      // What is gone is seen with the next entry.
      await journald.write(1);
      const perSecond = Math.round(journald.written / ((Date.now() - startMs) / 1000));
      // What was under way when journald ended was never in the journal, and vacuuming takes away what was.
      const truth = name.includes("restarted") ? journald.held() : journald.written;
      await quiet(async () => [failedOf(await exporter.values()), theirs].join());
      const values = await exporter.values();
      const told = values.get('sshreset_source_lost_records_total{source="journal"}') ?? Number.NaN;
      return {
        work: `journal ${name} every second: missing of ${truth} records, at ${perSecond} a second`,
        must: "0, or counted",
        aim: "0",
        measured: `${truth - failedOf(values)} (${told} told; journalctl --follow ${truth - theirs})`,
      };
    } finally {
      reference.kill();
      await exporter.stop();
    }
  } finally {
    await journald.close();
  }
}

/** Until it has been the same for two seconds. */
async function quiet(look: () => Promise<string>): Promise<void> {
  let last = "";
  let sinceMs = Date.now();
  await waitFor("rest", 60_000, async () => {
    await delay(200);
    const now = await look();
    if (now !== last) sinceMs = Date.now();
    last = now;
    return Date.now() - sinceMs > 2_000 || undefined;
  });
}
