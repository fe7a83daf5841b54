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
