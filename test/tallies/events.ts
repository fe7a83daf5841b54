/** Events by hand into a ledger: each at its second, ticks in between; then what was counted. */
import type { Event } from "../../src/model/event.ts";
import type { LogRecord } from "../../src/model/record.ts";
import { Ledger, type LedgerOptions } from "../../src/tallies/index.ts";
import { counted } from "./replay.ts";

const startMs = 1_800_000_000_000;

/** `late`: how many seconds after its own time the event is heard. */
export type Step = readonly [seconds: number, event: Event, more?: { pid?: number; count?: number; late?: number }];

export function ledgerAfter(steps: readonly Step[], options: LedgerOptions = {}, restMs = 30_000): Ledger {
  const ledger = new Ledger(options);
  let nowMs = startMs;
  ledger.tick(nowMs);
  const wait = (untilMs: number): void => {
    while (nowMs < untilMs) {
      nowMs = Math.min(untilMs, nowMs + 500);
      ledger.tick(nowMs);
    }
  };
  for (const [seconds, event, { pid = 1, count = 1, late = 0 } = {}] of steps) {
    wait(startMs + (seconds + late) * 1000);
    const record: LogRecord = {
      source: "journal",
      timeMs: startMs + seconds * 1000,
      ident: "",
      pid,
      message: "",
      count,
    };
    ledger.handle(event, record);
  }
  wait(nowMs + restMs);
  return ledger;
}

export const countsAfter = (steps: readonly Step[], options: LedgerOptions = {}): Record<string, number> =>
  counted(ledgerAfter(steps, options));
