/** The metrics of one probe, by the multi-target pattern: they belong to the target, not to this exporter. */
import type { MetricDef, Sample } from "../model/metric.ts";
import type { ProbeResult } from "./probe.ts";
import { failures, probePhases } from "./session.ts";
import { saysThrottled } from "./verdict.ts";

export const probeMetrics = [
  { name: "probe_success", help: "1 if the key exchange was complete.", type: "gauge", labels: [] },
  {
    name: "probe_duration_seconds",
    help: "How long the probe took, from the resolver to the new keys or to its failure.",
    type: "gauge",
    labels: [],
  },
  {
    name: "sshreset_probe_phase_duration_seconds",
    help: "How long each phase took; absent if it was not reached. The phase that failed counts until then.",
    type: "gauge",
    labels: ["phase"],
    values: { phase: probePhases },
  },
  {
    name: "sshreset_probe_failure",
    help: "1 for the phase and reason of the failure, else 0.",
    type: "gauge",
    labels: ["phase", "reason"],
    values: { phase: probePhases, reason: failures },
  },
  {
    name: "sshreset_probe_throttled",
    help: "1 if sshd said before its banner that it refuses for MaxStartups or a penalty.",
    type: "gauge",
    labels: [],
  },
] as const satisfies readonly MetricDef[];

export function probeSamples(result: ProbeResult): Sample[] {
  const { failure, phaseSeconds, durationSeconds } = result;
  return [
    { name: "probe_success", value: failure === undefined ? 1 : 0 },
    { name: "probe_duration_seconds", value: durationSeconds },
    ...probePhases.flatMap((phase) => {
      const value = phaseSeconds[phase];
      return value === undefined ? [] : [{ name: "sshreset_probe_phase_duration_seconds", labels: { phase }, value }];
    }),
    ...probePhases.flatMap((phase) =>
      failures.map((reason) => ({
        name: "sshreset_probe_failure",
        labels: { phase, reason },
        value: failure?.phase === phase && failure.reason === reason ? 1 : 0,
      })),
    ),
    { name: "sshreset_probe_throttled", value: saysThrottled(result) ? 1 : 0 },
  ];
}
