/** The page at `/`: version, what is read and what is not, with the step that would grant access. */

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
  readonly sources: readonly Part[];
  readonly collectors: readonly Part[];
}

const style = `
:root{color-scheme:light dark;font:16px/1.5 system-ui,sans-serif}
body{max-width:60rem;margin:2rem auto;padding:0 1rem}
table{border-collapse:collapse;width:100%;margin:.5rem 0 1.5rem}
th,td{text-align:left;vertical-align:top;padding:.35rem .75rem .35rem 0;border-bottom:1px solid #8884}
td:first-child{font-family:ui-monospace,monospace;white-space:nowrap}
.ok::before{content:"\\2713  "}.absent::before{content:"\\2013  "}.failed::before{content:"\\2717  "}
.failed{font-weight:600}code{font-size:.9em}`;

export function landingPage(status: Status, telemetryPath: string): string {
  return `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>ssh-reset-exporter</title><style>${style}</style></head>
<body><main>
<h1>ssh-reset-exporter</h1>
<p>Version ${escapeHtml(status.version)}. <a href="${escapeHtml(telemetryPath)}">Metrics</a>, <a href="/-/healthy">health</a>, <a href="/-/ready">readiness</a>.</p>
${table("Sources", status.sources)}
${table("Collectors", status.collectors)}
</main></body></html>
`;
}

function table(title: string, parts: readonly Part[]): string {
  const rows = parts.map(
    ({ name, state, note = "", grant }) =>
      `<tr><td>${escapeHtml(name)}</td><td class="${state}">${state}</td><td>${escapeHtml(note)}${grant === undefined ? "" : `<br>To see it: <code>${escapeHtml(grant)}</code>`}</td></tr>`,
  );
  return `<h2>${title}</h2>
<table><thead><tr><th scope="col">Name</th><th scope="col">State</th><th scope="col">Why, and what to do</th></tr></thead>
<tbody>${rows.join("\n")}</tbody></table>`;
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
