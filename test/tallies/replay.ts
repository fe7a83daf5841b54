/** Replays a fixture through the parsers into a ledger, with ticks as the exporter makes them. */
import { readFileSync } from "node:fs";
import type { LogRecord } from "../../src/model/record.ts";
import { parse } from "../../src/parsers/index.ts";
import { Ledger, type LedgerOptions } from "../../src/tallies/index.ts";

const folder = new URL("../fixtures/connections/", import.meta.url);
const tickMs = 250;

/** Records of a capture (captured journal and TCP trace events of the server, by time): what the parsers know of them. */
export function fixture(name: string): LogRecord[] {
  const lines = readFileSync(new URL(`${name}.jsonl`, folder), "utf8").split("\n");
  return lines.filter((line) => line !== "").map((line) => JSON.parse(line) as LogRecord);
}

/** A ledger after the records; `each` may replace it by another one between any two of them. */
export function replay(
  records: readonly LogRecord[],
  options: LedgerOptions = {},
  each: (ledger: Ledger) => Ledger = (ledger) => ledger,
): Ledger {
  let ledger = new Ledger(options);
  let nowMs = (records[0]?.timeMs ?? 0) - tickMs;
  const tickUntil = (endMs: number): void => {
    for (; nowMs < endMs; nowMs += tickMs) ledger.tick(nowMs);
  };
  for (const record of records) {
    // Nothing happens in a long silence but that the windows end.
    if (record.timeMs - nowMs > 30_000) tickUntil(nowMs + 15_000);
    nowMs = Math.max(nowMs, record.timeMs - 15_000);
    tickUntil(record.timeMs);
    const event = parse(record);
    if (event) ledger.handle(event, record);
    ledger = each(ledger);
  }
  tickUntil(nowMs + 30_000);
  return ledger;
}

/** Every count that is not 0, as `name{label values}`, without gauges and the prefix. */
export function counted(ledger: Ledger): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { name, labels = {}, value } of ledger.samples(0)) {
    if (typeof value !== "number" || value === 0 || !name.endsWith("_total")) continue;
    const values = Object.values(labels).join(" ");
    counts[`${name.replace(/^sshreset_|_total$/g, "")}${values === "" ? "" : ` ${values}`}`] = value;
  }
  return counts;
}
