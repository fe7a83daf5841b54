/**
 * What a state directory may hold after damage or malice: a snapshot is restored or set aside, and what was restored
 * goes on as any other: it counts, can be shown, and can be saved and restored again.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Counting } from "../../src/exporter/counting.ts";
import { Judging } from "../../src/exporter/judging.ts";
import type { LogRecord } from "../../src/model/record.ts";
import type { Position, Source, SourceStart } from "../../src/model/source.ts";
import { createJournalSource } from "../../src/sources/journal.ts";
import { createKmsgSource } from "../../src/sources/kmsg.ts";
import { createLogfileSource } from "../../src/sources/logfile.ts";
import { loadSnapshot } from "../../src/state/snapshot.ts";
import { checkSamples } from "./samples.ts";
import { must, type Target } from "./target.ts";

const captures = new URL("../fixtures/connections/", import.meta.url);
const nowMs = Date.UTC(2026, 11, 1);
const options = {
  ledger: { peers: { show: "all" as const } },
  sources: ["journal" as const],
  onBrokenRecord: (error: unknown) => {
    throw error;
  },
};

let made: string | undefined;
function folder(): string {
  if (made === undefined) {
    const path = mkdtempSync(join(tmpdir(), "fuzz-state-"));
    process.once("exit", () => rmSync(path, { recursive: true, force: true }));
    made = path;
  }
  return made;
}

const records = readdirSync(captures).flatMap((name) =>
  readFileSync(new URL(name, captures), "utf8")
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line) as LogRecord),
);

/** A state in the middle of a busy time: connections open, ends waiting, episodes begun. */
function savedCounts(count: number): Buffer {
  const counting = new Counting(options);
  for (const record of records.slice(count, count + 60)) {
    counting.take("journal", { records: [record], position: { cursor: "s=1;i=2" }, lost: 0 });
    counting.tick(record.timeMs);
  }
  return Buffer.from(JSON.stringify({ version: 1, data: counting.state() }));
}

async function savedSamples(): Promise<Buffer> {
  const judging = new Judging(async () => undefined);
  for (let n = 0; n < 5; n++) {
    await judging.judge(nowMs + n * 15_000, [
      { name: "sshreset_sshd_up", value: n % 2 },
      { name: "sshreset_conntrack_entries", value: 100 * n },
      { name: "sshreset_conntrack_entries_limit", value: 400 },
    ]);
  }
  return Buffer.from(JSON.stringify({ version: 1, data: judging.diagnosis.snapshot() }));
}
const oneHour = await savedSamples();

/** Loads it as the exporter does. Undefined: set aside. */
function loaded<T>(name: string, input: Buffer, restore: (data: unknown) => T): T | undefined {
  writeFileSync(join(folder(), name), input);
  const { value, setAside } = loadSnapshot(folder(), name, restore);
  must(value !== undefined || setAside !== undefined, "neither restored nor set aside");
  must((setAside?.reason.length ?? 0) < 500, `a reason of ${setAside?.reason.length} characters`);
  return value;
}

/** One line in the log, one batch at most; the source must neither throw nor wait for ever. */
async function firstBatch(create: (start: SourceStart) => Source, position: Position): Promise<string> {
  const source = create({ position, fromBeginning: false, idents: ["sshd"], onWarning: () => undefined });
  const end = new AbortController();
  const batches = source.batches(end.signal)[Symbol.asyncIterator]();
  const late = setTimeout(() => end.abort(), 300);
  try {
    const { value } = await batches.next();
    if (value === undefined) return "none";
    must(Number.isFinite(value.lost) && value.lost >= 0, `lost ${value.lost}`);
    JSON.stringify(value.position);
    return `${value.records.length} ${Math.min(value.lost, 2)}`;
  } finally {
    clearTimeout(late);
    end.abort();
    await batches.return?.();
  }
}

function positionIn(input: Buffer): Position | undefined {
  try {
    const position: unknown = JSON.parse(input.toString("utf8"));
    // The pipeline's snapshot holds an object or nothing.
    return typeof position === "object" && position !== null ? (position as Position) : undefined;
  } catch {
    return undefined;
  }
}

/** A real file, whose place in this run is put in for DEV, INODE. */
function positionTarget(name: string, seed: object, create: (start: SourceStart) => Source): Target {
  return {
    name,
    json: true,
    seeds: () => [Buffer.from(JSON.stringify(seed))],
    async check(input) {
      const position = positionIn(input);
      return position === undefined ? "none" : await firstBatch(create, position);
    },
  };
}

export const stateTargets: readonly Target[] = [
  {
    name: "state-counts",
    json: true,
    seeds: () => [0, 60, 200, 400].map((count) => savedCounts(count)),
    check(input) {
      const counting = loaded("counts.json", input, (saved) => new Counting(options, saved));
      if (counting === undefined) return "set aside";
      counting.tick(nowMs);
      counting.take("journal", { records: records.slice(0, 40), position: {}, lost: 0 });
      for (const waitMs of [250, 2000, 70_000]) counting.tick(nowMs + waitMs);
      checkSamples(counting.samples());
      const again = JSON.stringify(counting.state());
      must(again.length < 20 * 1024 * 1024, `a state of ${again.length} bytes`);
      return checkSamples(new Counting(options, JSON.parse(again)).samples());
    },
  },
  {
    name: "state-samples",
    json: true,
    seeds: () => [oneHour],
    async check(input) {
      const judging = loaded("samples.json", input, (saved) => new Judging(async () => undefined, saved));
      if (judging === undefined) return "set aside";
      await judging.judge(nowMs + 90_000, [{ name: "sshreset_sshd_up", value: 1 }]);
      const told = checkSamples(judging.samples(nowMs + 90_000));
      judging.diagnosis.restore(JSON.parse(JSON.stringify(judging.diagnosis.snapshot())));
      return told;
    },
  },
  positionTarget(
    "logfile-position",
    { paths: { "/dev/null": [{ device: 1, inode: 2, offset: 3, hash: "abc", skipping: false }] } },
    (start) => {
      const path = join(folder(), "auth.log");
      writeFileSync(path, "Jun  1 10:00:00 host sshd[1]: Accepted publickey for a from 192.0.2.1 port 2 ssh2\n");
      const paths = Object.values((start.position?.["paths"] ?? {}) as object);
      return createLogfileSource({
        ...start,
        position: { ...start.position, paths: { [path]: paths[0] } },
        paths: [path],
      });
    },
  ),
  positionTarget("kmsg-position", { bootId: "b", next: 5 }, (start) =>
    createKmsgSource({
      ...start,
      bootId: () => "b",
      open: () => ({
        read: (into) => into.write("6,7,8,-;text"),
        close: () => undefined,
      }),
    }),
  ),
  positionTarget("journal-position", { cursor: "s=1;i=2;b=3;m=4;t=5;x=6", sinceMs: 5 }, (start) =>
    createJournalSource({ ...start, directory: folder() }),
  ),
];
