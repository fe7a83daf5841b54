/**
 * The lab's recordings, replayed in seconds and without root: journal records through parsers, connections and tallies
 * give the counts that the lab saw, and the in-process diagnosis names the cause that paged. Without the kernel's reset
 * events, which the journal does not have: scenarios that rest on them are not recorded here.
 */
import { readdirSync, readFileSync } from "node:fs";
import { expect } from "chai";
import { catalogue } from "../../src/diagnosis/catalogue.ts";
import { Diagnosis } from "../../src/diagnosis/verdict.ts";
import type { Sample } from "../../src/model/metric.ts";
import type { LogRecord } from "../../src/model/record.ts";
import { parse } from "../../src/parsers/index.ts";
import { Ledger } from "../../src/tallies/index.ts";
import type { Head } from "./recording.ts";

const folder = new URL("../fixtures/lab/", import.meta.url);
/** Rests on what listens, which a collector reads. */
const byCollector = "SshdDown";
const stepMs = 15_000;
const hourMs = 3_600_000;

interface Replayed {
  readonly ledger: Ledger;
  readonly causes: ReadonlySet<string>;
  readonly nowMs: number;
}

function replay({ knownPeers }: Head, records: readonly LogRecord[]): Replayed {
  const ledger = new Ledger();
  const diagnosis = new Diagnosis();
  const causes = new Set<string>();
  let nowMs = (records[0]?.timeMs ?? 0) - 4 * stepMs;
  for (const peer of knownPeers) ledger.learn(peer, nowMs - hourMs);
  const judge = (): void => {
    diagnosis.record(nowMs, [...ledger.samples(nowMs), ...assumed]);
    for (const cause of diagnosis.active().keys()) causes.add(cause);
  };
  const advance = (endMs: number): void => {
    for (; nowMs < endMs; nowMs += stepMs) {
      ledger.tick(nowMs);
      judge();
    }
  };
  for (const record of records) {
    advance(record.timeMs);
    ledger.tick(record.timeMs);
    const event = parse(record);
    if (event) ledger.handle(event, record);
  }
  advance(nowMs + 4 * stepMs);
  return { ledger, causes, nowMs };
}

/** What collectors and sources would say meanwhile. */
const assumed: readonly Sample[] = [
  { name: "sshreset_source_up", labels: { source: "journal" }, value: 1 },
  { name: "sshreset_source_up", labels: { source: "kmsg" }, value: 1 },
  { name: "sshreset_sshd_up", value: 1 },
];

function count(ledger: Ledger, nowMs: number, metric: string, labels: Readonly<Record<string, string>>): number {
  const matching = ledger
    .samples(nowMs)
    .filter(({ name }) => name === `sshreset_${metric}`)
    .filter((sample) => Object.entries(labels).every(([key, value]) => sample.labels?.[key] === value));
  return matching.reduce((total, { value }) => total + (typeof value === "number" ? value : 0), 0);
}

describe("recordings of the lab", () => {
  const files = readdirSync(folder).filter((name) => name.endsWith(".jsonl"));

  it("are there", () => {
    expect(files.length).to.be.at.least(10);
  });

  for (const file of files) {
    const [first = "", ...lines] = readFileSync(new URL(file, folder), "utf8").trim().split("\n");
    const head = JSON.parse(first) as Head;
    const replayed = (): Replayed =>
      replay(
        head,
        lines.map((line) => JSON.parse(line) as LogRecord),
      );

    it(`${file}: the counts of the lab`, () => {
      const { ledger, nowMs } = replayed();
      const counted = head.counts.map(({ metric, labels }) => count(ledger, nowMs, metric, labels));
      expect(counted).to.deep.equal(head.counts.map(({ seen }) => seen));
    });

    it(`${file}: ${head.page === "none" ? "no cause that pages" : head.page}`, () => {
      const { causes } = replayed();
      const paging = catalogue.filter(({ id, severity }) => causes.has(id) && severity !== "info");
      const alerts = paging.map(({ alert }) => alert);
      if (head.page === "none") expect(alerts).to.deep.equal([]);
      else if (head.page !== byCollector) expect(alerts).to.include(head.page);
    });
  }
});
