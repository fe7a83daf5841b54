/**
 * The only adapter to prom-client: definitions and samples to the text that Prometheus reads, in the text format 0.0.4
 * or OpenMetrics 1.0. Samples become plain metric objects of a registry made for this one scrape: nothing is counted
 * in prom-client, no label hashing, and what vanished from the host leaves no stale series.
 */
import { Registry } from "prom-client";
import type { HistogramValue, MetricDef, Sample } from "../model/metric.ts";

export type Format = "text" | "openmetrics";

export const contentTypes = {
  text: Registry.PROMETHEUS_CONTENT_TYPE,
  openmetrics: Registry.OPENMETRICS_CONTENT_TYPE,
} as const satisfies Record<Format, string>;

interface Value {
  readonly metricName?: string;
  readonly labels: Readonly<Record<string, string | number>>;
  readonly value: number;
}

/** Throws when a sample has no definition or appears twice: a programming error that a test must see. */
export function expose(definitions: readonly MetricDef[], samples: readonly Sample[], format: Format): Promise<string> {
  const registry = new Registry();
  registry.setContentType(contentTypes[format] as typeof Registry.PROMETHEUS_CONTENT_TYPE);
  const byName = group(samples);
  for (const definition of definitions) {
    const own = byName.get(definition.name);
    byName.delete(definition.name);
    if (own === undefined) continue;
    const { name, help, type } = definition;
    const values = own.flatMap((sample) => toValues(definition, sample, format));
    const metric = { name, help, type, values, aggregator: "sum", get: () => metric };
    registry.registerMetric(metric as unknown as Parameters<typeof registry.registerMetric>[0]);
  }
  const stray = byName.keys().next();
  if (!stray.done) throw new Error(`sample "${stray.value}" has no definition`);
  return registry.metrics();
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

function toValues(definition: MetricDef, { labels = {}, value }: Sample, format: Format): Value[] {
  return typeof value === "number" ? [{ labels, value }] : histogramValues(definition, labels, value, format);
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
    values.push({ metricName: `${name}_bucket`, labels: { le: bucketBound(bound, format), ...labels }, value: count });
  }
  values.push({ metricName: `${name}_sum`, labels, value: sum }, { metricName: `${name}_count`, labels, value: count });
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
