/** Names of what the rules record of one host, and the shapes that their expressions share. */
import { duration } from "../diagnosis/to-promql.ts";
import type { KitSettings } from "./settings.ts";

export const evidence = "instance:sshreset_cause_evidence:bool";
export const unexplained = "instance:sshreset_known_peers_reset_unexplained:bool";

/** When the exporter answered last, for a day: a target that has answered is ours, whatever its job is called. */
export const lastAnswer = "instance:sshreset_last_answer:timestamp";

export const bool = (expr: string, { hostLabels }: KitSettings): string => `group by (${hostLabels}) (\n  ${expr}\n)`;

export const firing = (alert: string): string => `ALERTS{alertname="${alert}",alertstate="firing"}`;

/**
 * Firing goes on for `keepSeconds` after the evidence, as keep_firing_for does; but as an expression, so that the page's
 * texts are evaluated until the end and the resolved page can prove the fix.
 */
export function held(
  series: string,
  alert: string,
  keepSeconds: number,
  settings: KitSettings,
  on = settings.hostLabels,
): string {
  if (keepSeconds === 0) return `${series} == 1`;
  return `${series} == 1\nor (last_over_time(${series}[${duration(keepSeconds, settings)}]) and on (${on}) ${firing(alert)})`;
}
