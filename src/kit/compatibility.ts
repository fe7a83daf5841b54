/**
 * What users build on, collected from the definitions: the list behind docs/compatibility.md. docs/compatibility.json is
 * the list of this tree, docs/releases/VERSION.json that of each release; what differs must be named in CHANGELOG.md.
 */
import { parse } from "yaml";
import { collectorModules } from "../collectors/index.ts";
import { scrapeMetrics } from "../collectors/run.ts";
import { type Command, commands } from "../config/commands.ts";
import { options, optionTable } from "../config/options.ts";
import { causeIds } from "../diagnosis/cause.ts";
import { ownMetrics } from "../metrics/own.ts";
import { outcomes, peerClasses, phases } from "../model/connection.ts";
import type { MetricDef, MetricType } from "../model/metric.ts";
import { probeMetrics } from "../probe/metrics.ts";
import { tallyMetrics } from "../tallies/index.ts";
import { pages } from "../web/pages.ts";
import { alertFiles } from "./alert-files.ts";
import { uids } from "./dashboards/uids.ts";
import type { AlertRule, RecordingRule } from "./rules.ts";
import { defaultSettings } from "./settings.ts";

/** Kind of thing, name, and what of it is promised. */
export interface Interface {
  readonly metrics: Readonly<Record<string, MetricPromise>>;
  /** Flags `--NAME` and keys of the configuration file. */
  readonly options: Readonly<Record<string, OptionPromise>>;
  readonly commands: Readonly<Record<string, CommandPromise>>;
  readonly alerts: Readonly<Record<string, AlertPromise>>;
  /** Series that recording rules write. */
  readonly records: Readonly<Record<string, object>>;
  readonly pages: Readonly<Record<string, object>>;
  readonly dashboards: Readonly<Record<string, object>>;
}
export interface MetricPromise {
  readonly type: MetricType;
  /** Label to its values; `[]`: not a closed set. */
  readonly labels: Readonly<Record<string, readonly string[]>>;
}
export interface OptionPromise {
  readonly type: string;
  readonly default?: unknown;
  readonly choices?: readonly string[];
}
export interface CommandPromise {
  readonly flags: readonly string[];
  readonly exits: Readonly<Record<string, string>>;
}
export interface AlertPromise {
  /** What the rule itself sets. */
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: readonly string[];
}

export const metricDefinitions: readonly MetricDef[] = [
  ...tallyMetrics,
  ...collectorModules.flatMap(({ metrics }) => metrics),
  ...ownMetrics,
  ...scrapeMetrics,
  ...probeMetrics,
];

/** Of labels whose combinations cannot all occur, so that their metrics do not list them. */
const closedSets: Readonly<Record<string, readonly string[]>> = {
  phase: phases,
  outcome: outcomes,
  peer_class: peerClasses,
  cause: causeIds,
  collector: collectorModules.map(({ name }) => name),
};

export function publicInterface(): Interface {
  const rules = [...alertFiles(defaultSettings)]
    .filter(([path]) => path.endsWith(".rules.yml"))
    .flatMap(([, text]) => (parse(text) as RuleFile).groups.flatMap(({ rules }) => rules));
  const alerts = rules.filter((rule) => "alert" in rule);
  const records = rules.flatMap((rule) => ("record" in rule ? [rule.record] : []));
  return {
    metrics: named(metricDefinitions, ({ name, type, labels, values }) => [
      name,
      { type, labels: named(labels, (label) => [label, values?.[label] ?? closedSets[label] ?? []]) },
    ]),
    options: named([...optionTable(collectorModules)], ([name, option]) => [
      name,
      {
        type: option.type,
        ...(option.default !== undefined && { default: option.default }),
        ...(option.type === "text" && option.choices !== undefined && { choices: option.choices }),
      },
    ]),
    commands: named(Object.entries<Command>(commands), ([name, { flags, exits }]) => [
      name,
      { flags: flags.map(({ flag, placeholder }) => (placeholder === undefined ? flag : `${flag}=`)).sort(), exits },
    ]),
    alerts: named(alerts, ({ alert, labels, annotations }) => [
      alert,
      { labels, annotations: Object.keys(annotations).sort() },
    ]),
    records: named(records, (record) => [record, {}]),
    pages: named(pages(options["web.telemetry-path"].default), ({ path }) => [path, {}]),
    dashboards: named(Object.values(uids), (uid) => [uid, {}]),
  };
}

interface RuleFile {
  readonly groups: readonly { readonly rules: readonly (AlertRule | RecordingRule)[] }[];
}

/** Sorted by name, so that a list changes only where something changes. */
function named<T, V>(all: readonly T[], entry: (each: T) => readonly [string, V]): Record<string, V> {
  return Object.fromEntries(all.map(entry).sort(([a], [b]) => (a < b ? -1 : 1)));
}
