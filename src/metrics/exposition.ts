/**
 * The only adapter to prom-client: definitions and samples to the text that Prometheus reads, in the text format 0.0.4
 * or OpenMetrics 1.0. Samples become plain metric objects of a registry made for one text: nothing is counted in
 * prom-client, no label hashing, and what vanished from the host leaves no stale series.
 * Most metrics say at a scrape what they said at the one before: their text is kept, which halves the cost of a page.
 */
import { Registry } from "prom-client";
import type { HistogramValue, MetricDef, Sample } from "../model/metric.ts";
import { Turns } from "../model/turns.ts";

export type Format = "text" | "openmetrics";

export const contentTypes = {
  text: Registry.PROMETHEUS_CONTENT_TYPE,
  openmetrics: Registry.OPENMETRICS_CONTENT_TYPE,
} as const satisfies Record<Format, string>;

/** Labels go as `sharedLabels`: prom-client keeps their text as long as the object lives. */
interface Value {
  readonly metricName?: string;
  readonly labels: typeof noLabels;
  readonly sharedLabels: Readonly<Record<string, string>>;
  readonly value: number;
}

const noLabels = {} as const;

/** Metrics as they were written last, by name: one such memory for each format. */
export type Written = Map<string, { readonly samples: readonly Sample[]; readonly text: string }>;

/** Throws when a sample has no definition: a programming error that a test must see. */
export async function expose(
  definitions: readonly MetricDef[],
  samples: readonly Sample[],
  format: Format,
  written: Written = new Map(),
): Promise<string> {
  const byName = group(samples);
  const texts: string[] = [];
  const turns = new Turns();
  for (const definition of definitions) {
    if (turns.over) await turns.next();
    const own = byName.get(definition.name);
    byName.delete(definition.name);
    if (own === undefined) continue;
    const before = written.get(definition.name);
    if (before !== undefined && sameSamples(before.samples, own)) {
      texts.push(before.text);
      continue;
    }
    const text = await write(definition, own, format);
    written.set(definition.name, { samples: own, text });
    texts.push(text);
  }
  const stray = byName.keys().next();
  if (!stray.done) throw new Error(`sample "${stray.value}" has no definition`);
  return format === "openmetrics" ? `${texts.join("\n")}\n# EOF\n` : `${texts.join("\n\n")}\n`;
}

function write(definition: MetricDef, samples: readonly Sample[], format: Format): Promise<string> {
  const { help, type } = definition;
  const family =
    format === "openmetrics" && type === "counter" ? definition.name.replace(/_total$/, "") : definition.name;
  const values = samples.flatMap((sample) => toValues(definition, sample, format));
  const metric = { name: family, help, type, values, aggregator: "sum", get: () => metric };
  const registry = new Registry();
  registry.setContentType(contentTypes[format] as typeof Registry.PROMETHEUS_CONTENT_TYPE);
  registry.registerMetric(metric as unknown as Parameters<typeof registry.registerMetric>[0]);
  return registry.getSingleMetricAsString(family);
}

function sameSamples(before: readonly Sample[], now: readonly Sample[]): boolean {
  return (
    before.length === now.length &&
    now.every((sample, i) => {
      const { labels, value } = before[i] as Sample;
      return sameValue(value, sample.value) && sameLabels(labels, sample.labels);
    })
  );
}

function sameValue(a: Sample["value"], b: Sample["value"]): boolean {
  if (typeof a === "number" || typeof b === "number") return Object.is(a, b);
  return a.sum === b.sum && a.counts.length === b.counts.length && a.counts.every((count, i) => count === b.counts[i]);
}

function sameLabels(a: Sample["labels"] = noLabels, b: Sample["labels"] = noLabels): boolean {
  if (a === b) return true;
  const names = Object.keys(b);
  return names.length === Object.keys(a).length && names.every((name) => a[name] === b[name]);
}

function group(samples: readonly Sample[]): Map<string, Sample[]> {
  const byName = new Map<string, Sample[]>();
  for (const sample of samples) {
    const list = byName.get(sample.name);
    if (list) list.push(sample);
    else byName.set(sample.name, [sample]);
  }
  return byName;
}

function toValues(definition: MetricDef, { labels = noLabels, value }: Sample, format: Format): Value[] {
  return typeof value === "number"
    ? [{ labels: noLabels, sharedLabels: labels, value }]
    : histogramValues(definition, labels, value, format);
}

function histogramValues(
  { name, buckets = [] }: MetricDef,
  labels: Readonly<Record<string, string>>,
  { counts, sum }: HistogramValue,
  format: Format,
): Value[] {
  let count = 0;
  const values: Value[] = [];
  for (const [i, bound] of [...buckets, Number.POSITIVE_INFINITY].entries()) {
    count += counts[i] ?? 0;
    const sharedLabels = { le: bucketBound(bound, format), ...labels };
    values.push({ metricName: `${name}_bucket`, labels: noLabels, sharedLabels, value: count });
  }
  const own = { labels: noLabels, sharedLabels: labels };
  values.push({ metricName: `${name}_sum`, ...own, value: sum }, { metricName: `${name}_count`, ...own, value: count });
  return values;
}

/** OpenMetrics wants floats (`60.0`), the older format has always printed `60`. */
function bucketBound(bound: number, format: Format): string {
  if (bound === Number.POSITIVE_INFINITY) return "+Inf";
  return format === "openmetrics" && Number.isInteger(bound) ? `${bound}.0` : String(bound);
}

/** The format that an Accept header prefers; the older one where it says nothing that we have. */
export function negotiate(accept: string | undefined): Format {
  let openmetrics = 0;
  let text = 0;
  for (const part of (accept ?? "").slice(0, 1000).split(",")) {
    const [type = "", ...parameters] = part.split(";").map((piece) => piece.trim().toLowerCase());
    const quality = Number(parameters.find((p) => p.startsWith("q="))?.slice(2) ?? 1);
    if (!(quality > 0)) continue;
    if (type === "application/openmetrics-text") openmetrics = Math.max(openmetrics, quality);
    if (type === "text/plain") text = Math.max(text, quality);
  }
  return openmetrics > 0 && openmetrics >= text ? "openmetrics" : "text";
}
