/**
 * The last hour of a cause's leading number, minute by minute: counts as what came in each minute, gauges and ratios as
 * their last value in it. For the eye only: verdicts rest on evaluate.ts.
 */
import type { Trend } from "../model/checklist.ts";
import type { Cause } from "./cause.ts";
import { type Leaf, leaves, limit, type Selector } from "./condition.ts";
import type { History } from "./history.ts";

const minutes = 60;
const minuteMs = 60_000;

/** In the order of the evidence: the first number that passed its threshold within the hour, else the first that moved, else the first. */
export function trendOf({ evidence, thresholds }: Cause, history: History, nowMs: number): Trend {
  const trends = leaves(evidence)
    .filter(({ form, is }) => !(form === "increase" && is === "<"))
    .map((leaf) => {
      const values = valuesOf(leaf, history, nowMs);
      const than = limit(leaf, thresholds);
      const seen = values.filter((value) => value !== null);
      const most = leaf.is === "<" ? Math.min(...seen) : Math.max(...seen);
      const weight = seen.length === 0 ? -1 : leaf.is === "<" ? (most < than ? 1 : 0) : most / (than || 1);
      const what = thresholds[leaf.threshold]?.unit ?? leaf.of.metric;
      const value = thresholds[leaf.threshold]?.value ?? than;
      const trend =
        leaf.form === "increase"
          ? { what: what.replace(/ (?:in|within) .*$/, ""), threshold: (value * 60) / leaf.windowSeconds, counts: true }
          : { what, threshold: value, counts: false };
      return { weight, trend: { ...trend, values } };
    });
  const leading = trends.find(({ weight }) => weight >= 1) ?? trends.find(({ weight }) => weight > 0) ?? trends[0];
  return leading?.trend ?? { what: "", values: [], threshold: 0, counts: false };
}

function valuesOf(leaf: Leaf, history: History, nowMs: number): readonly (number | null)[] {
  const startMs = nowMs - minutes * minuteMs;
  switch (leaf.form) {
    case "increase":
      return perMinute(leaf.of, history, startMs, (sum, value, before = value) => (sum ?? 0) + grown(before, value));
    case "gauge":
      return perMinute(leaf.of, history, startMs, (_, value) => value);
    case "ratio": {
      const to = perMinute(leaf.to, history, startMs, (_, value) => value);
      return perMinute(leaf.of, history, startMs, (_, value) => value).map((value, minute) => {
        const divisor = to[minute] ?? 0;
        return value === null || divisor === 0 ? null : value / divisor;
      });
    }
  }
}

/** A counter that fell began anew. */
const grown = (before: number, value: number): number => (value < before ? value : value - before);

/** Of each series what its points make of a minute, one by one; of all series the sum. */
function perMinute(
  of: Selector,
  history: History,
  startMs: number,
  fold: (made: number | undefined, value: number, before: number | undefined) => number,
): readonly (number | null)[] {
  const sums: (number | null)[] = Array.from({ length: minutes }, () => null);
  for (const points of history.since(of, startMs)) {
    const own: (number | undefined)[] = [];
    for (const [index, { timeMs, value }] of points.entries()) {
      const minute = Math.ceil((timeMs - startMs) / minuteMs) - 1;
      own[minute] = fold(own[minute], value, points[index - 1]?.value);
    }
    for (const [minute, value] of own.entries()) if (value !== undefined) sums[minute] = (sums[minute] ?? 0) + value;
  }
  return sums;
}
