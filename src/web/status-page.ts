/**
 * The page at `/`: the checklist of the last hour as a person reads it, then what is read and what is not, with the step
 * that would grant access. Counts and times only, unless lines are handed in. Plain HTML; works without its script.
 */
import {
  type CauseReport,
  type CauseState,
  type ChecklistReport,
  type Episode,
  evidenceText,
  type StepReport,
  type StepState,
  type Trend,
  threeDigits,
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
<section class="verdict is-${conclusion.verdict}" data-part="verdict" aria-labelledby="verdict">${verdict(report)}</section>
<section data-part="found" aria-label="What was found">${found(report)
    .map((cause) => foundCause(cause, report.conclusion.cause, links))
    .join("")}</section>
<section aria-labelledby="checklist"><h2 id="checklist">The checklist, over the last hour</h2>
<ol class="steps" data-part="steps">${report.steps.map(stepItem).join("")}</ol></section>
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
  clear: "no",
  unknown: "not checked",
};

const isFound = ({ state }: CauseReport): boolean => state === "active" || state === "past" || state === "pending";

/** What the verdict names comes first, then in the order of the checklist. */
function found({ conclusion, steps }: ChecklistReport): readonly CauseReport[] {
  const causes = steps.flatMap((step) => step.causes).filter(isFound);
  const named = causes.filter(({ cause }) => cause === conclusion.cause);
  return [...named, ...causes.filter(({ cause }) => cause !== conclusion.cause)];
}

/** The verdict above has said what `named` is. */
function foundCause(cause: CauseReport, named: string | undefined, { runbookBase }: Links): string {
  const { cause: id, title, summary, state, follows, episodes, evidence, alert, next, trend } = cause;
  const after = follows === undefined ? "" : ` It follows from <code>${escapeHtml(follows)}</code>.`;
  const numbers = evidence.map((number) => `<li>${withCode(evidenceText(number))}</li>`).join("");
  const [first, ...others] = next.map(
    ({ run, shows }) => `<pre tabindex="0">${escapeHtml(run)}</pre><p class="muted">${withCode(shows)}</p>`,
  );
  const runbook =
    runbookBase === undefined
      ? `Runbook: <code>docs/runbooks/${alert}.md</code>`
      : `<a href="${escapeHtml(runbookBase)}/${alert}.md">Runbook ${alert}</a>`;
  return `<article class="found ${state}" aria-labelledby="found-${id}"><h2 id="found-${id}">${escapeHtml(title)}</h2>
<p><strong>${causeWords[state]}</strong> ${episodes.slice(-3).map(episodeText).join(", ")}.${id === named ? "" : ` ${escapeHtml(summary)}`}${after}</p>
<div class="evidence"><ul>${numbers}</ul>${trend === undefined ? "" : sparkline(trend)}</div>${quoted(cause)}
<h3>Next</h3>${first ?? ""}<details id="next-${id}"><summary id="summary-${id}">More commands, and the runbook</summary>${others.join("")}<p>${runbook}</p></details></article>`;
}

function quoted({ lines = [], lineCount = 0, strangerLines = 0 }: CauseReport): string {
  if (lines.length === 0) return "";
  const text = lines.map(({ timeMs, speaker, text }) => `${clock(timeMs)} ${speaker}: ${text}`).join("\n");
  const others = lineCount - lines.length - strangerLines;
  const more = others > 0 ? `<p class="muted">and ${others} more such lines</p>` : "";
  return `<h3>Lines</h3><pre tabindex="0">${escapeHtml(text)}</pre>${more}`;
}

function stepItem({ step, title, state, causes }: StepReport): string {
  const number = step === "beyond" ? "+" : step;
  const head = `<div class="head"><h3><span class="number">${number}</span><span>${escapeHtml(title)}</span></h3><p class="state ${state}">${stateWords[state]}</p></div>`;
  return `<li class="step ${state}">${head}<ul class="causes">${causes.map(causeItem).join("")}</ul></li>`;
}

function causeItem({ cause, title, state, grant, unseen, trend }: CauseReport): string {
  const why = grant === undefined ? `there are no samples of: ${unseen.join("; ")}` : `to see it: ${grant}`;
  const missing = state === "unknown" ? ` <span class="muted">${escapeHtml(why)}</span>` : "";
  const chart = trend !== undefined && state !== "unknown" ? sparkline(trend) : "";
  return `<li class="cause ${state}" id="cause-${cause}"><span>${marks[state]} ${escapeHtml(title)}: ${causeWords[state]}${missing}</span>${chart}</li>`;
}

const marks: Readonly<Record<CauseState, string>> = { active: "✗", past: "✗", pending: "✗", clear: "✓", unknown: "?" };

/** Backquotes as code. */
const withCode = (text: string): string => escapeHtml(text).replace(/`([^`]*)`/g, "<code>$1</code>");

const width = 120;
const height = 28;

/** A line over the hour, with gaps where there were no samples; its text for who cannot see it. */
export function sparkline({ what, values, threshold, counts }: Trend): string {
  const seen = values.filter((value) => value !== null);
  if (seen.length === 0) return "";
  const [low, high] = [Math.min(0, ...seen), Math.max(...seen)];
  // With the threshold in sight a healthy number stays where it belongs: far from it.
  const top = Math.max(high, threshold) || low + 1;
  const y = (value: number): string => (height - 2 - ((value - low) / (top - low)) * (height - 4)).toFixed(1);
  const x = (index: number): string => ((index / Math.max(1, values.length - 1)) * width).toFixed(1);
  let path = "";
  for (const [index, value] of values.entries()) {
    const before = values[index - 1];
    if (value !== null) path += `${before === null || before === undefined ? "M" : "L"}${x(index)} ${y(value)}`;
  }
  const label = `${what}${counts ? ", by the minute" : ""}, last hour: from ${threeDigits(Math.min(...seen))} to ${threeDigits(high)}, now ${threeDigits(seen.at(-1) ?? 0)}`;
  const dashed = counts || threshold === 0 ? "" : `<path class="threshold" d="M0 ${y(threshold)}H${width}"/>`;
  return `<svg class="trend" viewBox="0 0 ${width} ${height}" preserveAspectRatio="none" role="img" aria-label="${escapeHtml(label)}"><title>${escapeHtml(label)}</title>${dashed}<path d="${path}"/></svg>`;
}

/** What is not as it should be has a row of its own. */
function table(parts: readonly Part[]): string {
  const words = { ok: "✓ ok", absent: "– absent", failed: "✗ failed" };
  const plain = parts.filter(({ state, note }) => state === "ok" && note === undefined);
  const row = ({ name, state, note = "", grant }: Part): string =>
    `<tr><th scope="row">${escapeHtml(name)}</th><td class="part ${state}">${words[state]}</td><td>${escapeHtml(note)}${grant === undefined ? "" : `<br><span class="muted">to see it: <code>${escapeHtml(grant)}</code></span>`}</td></tr>`;
  const good = plain.length === 0 ? [] : [row({ name: plain.map(({ name }) => name).join(", "), state: "ok" })];
  const rows = [...good, ...parts.filter((part) => !plain.includes(part)).map(row)];
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
