/** Every query of the dashboards, and what Grafana makes of it before Prometheus reads it. */
import { readFileSync } from "node:fs";
import { parser } from "@prometheus-io/lezer-promql";
import { uids } from "../../../src/kit/dashboards/uids.ts";

export interface Target {
  readonly refId: string;
  readonly expr: string;
  readonly legendFormat?: string;
  readonly instant?: boolean;
  readonly range?: boolean;
  readonly format?: string;
  readonly datasource?: { readonly uid: string };
}

export interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly description?: string;
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly targets?: readonly Target[];
  readonly datasource?: { readonly uid: string };
  readonly interval?: string;
  readonly options: Readonly<Record<string, unknown>>;
  readonly fieldConfig: {
    readonly defaults: { readonly unit?: string; readonly noValue?: string; readonly custom?: unknown };
    readonly overrides: readonly {
      readonly matcher: { readonly options: string };
      readonly properties: readonly { readonly id: string; readonly value: unknown }[];
    }[];
  };
}

export interface Dashboard {
  readonly uid: string;
  readonly title: string;
  readonly editable: boolean;
  readonly panels: readonly Panel[];
  readonly templating: { readonly list: readonly Variable[] };
  readonly annotations: { readonly list: readonly { readonly name: string; readonly expr: string }[] };
  readonly links: readonly { readonly keepTime: boolean; readonly includeVars: boolean; readonly tags: string[] }[];
}

export interface Variable {
  readonly name: string;
  readonly type: string;
  readonly multi: boolean;
  readonly includeAll: boolean;
  readonly allValue?: string;
}

export interface Expression {
  /** `fleet: Who is reset: A`. */
  readonly place: string;
  readonly expr: string;
  readonly instant: boolean;
}

export const dashboards: readonly Dashboard[] = Object.values(uids).map(
  (uid) => JSON.parse(readFileSync(`dashboards/${uid}.json`, "utf8")) as Dashboard,
);

/** Rows left out. */
export const panelsOf = ({ panels }: Dashboard): readonly Panel[] => panels.filter(({ type }) => type !== "row");

export const panelExpressions: readonly Expression[] = dashboards.flatMap((dashboard) =>
  panelsOf(dashboard).flatMap(({ id, title, targets = [] }) =>
    targets.map(({ refId, expr, instant }) => ({
      place: `${dashboard.uid}: ${id} ${title}: ${refId}`,
      expr,
      instant: instant === true,
    })),
  ),
);

export const annotationExpressions: readonly Expression[] = dashboards.flatMap(({ uid, annotations }) =>
  annotations.list.map(({ name, expr }) => ({ place: `${uid}: annotation ${name}`, expr, instant: false })),
);

export const expressions: readonly Expression[] = [...panelExpressions, ...annotationExpressions];

export interface Choice {
  readonly job: string;
  readonly instance: string;
  readonly rangeSeconds: number;
  readonly rateSeconds: number;
}

/** As Grafana does: variables that are all are `.+`. */
export function substituted(expr: string, { job, instance, rangeSeconds, rateSeconds }: Choice): string {
  return expr
    .replaceAll("$job", job)
    .replaceAll("$instance", instance)
    .replaceAll("$__rate_interval", `${rateSeconds}s`)
    .replaceAll("$__range_s", String(rangeSeconds))
    .replaceAll("$__range", `${rangeSeconds}s`);
}

export const everyHost: Choice = { job: ".+", instance: ".+", rangeSeconds: 3600, rateSeconds: 75 };

export interface Node {
  readonly name: string;
  readonly text: string;
  /** Of the nodes around it, the innermost first. */
  readonly parents: readonly string[];
  readonly from: number;
  readonly to: number;
}

/** The syntax tree as a list, by Prometheus' own grammar for editors. */
export function nodes(expr: string): readonly Node[] {
  const found: Node[] = [];
  const open: string[] = [];
  parser.parse(expr).iterate({
    enter: ({ name, from, to }) => {
      found.push({ name, from, to, text: expr.slice(from, to), parents: [...open].reverse() });
      open.push(name);
    },
    leave: () => void open.pop(),
  });
  return found;
}
