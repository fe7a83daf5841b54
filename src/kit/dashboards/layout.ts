/** A dashboard from rows of panels: ids, grid positions, variables, links and annotations that all of them share. */
import {
  AnnotationQueryBuilder,
  type Dashboard,
  DashboardBuilder,
  DashboardCursorSync,
  DashboardLinkBuilder,
  DashboardLinkType,
  DatasourceVariableBuilder,
  QueryVariableBuilder,
  RowBuilder,
  VariableHide,
  VariableRefresh,
  VariableSort,
} from "@grafana/grafana-foundation-sdk/dashboard";
import { bad, okabeIto, warning } from "./palette.ts";
import { datasource, inTheOpen, type Placed } from "./panels.ts";
import { any, own } from "./query.ts";
import { tag } from "./uids.ts";

export interface Row {
  /** The first row has none. */
  readonly title?: string;
  readonly panels: readonly Placed[];
}

export interface Page {
  readonly uid: string;
  readonly title: string;
  readonly description: string;
  readonly from: string;
  /** Whether annotations are on from the start: lines of one host help, those of a fleet hide it. */
  readonly annotated: boolean;
  readonly rows: readonly Row[];
}

const columns = 24;

export function dashboard({ uid, title, description, from, annotated, rows }: Page): Dashboard {
  const builder = new DashboardBuilder(title)
    .uid(uid)
    .description(description)
    .tags([tag])
    .readonly()
    .timezone("browser")
    .time({ from, to: "now" })
    .refresh("1m")
    .tooltip(DashboardCursorSync.Crosshair)
    .variables(variables())
    .annotations(annotations(annotated))
    .links([
      new DashboardLinkBuilder("SSH resets")
        .type(DashboardLinkType.Dashboards)
        .tags([tag])
        .includeVars(true)
        .keepTime(true)
        .tooltip("The other dashboards, with the same hosts and time"),
    ]);
  let id = 0;
  let y = 0;
  for (const row of rows) {
    if (row.title !== undefined) {
      id += 1;
      builder.withRow(new RowBuilder(row.title).id(id).collapsed(false).gridPos({ x: 0, y, w: columns, h: 1 }));
      y += 1;
    }
    let x = 0;
    let lineHeight = 0;
    for (const { panel, width, height } of row.panels) {
      if (x + width > columns) {
        x = 0;
        y += lineHeight;
        lineHeight = 0;
      }
      id += 1;
      panel.id(id);
      panel.gridPos({ x, y, w: width, h: height });
      builder.withPanel(panel);
      x += width;
      lineHeight = Math.max(lineHeight, height);
    }
    y += lineHeight;
  }
  const built = builder.build();
  return {
    ...built,
    links: (built.links ?? []).map(inTheOpen),
    annotations: { list: (built.annotations.list ?? []).map(inTheOpen) },
  };
}

/** `all` is `.+`: hosts without the label are not ours, and a list of two hundred would not fit into a request. */
function variables() {
  const choice = (name: string, label: string, query: string, description: string) =>
    new QueryVariableBuilder(name)
      .label(label)
      .description(description)
      .query({ query, refId: `variable-${name}` })
      .definition(query)
      .datasource(datasource)
      .refresh(VariableRefresh.OnTimeRangeChanged)
      .sort(VariableSort.AlphabeticalAsc)
      .multi(true)
      .includeAll(true)
      .allValue(".+")
      .current({ text: "All", value: "$__all" });
  return [
    new DatasourceVariableBuilder("datasource").label("Data source").type("prometheus").hide(VariableHide.DontHide),
    choice("job", "Job", "label_values(sshreset_build_info, job)", "Scrape jobs of ssh-reset-exporter."),
    choice(
      "instance",
      "Host",
      'label_values(sshreset_build_info{job=~"$job"}, instance)',
      "One host or several: counts are added up, of limits the worst is shown.",
    ),
  ];
}

/** Annotations are asked without $__rate_interval, which Grafana fills for panels only: a minute, step by step. */
function annotations(enabled: boolean) {
  const annotation = (name: string, iconColor: string, expr: string, titleFormat: string, textFormat: string) =>
    new AnnotationQueryBuilder()
      .name(name)
      .enable(enabled)
      .hide(false)
      .iconColor(iconColor)
      .datasource(datasource)
      .expr(expr)
      .step("60s")
      .titleFormat(titleFormat)
      .textFormat(textFormat)
      .tagKeys("instance");
  return [
    annotation(
      "sshd stops",
      okabeIto.skyBlue,
      `sum by (instance, reason) (increase(${own("sshd_stops_total")}[1m])) > 0.5`,
      "sshd stopped: {{reason}}",
      "{{instance}}",
    ),
    annotation(
      "OOM kills",
      warning,
      `sum by (instance, victim) (increase(${own("oom_kills_total", 'victim=~"sshd|sshd_session"')}[1m])) > 0.5`,
      "killed for memory: {{victim}}",
      "{{instance}}",
    ),
    annotation(
      "Alerts",
      bad,
      any("ALERTS", 'alertstate="firing",alertname=~"Sshd.+|SshReset.+|SshKnownPeersReset",severity!="info"'),
      "{{alertname}}",
      "{{cause}} on {{instance}}",
    ),
  ];
}
