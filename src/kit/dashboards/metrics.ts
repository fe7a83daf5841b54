/** Every metric that the exporter can serve: what a dashboard may ask for. */
import { collectorModules } from "../../collectors/index.ts";
import { scrapeMetrics } from "../../collectors/run.ts";
import { ownMetrics } from "../../metrics/own.ts";
import type { MetricDef } from "../../model/metric.ts";
import { tallyMetrics } from "../../tallies/index.ts";

export const metricDefs: readonly MetricDef[] = [
  ...tallyMetrics,
  ...collectorModules.flatMap(({ metrics }) => metrics),
  ...ownMetrics,
  ...scrapeMetrics,
];
