/**
 * The last hour of a cause's leading number, minute by minute: counts as what came in each minute, gauges and ratios as
 * their last value in it. For the eye only: verdicts rest on evaluate.ts.
 */
import type { Trend } from "../model/checklist.ts";
import type { Cause } from "./cause.ts";
import { type Leaf, leaves, limit, type Selector } from "./condition.ts";
import type { History, Point } from "./history.ts";

const minutes = 60;
const minuteMs = 60_000;

/** The number that moved most against its threshold leads; the first one where none did. */
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
      return leaf.form === "increase"
        ? { weight, trend: { what: what.replace(/ (?:in|within) .*$/, ""), values } }
        : { weight, trend: { what, values, threshold: thresholds[leaf.threshold]?.value ?? than } };
    });
  const [first] = trends.toSorted((a, b) => b.weight - a.weight);
  return first?.trend ?? { what: "", values: [] };
}

function valuesOf(leaf: Leaf, history: History, nowMs: number): readonly (number | null)[] {
  const startMs = nowMs - minutes * minuteMs;
  const perMinute = (of: Selector, value: (points: readonly Point[], minute: number) => number | undefined) => {
    const series = history.since(of, startMs);
    return Array.from({ length: minutes }, (_, minute) => {
      const own = series.map((points) => value(points, minute)).filter((number) => number !== undefined);
      return own.length === 0 ? null : own.reduce((sum, number) => sum + number, 0);
    });
  };
  const isIn = (timeMs: number, minute: number): boolean =>
    timeMs > startMs + minute * minuteMs && timeMs <= startMs + (minute + 1) * minuteMs;
  const last = (points: readonly Point[], minute: number): number | undefined =>
    points.findLast(({ timeMs }) => isIn(timeMs, minute))?.value;
  const grown = (points: readonly Point[], minute: number): number | undefined => {
    let sum: number | undefined;
    for (const [index, { timeMs, value }] of points.entries()) {
      if (!isIn(timeMs, minute)) continue;
      const before = points[index - 1]?.value ?? value;
      sum = (sum ?? 0) + (value < before ? value : value - before);
    }
    return sum;
  };
  switch (leaf.form) {
    case "increase":
      return perMinute(leaf.of, grown);
    case "gauge":
      return perMinute(leaf.of, last);
    case "ratio": {
      const to = perMinute(leaf.to, last);
      return perMinute(leaf.of, last).map((value, minute) => {
        const divisor = to[minute];
        return value === null || divisor === null || divisor === undefined || divisor === 0 ? null : value / divisor;
      });
    }
  }
}
