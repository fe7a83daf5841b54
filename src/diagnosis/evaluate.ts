/**
 * Conditions evaluated in this process, over the history. `increase` is PromQL's: the same extrapolation to the window's
 * ends and the same reading of counter resets (promql/functions.go, extrapolatedRate). Missing samples are unknown,
 * never no: false wins over unknown in `and`, true wins over unknown in `or`.
 */
import { type Condition, type Leaf, limit, type Selector, type Thresholds } from "./condition.ts";
import type { History, Point } from "./history.ts";

export type Truth = boolean | "unknown";

export function evaluate(condition: Condition, thresholds: Thresholds, history: History, nowMs: number): Truth {
  switch (condition.form) {
    case "and": {
      const parts = condition.all.map((part) => evaluate(part, thresholds, history, nowMs));
      return parts.includes(false) ? false : parts.includes("unknown") ? "unknown" : true;
    }
    case "or": {
      const parts = condition.any.map((part) => evaluate(part, thresholds, history, nowMs));
      return parts.includes(true) ? true : parts.includes("unknown") ? "unknown" : false;
    }
    default: {
      const value = measure(condition, history, nowMs);
      if (value === undefined) return "unknown";
      const than = limit(condition, thresholds);
      return condition.is === "<" ? value < than : value > than;
    }
  }
}

/** The number on a leaf's left side; undefined where no series has samples for it. */
export function measure(leaf: Leaf, history: History, nowMs: number): number | undefined {
  switch (leaf.form) {
    case "gauge":
      return total(history.now(leaf.of));
    case "ratio": {
      const [numerator, denominator] = [total(history.now(leaf.of)), total(history.now(leaf.to))];
      return numerator === undefined || denominator === undefined ? undefined : numerator / denominator;
    }
    case "increase":
      return increaseOf(leaf.of, history, nowMs - leaf.windowSeconds * 1000, nowMs);
  }
}

function increaseOf(selector: Selector, history: History, fromMs: number, toMs: number): number | undefined {
  const parts = history.since(selector, fromMs).map((points) => extrapolatedIncrease(points, fromMs, toMs));
  return total(parts.filter((part) => part !== undefined));
}

const total = (values: readonly number[]): number | undefined =>
  values.length === 0 ? undefined : values.reduce((sum, value) => sum + value, 0);

/** Undefined below two points. Points in order, all after `fromMs`. */
export function extrapolatedIncrease(points: readonly Point[], fromMs: number, toMs: number): number | undefined {
  const [first, last] = [points[0], points.at(-1)];
  if (first === undefined || last === undefined || points.length < 2) return undefined;
  const sampledMs = last.timeMs - first.timeMs;
  const averageMs = sampledMs / (points.length - 1);
  const seen = points.reduce((sum, { value }, index) => {
    const previous = points[index - 1]?.value ?? value;
    return sum + (value < previous ? value : value - previous);
  }, 0);
  const edge = (gapMs: number): number => (gapMs < averageMs * 1.1 ? gapMs : averageMs / 2);
  const untilZeroMs = seen > 0 && first.value >= 0 ? sampledMs * (first.value / seen) : Number.POSITIVE_INFINITY;
  const startMs = Math.min(edge(first.timeMs - fromMs), untilZeroMs);
  return (seen * (sampledMs + startMs + edge(toMs - last.timeMs))) / sampledMs;
}
