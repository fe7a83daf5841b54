/** Metric definitions and samples. Only src/metrics knows prom-client. */

export type MetricType = "counter" | "gauge" | "histogram";

export interface MetricDef<L extends string = string> {
  /** Full name as users type it, with prefix and unit: `sshreset_conntrack_entries`. */
  readonly name: string;
  readonly help: string;
  readonly type: MetricType;
  readonly labels: readonly L[];
  /** Closed label sets: every combination starts at 0 (counters); a value outside becomes `other` if that is in the set. */
  readonly values?: { readonly [K in L]?: readonly string[] };
  /** Upper bounds of a histogram's buckets, without +Inf. */
  readonly buckets?: readonly number[];
}

export interface Sample {
  readonly name: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly value: number | HistogramValue;
}

/** `counts[i]` observations fell at or below `buckets[i]` of the definition and above the bucket before it; the last one is +Inf. */
export interface HistogramValue {
  readonly counts: readonly number[];
  readonly sum: number;
}
