/**
 * One dashboard, drawn from its JSON with Grafana's own components: graphs, numbers, tables and panel frames of
 * @grafana/ui. State timelines and heatmaps are not part of that package: they are drawn here, from the same options.
 * Asked by query string: dashboard, theme, width, instance, start, end (seconds).
 * `window.pending` is 0 when all is there.
 */
import "@fontsource/inter/latin-400.css";
import "@fontsource/inter/latin-500.css";
import {
  createTheme,
  dateTime,
  FieldType,
  formattedValueToString,
  getDisplayProcessor,
  getFieldDisplayName,
  standardTransformers,
  standardTransformersRegistry,
  ThemeContext,
  toDataFrame,
  transformDataFrame,
} from "@grafana/data";
import { BigValue, GlobalStyles, PanelChrome, TimeSeries, VizLegend } from "@grafana/ui";
import { TableNG } from "@grafana/ui/unstable";
import { interpolateCividis } from "d3-scale-chromatic";
import { useEffect, useState } from "react";
import { createRoot } from "react-dom/client";
import { firstValueFrom } from "rxjs";

standardTransformersRegistry.setInit(() =>
  [standardTransformers.mergeTransformer, standardTransformers.organizeFieldsTransformer].map((transformation) => ({
    id: transformation.id,
    name: transformation.name,
    transformation: () => Promise.resolve(transformation),
  })),
);

const asked = new URLSearchParams(location.search);
const width = Number(asked.get("width"));
const [start, end] = [Number(asked.get("start")), Number(asked.get("end"))];
const instance = asked.get("instance") ?? ".+";
const theme = createTheme({
  colors: { mode: asked.get("theme") ?? "dark" },
  typography: { fontFamily: "Inter, sans-serif" },
});
const timeRange = { from: dateTime(start * 1000), to: dateTime(end * 1000), raw: { from: "", to: "" } };
const cell = { height: 30, gap: 8 };

/** As Grafana chooses it: about a point for each pixel, not below the panel's interval. */
function stepOf(panel) {
  const least = panel.interval === "5m" ? 300 : 60;
  return Math.max(least, Math.ceil((end - start) / ((panel.gridPos.w / 24) * width) / 15) * 15);
}

async function query(expr, { instant, step }) {
  const filled = expr
    .replaceAll("$job", ".+")
    .replaceAll("$instance", instance)
    .replaceAll("$__rate_interval", `${step + 30}s`)
    .replaceAll("$__range_s", String(end - start))
    .replaceAll("$__range", `${end - start}s`);
  const body = new URLSearchParams({ query: filled, start: instant ? end : start, end, step });
  const answer = await (await fetch("/prometheus/api/v1/query_range", { method: "POST", body })).json();
  if (answer.status !== "success") throw new Error(`${answer.error}: ${filled}`);
  return answer.data.result;
}

const legendOf = (format, labels) => format.replace(/\{\{(\w+)\}\}/g, (_, name) => labels[name] ?? "");

/** Gaps stay gaps: every step has a value or null. */
function seriesFrame({ metric, values }, target, step) {
  const byTime = new Map(values.map(([seconds, value]) => [Math.round(seconds), Number(value)]));
  const times = [];
  for (let seconds = start; seconds <= end; seconds += step) times.push(seconds);
  return toDataFrame({
    refId: target.refId,
    fields: [
      { name: "Time", type: FieldType.time, values: times.map((seconds) => seconds * 1000) },
      {
        name: "Value",
        type: FieldType.number,
        labels: metric,
        config: { displayNameFromDS: legendOf(target.legendFormat ?? "", metric) },
        values: times.map((seconds) => byTime.get(seconds) ?? null),
      },
    ],
  });
}

function tableFrame(answers, target, alone) {
  const labels = [...new Set(answers.flatMap(({ metric }) => Object.keys(metric)))];
  return toDataFrame({
    refId: target.refId,
    fields: [
      { name: "Time", type: FieldType.time, values: answers.map(() => end * 1000) },
      ...labels.map((label) => ({
        name: label,
        type: FieldType.string,
        values: answers.map(({ metric }) => metric[label] ?? ""),
      })),
      {
        name: alone ? "Value" : `Value #${target.refId}`,
        type: FieldType.number,
        values: answers.map(({ values }) => Number(values.at(-1)[1])),
      },
    ],
  });
}

async function load(panel) {
  const targets = panel.targets ?? [];
  const step = stepOf(panel);
  const answers = await Promise.all(targets.map((target) => query(target.expr, { instant: target.instant, step })));
  let frames =
    panel.type === "table"
      ? targets
          .map((target, index) => tableFrame(answers[index], target, targets.length === 1))
          .filter(({ length }) => length > 0)
      : targets.flatMap((target, index) => answers[index].map((each) => seriesFrame(each, target, step)));
  if (panel.transformations?.length > 0 && frames.length > 0)
    frames = await firstValueFrom(transformDataFrame(panel.transformations, frames));
  for (const frame of frames) for (const field of frame.fields) configure(field, frame, frames, panel);
  return frames;
}

/** Defaults and overrides of the panel on one field, as far as these dashboards use them. */
function configure(field, frame, frames, { fieldConfig }) {
  const { defaults, overrides } = fieldConfig;
  if (field.type === FieldType.time) {
    field.display = getDisplayProcessor({ field, theme });
    return;
  }
  const config = { ...field.config, ...defaults, custom: { ...defaults.custom } };
  const name = getFieldDisplayName({ ...field, config }, frame, frames);
  for (const { matcher, properties } of overrides) {
    if (matcher.options !== name && matcher.options !== field.name) continue;
    for (const { id, value } of properties)
      if (id.startsWith("custom.")) config.custom[id.slice(7)] = value;
      else config[id] = value;
  }
  field.config = { ...config, links: [] };
  field.state = { ...field.state, displayName: name, seriesIndex: frames.indexOf(frame) };
  field.display = getDisplayProcessor({ field, theme });
}

const shown = (field, value) => field.display(value);

function Panel({ panel, annotations }) {
  const [frames, setFrames] = useState();
  const [failure, setFailure] = useState();
  useEffect(() => {
    load(panel).then(setFrames, (error) => {
      console.error(error);
      setFailure(String(error));
    });
  }, [panel]);
  useEffect(() => {
    if (frames !== undefined || failure !== undefined) window.pending -= 1;
  }, [frames, failure]);
  const { x, y, w, h } = panel.gridPos;
  const column = (width - 16 + cell.gap) / 24;
  const place = {
    position: "absolute",
    left: 8 + x * column,
    top: 48 + y * (cell.height + cell.gap),
  };
  const size = { width: w * column - cell.gap, height: h * (cell.height + cell.gap) - cell.gap };
  if (panel.type === "row")
    return <div style={{ ...place, lineHeight: "30px", fontWeight: 500, fontSize: 16 }}>{`▾ ${panel.title}`}</div>;
  return (
    <div style={place}>
      <PanelChrome {...size} title={panel.title} description={() => panel.description} hoverHeader={panel.title === ""}>
        {(innerWidth, innerHeight) => {
          if (failure !== undefined) return <Words text={failure} />;
          if (frames === undefined) return null;
          const draw = kinds[panel.type];
          const empty = frames.length === 0 || frames.every(({ length }) => length === 0);
          if (empty && panel.type !== "stat") return <Words text={panel.fieldConfig.defaults.noValue} />;
          return draw({ panel, frames, width: innerWidth, height: innerHeight, annotations });
        }}
      </PanelChrome>
    </div>
  );
}

const Words = ({ text }) => (
  <div
    style={{
      display: "flex",
      height: "100%",
      alignItems: "center",
      justifyContent: "center",
      textAlign: "center",
      padding: 16,
      color: theme.colors.text.secondary,
    }}
  >
    {text}
  </div>
);

const kinds = {
  timeseries: ({ panel, frames, width, height, annotations }) => (
    <TimeSeries
      frames={frames}
      width={width}
      height={height}
      timeRange={timeRange}
      timeZone="utc"
      legend={panel.options.legend}
      options={panel.options}
    >
      {(builder) => {
        builder.addHook("draw", (u) => drawAnnotations(u, annotations));
        return null;
      }}
    </TimeSeries>
  ),
  stat: Stat,
  table: ({ panel, frames, width, height }) => (
    <TableNG
      data={frames[0]}
      width={width}
      height={height}
      initialSortBy={panel.options.sortBy}
      cellHeight={panel.options.cellHeight}
      fieldConfig={{ defaults: {}, overrides: [] }}
      structureRev={1}
      timeRange={timeRange}
    />
  ),
  "state-timeline": Timeline,
  heatmap: Heatmap,
};

function drawAnnotations(u, annotations) {
  const { ctx, bbox } = u;
  ctx.save();
  ctx.lineWidth = devicePixelRatio;
  ctx.setLineDash([4, 3]);
  for (const { seconds, colour } of annotations) {
    const x = u.valToPos(seconds * 1000, "x", true);
    ctx.strokeStyle = colour;
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
  }
  ctx.restore();
}

function Stat({ panel, frames, width, height }) {
  const { defaults } = panel.fieldConfig;
  const values = frames.map((frame) => {
    const field = frame.fields[1];
    const last = field.values.findLast((value) => value !== null);
    return {
      ...shown(field, last),
      title: panel.options.textMode === "value" ? undefined : getFieldDisplayName(field, frame, frames),
    };
  });
  if (values.length === 0)
    values.push({ text: defaults.noValue, numeric: Number.NaN, color: theme.colors.text.secondary });
  const side = width > height * 1.5 && values.length > 1;
  const each = { width: side ? width / values.length : width, height: side ? height : height / values.length };
  return (
    <div style={{ display: "flex", flexDirection: side ? "row" : "column" }}>
      {values.map((value) => (
        <BigValue
          key={value.title ?? value.text}
          value={value}
          theme={theme}
          {...each}
          colorMode={panel.options.colorMode}
          graphMode="none"
          justifyMode={panel.options.justifyMode}
          textMode={panel.options.textMode}
          text={panel.options.text}
          wideLayout={panel.options.wideLayout}
          count={values.length}
        />
      ))}
    </div>
  );
}

const clock = (seconds) => new Date(seconds * 1000).toISOString().slice(11, 16);

function Axis({ left, width, top }) {
  const every = [300, 900, 1800, 3600].find((seconds) => ((end - start) / seconds) * 52 < width) ?? 7200;
  const marks = [];
  for (let seconds = Math.ceil(start / every) * every; seconds <= end; seconds += every) marks.push(seconds);
  return marks.map((seconds) => (
    <text
      key={seconds}
      x={left + ((seconds - start) / (end - start)) * width}
      y={top}
      fontSize="12"
      textAnchor="middle"
      fill={theme.colors.text.primary}
    >
      {clock(seconds)}
    </text>
  ));
}

/** Strips of equal states; a state's word where there is room for it. */
function Timeline({ panel, frames, width, height }) {
  const legend = panel.options.legend.showLegend ? 26 : 0;
  const names = frames.map((frame) => getFieldDisplayName(frame.fields[1], frame, frames));
  const left = Math.max(...names.map((name) => name.length)) * 6.6 + 12;
  const [plotWidth, plotHeight] = [width - left - 8, height - 22 - legend];
  const row = plotHeight / frames.length;
  const bar = row * panel.options.rowHeight;
  const rows = frames.map((frame, index) => {
    const [time, field] = frame.fields;
    const runs = [];
    field.values.forEach((value, at) => {
      const from = time.values[at] / 1000;
      const last = runs.at(-1);
      if (last !== undefined && last.value === value) last.until = time.values[at + 1] / 1000 || end;
      else runs.push({ value, from, until: time.values[at + 1] / 1000 || end });
    });
    const y = index * row + (row - bar) / 2;
    return (
      <g key={names[index]}>
        <text x={left - 8} y={y + bar / 2 + 4} fontSize="12" textAnchor="end" fill={theme.colors.text.primary}>
          {names[index]}
        </text>
        {runs
          .filter(({ value }) => value !== null)
          .map(({ value, from, until }) => {
            const { text, color } = shown(field, value);
            const x = left + ((from - start) / (end - start)) * plotWidth;
            const length = Math.max(1, ((until - from) / (end - start)) * plotWidth);
            const fits = panel.options.showValue !== "never" && length > text.length * 6.4 + 8 && bar > 11;
            return (
              <g key={from}>
                <rect x={x} y={y} width={length} height={bar} fill={color} fillOpacity={0.85} />
                {fits && (
                  <text x={x + 5} y={y + bar / 2 + 4} fontSize="12" fill={theme.colors.getContrastText(color)}>
                    {text}
                  </text>
                )}
              </g>
            );
          })}
      </g>
    );
  });
  const meanings = Object.values(panel.fieldConfig.defaults.mappings[0]?.options ?? {});
  return (
    <>
      <svg width={width} height={height - legend} role="img" aria-label={panel.title}>
        {rows}
        <Axis left={left} width={plotWidth} top={plotHeight + 15} />
      </svg>
      {legend > 0 && (
        <VizLegend
          placement="bottom"
          displayMode="list"
          items={meanings.map(({ text, color }) => ({ label: text, color, yAxis: 1 }))}
        />
      )}
    </>
  );
}

/** Buckets come cumulative; a cell is what fell between a bound and the one before. */
function Heatmap({ panel, frames, width, height }) {
  const bounds = frames
    .map((frame) => ({
      le: Number(frame.fields[1].labels.le.replace("+Inf", "Infinity")),
      values: frame.fields[1].values,
      times: frame.fields[0].values,
    }))
    .sort((one, other) => one.le - other.le);
  const [left, plotHeight] = [64, height - 22 - 8];
  const plotWidth = width - left - 8;
  const cells = bounds.flatMap(({ values, times }, index) =>
    values.map((value, at) => ({
      at: times[at] / 1000,
      index,
      count: Math.max(0, (value ?? 0) - (bounds[index - 1]?.values[at] ?? 0)),
    })),
  );
  const most = Math.max(...cells.map(({ count }) => count), 1);
  const [row, step] = [plotHeight / bounds.length, (bounds[0].times[1] - bounds[0].times[0]) / 1000];
  const duration = (seconds) =>
    formattedValueToString(
      getDisplayProcessor({ field: { type: "number", config: { unit: "s", decimals: 0 } }, theme })(seconds),
    );
  return (
    <svg width={width} height={height} viewBox={`0 -8 ${width} ${height}`} role="img" aria-label={panel.title}>
      {cells
        .filter(({ count }) => count > 0.01)
        .map(({ at, index, count }) => (
          <rect
            key={`${at} ${index}`}
            x={left + ((at - start) / (end - start)) * plotWidth}
            y={plotHeight - (index + 1) * row + 0.5}
            width={(step / (end - start)) * plotWidth - 1}
            height={row - 1}
            fill={interpolateCividis((count / most) ** 0.5)}
          />
        ))}
      {bounds.map(({ le }, index) =>
        index % 2 === 1 ? (
          <text
            key={le}
            x={left - 8}
            y={plotHeight - (index + 1) * row + 4}
            fontSize="11"
            textAnchor="end"
            fill={theme.colors.text.primary}
          >
            {le === Number.POSITIVE_INFINITY ? "more" : duration(le)}
          </text>
        ) : null,
      )}
      <Axis left={left} width={plotWidth} top={plotHeight + 15} />
    </svg>
  );
}

async function annotationsOf({ annotations }) {
  const answers = await Promise.all(
    annotations.list
      .filter(({ enable }) => enable)
      .map(async ({ expr, iconColor, name }) => {
        const series = await query(expr, { instant: false, step: 60 });
        // An alert is a line where it begins.
        return series.flatMap(({ values }) => {
          const times = values.map(([seconds]) => seconds);
          const begins = times.filter((seconds, index) => index === 0 || seconds - times[index - 1] > 60);
          return (name === "Alerts" ? begins : times).map((seconds) => ({ seconds, colour: iconColor }));
        });
      }),
  );
  return answers.flat();
}

function Page({ dashboard, annotations }) {
  const height =
    Math.max(...dashboard.panels.map(({ gridPos }) => gridPos.y + gridPos.h)) * (cell.height + cell.gap) + 56;
  const variables = `Host: ${instance === ".+" ? "All" : instance}   ${clock(start)} to ${clock(end)} UTC`;
  return (
    <ThemeContext.Provider value={theme}>
      <GlobalStyles />
      <div
        style={{
          position: "relative",
          width,
          height,
          background: theme.colors.background.canvas,
          color: theme.colors.text.primary,
          font: "14px Inter",
        }}
      >
        <div style={{ position: "absolute", left: 12, top: 12, fontSize: 18, fontWeight: 500 }}>{dashboard.title}</div>
        <div
          style={{ position: "absolute", right: 12, top: 15, whiteSpace: "pre", color: theme.colors.text.secondary }}
        >
          {variables}
        </div>
        {dashboard.panels.map((panel) => (
          <Panel key={panel.id} panel={panel} annotations={annotations} />
        ))}
      </div>
    </ThemeContext.Provider>
  );
}

/** Only the rows asked for, moved together; all without. */
function chosenRows(panels) {
  const wanted = JSON.parse(asked.get("rows") ?? "[]");
  if (wanted.length === 0) return panels;
  let title = "";
  const chosen = panels.filter((panel) => {
    if (panel.type === "row") title = panel.title;
    return wanted.some((begin) => (begin === "" ? title === "" : title.startsWith(begin)));
  });
  let [gap, bottom] = [0, 0];
  return chosen.map((panel) => {
    const { y, h } = panel.gridPos;
    if (y - gap > bottom) gap = y - bottom;
    bottom = Math.max(bottom, y - gap + h);
    return { ...panel, gridPos: { ...panel.gridPos, y: y - gap } };
  });
}

const whole = await (await fetch(`/dashboards/${asked.get("dashboard")}.json`)).json();
const dashboard = { ...whole, panels: chosenRows(whole.panels) };
window.pending = dashboard.panels.length;
const annotations = await annotationsOf(dashboard);
await document.fonts.load("14px Inter");
createRoot(document.getElementById("page")).render(<Page dashboard={dashboard} annotations={annotations} />);
