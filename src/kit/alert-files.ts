/** The generated files below alerts/: path to text. */
import { stringify } from "yaml";
import type { Thresholds } from "../diagnosis/condition.ts";
import { symptom } from "../diagnosis/symptom.ts";
import { alertmanagerConfig } from "./alertmanager.ts";
import { fleetIds } from "./fleet.ts";
import { fleetGroups, ruleGroups } from "./rules.ts";
import type { KitSettings } from "./settings.ts";

const head = "# Generated from src/diagnosis by `npm run kit`: change the catalogue, not this file.\n";

export function alertFiles(settings: KitSettings): ReadonlyMap<string, string> {
  return new Map([
    ["alerts/ssh-reset-exporter.rules.yml", head + yaml({ groups: ruleGroups(settings) })],
    ["alerts/fleet.rules.yml", head + yaml({ groups: fleetGroups(settings) })],
    ["alerts/thresholds.yml", thresholdsFile(settings)],
    ["alerts/alertmanager.yml", head + yaml(alertmanagerConfig(settings))],
  ]);
}

/** Every threshold with its unit and reason, as `--thresholds` reads it. */
function thresholdsFile({ causes, symptomThresholds, fleetThresholds }: KitSettings): string {
  const part = (id: string, thresholds: Thresholds): string =>
    `${id}:\n${Object.entries(thresholds)
      .map(([name, { value, unit, reason }]) => `  # ${unit}. ${reason}\n  ${name}: ${value}\n`)
      .join("")}`;
  return [
    "# Generated from src/diagnosis by `npm run kit`. Copy what you want to change, and give it to\n# npm run kit -- --out DIR --thresholds FILE\n",
    part(symptom.id, symptomThresholds),
    ...causes.map(({ id, thresholds }) => part(id, thresholds)),
    ...fleetIds.map((id) => part(id, fleetThresholds[id])),
  ].join("");
}

const yaml = (value: unknown): string => stringify(value, { lineWidth: 0, aliasDuplicateObjects: false });
