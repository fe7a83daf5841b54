/**
 * A bounded past: one hour at 15 s of exactly the series that conditions name, nothing else. Every record is one whole
 * scrape, so a series that is missing in it was gone at that time (as PromQL's staleness markers say).
 */
import type { Sample } from "../model/metric.ts";
import { list, number, object, orNull, record, text, time, tuple, whole } from "../model/saved.ts";
import type { Selector } from "./condition.ts";

export const intervalMs = 15_000;
const keepMs = 3_600_000 + intervalMs;
/** Of all selectors together: interfaces and the like are labels with open ends. */
const maxSeries = 500;

interface Series {
  readonly metric: string;
  readonly labels: Labels;
  /** One per record time; undefined: not there. */
  readonly values: (number | undefined)[];
}

export interface Point {
  readonly timeMs: number;
  readonly value: number;
}

/** JSON-safe. Values as runs [value, times], null for missing: counters rarely move, so this is small. */
export interface HistorySnapshot {
  readonly times: readonly number[];
  readonly series: readonly {
    readonly metric: string;
    readonly labels: Labels;
    readonly runs: readonly (readonly [number | null, number])[];
  }[];
}

/** By default 241; more where the interval is shorter. */
const mostTimes = 10_000;
const historyShape = object({
  times: list(time, mostTimes),
  series: list(
    object({ metric: text, labels: record(text, 16), runs: list(tuple(orNull(number), whole), mostTimes) }),
    maxSeries,
  ),
});

export class History {
  /** The series of each selector; selectors by metric. */
  readonly #members = new Map<Selector, Series[]>();
  readonly #selectors = new Map<string, Selector[]>();
  readonly #series = new Map<string, Series>();
  readonly #intervalMs: number;
  #times: number[] = [];

  constructor(wanted: readonly Selector[], sampleIntervalMs = intervalMs) {
    for (const selector of wanted) {
      if (this.#members.has(selector)) continue;
      this.#members.set(selector, []);
      this.#selectors.set(selector.metric, [...(this.#selectors.get(selector.metric) ?? []), selector]);
    }
    this.#intervalMs = sampleIntervalMs;
  }

  get latestMs(): number | undefined {
    return this.#times.at(-1);
  }

  get length(): number {
    return this.#times.length;
  }

  /** The newest record always stands; records closer than the interval replace each other. Time that steps back is a new start. */
  record(timeMs: number, samples: readonly Sample[]): void {
    if (timeMs < (this.latestMs ?? 0)) this.#clear();
    const before = this.#times.at(-2);
    if (before !== undefined && timeMs - before < this.#intervalMs) this.#dropNewest();
    this.#times.push(timeMs);
    for (const { name, labels = {}, value } of samples) {
      if (typeof value !== "number") continue;
      const own = this.#selectors.has(name) ? this.#find(name, labels) : undefined;
      if (own !== undefined) own.values[this.#times.length - 1] = value;
    }
    for (const { values } of this.#series.values()) values.length = this.#times.length;
    this.#expire(timeMs - Math.max(keepMs, 2 * this.#intervalMs));
  }

  /** Values of the newest record. */
  now(selector: Selector): readonly number[] {
    return this.#of(selector).flatMap(({ values }) => values.at(-1) ?? []);
  }

  /** Points of each series after `fromMs`. */
  since(selector: Selector, fromMs: number): readonly (readonly Point[])[] {
    const first = this.#times.findIndex((timeMs) => timeMs > fromMs);
    if (first < 0) return [];
    return this.#of(selector).map(({ values }) => {
      const points: Point[] = [];
      for (let index = first; index < this.#times.length; index += 1) {
        const [timeMs, value] = [this.#times[index], values[index]];
        if (timeMs !== undefined && value !== undefined) points.push({ timeMs, value });
      }
      return points;
    });
  }

  snapshot(): HistorySnapshot {
    const series = [...this.#series.values()].map(({ metric, labels, values }) => ({
      metric,
      labels,
      runs: toRuns(values),
    }));
    return { times: [...this.#times], series };
  }

  /** Replaces all. Throws on a snapshot that this class did not write. */
  restore(saved: unknown): void {
    const { times, series } = historyShape(saved, "history");
    this.#clear();
    this.#times = times;
    for (const { metric, labels, runs } of series) {
      const length = runs.reduce((sum, [, count]) => sum + count, 0);
      if (length !== times.length || runs.some(([, count]) => count < 0))
        throw new Error(`history of ${metric} has ${length} values for ${times.length} times`);
      const values = runs.flatMap(([value, count]) => Array.from({ length: count }, () => value ?? undefined));
      if (this.#wants(metric, labels)) this.#add({ metric, labels, values });
    }
  }

  #of(selector: Selector): readonly Series[] {
    const members = this.#members.get(selector);
    if (members === undefined) throw new Error(`no history is kept of ${selector.metric}`);
    return members;
  }

  #wants(metric: string, labels: Labels): boolean {
    return this.#selectors.get(metric)?.some((selector) => matches(selector, labels)) ?? false;
  }

  #add(series: Series): Series {
    this.#series.set(key(series.metric, series.labels), series);
    for (const selector of this.#selectors.get(series.metric) ?? [])
      if (matches(selector, series.labels)) this.#members.get(selector)?.push(series);
    return series;
  }

  #find(metric: string, labels: Labels): Series | undefined {
    const known = this.#series.get(key(metric, labels));
    if (known !== undefined || this.#series.size >= maxSeries || !this.#wants(metric, labels)) return known;
    return this.#add({ metric, labels, values: [] });
  }

  #dropNewest(): void {
    this.#times.pop();
    for (const { values } of this.#series.values()) values.length = this.#times.length;
  }

  #expire(beforeMs: number): void {
    const gone = this.#times.findIndex((timeMs) => timeMs >= beforeMs);
    if (gone <= 0) return;
    this.#times.splice(0, gone);
    for (const [id, { values }] of this.#series) {
      values.splice(0, gone);
      if (values.at(-1) === undefined && values.every((value) => value === undefined)) this.#forget(id);
    }
  }

  #forget(id: string): void {
    const gone = this.#series.get(id);
    this.#series.delete(id);
    for (const [selector, members] of this.#members) {
      if (gone !== undefined && members.includes(gone))
        this.#members.set(
          selector,
          members.filter((series) => series !== gone),
        );
    }
  }

  #clear(): void {
    this.#times = [];
    this.#series.clear();
    for (const selector of this.#members.keys()) this.#members.set(selector, []);
  }
}

type Labels = Readonly<Record<string, string>>;

const key = (metric: string, labels: Labels): string =>
  JSON.stringify([metric, ...Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1))]);

function matches({ labels }: Selector, own: Labels): boolean {
  return Object.entries(labels).every(([name, values]) => values.includes(own[name] ?? ""));
}

function toRuns(values: readonly (number | undefined)[]): [number | null, number][] {
  const runs: [number | null, number][] = [];
  for (let index = 0; index < values.length; index += 1) {
    const value = values[index] ?? null;
    const last = runs.at(-1);
    if (last?.[0] === value) last[1] += 1;
    else runs.push([value, 1]);
  }
  return runs;
}
