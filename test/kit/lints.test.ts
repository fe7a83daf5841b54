/** Lints over what is generated: fresh, every metric and label exists, every page complete, every inhibition safe. */
import { existsSync, readFileSync } from "node:fs";
import { expect } from "chai";
import { collectorModules } from "../../src/collectors/index.ts";
import { scrapeMetrics } from "../../src/collectors/run.ts";
import { catalogue } from "../../src/diagnosis/catalogue.ts";
import { causeIds } from "../../src/diagnosis/cause.ts";
import { type Condition, leaves, type Selector, selectors } from "../../src/diagnosis/condition.ts";
import { evidenceNeedsSeconds, symptom } from "../../src/diagnosis/symptom.ts";
import { explaining, late, outside, symptomForSeconds } from "../../src/diagnosis/unexplained.ts";
import { alertFiles } from "../../src/kit/alert-files.ts";
import { followers, inhibitRules } from "../../src/kit/alertmanager.ts";
import { type AlertRule, fleetGroups, type RecordingRule, ruleGroups } from "../../src/kit/rules.ts";
import { runbookHeads, withHead } from "../../src/kit/runbooks.ts";
import { defaultSettings } from "../../src/kit/settings.ts";
import { ownMetrics } from "../../src/metrics/own.ts";
import { outcomes, peerClasses, phases } from "../../src/model/connection.ts";
import type { MetricDef } from "../../src/model/metric.ts";
import { sourceNames } from "../../src/model/record.ts";
import { probeMetrics } from "../../src/probe/metrics.ts";
import { tallyMetrics } from "../../src/tallies/index.ts";

const definitions = new Map<string, MetricDef>(
  [
    ...tallyMetrics,
    ...collectorModules.flatMap(({ metrics }) => metrics),
    ...scrapeMetrics,
    ...ownMetrics,
    ...probeMetrics,
  ].map((def) => [def.name, def]),
);

const groups = ruleGroups(defaultSettings);
const rules = groups.flatMap(({ rules: own }) => own);
const alerts = rules.filter((rule): rule is AlertRule => "alert" in rule);
const recorded = new Set(rules.flatMap((rule) => ("record" in rule ? [(rule as RecordingRule).record] : [])));
const everyCondition: readonly Condition[] = [
  symptom.evidence,
  late,
  ...catalogue.flatMap((cause) =>
    [cause.evidence, cause.stay, cause.explainsWhen, cause.facts, cause.observable, outside(cause)].flatMap(
      (c) => c ?? [],
    ),
  ),
];

describe("the catalogue", () => {
  it("has every cause once, in files of their own", () => {
    expect(catalogue.map(({ id }) => id).sort()).to.deep.equal([...causeIds].sort());
    for (const { id } of catalogue)
      expect(existsSync(`src/diagnosis/causes/${id.replaceAll("_", "-")}.ts`), id).to.equal(true);
  });

  it("names only metrics, labels and values that the exporter has", () => {
    const wrong = everyCondition.flatMap(selectors).flatMap((selector) => unknownParts(selector));
    expect([...new Set(wrong)]).to.deep.equal([]);
  });

  it("takes increases of counters only, and compares gauges and ratios of gauges only", () => {
    for (const leaf of everyCondition.flatMap(leaves)) {
      for (const { metric } of leaf.form === "ratio" ? [leaf.of, leaf.to] : [leaf.of]) {
        if (!definitions.has(metric) || leaf.threshold === "present") continue;
        expect(definitions.get(metric)?.type, metric).to.equal(leaf.form === "increase" ? "counter" : "gauge");
      }
    }
  });

  it("compares increases with whole numbers that extrapolation cannot reach from one event less", () => {
    for (const { id, evidence, thresholds } of catalogue) {
      for (const leaf of leaves(evidence)) {
        if (leaf.form !== "increase") continue;
        const { value } = thresholds[leaf.threshold] ?? { value: Number.NaN };
        expect(Number.isInteger(value), `${id}.${leaf.threshold}`).to.equal(true);
        expect(leaf.windowSeconds, `${id}: window of 4 scrapes at least`).to.be.at.least(
          4 * defaultSettings.scrapeSeconds,
        );
        // Seconds are no events: any share of them may be there.
        if (leaf.of.metric.endsWith("_seconds_total") || leaf.is === "<") continue;
        const stretched = ((value - 1) * leaf.windowSeconds) / (leaf.windowSeconds - defaultSettings.scrapeSeconds);
        expect(stretched, `${id}.${leaf.threshold}`).to.be.below(value - 0.5);
      }
    }
  });

  it("uses every threshold, and says why", () => {
    for (const { id, evidence, stay, facts, explainsWhen, thresholds } of catalogue) {
      const used = [evidence, stay, facts, explainsWhen].flatMap((condition) => (condition ? leaves(condition) : []));
      expect(Object.keys(thresholds).sort(), id).to.deep.equal(
        [...new Set(used.map(({ threshold }) => threshold))].sort(),
      );
      for (const { reason, unit } of Object.values(thresholds)) expect(`${reason}${unit}`, id).to.match(/\w{4}/);
    }
  });

  it("lets a root outlast what follows from it, so that the second one never pages when the first is over", () => {
    for (const root of catalogue) {
      for (const follower of followers(catalogue, root.id).map((id) => catalogue.find((cause) => cause.id === id))) {
        if (follower === undefined || root.stay !== undefined) continue;
        const lasts = tail(root.evidence, "shortest") + root.keepSeconds;
        const followed = tail(follower.evidence, "longest") + follower.keepSeconds;
        expect(lasts, `${root.id} before ${follower.id}`).to.be.at.least(followed + 60);
      }
    }
  });

  it("lets what follows wait for its root: group_wait covers 45 s", () => {
    for (const root of catalogue) {
      for (const follower of catalogue.filter(({ id }) => root.inhibits.includes(id))) {
        const seen = root.forSeconds + evidenceNeedsSeconds(root, defaultSettings.scrapeSeconds);
        expect(follower.forSeconds + 45, `${root.id} before ${follower.id}`).to.be.at.least(seen);
      }
    }
  });

  it("lets the symptom wait for the evidence of every cause that explains it", () => {
    for (const cause of explaining(catalogue))
      expect(symptomForSeconds(catalogue), cause.id).to.be.at.least(
        evidenceNeedsSeconds(cause, defaultSettings.scrapeSeconds),
      );
  });
});

/** How long evidence goes on after the fault is over. */
function tail(condition: Condition, which: "shortest" | "longest"): number {
  if (condition.form === "increase") return condition.windowSeconds;
  if (condition.form === "and") return Math.min(...condition.all.map((part) => tail(part, which)));
  if (condition.form === "or") {
    const parts = condition.any.map((part) => tail(part, which));
    return which === "shortest" ? Math.min(...parts) : Math.max(...parts);
  }
  return 0;
}

function unknownParts({ metric, labels }: Selector): string[] {
  const definition = definitions.get(metric);
  if (definition === undefined) return [metric];
  const collectors = collectorModules.map(({ name }) => name);
  const connection: Readonly<Record<string, readonly string[]>> = {
    phase: phases,
    outcome: outcomes,
    peer_class: peerClasses,
  };
  return Object.entries(labels).flatMap(([name, values]) => {
    if (!definition.labels.includes(name)) return [`${metric}{${name}}`];
    const closed =
      (name === "collector" ? collectors : name === "source" ? sourceNames : undefined) ??
      definition.values?.[name] ??
      (metric === "sshreset_connections_ended_total" ? connection[name] : undefined);
    return values
      .filter((value) => closed !== undefined && !closed.includes(value))
      .map((value) => `${metric}{${name}="${value}"}`);
  });
}

describe("the rules", () => {
  it("are committed as generated", () => {
    for (const [path, text] of alertFiles(defaultSettings))
      expect(readFileSync(path, "utf8") === text, `${path} is stale: npm run kit`).to.equal(true);
    for (const [alert, head] of runbookHeads()) {
      const path = `docs/runbooks/${alert}.md`;
      const page = readFileSync(path, "utf8");
      expect(withHead(page, head, path) === page, `${path} is stale: npm run kit`).to.equal(true);
    }
  });

  it("have for each alert a summary, a description, commands, a runbook, and labels from closed sets", () => {
    expect(new Set(alerts.map(({ alert }) => alert)).size).to.equal(alerts.length);
    for (const { alert, labels, annotations } of alerts) {
      expect(alert).to.match(/^(Sshd|SshReset)[A-Z]\w+$|^SshKnownPeersReset$/);
      expect(labels["severity"], alert).to.be.oneOf(["critical", "warning", "info"]);
      expect(labels["cause"], alert).to.match(/^\w+$/);
      expect(labels["step"], alert).to.match(/^\w+$/);
      expect(annotations["summary"], alert).to.match(/^[^{}]+\.$/);
      expect(annotations["description"], alert).to.include("$labels.instance");
      expect(annotations["next"]?.match(/^\d\. /gm), alert).to.have.length(3);
      expect(annotations["runbook_url"], alert).to.equal(`${defaultSettings.runbookBase}/${alert}.md`);
    }
  });

  it("have a runbook with every section and a command's output for each alert", () => {
    for (const { alert } of alerts) {
      const page = readFileSync(`docs/runbooks/${alert}.md`, "utf8");
      const sections = [
        "What happened",
        "How sure, and what else it could be",
        "Evidence on the dashboard",
        "Checklist",
        "Fix",
        "Verify",
      ];
      expect(
        [...page.matchAll(/^## (.+)$/gm)].map(([, title]) => title),
        alert,
      ).to.deep.equal(sections);
      expect(page, alert).to.not.match(/MTUDiscovery=|grep -i "[^"]*\|/);
    }
  });

  it("compare in every alert and evidence, and read only metrics that exist", () => {
    const texts = rules.flatMap((rule) => [
      rule.expr,
      ...("alert" in rule ? Object.values((rule as AlertRule).annotations) : []),
    ]);
    const used = texts.flatMap((text) => text.match(/\b(?:instance:)?sshreset_\w+(?::\w+)?/g) ?? []);
    const unknown = used.filter((name) => !definitions.has(name) && !recorded.has(name));
    expect([...new Set(unknown)]).to.deep.equal([]);
    for (const { alert, expr } of alerts) expect(expr, alert).to.match(/[<>]|==/);
  });

  it("give queries in texts no label that an alert may lack: vmalert has nothing for it, and then no alert", () => {
    const fleet = fleetGroups(defaultSettings).flatMap(({ rules: own }) => own);
    const texts = [...rules, ...fleet].flatMap((rule) => ("alert" in rule ? Object.values(rule.annotations) : []));
    const asked = texts.flatMap((text) => text.match(/printf `[^`]*`[^|]*\| query/g) ?? []);
    expect(asked.length).to.be.above(100);
    for (const text of asked)
      expect(text.replace(/\(or \$labels\.\w+ ""\)/g, "")).to.not.match(/\$labels\.(?!job |instance )/);
  });

  it("select no le, and keep the labels that pages and inhibition need", () => {
    for (const { expr } of rules) {
      expect(expr).to.not.match(/\ble=/);
      for (const [, labels] of expr.matchAll(/\bby \(([^)]*)\)/g)) expect(labels).to.match(/^job, instance/);
    }
  });

  it("inhibit only where every equal label is there on both sides", () => {
    for (const { source_matchers, target_matchers, equal } of inhibitRules(catalogue)) {
      for (const label of equal) {
        expect(source_matchers).to.include(`${label}=~".+"`);
        expect(target_matchers).to.include(`${label}=~".+"`);
      }
    }
  });
});
