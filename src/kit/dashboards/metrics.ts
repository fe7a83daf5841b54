/** Every metric that the exporter can serve, and the values that its labels can have: what a dashboard may ask for. */
import { collectorModules } from "../../collectors/index.ts";
import { scrapeMetrics } from "../../collectors/run.ts";
import { causeIds } from "../../diagnosis/cause.ts";
import { ownMetrics } from "../../metrics/own.ts";
import { outcomes, peerClasses, phases } from "../../model/connection.ts";
import type { MetricDef } from "../../model/metric.ts";
import { probeMetrics } from "../../probe/metrics.ts";
import { tallyMetrics } from "../../tallies/index.ts";

export const metricDefs: readonly MetricDef[] = [
  ...tallyMetrics,
  ...collectorModules.flatMap(({ metrics }) => metrics),
  ...ownMetrics,
  ...scrapeMetrics,
  ...probeMetrics,
];

/** Closed sets that the definitions leave to the model and the lists. */
const closed: Readonly<Record<string, readonly string[]>> = {
  phase: phases,
  outcome: outcomes,
  peer_class: peerClasses,
  cause: causeIds,
  allowance: ["conntrack", "pps", "linklocal", "bandwidth_in", "bandwidth_out", "rate_limit"],
  collector: collectorModules.map(({ name }) => name),
};

/** Undefined for a label that is open (`interface`, `peer`). */
export function labelValues({ values }: MetricDef, label: string): readonly string[] | undefined {
  return values?.[label] ?? closed[label];
}
