/** The counts behind one counter metric: label values to numbers, every combination that can occur there from the start. */
import type { MetricDef, Sample } from "../model/metric.ts";

interface Count {
  readonly labels: Readonly<Record<string, string>>;
  value: number;
}

const separator = "\t";

export class Counters {
  readonly def: MetricDef;
  readonly #counts = new Map<string, Count>();

  /** `combinations`: those that start at 0, where it is not every one of the definition's values. */
  constructor(def: MetricDef, combinations: Iterable<readonly string[]> = product(def)) {
    this.def = def;
    for (const values of combinations) this.add(0, ...values);
  }

  /** Label values in the definition's order. */
  add(amount: number, ...values: string[]): void {
    const key = values.length < 2 ? (values[0] ?? "") : values.join(separator);
    const count = this.#counts.get(key);
    if (count) count.value += amount;
    else this.#counts.set(key, { labels: this.#labels(values), value: amount });
  }

  value(...values: string[]): number {
    return this.#counts.get(values.join(separator))?.value ?? 0;
  }

  samples(): Sample[] {
    const { name, labels } = this.def;
    if (labels.length === 0) return [{ name, value: this.value() }];
    return [...this.#counts.values()].map((count) => ({ name, labels: count.labels, value: count.value }));
  }

  /** Only what was counted: what is 0 needs no keeping. */
  snapshot(): unknown {
    return [...this.#counts].filter(([, { value }]) => value !== 0).map(([key, { value }]) => [key, value]);
  }

  restore(saved: unknown): void {
    for (const [key, value] of saved as [string, number][]) {
      if (typeof value !== "number") throw new Error(`${this.def.name}: "${value}" is no count`);
      this.add(value, ...(this.def.labels.length === 0 ? [] : key.split(separator)));
    }
  }

  #labels(values: readonly string[]): Record<string, string> {
    return Object.fromEntries(this.def.labels.map((label, i) => [label, values[i] ?? ""]));
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
