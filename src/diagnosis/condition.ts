/**
 * The grammar of evidence: five forms, so that PromQL (to-promql.ts) and this process (evaluate.ts) can both read it and
 * agree. Numbers are not in a condition but named: they stand in the cause's thresholds with their unit and reason.
 */

/** The series of one metric whose labels have one of the values named. Their values are added up per host. */
export interface Selector {
  readonly metric: string;
  readonly labels: Labels;
}
export type Labels = Readonly<Record<string, readonly string[]>>;

/** `<` and `>` for gauges and ratios; increases are counts, so `at least` and `fewer than` a whole number. */
export type Condition =
  | {
      readonly form: "gauge";
      readonly of: Selector;
      readonly is: "<" | ">";
      readonly threshold: string;
    }
  | {
      readonly form: "ratio";
      readonly of: Selector;
      readonly to: Selector;
      readonly is: "<" | ">";
      readonly threshold: string;
    }
  | {
      readonly form: "increase";
      readonly of: Selector;
      readonly windowSeconds: number;
      readonly is: ">=" | "<";
      readonly threshold: string;
    }
  | { readonly form: "and"; readonly all: readonly Condition[] }
  | { readonly form: "or"; readonly any: readonly Condition[] };

export type Leaf = Exclude<Condition, { form: "and" | "or" }>;

/** A number of the tree: whole for increases. The reason is for whoever wants to change it. */
export interface Threshold {
  readonly value: number;
  readonly unit: string;
  readonly reason: string;
}
export type Thresholds = Readonly<Record<string, Threshold>>;

export const prefix = "sshreset_";

/** `series("sshd_stops_total", { reason: ["crash"] })`. */
export const series = (metric: string, labels: Labels = {}): Selector => ({ metric: `${prefix}${metric}`, labels });

export const gauge = (of: Selector, is: "<" | ">", threshold: string): Condition => ({
  form: "gauge",
  of,
  is,
  threshold,
});

export const ratio = (of: Selector, to: Selector, is: "<" | ">", threshold: string): Condition => ({
  form: "ratio",
  of,
  to,
  is,
  threshold,
});

export const increase = (of: Selector, minutes: number, is: ">=" | "<", threshold: string): Condition => ({
  form: "increase",
  of,
  windowSeconds: minutes * 60,
  is,
  threshold,
});

export const and = (...all: readonly Condition[]): Condition => ({ form: "and", all });
export const or = (...any: readonly Condition[]): Condition => ({ form: "or", any });

export function leaves(condition: Condition): readonly Leaf[] {
  switch (condition.form) {
    case "and":
      return condition.all.flatMap(leaves);
    case "or":
      return condition.any.flatMap(leaves);
    default:
      return [condition];
  }
}

export function selectors(condition: Condition): readonly Selector[] {
  return leaves(condition).flatMap((leaf) => (leaf.form === "ratio" ? [leaf.of, leaf.to] : [leaf.of]));
}

/**
 * The number that a leaf is compared with. An increase of at least n is `> n - 0.5`: PromQL extrapolates an increase to
 * the whole window, by at most (n - 1) * interval / (window - interval) at n - 1 events, which must stay below one half.
 */
export function limit(leaf: Leaf, thresholds: Thresholds): number {
  const threshold = thresholds[leaf.threshold];
  if (threshold === undefined) throw new Error(`condition names the threshold "${leaf.threshold}", which is not there`);
  return leaf.form === "increase" ? threshold.value - 0.5 : threshold.value;
}
