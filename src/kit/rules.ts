/**
 * Prometheus rules from the catalogue: in one group, in this order, evidence of each cause, what it explains, one alert
 * per cause, the symptom; in further groups alerts about the exporter itself and on probes. Plain rule groups, as Mimir and Thanos
 * Rule take them. Prometheus 2.42 and newer.
 */
import type { Cause } from "../diagnosis/cause.ts";
import { memorySeconds, symptom, trailSeconds } from "../diagnosis/symptom.ts";
import { duration, toPromql } from "../diagnosis/to-promql.ts";
import { endThresholds, explaining, late, outside, symptomForSeconds } from "../diagnosis/unexplained.ts";
import { causeAnnotations, symptomAnnotations } from "./annotations.ts";
import { exporterRules } from "./exporter-rules.ts";
import { fleetFacts, fleetGroup } from "./fleet.ts";
import { bool, evidence, firing, held, lastAnswer, unexplained } from "./host-records.ts";
import { probeRules } from "./probe-rules.ts";
import type { KitSettings } from "./settings.ts";

export interface RecordingRule {
  readonly record: string;
  readonly expr: string;
  readonly labels?: Readonly<Record<string, string>>;
}
export interface AlertRule {
  readonly alert: string;
  readonly expr: string;
  readonly for?: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}
export interface RuleGroup {
  readonly name: string;
  readonly interval: string;
  readonly rules: readonly (RecordingRule | AlertRule)[];
}

const explains = "instance:sshreset_cause_explaining:bool";
const outlived = "instance:sshreset_cause_outlived:bool";
const outOfScope = "instance:sshreset_cause_out_of_scope:bool";
const explained = "instance:sshreset_cause_explained:bool";

const interval = ({ scrapeSeconds, timeScale }: KitSettings): string =>
  duration(scrapeSeconds, { timeScale: Math.min(timeScale, 15) });

export function ruleGroups(settings: KitSettings): readonly RuleGroup[] {
  return [
    {
      name: "ssh-reset-exporter.causes",
      interval: interval(settings),
      rules: [
        ...settings.causes.map((cause) => evidenceRule(cause, settings)),
        lastAnswerRule(settings),
        ...explanationRules(settings),
        ...fleetFacts(settings),
        ...settings.causes.map((cause) => causeAlert(cause, settings)),
        symptomAlert(settings),
      ],
    },
    { name: "ssh-reset-exporter.itself", interval: interval(settings), rules: exporterRules(settings) },
    { name: "ssh-reset-exporter.probe", interval: interval(settings), rules: probeRules(settings) },
  ];
}

/** Rules over all hosts: for the one place where all their series are. */
export const fleetGroups = (settings: KitSettings): readonly RuleGroup[] => [fleetGroup(settings, interval(settings))];

/** 1 while the evidence holds (once the alert fires: what is enough to stay), else absent. */
function evidenceRule(cause: Cause, settings: KitSettings): RecordingRule {
  const enter = toPromql(cause.evidence, cause.thresholds, settings);
  const stay = cause.stay === undefined ? "" : toPromql(cause.stay, cause.thresholds, settings);
  const expr =
    stay === "" ? enter : `(${enter})\n  or ((${stay}) and on (${settings.hostLabels}) ${firing(cause.alert)})`;
  return { record: evidence, labels: { cause: cause.id }, expr: bool(expr, settings) };
}

/** Goes on from its own past, of up to an hour without Prometheus: a window of a day costs 5,760 samples of each host. */
function lastAnswerRule({ hostLabels, matchers, ...settings }: KitSettings): RecordingRule {
  const answers = matchers === "" ? "sshreset_build_info" : `sshreset_build_info{${matchers}}`;
  return {
    record: lastAnswer,
    expr: `max by (${hostLabels}) (timestamp(${answers}))\nor (last_over_time(${lastAnswer}[${duration(3600, settings)}]) > time() - ${86_400 / settings.timeScale})`,
  };
}

/** Which cause explains resets of known peers now; see src/diagnosis/unexplained.ts, which says the same in process. */
function explanationRules(settings: KitSettings): RecordingRule[] {
  const { hostLabels } = settings;
  const causes = explaining(settings.causes);
  const within = (record: string, seconds: number): string =>
    `max_over_time(${record}[${duration(seconds, settings)}])`;
  return [
    ...causes.map(({ id, explainsWhen, stay, evidence: own, thresholds }) => ({
      record: explains,
      labels: { cause: id },
      // What is recorded already is not computed again.
      expr: bool(
        explainsWhen === undefined && stay === undefined
          ? `${evidence}{cause="${id}"}`
          : toPromql(explainsWhen ?? own, thresholds, settings),
        settings,
      ),
    })),
    {
      record: outlived,
      expr: `(${within(explains, memorySeconds)} unless ${within(explains, 2 * trailSeconds)})\n  and on (${hostLabels}) (${toPromql(late, endThresholds, settings)})`,
    },
    ...causes.flatMap((cause) => {
      const condition = outside(cause);
      if (condition === undefined) return [];
      return {
        record: outOfScope,
        labels: { cause: cause.id },
        expr: bool(toPromql(condition, endThresholds, settings), settings),
      };
    }),
    {
      record: explained,
      expr: `(\n  ${within(explains, 2 * trailSeconds)}\n  or (${within(explains, memorySeconds)} unless ${within(outlived, memorySeconds)})\n)\nunless ${outOfScope}`,
    },
    {
      record: unexplained,
      expr: `${bool(toPromql(symptom.evidence, settings.symptomThresholds, settings), settings)}\nunless on (${hostLabels}) ${explained}`,
    },
  ];
}

function causeAlert(cause: Cause, settings: KitSettings): AlertRule {
  return {
    alert: cause.alert,
    expr: held(`${evidence}{cause="${cause.id}"}`, cause.alert, cause.keepSeconds, settings),
    ...(cause.forSeconds === 0 ? {} : { for: duration(cause.forSeconds, settings) }),
    labels: { severity: cause.severity, cause: cause.id, step: String(cause.step) },
    annotations: causeAnnotations(cause, settings),
  };
}

function symptomAlert(settings: KitSettings): AlertRule {
  return {
    alert: symptom.alert,
    expr: held(unexplained, symptom.alert, symptom.keepSeconds, settings),
    for: duration(symptomForSeconds(settings.causes), settings),
    labels: { severity: "critical", cause: symptom.id, step: "symptom" },
    annotations: symptomAnnotations(settings),
  };
}
