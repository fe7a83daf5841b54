/**
 * Conditions as PromQL: one vector per host, with the labels that name it only, empty where the condition does not hold or
 * nothing is known. Windows are divided by the time scale (1 for what is shipped; more in tests).
 */
import { type Condition, type Leaf, limit, type Selector, type Thresholds } from "./condition.ts";

export interface Dialect {
  /** Further label matchers for every series, such as `job="ssh"`; empty for none. */
  readonly matchers: string;
  /** What a vector of hosts is grouped by: labels that name one exporter, and those that say where in the fleet it is. */
  readonly hostLabels: string;
  readonly timeScale: number;
}

export function toPromql(condition: Condition, thresholds: Thresholds, dialect: Dialect): string {
  switch (condition.form) {
    case "and":
      return condition.all.map((part) => `(${toPromql(part, thresholds, dialect)})`).join(" and ");
    case "or":
      return condition.any.map((part) => `(${toPromql(part, thresholds, dialect)})`).join(" or ");
    default:
      return `${leftSide(condition, dialect)} ${condition.is === ">=" ? ">" : condition.is} ${limit(condition, thresholds)}`;
  }
}

/** The left side of a leaf: the number that is compared. */
export function leftSide(leaf: Leaf, dialect: Dialect): string {
  switch (leaf.form) {
    case "gauge":
      return sum(promSelector(leaf.of, dialect), dialect);
    case "ratio":
      return `${sum(promSelector(leaf.of, dialect), dialect)} / ${sum(promSelector(leaf.to, dialect), dialect)}`;
    case "increase":
      return sum(`increase(${promSelector(leaf.of, dialect)}[${duration(leaf.windowSeconds, dialect)}])`, dialect);
  }
}

const sum = (vector: string, { hostLabels }: Dialect): string => `sum by (${hostLabels}) (${vector})`;

export function promSelector({ metric, labels }: Selector, { matchers }: Dialect): string {
  const own = Object.entries(labels).map(([name, values]) =>
    values.length === 1 ? `${name}="${values[0]}"` : `${name}=~"${values.join("|")}"`,
  );
  const all = matchers === "" ? own : [matchers, ...own];
  return all.length === 0 ? metric : `${metric}{${all.join(",")}}`;
}

/** `10m`, `90s`, `1h`; milliseconds where a time scale makes fractions. */
export function duration(seconds: number, { timeScale }: Pick<Dialect, "timeScale">): string {
  const scaled = seconds / timeScale;
  if (!Number.isInteger(scaled)) return `${Math.round(scaled * 1000)}ms`;
  if (scaled > 0 && scaled % 3600 === 0) return `${scaled / 3600}h`;
  return scaled > 0 && scaled % 60 === 0 ? `${scaled / 60}m` : `${scaled}s`;
}
