/** What a fleet may change when it generates its own kit; the defaults make the files that are shipped. */

import { catalogue } from "../diagnosis/catalogue.ts";
import type { Cause } from "../diagnosis/cause.ts";
import type { Thresholds } from "../diagnosis/condition.ts";
import { symptom } from "../diagnosis/symptom.ts";
import type { Dialect } from "../diagnosis/to-promql.ts";
import { type FleetId, fleetIds, fleetThresholds } from "./fleet.ts";
import { hostLabels } from "./fleet-labels.ts";

export interface KitSettings extends Dialect {
  /** As `matchers`, for the scrape job of /probe. */
  readonly probeMatchers: string;
  /** Without the alert's name and `.md`. */
  readonly runbookBase: string;
  /** Where Grafana is, without `/d/...`. */
  readonly dashboardBase: string;
  readonly scrapeSeconds: number;
  readonly causes: readonly Cause[];
  readonly symptomThresholds: Thresholds;
  readonly fleetThresholds: Readonly<Record<FleetId, Thresholds>>;
}

export const defaultSettings: KitSettings = {
  matchers: "",
  hostLabels,
  probeMatchers: "",
  timeScale: 1,
  runbookBase: "https://runbooks.example.org/ssh-reset-exporter",
  dashboardBase: "https://grafana.example.org",
  scrapeSeconds: 15,
  causes: catalogue,
  symptomThresholds: symptom.thresholds,
  fleetThresholds,
};

/** `conntrack_full: { entries: 0.8 }`: names and units as in the catalogue. Throws on a name that is not there or a value that is no number. */
export function withThresholds(settings: KitSettings, overrides: unknown): KitSettings {
  const wanted = new Map(Object.entries(object(overrides, "thresholds")));
  const causes = settings.causes.map((cause): Cause => {
    const own = wanted.get(cause.id);
    wanted.delete(cause.id);
    return own === undefined ? cause : { ...cause, thresholds: replaced(cause.id, cause.thresholds, own) };
  });
  const others = (id: string, thresholds: Thresholds): Thresholds => {
    const own = wanted.get(id);
    wanted.delete(id);
    return own === undefined ? thresholds : replaced(id, thresholds, own);
  };
  const symptomThresholds = others(symptom.id, settings.symptomThresholds);
  const fleetThresholds = { ...settings.fleetThresholds };
  for (const id of fleetIds) fleetThresholds[id] = others(id, fleetThresholds[id]);
  const [unknown] = wanted.keys();
  if (unknown !== undefined) throw new Error(`thresholds: no cause is named "${unknown}"`);
  return { ...settings, causes, symptomThresholds, fleetThresholds };
}

function replaced(id: string, thresholds: Thresholds, overrides: unknown): Thresholds {
  const result = { ...thresholds };
  for (const [name, value] of Object.entries(object(overrides, id))) {
    const known = thresholds[name];
    if (known === undefined)
      throw new Error(`thresholds: ${id} has no "${name}", it has ${Object.keys(thresholds).join(", ")}`);
    if (typeof value !== "number" || !Number.isFinite(value))
      throw new Error(`thresholds: ${id}.${name} is ${JSON.stringify(value)}, not a number (${known.unit})`);
    result[name] = { ...known, value };
  }
  return result;
}

function object(value: unknown, name: string): Readonly<Record<string, unknown>> {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new Error(`${name}: ${JSON.stringify(value)} is not a mapping of names`);
  return value as Readonly<Record<string, unknown>>;
}
