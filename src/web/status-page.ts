/**
 * The page at `/`: the checklist of the last hour as a person reads it, then what is read and what is not, with the step
 * that would grant access. Counts and times only, unless lines are handed in. Plain HTML; works without its script.
 */
import type {
  CauseReport,
  CauseState,
  ChecklistReport,
  Episode,
  StepReport,
  StepState,
  Trend,
} from "../model/checklist.ts";

export interface Part {
  readonly name: string;
  readonly state: "ok" | "absent" | "failed";
  /** Why it is not ok, or a short remark. */
  readonly note?: string;
  /** The step that would give access. */
  readonly grant?: string;
}

export interface Status {
  readonly version: string;
  readonly host: string;
  readonly sources: readonly Part[];
  readonly collectors: readonly Part[];
}

export interface Links {
  readonly telemetryPath: string;
  /** Where runbooks are served; undefined: they are named as files of the package. */
  readonly runbookBase?: string;
}

export function statusPage(status: Status, report: ChecklistReport, links: Links): string {
  const { conclusion } = report;
  const title = { cause: "Cause found", outside: "From outside", nothing: "Nothing found", blind: "Cannot see" };
  return `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title[conclusion.verdict]} · ${escapeHtml(status.host)} · ssh-reset-exporter</title>
<link rel="stylesheet" href="style.css"><script src="refresh.js" defer></script></head>
<body>
<header><h1>SSH resets on ${escapeHtml(status.host)}</h1>
<nav aria-label="Pages"><a href="${escapeHtml(links.telemetryPath.slice(1))}">Metrics</a><a href="api/v1/diagnosis">This as JSON</a><a href="-/healthy">Health</a><a href="-/ready">Readiness</a></nav></header>
<main>
<p id="stale" role="status"></p>
<section class="verdict ${conclusion.verdict}" data-part="verdict" aria-labelledby="verdict">${verdict(report)}</section>
<section aria-labelledby="checklist"><h2 id="checklist">The checklist, over the last hour</h2>
<ol class="steps" data-part="steps">${report.steps.map((step) => stepItem(step, links)).join("")}</ol></section>
<section data-part="sources" aria-labelledby="sources"><h2 id="sources">Sources: what is read</h2>${table(status.sources)}</section>
<section data-part="collectors" aria-labelledby="collectors"><h2 id="collectors">Collectors: what is measured</h2>${table(status.collectors)}</section>
<section aria-labelledby="probe"><h2 id="probe">From the other side</h2>
<p>From a client, without credentials: which phase fails, and how.</p><pre tabindex="0">ssh-reset-exporter probe --repeat 20 ${escapeHtml(status.host)}</pre>
<p>Over the past, on this host, with the lines that decide:</p><pre tabindex="0">sudo ssh-reset-exporter diagnose --since 1h</pre></section>
</main>
<footer class="muted"><span data-part="time">${time(report.toMs)}</span> · ssh-reset-exporter ${escapeHtml(status.version)}<noscript> · Reload to see what is new.</noscript></footer>
</body></html>
`;
}

function verdict({ conclusion, symptom }: ChecklistReport): string {
  const because = conclusion.because.map((reason) => `<p>${escapeHtml(reason)}</p>`).join("");
  const since =
    symptom.state === "active" && symptom.sinceMs !== undefined
      ? `<p>Known peers are being reset since ${time(symptom.sinceMs)}, and nothing here explains it.</p>`
      : "";
  return `<p class="sentence" id="verdict">${escapeHtml(conclusion.sentence)}</p>${since}${because}`;
}

const stateWords: Readonly<Record<StepState, string>> = {
  found: "✗ found",
  clear: "✓ clear",
  partly: "◐ clear as far as seen",
  unknown: "? not checked",
};
const causeWords: Readonly<Record<CauseState, string>> = {
  active: "at work",
  past: "over",
  pending: "beginning",
  clear: "clear",
  unknown: "not checked",
};

function stepItem({ step, title, state, causes }: StepReport, links: Links): string {
  const number = step === "beyond" ? "+" : step;
  const items = causes.map((cause) => causeItem(cause, links)).join("");
  return `<li class="step ${state}"><h3><span class="number">${number}</span><span>${escapeHtml(title)}</span><span class="state ${state}">${stateWords[state]}</span></h3><ul class="causes">${items}</ul></li>`;
}

function causeItem(cause: CauseReport, links: Links): string {
  const { cause: id, title, state, follows, episodes, evidence, grant, unseen, trend } = cause;
  const found = state === "active" || state === "past" || state === "pending";
  const after = follows === undefined ? "" : ` <span class="muted">follows from ${escapeHtml(follows)}</span>`;
  const when = found ? ` ${episodes.slice(-3).map(episodeText).join(", ")}${after}` : "";
  const why = grant === undefined ? `no samples of: ${unseen.join("; ")}` : `to see it: ${grant}`;
  const missing = state === "unknown" ? `<br><span class="muted">${escapeHtml(why)}</span>` : "";
  const numbers = evidence.map((number) => `<li>${escapeHtml(numberText(number))}</li>`).join("");
  const text = `<span class="title">${escapeHtml(title)}</span>: ${causeWords[state]}${when}${missing}${found && numbers !== "" ? `<ul>${numbers}</ul>` : ""}`;
  const chart = trend !== undefined && state !== "unknown" ? sparkline(trend) : "";
  return `<li class="cause ${state}" id="cause-${id}"><div>${text}</div><div>${chart}</div>${found ? more(cause, links) : ""}</li>`;
}

function more({ cause, alert, next, lines = [], lineCount = 0 }: CauseReport, { runbookBase }: Links): string {
  const quoted = lines.map(({ timeMs, speaker, text }) => `${clock(timeMs)} ${speaker}: ${text}`).join("\n");
  const shown =
    lines.length === 0
      ? ""
      : `<p>Lines (${lines.length} of ${lineCount}):</p><pre tabindex="0">${escapeHtml(quoted)}</pre>`;
  const commands = next
    .map(({ run, shows }) => `<pre tabindex="0">${escapeHtml(run)}</pre><p class="muted">${escapeHtml(shows)}</p>`)
    .join("");
  const runbook =
    runbookBase === undefined
      ? `Runbook: <code>docs/runbooks/${alert}.md</code>`
      : `<a href="${escapeHtml(runbookBase)}/${alert}.md">Runbook ${alert}</a>`;
  return `<div class="more">${shown}<details id="next-${cause}"><summary id="summary-${cause}">What to do next</summary>${commands}<p>${runbook}</p></details></div>`;
}

function numberText({ what, value, is, threshold }: CauseReport["evidence"][number]): string {
  const than = is === ">=" ? `${threshold} or more` : is === ">" ? `more than ${threshold}` : `less than ${threshold}`;
  return `${shortNumber(is === ">=" ? Math.round(value) : value)} ${what} (evidence: ${than})`;
}

const shortNumber = (value: number): string => String(Number(value.toPrecision(3)));

const width = 120;
const height = 28;

/** A line over the hour, with gaps where there were no samples; its text for who cannot see it. */
export function sparkline({ what, values, threshold }: Trend): string {
  const seen = values.filter((value) => value !== null);
  if (seen.length === 0) return "";
  const [low, high] = [Math.min(0, ...seen), Math.max(...seen)];
  const top =
    high === low ? low + 1 : Math.max(high, threshold !== undefined && threshold < high * 2 ? threshold : high);
  const y = (value: number): string => (height - 2 - ((value - low) / (top - low)) * (height - 4)).toFixed(1);
  const x = (index: number): string => ((index / Math.max(1, values.length - 1)) * width).toFixed(1);
  let path = "";
  for (const [index, value] of values.entries()) {
    const before = values[index - 1];
    if (value !== null) path += `${before === null || before === undefined ? "M" : "L"}${x(index)} ${y(value)}`;
  }
  const label = `${what}, last hour: from ${shortNumber(Math.min(...seen))} to ${shortNumber(high)}, now ${shortNumber(seen.at(-1) ?? 0)}`;
  const dashed =
    threshold === undefined || threshold > top ? "" : `<path class="threshold" d="M0 ${y(threshold)}H${width}"/>`;
  return `<svg class="trend" viewBox="0 0 ${width} ${height}" preserveAspectRatio="none" role="img" aria-label="${escapeHtml(label)}"><title>${escapeHtml(label)}</title><path class="base" d="M0 ${height - 1}H${width}"/>${dashed}<path d="${path}"/></svg>`;
}

function table(parts: readonly Part[]): string {
  const words = { ok: "✓ ok", absent: "– absent", failed: "✗ failed" };
  const rows = parts.map(
    ({ name, state, note = "", grant }) =>
      `<tr><td>${escapeHtml(name)}</td><td class="part ${state}">${words[state]}</td><td>${escapeHtml(note)}${grant === undefined ? "" : `<br><span class="muted">to see it: <code>${escapeHtml(grant)}</code></span>`}</td></tr>`,
  );
  return `<table><thead><tr><th scope="col">Name</th><th scope="col">State</th><th scope="col">Why, and what to do</th></tr></thead><tbody>${rows.join("")}</tbody></table>`;
}

function episodeText({ fromMs, toMs }: Episode): string {
  return toMs === undefined ? `since ${time(fromMs)}` : `${time(fromMs)} to ${time(toMs)}`;
}

const clock = (timeMs: number): string => new Date(timeMs).toISOString().slice(11, 19);

/** In UTC, as Prometheus and Alertmanager show it. */
function time(timeMs: number): string {
  const iso = new Date(timeMs).toISOString();
  return `<time datetime="${iso}">${iso.slice(11, 19)} UTC</time>`;
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
