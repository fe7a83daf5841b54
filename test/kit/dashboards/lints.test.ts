/** Lints over the committed dashboards: fresh, complete, readable, and asking only for what the exporter has. */
import { readFileSync } from "node:fs";
import { expect } from "chai";
import { parse } from "yaml";
import { dashboardFiles } from "../../../src/kit/dashboards/dashboard-files.ts";
import { labelValues, metricDefs } from "../../../src/kit/dashboards/metrics.ts";
import { okabeIto, planned, sequence, stepColours, valueColours } from "../../../src/kit/dashboards/palette.ts";
import { uids } from "../../../src/kit/dashboards/uids.ts";
import { fleetLabels } from "../../../src/kit/fleet-labels.ts";
import { fleetGroups } from "../../../src/kit/rules.ts";
import { defaultSettings } from "../../../src/kit/settings.ts";
import type { MetricDef } from "../../../src/model/metric.ts";
import {
  annotationExpressions,
  dashboards,
  everyHost,
  expressions,
  nodes,
  panelExpressions,
  panelsOf,
  substituted,
} from "./expressions.ts";

/** Prometheus' own. */
const foreign: readonly MetricDef[] = [
  { name: "up", help: "", type: "gauge", labels: [] },
  { name: "scrape_samples_scraped", help: "", type: "gauge", labels: [] },
  { name: "scrape_duration_seconds", help: "", type: "gauge", labels: [] },
  { name: "ALERTS", help: "", type: "gauge", labels: ["alertname", "alertstate", "severity", "cause"] },
];
/** Counts of hosts that the fleet's rules record: over all hosts, chosen or not. */
const ofFleet: readonly MetricDef[] = fleetGroups(defaultSettings)
  .flatMap(({ rules }) => rules)
  .flatMap((rule) => ("record" in rule ? [rule.record] : []))
  .map((name) => ({ name, help: "", type: "gauge", labels: [...Object.values(fleetLabels), "kind", "version"] }));
const definitions = new Map([...metricDefs, ...foreign, ...ofFleet].map((definition) => [definition.name, definition]));
const ofTarget = ["job", "instance"];

/** The definition of a series; a histogram's parts are counters with `le` on the buckets. */
function definitionOf(series: string): MetricDef | undefined {
  const whole = definitions.get(series);
  if (whole !== undefined) return whole;
  const [, histogram = "", part] = /^(.*)_(bucket|count|sum)$/.exec(series) ?? [];
  const definition = definitions.get(histogram);
  if (definition?.type !== "histogram") return undefined;
  return {
    ...definition,
    type: "counter",
    labels: part === "bucket" ? [...definition.labels, "le"] : definition.labels,
  };
}

const everyPanel = dashboards.flatMap((dashboard) =>
  panelsOf(dashboard).map((panel) => ({ panel, place: `${dashboard.uid}: ${panel.id} ${panel.title}` })),
);

describe("the dashboards", () => {
  it("are committed as generated", () => {
    for (const [path, text] of dashboardFiles(defaultSettings))
      expect(readFileSync(path, "utf8") === text, `${path} is stale: npm run kit`).to.equal(true);
  });

  it("have unique ids, and no panel over another", () => {
    for (const { uid, panels } of dashboards) {
      expect(new Set(panels.map(({ id }) => id)).size, uid).to.equal(panels.length);
      const cells = new Map<string, number>();
      for (const { id, gridPos } of panels) {
        expect(gridPos.x + gridPos.w, `${uid}: ${id}`).to.be.at.most(24);
        for (let x = gridPos.x; x < gridPos.x + gridPos.w; x += 1)
          for (let y = gridPos.y; y < gridPos.y + gridPos.h; y += 1) {
            expect(cells.get(`${x},${y}`), `${uid}: panel ${id} lies over another`).to.equal(undefined);
            cells.set(`${x},${y}`, id);
          }
      }
    }
  });

  it("choose by datasource, job and instance; cannot be edited in place; link to each other with hosts and time", () => {
    for (const { uid, templating, editable, links, title } of dashboards) {
      expect(uid.length, uid).to.be.at.most(40);
      expect(title, uid).to.match(/^SSH resets: /);
      expect(editable, uid).to.equal(false);
      expect(templating.list.map(({ name, type }) => `${name} ${type}`)).to.deep.equal([
        "datasource datasource",
        "job query",
        "instance query",
      ]);
      for (const { multi, includeAll, allValue } of templating.list.slice(1))
        expect({ multi, includeAll, allValue }).to.deep.equal({ multi: true, includeAll: true, allValue: ".+" });
      expect(links.some(({ keepTime, includeVars }) => keepTime && includeVars)).to.equal(true);
    }
    const jumps = JSON.stringify(dashboards).match(/\/d\/[\w-]+\?[^"]*/g) ?? [];
    expect(jumps).to.have.length.above(3);
    for (const jump of jumps) {
      expect(Object.values(uids) as string[]).to.include(/^\/d\/([\w-]+)/.exec(jump)?.[1]);
      expect(jump).to.match(/var-job=.*var-instance=.*__url_time_range/);
    }
  });

  it("say on every panel what good looks like, what to do, and why it may be empty", () => {
    for (const { panel, place } of everyPanel) {
      if (panel.title === "") expect(panel.type, place).to.equal("stat");
      expect(panel.description, place).to.match(/\*\*Good:\*\* [\s\S]+\*\*If not:\*\* ./);
      expect(panel.fieldConfig.defaults.noValue, place).to.match(/^\S.{10,}/);
      expect(panel.fieldConfig.defaults.unit, place).to.match(/^\w+$/);
      expect(panel.datasource?.uid, place).to.equal("$" + "{datasource}");
      for (const target of panel.targets ?? []) expect(target.datasource?.uid, place).to.equal("$" + "{datasource}");
    }
  });

  it("have a runbook on every panel that has evidence for a cause, and none that is not there", () => {
    const host = dashboards.find(({ uid }) => uid === uids.host);
    const inSteps = (host?.panels ?? []).slice(host?.panels.findIndex(({ title }) => /^Step 1/.test(title)));
    const until = inSteps.findIndex(({ title }) => /^What this view/.test(title));
    for (const { type, title, description = "" } of inSteps.slice(0, until))
      if (type !== "row") expect(description, title).to.include(`](${defaultSettings.runbookBase}/`);
    const named = JSON.stringify(dashboards).match(/ssh-reset-exporter\/\w+\.md/g) ?? [];
    for (const path of new Set(named.map((name) => name.replace("ssh-reset-exporter/", "docs/runbooks/"))))
      expect(() => readFileSync(path), path).to.not.throw();
  });

  it("are named by every alert, with the alert's host", () => {
    const rules = readFileSync("alerts/ssh-reset-exporter.rules.yml", "utf8");
    const alerts = rules.match(/^ +- alert: /gm) ?? [];
    const urls = [...rules.matchAll(/^ +dashboard: (\S+\/d\/([\w-]+)\?.*)$/gm)];
    expect(urls.length).to.equal(alerts.length);
    for (const [, url, uid] of urls) {
      expect(Object.values(uids) as (string | undefined)[], url).to.include(uid);
      if (uid !== uids.fleet) expect(url).to.match(/var-job=\{\{ \$labels\.job.*var-instance=\{\{ \$labels\.instance/);
    }
  });

  it("show what the catalogue says: every cause has a strip, a verdict and its thresholds", () => {
    const host = dashboards.find(({ uid }) => uid === uids.host);
    const text = JSON.stringify(host);
    for (const { id, summary, title } of defaultSettings.causes) {
      expect(text, id).to.include(JSON.stringify(`Yes: ${summary}`).slice(1, -1));
      expect(text, id).to.include(JSON.stringify(`: ${title}`).slice(1, -1));
    }
  });

  it("use only colours that colour-blind people can tell apart", () => {
    const allowed = [...Object.values(okabeIto), ...Object.values(stepColours), planned, "transparent"] as string[];
    for (const colour of [...sequence, ...Object.values(valueColours)]) expect(allowed).to.include(colour);
    const used = JSON.stringify(dashboards).match(/"(?:color|fixedColor|iconColor)":"[^"]*"/g) ?? [];
    expect(used).to.have.length.above(100);
    for (const each of used) expect(allowed, each).to.include(each.split('"')[3]);
  });

  it("give every series of a graph a colour of its own in that graph, where the names are known", () => {
    for (const { panel, place } of everyPanel.filter(({ panel: { type } }) => type === "timeseries")) {
      const names = (panel.targets ?? []).map(({ legendFormat = "" }) => legendFormat);
      expect(new Set(names).size, place).to.equal(names.length);
      const coloured = panel.fieldConfig.overrides.map(({ matcher }) => matcher.options);
      for (const name of names) if (!name.includes("{{")) expect(coloured, place).to.include(name);
      const plain = panel.fieldConfig.overrides
        .filter(({ matcher }) => names.includes(matcher.options))
        .map(({ properties }) => JSON.stringify(properties));
      expect(new Set(plain).size, `${place}: two series of one colour`).to.equal(plain.length);
    }
  });
});

describe("the queries of the dashboards", () => {
  it("parse, and ask for metrics, labels and values that the exporter has", () => {
    expect(panelExpressions.length).to.be.above(100);
    const wrong = expressions.flatMap(({ place, expr }) =>
      unknownParts(substituted(expr, everyHost)).map((part) => `${place}: ${part}`),
    );
    expect(wrong).to.deep.equal([]);
  });

  it("would be found out: a wrong metric, label, value, grouping or bracket", () => {
    const hosts = 'job=~".+",instance=~".+"';
    const right = `sum by (reason) (rate(sshreset_sshd_stops_total{${hosts},reason="crash"}[75s]))`;
    expect(unknownParts(right)).to.deep.equal([]);
    for (const [from, to] of [
      ["stops_total", "stop_total"],
      [",reason", ",why"],
      ["crash", "crashed"],
      ["by (reason)", "by (why)"],
      ["))", ")"],
    ] as const)
      expect(unknownParts(right.replace(from, to)), `${from} to ${to}`).to.have.length.above(0);
  });

  it("match job and instance in every selector", () => {
    for (const { place, expr } of expressions) {
      for (const { text } of nodes(substituted(expr, everyHost)).filter(({ name }) => name === "VectorSelector"))
        if (!ofFleet.some(({ name }) => name === text)) expect(text, place).to.include('job=~".+",instance=~".+"');
    }
  });

  it("select no le, and take rates of counters over $__rate_interval only", () => {
    for (const { place, expr } of expressions) {
      expect(expr, place).to.not.match(/\ble\s*(=|!)/);
      const ranges = expr.match(/\[[^\]]*\]/g) ?? [];
      const allowed = annotationExpressions.some((annotation) => annotation.place === place)
        ? ["[1m]"]
        : ["[$__rate_interval]", "[$__range]"];
      for (const range of ranges) expect(allowed, place).to.include(range);
      for (const { function: name, metric } of overTime(substituted(expr, everyHost)))
        expect(definitionOf(metric)?.type, `${place}: ${name} of ${metric}`).to.equal(
          ["rate", "increase"].includes(name) ? "counter" : "gauge",
        );
    }
  });

  it("ask once where one number is shown, over time where a graph is", () => {
    for (const { panel, place } of everyPanel)
      for (const { instant, range } of panel.targets ?? [])
        expect({ instant, range }, place).to.deep.equal(
          ["stat", "table"].includes(panel.type) ? { instant: true, range: false } : { instant: false, range: true },
        );
  });
});

function overTime(expr: string): { function: string; metric: string }[] {
  return [...expr.matchAll(/\b(rate|increase|\w+_over_time)\((\w+)[{[]/g)].map(([, name = "", metric = ""]) => ({
    function: name,
    metric,
  }));
}

/** What an expression names and the exporter does not have. */
function unknownParts(expr: string): string[] {
  const tree = nodes(expr);
  const parts: string[] = tree
    .filter(({ name }) => name === "⚠")
    .map(({ from }) => `syntax: ${expr.slice(from, from + 20)}`);
  const known = new Set<string>(ofTarget);
  for (const selector of tree.filter(({ name }) => name === "VectorSelector")) {
    const inside = tree.filter(({ from, to }) => from >= selector.from && to <= selector.to);
    const metric = inside.find(({ name }) => name === "Identifier")?.text ?? "";
    const definition = definitionOf(metric);
    if (definition === undefined) parts.push(metric);
    else for (const label of definition.labels) known.add(label);
    for (const { text } of inside.filter(({ name }) => name === "UnquotedLabelMatcher")) {
      const [, label = "", , values = ""] = /^(\w+)\s*(=~|!~|!=|=)\s*"(.*)"$/.exec(text) ?? [];
      if (ofTarget.includes(label) || definition === undefined) continue;
      if (!definition.labels.includes(label)) parts.push(`${metric}{${label}}`);
      const closed = labelValues(definition, label);
      if (metric === "ALERTS" || closed === undefined) continue;
      parts.push(
        ...values
          .split("|")
          .filter((value) => !closed.includes(value))
          .map((value) => `${metric}{${label}="${value}"}`),
      );
    }
  }
  for (const { text } of tree.filter(({ name, parents }) => name === "LabelName" && parents[0] === "GroupingLabels"))
    if (!known.has(text)) parts.push(`by (${text})`);
  return parts;
}

describe("the provisioning files", () => {
  const read = (path: string) => parse(readFileSync(`dashboards/provisioning/${path}`, "utf8"));

  it("have a Prometheus whose interval is the rules'", () => {
    const { apiVersion, datasources } = read("datasources/prometheus.yml");
    expect(apiVersion).to.equal(1);
    expect(datasources).to.have.length(1);
    expect(datasources[0]).to.include({ type: "prometheus", access: "proxy" });
    expect(datasources[0].jsonData.timeInterval).to.equal(`${defaultSettings.scrapeSeconds}s`);
  });

  it("read the dashboards from files", () => {
    const { apiVersion, providers } = read("dashboards/ssh-reset-exporter.yml");
    expect(apiVersion).to.equal(1);
    expect(providers).to.have.length(1);
    expect(providers[0]).to.include({ type: "file", allowUiUpdates: false });
    expect(providers[0].options.path).to.match(/^\/var\/lib\/grafana\//);
  });
});
