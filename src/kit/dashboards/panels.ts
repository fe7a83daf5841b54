/** Panels in the few shapes that these dashboards use, with what they all share: texts, colours, links. */
import type { Builder } from "@grafana/grafana-foundation-sdk/cog";
import * as common from "@grafana/grafana-foundation-sdk/common";
import {
  type DashboardLink,
  DashboardLinkBuilder,
  DashboardLinkType,
  type DataTransformerConfig,
  type DynamicConfigValue,
  FieldColorBuilder,
  FieldColorModeId,
  MappingType,
  type Panel,
  SpecialValueMatch,
  ThresholdsConfigBuilder,
  ThresholdsMode,
  type ValueMapping,
} from "@grafana/grafana-foundation-sdk/dashboard";
import * as heatmap from "@grafana/grafana-foundation-sdk/heatmap";
import { DataqueryBuilder, PromQueryFormat } from "@grafana/grafana-foundation-sdk/prometheus";
import { PanelBuilder as StatBuilder } from "@grafana/grafana-foundation-sdk/stat";
import { PanelBuilder as StateTimelineBuilder } from "@grafana/grafana-foundation-sdk/statetimeline";
import { PanelBuilder as TableBuilder } from "@grafana/grafana-foundation-sdk/table";
import { PanelBuilder as TextBuilder, TextMode } from "@grafana/grafana-foundation-sdk/text";
import { PanelBuilder as TimeSeriesBuilder } from "@grafana/grafana-foundation-sdk/timeseries";
import { labelValues, metricDefs } from "./metrics.ts";
import { notJudged, sequence, valueColours } from "./palette.ts";

/** Grafana's own way to name a variable. */
export const variable = (name: string): string => `\${${name}}`;

export const datasource = { type: "prometheus", uid: variable("datasource") };

/** A panel and its place in the grid of 24 columns; the layout gives it an id and a position. */
export interface Placed {
  readonly width: number;
  readonly height: number;
  readonly panel: Builder<Panel> & {
    id(id: number): unknown;
    gridPos(pos: { x: number; y: number; w: number; h: number }): unknown;
  };
}

export interface Texts {
  readonly title: string;
  /** What is drawn, where the title does not say it. */
  readonly shows?: string;
  /** What a healthy host looks like. */
  readonly good: string;
  /** What to do when it does not. */
  readonly act: string;
  /** `[SshdCrashed](https://...)`. */
  readonly runbooks?: readonly string[];
  /** What the panel says when no series answers: why that may be so. */
  readonly empty: string;
}

export interface Query {
  readonly expr: string;
  /** Without one the panel is a table. */
  readonly legend?: string;
}

export interface Step {
  readonly from: number | null;
  readonly colour: string;
}

export interface SeriesPanel extends Texts {
  readonly queries: readonly Query[];
  readonly unit: string;
  readonly width: number;
  readonly height?: number;
  readonly bars?: boolean;
  readonly stacked?: boolean;
  readonly min?: number;
  readonly max?: number;
  /** The axis begins here unless something is below. */
  readonly softMin?: number;
  /** For counts that differ by orders of magnitude: ten known peers beside a thousand scanners. */
  readonly logarithmic?: boolean;
  /** Drawn as dashed lines. */
  readonly limits?: readonly Step[];
  /** By the series' name, beyond the colours that label values have. */
  readonly colours?: Readonly<Record<string, string>>;
  readonly decimals?: number;
  readonly link?: DataLink;
  /** Columns of a table below the graph instead of a plain list of names. */
  readonly legend?: "list" | "table" | "none";
}

export interface DataLink {
  readonly title: string;
  readonly url: string;
}

export function describe({ shows, good, act, runbooks = [] }: Texts): string {
  const parts = [shows, `**Good:** ${good}`, `**If not:** ${act}`];
  if (runbooks.length > 0) parts.push(`Runbooks: ${runbooks.join(", ")}.`);
  return parts.filter((part) => part !== undefined).join("\n\n");
}

/** Lines, or bars for events: most of a host's events are single ones. */
export function graph(options: SeriesPanel): Placed {
  const { queries, unit, width, height = 8, bars = false, stacked = bars, limits = [] } = options;
  const panel = new TimeSeriesBuilder()
    .title(options.title)
    .description(describe(options))
    .datasource(datasource)
    .targets(queries.map((each, index) => query(each, index)))
    .interval("1m")
    .unit(unit)
    .noValue(options.empty)
    .drawStyle(bars ? common.GraphDrawStyle.Bars : common.GraphDrawStyle.Line)
    .lineWidth(bars ? 0 : 2)
    .fillOpacity(bars ? 90 : queries.length === 1 ? 8 : 0)
    .showPoints(common.VisibilityMode.Never)
    .spanNulls(false)
    .stacking(new common.StackingConfigBuilder().mode(stacked ? common.StackingMode.Normal : common.StackingMode.None))
    .tooltip(tooltip())
    .legend(legend(options.legend ?? "list"));
  if (options.softMin === undefined) panel.min(options.min ?? 0);
  else panel.axisSoftMin(options.softMin);
  if (options.max !== undefined) panel.max(options.max).axisSoftMax(options.max);
  else if (unit === "none") panel.axisSoftMax(1);
  if (options.logarithmic === true) panel.scaleDistribution(symlog());
  if (bars) panel.decimals(0);
  if (options.decimals !== undefined) panel.decimals(options.decimals);
  if (limits.length > 0) {
    panel
      .thresholds(thresholds([{ from: null, colour: "transparent" }, ...limits]))
      .thresholdsStyle(new common.GraphThresholdsStyleConfigBuilder().mode(common.GraphThresholdsStyleMode.Dashed));
  }
  colourSeries(panel, options);
  if (options.link) panel.dataLinks([dataLink(options.link)]);
  return { width, height, panel };
}

/** Ten times as much is one step more; zero has a place. */
const symlog = () =>
  new common.ScaleDistributionConfigBuilder().type(common.ScaleDistribution.Symlog).log(10).linearThreshold(1);

/** Every name that the legend can show gets a fixed colour; a series with an open name, a shade of the first. */
function colourSeries(panel: TimeSeriesBuilder, { queries, colours = {} }: SeriesPanel): void {
  const names = queries.flatMap(({ legend: name = "", expr }) =>
    name.includes("{{") ? labelled(name, expr) : [{ name, value: "" }],
  );
  panel.colorScheme(new FieldColorBuilder().mode(FieldColorModeId.Shades).fixedColor(sequence[0] ?? ""));
  names.forEach(({ name, value }, index) => {
    const fixedColor = colours[name] ?? valueColours[value] ?? sequence[index % sequence.length] ?? "";
    panel.overrideByName(name, [{ id: "color", value: { mode: FieldColorModeId.Fixed, fixedColor } }]);
  });
}

/** The names that a legend of one label can make, where the label's values are a closed set. */
function labelled(legend: string, expr: string): { name: string; value: string }[] {
  const label = /\{\{(\w+)\}\}/.exec(legend)?.[1] ?? "";
  const metric = /sshreset_\w+/.exec(expr)?.[0];
  const definition = metricDefs.find(({ name }) => name === metric);
  const values = definition === undefined ? [] : (labelValues(definition, label) ?? []);
  return values.map((value) => ({ name: legend.replace(`{{${label}}}`, value), value }));
}

export interface StatPanel extends Texts {
  readonly queries: readonly Query[];
  readonly unit: string;
  readonly width: number;
  readonly height?: number;
  readonly steps: readonly Step[];
  readonly mappings?: readonly ValueMapping[];
  /** A sentence on its colour, rather than a number. */
  readonly sentence?: boolean;
  readonly link?: DataLink;
  readonly decimals?: number;
}

/** The last value of each query as a number. */
export function stat(options: StatPanel): Placed {
  const { queries, unit, width, height = 4, steps, mappings = [], sentence = false } = options;
  const panel = new StatBuilder()
    .title(options.title)
    .description(describe(options))
    .datasource(datasource)
    .targets(queries.map((each, index) => query(each, index, true)))
    .unit(unit)
    .decimals(options.decimals ?? 0)
    .noValue(options.empty)
    .reduceOptions(new common.ReduceDataOptionsBuilder().calcs(["lastNotNull"]).values(false))
    .graphMode(common.BigValueGraphMode.None)
    .justifyMode(sentence ? common.BigValueJustifyMode.Auto : common.BigValueJustifyMode.Center)
    .textMode(queries.length > 1 ? common.BigValueTextMode.ValueAndName : common.BigValueTextMode.Value)
    .orientation(common.VizOrientation.Auto)
    .colorMode(sentence ? common.BigValueColorMode.BackgroundSolid : common.BigValueColorMode.Value)
    .colorScheme(new FieldColorBuilder().mode(FieldColorModeId.Thresholds))
    .thresholds(thresholds(steps))
    .mappings([...mappings]);
  if (sentence) panel.text(new common.VizTextDisplayOptionsBuilder().valueSize(18)).wideLayout(true);
  if (options.link) panel.dataLinks([dataLink(options.link)]);
  return { width, height, panel };
}

export interface StatesPanel extends Texts {
  readonly queries: readonly Query[];
  readonly width: number;
  readonly height: number;
  readonly states?: readonly Meaning[];
  /** Colours by value, where the states are numbers. */
  readonly steps?: readonly Step[];
  readonly rows?: readonly { readonly name: string; readonly label: string; readonly link?: DataLink }[];
  readonly link?: DataLink;
  readonly legend?: boolean;
  readonly showValues?: boolean;
}

/** One strip for each series, in the colour of its state. */
export function states(options: StatesPanel): Placed {
  const { queries, width, height, rows = [] } = options;
  const panel = new StateTimelineBuilder()
    .title(options.title)
    .description(describe(options))
    .datasource(datasource)
    .targets(queries.map((each, index) => query(each, index)))
    .interval("1m")
    .unit("none")
    .noValue(options.empty)
    .mappings(options.states === undefined ? [] : [mapped(options.states)])
    .colorScheme(new FieldColorBuilder().mode(FieldColorModeId.Thresholds))
    .thresholds(thresholds(options.steps ?? [{ from: null, colour: sequence.at(-1) ?? "" }]))
    .mergeValues(true)
    .showValue(options.showValues === false ? common.VisibilityMode.Never : common.VisibilityMode.Auto)
    .alignValue(common.TimelineValueAlignment.Left)
    .rowHeight(0.85)
    .lineWidth(0)
    .fillOpacity(85)
    .tooltip(tooltip())
    .legend(legend(options.legend === true ? "list" : "none"));
  if (options.link) panel.dataLinks([dataLink(options.link)]);
  for (const { name, label, link } of rows) {
    const properties: DynamicConfigValue[] = [{ id: "displayName", value: label }];
    if (link) properties.push({ id: "links", value: [dataLink(link).build()] });
    panel.overrideByName(name, properties);
  }
  return { width, height, panel };
}

export interface Meaning {
  readonly value: number | string;
  readonly text: string;
  readonly colour?: string;
}

export function mapped(meanings: readonly Meaning[]): ValueMapping {
  return {
    type: MappingType.ValueToText,
    options: Object.fromEntries(
      meanings.map(({ value, text, colour }, index) => [
        value,
        colour === undefined ? { text, index } : { text, color: colour, index },
      ]),
    ),
  };
}

export const mappedRange = (from: number | null, to: number | null, text: string, colour: string): ValueMapping => ({
  type: MappingType.RangeToText,
  options: { from, to, result: { text, color: colour, index: 0 } },
});

const mappedNull = (text: string, colour: string): ValueMapping => ({
  type: MappingType.SpecialValue,
  options: { match: SpecialValueMatch.NullAndNan, result: { text, color: colour, index: 0 } },
});

export interface Column {
  /** The query that fills it; none for a label. */
  readonly expr?: string;
  /** The label it shows. */
  readonly label?: string;
  readonly title: string;
  readonly unit?: string;
  readonly width?: number;
  readonly steps?: readonly Step[];
  readonly mappings?: readonly ValueMapping[];
  readonly link?: DataLink;
  readonly decimals?: number;
}

export interface TablePanel extends Texts {
  readonly columns: readonly Column[];
  readonly width: number;
  readonly height: number;
  /** A column's title; the most first. */
  readonly sortBy?: string;
  /** Labels of the queries that are no column. */
  readonly hidden?: readonly string[];
}

/** One row for each set of labels, one column for each query. */
export function table(options: TablePanel): Placed {
  const { columns, width, height, hidden = [] } = options;
  const asked = columns.filter(({ expr }) => expr !== undefined);
  const refId = (column: Column): string => String.fromCharCode(65 + asked.indexOf(column));
  const source = (column: Column): string => column.label ?? (asked.length === 1 ? "Value" : `Value #${refId(column)}`);
  const panel = new TableBuilder()
    .title(options.title)
    .description(describe(options))
    .datasource(datasource)
    .targets(asked.map(({ expr = "" }, index) => query({ expr }, index, true)))
    .unit("none")
    .noValue(options.empty)
    .cellHeight(common.TableCellHeight.Sm)
    .colorScheme(new FieldColorBuilder().mode(FieldColorModeId.Thresholds))
    .transformations(merged(columns, source, hidden));
  if (options.sortBy !== undefined)
    panel.sortBy([new common.TableSortByFieldStateBuilder().displayName(options.sortBy).desc(true)]);
  for (const column of columns) panel.overrideByName(column.title, cell(column));
  return { width, height, panel };
}

function merged(
  columns: readonly Column[],
  source: (column: Column) => string,
  hidden: readonly string[],
): DataTransformerConfig[] {
  return [
    { id: "merge", options: {} },
    {
      id: "organize",
      options: {
        excludeByName: Object.fromEntries(["Time", ...hidden].map((name) => [name, true])),
        indexByName: Object.fromEntries(columns.map((column, index) => [source(column), index])),
        renameByName: Object.fromEntries(columns.map((column) => [source(column), column.title])),
      },
    },
  ];
}

function cell({ unit, width, steps, mappings, link, decimals }: Column): DynamicConfigValue[] {
  const properties: DynamicConfigValue[] = [];
  const set = (id: string, value: unknown): void => void properties.push({ id, value });
  // The panel's own text says why it is empty; in a cell that has no number it would be wrong.
  set("noValue", "-");
  if (unit !== undefined) set("unit", unit);
  if (decimals !== undefined) set("decimals", decimals);
  if (width !== undefined) set("custom.width", width);
  if (mappings !== undefined)
    set("mappings", steps === undefined ? mappings : [...mappings, mappedNull("-", notJudged)]);
  if (link !== undefined) set("links", [dataLink(link).build()]);
  if (steps !== undefined) {
    set("thresholds", thresholds(steps).build());
    set("custom.cellOptions", { type: "color-background", mode: "basic" });
  }
  return properties;
}

export interface HeatmapPanel extends Texts {
  readonly expr: string;
  readonly unit: string;
  readonly width: number;
  readonly height?: number;
}

/** Buckets of a histogram over time; Grafana reads the bounds from the label `le` of the answer. */
export function heat(options: HeatmapPanel): Placed {
  const { expr, unit, width, height = 8 } = options;
  const panel = new heatmap.PanelBuilder()
    .title(options.title)
    .description(describe(options))
    .datasource(datasource)
    .targets([query({ expr, legend: "{{le}}" }, 0).format(PromQueryFormat.Heatmap)])
    .interval("5m")
    .noValue(options.empty)
    .unit("none")
    .calculate(false)
    // Dark to light in one direction: as good without colours.
    .color(
      new heatmap.HeatmapColorOptionsBuilder()
        .mode(heatmap.HeatmapColorMode.Scheme)
        .scheme("Cividis")
        .steps(64)
        .exponent(0.5)
        .fill(sequence[0] ?? "")
        .reverse(false),
    )
    .cellGap(1)
    .exemplarsColor(sequence[1] ?? "")
    .filterValues(new heatmap.FilterValueRangeBuilder().le(1e-9))
    .yAxis(new heatmap.YAxisConfigBuilder().unit(unit).axisPlacement(common.AxisPlacement.Left))
    .cellValues(new heatmap.CellValuesBuilder().unit("none").decimals(0))
    .rowsFrame(new heatmap.RowsHeatmapOptionsBuilder().layout(common.HeatmapCellLayout.Auto))
    .tooltip(new heatmap.HeatmapTooltipBuilder().mode(common.TooltipDisplayMode.Single).yHistogram(false))
    .showLegend();
  return { width, height, panel };
}

/** Words beside the panels: what the row is about. */
export function words(title: string, content: string, width: number, height: number): Placed {
  const panel = new TextBuilder()
    .title(title)
    .description("")
    .mode(TextMode.Markdown)
    .content(content)
    .transparent(true);
  return { width, height, panel };
}

function query({ expr, legend: name }: Query, index: number, instant = false): DataqueryBuilder {
  const built = new DataqueryBuilder()
    .refId(String.fromCharCode(65 + index))
    .datasource(datasource)
    .expr(expr);
  if (name === undefined) built.format(PromQueryFormat.Table);
  else built.legendFormat(name).format(PromQueryFormat.TimeSeries);
  return instant ? built.instant() : built.range();
}

export const thresholds = (steps: readonly Step[]): ThresholdsConfigBuilder =>
  new ThresholdsConfigBuilder()
    .mode(ThresholdsMode.Absolute)
    .steps(steps.map(({ from, colour }) => ({ value: from, color: colour })));

const tooltip = () =>
  new common.VizTooltipOptionsBuilder().mode(common.TooltipDisplayMode.Multi).sort(common.SortOrder.Descending);

function legend(kind: "list" | "table" | "none") {
  const built = new common.VizLegendOptionsBuilder()
    .placement(common.LegendPlacement.Bottom)
    .showLegend(kind !== "none")
    .displayMode(kind === "table" ? common.LegendDisplayMode.Table : common.LegendDisplayMode.List);
  return kind === "table" ? built.calcs(["lastNotNull", "max"]) : built.calcs([]);
}

/** The SDK puts links into a menu of Grafana 12; they are for reading, where they stand. */
export function inTheOpen<T extends { placement?: unknown }>(built: T): Omit<T, "placement"> {
  const { placement, ...open } = built;
  return open;
}

const dataLink = ({ title, url }: DataLink): Builder<DashboardLink> => ({
  build: () => inTheOpen(new DashboardLinkBuilder(title).type(DashboardLinkType.Link).url(url).build()),
});
