/**
 * The lab's recordings, replayed in seconds and without root: records through parsers, connections and tallies give the
 * counts that the lab saw, and with what collectors showed meanwhile the in-process diagnosis names the cause that paged.
 * The lab divides the rules' waiting times; here they are the shipped ones, so the last state is held until they are over.
 */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { expect } from "chai";
import { catalogue } from "../../src/diagnosis/catalogue.ts";
import { symptom } from "../../src/diagnosis/symptom.ts";
import { Diagnosis } from "../../src/diagnosis/verdict.ts";
import type { Sample } from "../../src/model/metric.ts";
import type { LogRecord } from "../../src/model/record.ts";
import { parse } from "../../src/parsers/index.ts";
import { Ledger } from "../../src/tallies/index.ts";
import { changesOf, type Head, type Readings, recordedTallies } from "./recording.ts";

const folder = new URL("../fixtures/lab/", import.meta.url);
const stepMs = 15_000;
/** Longer than any cause waits; as long as known_peers_reset remembers less the time of a recording. */
const heldMs = 6 * 60_000;
const tickMs = 500;
const hourMs = 3_600_000;

interface Replayed {
  readonly ledger: Ledger;
  /** Alerts of causes, and of the symptom, that were at work at any time. */
  readonly alerts: ReadonlySet<string>;
  readonly nowMs: number;
}

function replay(
  { knownPeers, netNamespace, flags = [] }: Head,
  readings: readonly Readings[],
  records: readonly LogRecord[],
): Replayed {
  const traced = records.some(({ source }) => source === "tcp_trace");
  const named = (flag: string): string[] =>
    flags.filter((each) => each.startsWith(`${flag}=`)).map((each) => each.slice(flag.length + 1));
  const ledger = new Ledger({
    netNamespace,
    kernelVisible: () => traced,
    peers: { healthChecks: named("--peers.health-check"), proxies: named("--peers.proxy") },
  });
  const diagnosis = new Diagnosis();
  const alerts = new Set<string>();
  const collected = new Map<string, Sample>();
  // Before the first record there are samples to count an increase from.
  const startMs = Math.min(records[0]?.timeMs ?? Infinity, readings[0]?.atMs ?? Infinity) - 4 * stepMs;
  let nowMs = startMs;
  let judgedMs = startMs;
  for (const peer of knownPeers) ledger.learn(peer, startMs - hourMs);
  const judge = (): void => {
    judgedMs = nowMs;
    const told = ledger.samples(nowMs).filter(({ name }) => !recordedTallies.includes(name));
    diagnosis.record(nowMs, [...told, ...collected.values()]);
    for (const { id, alert } of catalogue) if (diagnosis.active().has(id)) alerts.add(alert);
    if (diagnosis.symptom().state === "active") alerts.add(symptom.alert);
  };
  const advance = (endMs: number): void => {
    while (nowMs < endMs) {
      nowMs = Math.min(endMs, nowMs + tickMs);
      ledger.tick(nowMs);
      if (nowMs - judgedMs >= stepMs) judge();
    }
  };
  const steps = [
    ...readings.map((each) => ({ atMs: each.atMs, take: () => show(collected, each) })),
    ...records.map((record) => ({ atMs: record.timeMs, take: () => hear(ledger, record) })),
  ].sort((a, b) => a.atMs - b.atMs);
  ledger.tick(nowMs);
  for (const first of readings.slice(0, 1)) show(collected, first);
  judge();
  for (const { atMs, take } of steps) {
    advance(atMs);
    take();
  }
  advance(nowMs + heldMs);
  return { ledger, alerts, nowMs };
}

function show(collected: Map<string, Sample>, { samples }: Readings): void {
  for (const [name, labels, value] of samples) {
    const key = `${name} ${JSON.stringify(labels)}`;
    if (value === null) collected.delete(key);
    else collected.set(key, { name, labels, value });
  }
}

function hear(ledger: Ledger, record: LogRecord): void {
  const event = parse(record);
  if (event) ledger.handle(event, record);
}

function count(ledger: Ledger, nowMs: number, metric: string, labels: Readonly<Record<string, string>>): number {
  const matching = ledger
    .samples(nowMs)
    .filter(({ name }) => name === `sshreset_${metric}`)
    .filter((sample) => Object.entries(labels).every(([key, value]) => sample.labels?.[key] === value));
  return matching.reduce((total, { value }) => total + (typeof value === "number" ? value : 0), 0);
}

describe("recordings of the lab", () => {
  const files = readdirSync(folder).filter((name) => /\.jsonl(?:\.gz)?$/.test(name));

  it("are there, of logs, of kernel events and of what collectors saw", () => {
    expect(files.length).to.be.at.least(30);
    const pages = new Set(files.map((file) => (JSON.parse(linesOf(file)[0] ?? "") as Head).page));
    expect([...pages]).to.include.members([
      "SshdOomKilled",
      "SshResetMtuBlackhole",
      "SshResetMiddlebox",
      symptom.alert,
    ]);
  });

  it("have at most 200 KB each", () => {
    for (const file of files) expect(statSync(new URL(file, folder)).size, file).to.be.at.most(200_000);
  });

  for (const file of files) {
    const [first = "", ...rest] = linesOf(file);
    const head = JSON.parse(first) as Head;
    const lines = rest.map((line) => JSON.parse(line) as Readings | LogRecord);
    const readings = lines.filter((line): line is Readings => "samples" in line);
    const records = lines.filter((line): line is LogRecord => "message" in line);
    let once: Replayed | undefined;
    const replayed = (): Replayed => {
      once ??= replay(head, readings, records);
      return once;
    };

    it(`${file}: the counts of the lab`, () => {
      const { ledger, nowMs } = replayed();
      const told = head.counts.filter(({ metric }) => isTold(ledger, nowMs, metric));
      const counted = told.map(({ metric, labels }) => count(ledger, nowMs, metric, labels));
      expect(counted).to.deep.equal(told.map(({ seen }) => seen));
    });

    it(`${file}: ${head.page === "none" ? "no cause that pages" : head.page}`, () => {
      const { alerts } = replayed();
      const paging = [...alerts].filter(
        (alert) => catalogue.find((cause) => cause.alert === alert)?.severity !== "info",
      );
      if (head.page === "none") expect(paging).to.deep.equal([]);
      else expect(paging).to.include(head.page);
    });
  }
});

function linesOf(file: string): string[] {
  const bytes = readFileSync(new URL(file, folder));
  return (file.endsWith(".gz") ? gunzipSync(bytes) : bytes).toString().trim().split("\n");
}

/** Told from records; the rest are collectors' and sources' own counts. */
const isTold = (ledger: Ledger, nowMs: number, metric: string): boolean =>
  !recordedTallies.includes(`sshreset_${metric}`) &&
  ledger.samples(nowMs).some(({ name }) => name === `sshreset_${metric}`);

describe("what collectors showed, over time", () => {
  it("is what has changed, and what has ended", () => {
    const series = (name: string, values: readonly (readonly [number, string])[]) => ({
      metric: { __name__: name, job: "ssh", instance: "x", resource: "cpu" },
      values,
    });
    const answer = {
      data: {
        result: [
          series("a", [
            [1, "0"],
            [2, "0"],
            [3, "5"],
          ]),
          series("b", [[2, "7"]]),
        ],
      },
    };
    const labels = { resource: "cpu" };
    expect(changesOf(answer)).to.deep.equal([
      { atMs: 1000, samples: [["a", labels, 0]] },
      { atMs: 2000, samples: [["b", labels, 7]] },
      {
        atMs: 3000,
        samples: [
          ["a", labels, 5],
          ["b", labels, null],
        ],
      },
    ]);
  });
});
