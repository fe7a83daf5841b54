/** The counts behind one counter metric: label values to numbers, every combination that can occur there from the start. */
import type { MetricDef, Sample } from "../model/metric.ts";
import { amount, list, text, tuple } from "../model/saved.ts";

interface Count {
  readonly key: string;
  readonly labels: Readonly<Record<string, string>>;
  value: number;
}

/** One map for each label in turn: cheaper than to join a key for every event. */
type Branch = Map<string, Branch | Count>;

const separator = "\t";

/** More than any definition has. */
const mostSeries = 2_000;

export class Counters {
  readonly def: MetricDef;
  readonly #counts: Count[] = [];
  /** Without labels the one count stands under an empty value. */
  readonly #depth: number;
  readonly #tree: Branch = new Map();

  /** `combinations`: those that start at 0, where it is not every one of the definition's values. */
  constructor(def: MetricDef, combinations: Iterable<readonly string[]> = product(def)) {
    this.def = def;
    this.#depth = Math.max(1, def.labels.length);
    for (const [first, second, third] of combinations) this.add(0, first, second, third);
  }

  /** Label values in the definition's order. No metric has more than three; an array of them for every event is garbage. */
  add(amount: number, first = "", second = "", third = ""): void {
    const count = this.#find(first, second, third) ?? this.#begin([first, second, third]);
    count.value += amount;
  }

  value(first = "", second = "", third = ""): number {
    return this.#find(first, second, third)?.value ?? 0;
  }

  #find(first: string, second: string, third: string): Count | undefined {
    let node = this.#tree.get(first);
    if (this.#depth > 1) node = (node as Branch | undefined)?.get(second);
    if (this.#depth > 2) node = (node as Branch | undefined)?.get(third);
    return node as Count | undefined;
  }

  #begin(given: readonly string[]): Count {
    const values = given.slice(0, this.def.labels.length);
    const labels = Object.fromEntries(this.def.labels.map((label, i) => [label, values[i] ?? ""]));
    const count = { key: values.join(separator), labels, value: 0 };
    this.#counts.push(count);
    let branch = this.#tree;
    for (const value of values.slice(0, -1)) {
      const next = branch.get(value) ?? new Map();
      branch.set(value, next);
      branch = next as Branch;
    }
    branch.set(values.at(-1) ?? "", count);
    return count;
  }

  samples(): Sample[] {
    const { name, labels } = this.def;
    if (labels.length === 0) return [{ name, value: this.value() }];
    return this.#counts.map((count) => ({ name, labels: count.labels, value: count.value }));
  }

  /** Only what was counted: what is 0 needs no keeping. */
  snapshot(): unknown {
    return this.#counts.filter(({ value }) => value !== 0).map(({ key, value }) => [key, value]);
  }

  restore(saved: unknown): void {
    for (const [key, value] of list(tuple(text, amount), mostSeries)(saved, this.def.name)) {
      const [first, second, third] = this.#labelValues(key);
      this.add(value, first, second, third);
    }
  }

  /** What this release does not know, it does not show. */
  #labelValues(key: string): readonly string[] {
    const { name, labels, values } = this.def;
    const own = labels.length === 0 ? [] : key.split(separator);
    const known = own.every((value, i) => values?.[labels[i] ?? ""]?.includes(value) ?? /^[\w.:@-]{1,32}$/.test(value));
    if (!known || own.length !== labels.length)
      throw new Error(`${name}: ${JSON.stringify(key.slice(0, 80))} is no series`);
    return own;
  }
}

function product(def: MetricDef): readonly (readonly string[])[] {
  let rows: readonly (readonly string[])[] = [[]];
  for (const label of def.labels) {
    const values = def.values?.[label] ?? [];
    rows = rows.flatMap((row) => values.map((value) => [...row, value]));
  }
  return rows;
}
