/** The generated files below alerts/: path to text. */
import { stringify } from "yaml";
import { alertmanagerConfig } from "./alertmanager.ts";
import { ruleGroups } from "./rules.ts";
import type { KitSettings } from "./settings.ts";

const head = "# Generated from src/diagnosis by `npm run kit`: change the catalogue, not this file.\n";

export function alertFiles(settings: KitSettings): ReadonlyMap<string, string> {
  return new Map([
    ["alerts/ssh-reset-exporter.rules.yml", head + yaml({ groups: ruleGroups(settings) })],
    ["alerts/alertmanager.yml", head + yaml(alertmanagerConfig(settings))],
  ]);
}

const yaml = (value: unknown): string => stringify(value, { lineWidth: 0, aliasDuplicateObjects: false });
