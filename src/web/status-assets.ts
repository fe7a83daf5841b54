/** The status page's stylesheet and script, served from paths of their own so that the policy needs no exception. */

/** Colours have a contrast of 4.5 or more on their ground, in both schemes (WCAG 2.2, 1.4.3). */
export const styleSheet = `:root {
  color-scheme: light dark;
  --text: light-dark(#1c2024, #e6e8ea);
  --muted: light-dark(#565e66, #a4acb4);
  --ground: light-dark(#fbfbfa, #15181b);
  --card: light-dark(#ffffff, #1d2125);
  --chart: light-dark(#f0f1f2, #24292e);
  --line: light-dark(#d9dcdf, #343a40);
  --bad: light-dark(#b3261e, #ff8a80);
  --bad-ground: light-dark(#fdeeec, #3a1d1b);
  --good: light-dark(#1a6b3c, #7fd6a2);
  --good-ground: light-dark(#ecf6f0, #16291f);
  --warn: light-dark(#7a5200, #f2c66d);
  --warn-ground: light-dark(#fdf5e3, #332a15);
  --link: light-dark(#0b57a4, #8ec5ff);
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--text); font: 16px/1.5 system-ui, sans-serif; }
main, header, footer { max-width: 64rem; margin: 0 auto; padding: 0 1.25rem; }
header { display: flex; flex-wrap: wrap; gap: .25rem 1.5rem; align-items: baseline; padding-top: 1.25rem; }
h1 { font-size: 1.2rem; margin: 0; }
h2 { font-size: 1.05rem; margin: 2rem 0 .5rem; }
nav a { margin-right: 1rem; }
a { color: var(--link); }
a:focus-visible, summary:focus-visible, pre:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; }
code, pre { font: .875em/1.5 ui-monospace, "DejaVu Sans Mono", monospace; }
pre { margin: .25rem 0; padding: .5rem .75rem; background: var(--ground); border: 1px solid var(--line); border-radius: 4px; white-space: pre-wrap; overflow-wrap: anywhere; }
.muted { color: var(--muted); }
.verdict { margin: 1rem 0; padding: .8rem 1.25rem; border-radius: 6px; border-left: 6px solid; }
.verdict p { margin: .25rem 0 0; }
.verdict .sentence { font-size: 1.25rem; font-weight: 600; margin: 0; }
.is-cause { background: var(--bad-ground); border-color: var(--bad); }
.is-nothing { background: var(--good-ground); border-color: var(--good); }
.is-outside, .is-blind { background: var(--warn-ground); border-color: var(--warn); }
article { background: var(--card); border: 1px solid var(--bad); border-radius: 6px; margin: .75rem 0; padding: .6rem 1.25rem .8rem; }
article h2 { margin: 0; color: var(--bad); }
article h3 { font-size: .95rem; margin: .6rem 0 0; }
article p { margin: .25rem 0; }
.evidence { display: flex; gap: 1.5rem; align-items: center; justify-content: space-between; }
.evidence ul { margin: .25rem 0; padding-left: 1.2rem; }
.evidence .trend { width: 15rem; height: 3rem; flex: none; }
.steps { list-style: none; margin: 0; padding: 0; border-bottom: 1px solid var(--line); }
.step { display: grid; grid-template-columns: 19rem minmax(0, 1fr); column-gap: 1.5rem; border-top: 1px solid var(--line); padding: .4rem 0; }
.step h3 { display: flex; margin: 0; font-size: 1rem; }
.number { flex: none; width: 1.3rem; color: var(--muted); }
.state { margin: 0 0 0 1.3rem; font-weight: 600; }
.state.found { color: var(--bad); }
.state.clear { color: var(--good); }
.state.partly, .state.unknown { color: var(--warn); }
.causes { list-style: none; margin: 0; padding: 0; }
.cause { display: flex; gap: 1rem; justify-content: space-between; align-items: center; min-height: 1.75rem; }
.cause.active, .cause.pending, .cause.past { color: var(--bad); font-weight: 600; }
.trend { flex: none; width: 150px; height: 1.25rem; color: var(--muted); background: var(--chart); border-radius: 3px; }
.trend path { fill: none; stroke: currentColor; stroke-width: 1.5; vector-effect: non-scaling-stroke; }
.trend .threshold { stroke: var(--bad); stroke-width: 1; stroke-dasharray: 3 3; }
.active .trend, .past .trend, .pending .trend { color: var(--bad); }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .3rem .75rem .3rem 0; border-bottom: 1px solid var(--line); overflow-wrap: anywhere; }
th { font-weight: 600; }
th[scope="row"] { font: .875em/1.7 ui-monospace, "DejaVu Sans Mono", monospace; max-width: 22rem; }
td.part { white-space: nowrap; }
.part.ok { color: var(--good); } .part.absent { color: var(--warn); } .part.failed { color: var(--bad); font-weight: 600; }
details summary { cursor: pointer; }
footer { padding-top: 1.5rem; padding-bottom: 2rem; }
@media (max-width: 40rem) {
  .step { grid-template-columns: minmax(0, 1fr); }
  .causes { padding-left: 1.3rem; }
  .evidence { flex-wrap: wrap; }
}
@media print { article, .step, .verdict { break-inside: avoid; } }
`;

/** Asks for the page again and changes what is new in it; what is opened, focused and scrolled stays. */
export const refreshScript = `"use strict";
(() => {
  const everyMs = 15000;
  const openOnes = (root) => new Set([...root.querySelectorAll("details[open][id]")].map(({ id }) => id));
  const refresh = async () => {
    if (document.hidden) return;
    try {
      const answer = await fetch(location.pathname, { cache: "no-store", credentials: "same-origin" });
      if (!answer.ok) throw new Error(String(answer.status));
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const part of fresh.querySelectorAll("[data-part]")) {
        const old = document.querySelector('[data-part="' + part.dataset.part + '"]');
        const opened = old === null ? new Set() : openOnes(old);
        for (const details of part.querySelectorAll("details[id]")) details.open = opened.has(details.id);
        if (old === null || old.innerHTML === part.innerHTML) continue;
        const focused = old.contains(document.activeElement) ? document.activeElement.id : "";
        old.className = part.className;
        old.innerHTML = part.innerHTML;
        if (focused !== "") document.getElementById(focused)?.focus({ preventScroll: true });
      }
      document.title = fresh.title;
      document.getElementById("stale").textContent = "";
    } catch {
      document.getElementById("stale").textContent = "The exporter does not answer: this page is not current.";
    }
  };
  setInterval(refresh, everyMs);
  document.addEventListener("visibilitychange", refresh);
})();
`;
