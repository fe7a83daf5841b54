/**
 * The texts of a page, as Go templates that Prometheus fills at each evaluation: what it is, the numbers, what could not
 * be checked and the grant it needs, the next commands, and whether the fix is proven.
 */
import type { Cause, Command } from "../diagnosis/cause.ts";
import { type Condition, type Leaf, leaves, or, type Thresholds } from "../diagnosis/condition.ts";
import { symptom } from "../diagnosis/symptom.ts";
import { type Dialect, duration, leftSide, toPromql } from "../diagnosis/to-promql.ts";
import { sentence } from "../model/checklist.ts";
import { dashboardUrl, uids } from "./dashboards/uids.ts";
import { fleetLabels } from "./fleet-labels.ts";
import type { KitSettings } from "./settings.ts";

type Annotations = Readonly<Record<string, string>>;

export function causeAnnotations(cause: Cause, settings: KitSettings): Annotations {
  const told = cause.facts === undefined ? cause.evidence : or(cause.evidence, cause.facts);
  const evidence = evidenceText(told, cause.thresholds, settings);
  const holds = query(`instance:sshreset_cause_evidence:bool{${sameHost},cause="${cause.id}"}`);
  return {
    summary: `${cause.summary}`,
    description: `${cause.explanation} {{ if ${holds} }}Evidence on {{ $labels.instance }}: ${evidence}{{ else }}The evidence on {{ $labels.instance }} has ended. {{ end }}${notChecked(settings)}`,
    recovery: recovery(cause.keepSeconds, settings),
    next: nextText(cause.next),
    runbook_url: `${settings.runbookBase}/${cause.alert}.md`,
    dashboard: dashboardUrl(uids.host, settings),
  };
}

export function symptomAnnotations(settings: KitSettings): Annotations {
  const evidence = evidenceText(symptom.evidence, settings.symptomThresholds, settings);
  return {
    summary: symptom.summary,
    description: `${symptom.explanation} Evidence on {{ $labels.instance }}: ${evidence}${whoReset(settings)}${notChecked(settings)}`,
    recovery: recovery(symptom.keepSeconds, settings),
    next: nextText(symptom.next),
    runbook_url: `${settings.runbookBase}/${symptom.alert}.md`,
    dashboard: dashboardUrl(uids.host, settings),
  };
}

/** Every series of one exporter; filled by `query`. A store of many clusters may know the same address twice. */
export const sameHost = `job=%q,instance=%q,${fleetLabels.cluster}=%q`;

/** A Go template pipeline that gives the vector of a query on the alert's own host. */
export function query(promql: string): string {
  const hosts = promql.split(sameHost).length - 1;
  // A label that the alert does not have is empty for Prometheus, and nothing at all for vmalert.
  const labels = `$labels.job $labels.instance (or $labels.${fleetLabels.cluster} "")`;
  return `printf \`${promql}\` ${Array.from({ length: hosts }, () => labels).join(" ")} | query`;
}

/** What holds of the evidence, in the form of the status page. The same number with two thresholds is told once. */
function evidenceText(condition: Condition, thresholds: Thresholds, dialect: Dialect): string {
  const own = { ...dialect, matchers: sameHost };
  const sentences = new Map<string, { readonly leaf: Leaf; readonly unit: string; readonly exprs: string[] }>();
  for (const leaf of leaves(condition)) {
    // That something did not happen is no news.
    if (leaf.form === "increase" && leaf.is === "<") continue;
    const unit = thresholds[leaf.threshold]?.unit ?? "";
    const told = sentences.get(`${leftSide(leaf, own)} ${unit}`) ?? { leaf, unit, exprs: [] };
    const expr = toPromql(leaf, thresholds, own);
    if (!told.exprs.includes(expr)) told.exprs.push(expr);
    sentences.set(`${leftSide(leaf, own)} ${unit}`, told);
  }
  return [...sentences.values()]
    .map(({ leaf, unit, exprs }) => {
      const shown = `{{ . | first | value | ${format(leaf, unit)} }}`;
      // A share of something, and seconds, read better with the number first.
      const text = /^(?:of|s) /.test(unit) ? `${shown} ${unit}` : `${sentence(unit)}: ${shown}`;
      return `{{ with ${query(exprs.join(" or "))} }}${text}. {{ end }}`;
    })
    .join("");
}

function format(leaf: Leaf, unit: string): string {
  if (leaf.form !== "ratio") return 'printf "%.0f"';
  return unit.startsWith("of ") ? "humanizePercentage" : 'printf "%.1f"';
}

/** Not seen is not absent: the causes that this host's grants do not allow to judge, by the grant that they need. */
function notChecked(settings: KitSettings): string {
  const byGrant = new Map<string, string[]>();
  for (const { id, grant } of settings.causes) byGrant.set(grant, [...(byGrant.get(grant) ?? []), id]);
  return [...byGrant]
    .map(([grant, ids]) => {
      const expr = query(`sshreset_cause_observable{${sameHost},cause=~"${ids.join("|")}"} == 0`);
      return `{{ with ${expr} }}Not checked:{{ range . }} {{ .Labels.cause }}{{ end }} (${grant}). {{ end }}`;
    })
    .join("");
}

/** By whom, as far as the kernel told: resets that came in against those that this host sent. */
function whoReset(settings: KitSettings): string {
  const window = duration(600, settings);
  const received = query(`sum(increase(sshreset_tcp_resets_received_total{${sameHost}}[${window}])) > 0.5`);
  const sent = query(`sum(increase(sshreset_tcp_resets_sent_total{${sameHost}}[${window}])) > 0.5`);
  const number = '{{ . | first | value | printf "%.0f" }}';
  return (
    `{{ with ${received} }}${number} resets came in within 10 minutes: sent by the peers or by a device on the path. {{ end }}` +
    `{{ with ${sent} }}${number} resets were sent by this host itself within 10 minutes. {{ else }}This host sent none that it could see: verdict "not from this host". {{ end }}`
  );
}

/** Read on the resolved page: its last evaluation covers the time since the evidence ended. */
function recovery(keepSeconds: number, settings: KitSettings): string {
  const seconds = Math.max(keepSeconds, 300);
  const window = duration(seconds, settings);
  const since = `the last ${seconds / 60} minutes`;
  const number = '{{ . | first | value | printf "%.0f" }}';
  const logins = query(`sum(increase(sshreset_connections_accepted_total{${sameHost}}[${window}])) > 0.5`);
  const resets = query(
    `sum(increase(sshreset_connections_ended_total{${sameHost},outcome="reset",peer_class="known"}[${window}])) > 0.5`,
  );
  const up = query(`min_over_time(sshreset_sshd_up{${sameHost}}[${window}]) == 1`);
  return (
    `{{ with ${resets} }}Not yet proven: ${number} connections of known peers were reset in ${since}.` +
    `{{ else }}{{ if ${up} }}{{ with ${logins} }}Proven: ${number} logins and no reset of a known peer in ${since}, sshd listening all that time.` +
    `{{ else }}Not yet proven: nobody has logged in during ${since}. sshd was listening all that time.{{ end }}` +
    `{{ else }}Not yet proven: sshd was not seen listening through ${since}.{{ end }}{{ end }}`
  );
}

/** Three commands, one a line; the runbook has the rest. */
function nextText(commands: readonly Command[]): string {
  return commands
    .slice(0, 3)
    .map(({ run, shows }, index) => `${index + 1}. ${run}\n   ${shows}`)
    .join("\n");
}
