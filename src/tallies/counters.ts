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
  readonly #tree: Branch = new Map();

  /** `combinations`: those that start at 0, where it is not every one of the definition's values. */
  constructor(def: MetricDef, combinations: Iterable<readonly string[]> = product(def)) {
    this.def = def;
    for (const values of combinations) this.add(0, ...values);
  }

  /** Label values in the definition's order. */
  add(amount: number, ...values: string[]): void {
    const count = this.#find(values) ?? this.#begin(values);
    count.value += amount;
  }

  value(...values: string[]): number {
    return this.#find(values)?.value ?? 0;
  }

  #find(values: readonly string[]): Count | undefined {
    let node: Branch | Count | undefined = this.#tree;
    // Without labels the one count stands under an empty value.
    for (let i = 0; i < Math.max(1, values.length); i++) node = (node as Branch | undefined)?.get(values[i] ?? "");
    return node as Count | undefined;
  }

  #begin(values: readonly string[]): Count {
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
      this.add(value, ...(this.def.labels.length === 0 ? [] : this.#labelValues(key)));
    }
  }

  /** What this release does not know, it does not show. */
  #labelValues(key: string): readonly string[] {
    const { name, labels, values } = this.def;
    const own = key.split(separator);
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
