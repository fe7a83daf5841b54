/** Heads of the runbooks, from the catalogue; the bodies below them are written by hand and kept. */
import type { Cause, Command } from "../diagnosis/cause.ts";
import type { Thresholds } from "../diagnosis/condition.ts";
import { symptom } from "../diagnosis/symptom.ts";
import { toPromql } from "../diagnosis/to-promql.ts";
import { resetPhases, symptomForSeconds } from "../diagnosis/unexplained.ts";
import { followers } from "./alertmanager.ts";
import { exporterRules } from "./exporter-rules.ts";
import { fleetAlerts } from "./fleet.ts";
import { probeAlerts } from "./probe-rules.ts";
import { defaultSettings } from "./settings.ts";

const begin = "<!-- head: begin -->";
const end = "<!-- head: end -->";

/** Alert name to head. */
export function runbookHeads(): ReadonlyMap<string, string> {
  const { causes } = defaultSettings;
  return new Map([
    ...causes.map((cause) => [cause.alert, causeHead(cause, causes)] as const),
    [symptom.alert, symptomHead(causes)] as const,
    ...[...exporterRules(defaultSettings), ...probeAlerts(defaultSettings), ...fleetAlerts(defaultSettings)].map(
      ({ alert, annotations, labels, expr, for: wait }) =>
        [
          alert,
          [
            annotations["summary"],
            "",
            `Severity ${labels["severity"]}, after ${wait ?? "one evaluation"}.`,
            "",
            promql(expr),
            "",
            `\`\`\`text\n${annotations["next"] ?? ""}\n\`\`\``,
          ].join("\n"),
        ] as const,
    ),
  ]);
}

/** The page with its head replaced. Throws on a page without the two marks. */
export function withHead(page: string, head: string, name: string): string {
  const [from, to] = [page.indexOf(begin), page.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`${name}: no "${begin}" with "${end}" after it`);
  return `${page.slice(0, from + begin.length)}\n\n${head}\n\n${page.slice(to)}`;
}

function causeHead(cause: Cause, causes: readonly Cause[]): string {
  const { id, step, severity, summary, forSeconds, keepSeconds, evidence, thresholds, grant, next, references } = cause;
  const followed = followers(causes, id);
  const roots = causes.filter((other) => followers(causes, other.id).includes(id)).map((other) => other.id);
  const phases = resetPhases(cause);
  return [
    summary,
    "",
    "| | |",
    "|---|---|",
    `| cause | \`${id}\`, step ${step} |`,
    `| severity | ${severity} |`,
    `| waits | ${forSeconds} s, and stays ${keepSeconds} s after its evidence |`,
    `| explains resets of known peers in | ${phases.length === 0 ? "none" : phases.join(", ")} |`,
    `| inhibits | ${followed.length === 0 ? "nothing" : names(followed)} |`,
    `| inhibited by | ${roots.length === 0 ? "nothing" : names(roots)} |`,
    `| to be judged it needs | ${grant} |`,
    `| read | ${references.join("; ")} |`,
    "",
    ...thresholdTable(thresholds),
    "",
    promql(toPromql(evidence, thresholds, defaultSettings)),
    "",
    ...commandTable(next),
  ].join("\n");
}

function symptomHead(causes: readonly Cause[]): string {
  return [
    symptom.summary,
    "",
    `Severity critical. It waits ${symptomForSeconds(causes)} s: as long as the evidence of the causes needs that could explain it.`,
    "",
    ...thresholdTable(symptom.thresholds),
    "",
    promql(toPromql(symptom.evidence, symptom.thresholds, defaultSettings)),
    "",
    ...commandTable(symptom.next),
  ].join("\n");
}

const names = (ids: readonly string[]): string => ids.map((id) => `\`${id}\``).join(", ");
const promql = (text: string): string => `\`\`\`promql\n${text}\n\`\`\``;

const thresholdTable = (thresholds: Thresholds): string[] => [
  "| threshold | value | of what | why |",
  "|---|---|---|---|",
  ...Object.entries(thresholds).map(
    ([name, { value, unit, reason }]) => `| \`${name}\` | ${value} | ${unit} | ${reason} |`,
  ),
];

const commandTable = (commands: readonly Command[]): string[] => [
  "| command | shows |",
  "|---|---|",
  ...commands.map(({ run, shows }) => `| \`${run.replaceAll("|", "\\|")}\` | ${shows.replaceAll("|", "\\|")} |`),
];
