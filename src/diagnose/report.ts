/** The report as text: for a terminal with colour and its width, plain where it is piped. Pure. */
import { found, isFound } from "../diagnosis/checklist.ts";
import {
  type CauseReport,
  type ChecklistReport,
  type EvidenceLine,
  evidenceText,
  type StepReport,
} from "../model/checklist.ts";
import type { Flows } from "./between.ts";
import type { Diagnosed } from "./diagnose.ts";

export interface Look {
  readonly colour: boolean;
  /** Undefined: lines are not broken. */
  readonly width: number | undefined;
}

type Paint = "bold" | "dim" | "red" | "green" | "yellow";
const codes: Readonly<Record<Paint, number>> = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33 };
const indent = "      ";
/** Commands of each cause, and causes whose commands are shown. */
const commandsShown = 4;

export function reportText(diagnosed: Diagnosed, look: Look): string {
  const page = new Page(look);
  const { report } = diagnosed;
  head(page, diagnosed);
  for (const step of report.steps) stepText(page, step);
  if (diagnosed.lines.length > 0 && report.conclusion.verdict !== "cause") {
    page.line(page.paint("resets that sshd logged", "bold"));
    quote(page, diagnosed.lines);
    page.line("");
  }
  verdict(page, report);
  next(page, report);
  inBetween(page, diagnosed);
  fromOutside(page, diagnosed);
  notChecked(page, diagnosed);
  return page.text;
}

function head(page: Page, { report, host, sources, knownPeers, peer, unmatched, notes }: Diagnosed): void {
  const { fromMs, toMs } = report;
  const where = host === undefined ? "" : ` of ${host.name}`;
  page.wrap(page.paint(`Diagnosis${where}, ${moment(fromMs)} to ${moment(toMs)} (${span(toMs - fromMs)})`, "bold"), "");
  if (host !== undefined) {
    const gib = (bytes: number): string => (bytes / 2 ** 30).toFixed(1);
    page.wrap(
      `${host.distribution}, kernel ${host.kernel}${host.virtualization === "none" ? "" : `, ${host.virtualization}`}, ` +
        `${host.cpus} CPUs, load ${host.load1.toFixed(2)}, ${gib(host.memoryAvailableBytes)} of ` +
        `${gib(host.memoryTotalBytes)} GiB memory available, up ${span(host.uptimeSeconds * 1000)}`,
      "",
    );
  }
  const read = sources
    .filter(({ missing, records }) => missing === undefined || records > 0)
    .map(({ source, from, records }) => `${records} records of ${source} (${from})`);
  page.wrap(`Read: ${read.length === 0 ? "no log" : read.join(", ")}; ${knownPeers} known peers.`, "");
  if (peer !== undefined) page.wrap(`Only connections of ${peer}, taken as a known peer.`, "");
  if (unmatched > 0) page.wrap(`${unmatched} records were not understood.`, "");
  for (const note of notes) page.wrap(`Note: ${note}`, "");
  page.line("");
}

const stateWords = {
  found: ["FOUND", "red"],
  clear: ["clear", "green"],
  partly: ["clear as far as seen", "yellow"],
  unknown: ["not checked", "yellow"],
} as const;

function stepText(page: Page, { step, title, state, causes }: StepReport): void {
  const [word, colour] = stateWords[state];
  const number = step === "beyond" ? "+" : step;
  page.line(`${page.paint(`${number}  ${title}`, "bold")}: ${page.paint(word, colour)}`);
  for (const cause of causes.filter((each) => isFound(each.state))) causeText(page, cause);
  for (const cause of causes.filter(({ state: own }) => own === "clear")) {
    const strangers = cause.strangerLines ?? 0;
    if (strangers > 0) {
      page.wrap(
        `${cause.title}: ${strangers} time${strangers === 1 ? "" : "s"}, none of them a peer that has logged in here. ` +
          "If yours is among them: --peer ADDRESS",
        indent,
      );
    }
  }
  for (const { title: what, state: own, grant } of causes) {
    if (own !== "unknown") continue;
    const why = grant === undefined ? "only the samples of an exporter that ran could tell" : `to see it: ${grant}`;
    page.wrap(`${page.paint("?", "yellow")} ${what}: not checked; ${why}`, indent);
  }
}

function causeText(page: Page, cause: CauseReport): void {
  const { title, state, follows, episodes, evidence, lines = [], lineCount = 0, strangerLines = 0 } = cause;
  const when = episodes.length === 0 ? "now" : episodes.slice(0, 5).map(episodeText).join(", ");
  const more = episodes.length > 5 ? ` and ${episodes.length - 5} times more` : "";
  const word = state === "pending" ? "seems so now" : state === "active" ? "at work" : "over";
  const tail = follows === undefined ? "" : ` (follows from ${follows})`;
  page.line(`${indent}${page.paint(title, "red")}: ${word}, ${when}${more}${tail}`);
  for (const number of evidence) page.wrap(`- ${evidenceText(number)}`, `${indent}  `);
  quote(page, lines);
  const others = lineCount - strangerLines - lines.length;
  if (others > 0) page.line(page.paint(`${indent}  ... and ${others} more such lines`, "dim"));
  if (strangerLines > 0)
    page.line(page.paint(`${indent}  ... and ${strangerLines} about addresses that have never logged in here`, "dim"));
}

function quote(page: Page, lines: readonly EvidenceLine[]): void {
  for (const { timeMs, speaker, text } of lines)
    page.wrap(`${page.paint(moment(timeMs), "dim")} ${speaker}: ${text}`, `${indent}  `);
}

function episodeText({ fromMs, toMs }: { readonly fromMs: number; readonly toMs?: number }): string {
  return toMs === undefined ? `since ${moment(fromMs)}` : `${moment(fromMs)} to ${moment(toMs).slice(11)}`;
}

function verdict(page: Page, { conclusion }: ChecklistReport): void {
  const colour = conclusion.verdict === "cause" ? "red" : conclusion.verdict === "nothing" ? "green" : "yellow";
  page.line("");
  page.wrap(`${page.paint("Verdict:", "bold")} ${page.paint(conclusion.sentence, colour)}`, "");
  for (const reason of conclusion.because) page.wrap(reason, "  ");
}

function next(page: Page, report: ChecklistReport): void {
  const causes = report.steps.flatMap((step) => step.causes);
  const [first] = found(causes);
  if (first === undefined) return;
  page.line("");
  page.line(page.paint("Next:", "bold"));
  for (const { run, shows } of first.next.slice(0, commandsShown)) {
    page.line(`  ${page.paint(run, "bold")}`);
    page.wrap(shows, "      ");
  }
  page.line(`  Runbook: docs/runbooks/${first.alert}.md`);
}

function inBetween(page: Page, { between }: Diagnosed): void {
  if (between === undefined) return;
  const { rejected, unseen, proxy, turnedAway = [], idle } = between;
  page.line("");
  page.line(page.paint("In between:", "bold"));
  if (rejected) flowsText(page, "the cloud rejected", rejected);
  if (unseen) flowsText(page, "the cloud admitted, yet nothing of it was seen here", unseen);
  if (proxy) {
    const ended = Object.entries(proxy.ended).map(([by, count]) => `${count} ${by}`);
    const down = proxy.serversDown > 0 ? `; it took a server for down ${proxy.serversDown} times` : "";
    page.wrap(`haproxy's sessions ended by: ${ended.length === 0 ? "none" : ended.join(", ")}${down}.`, "  ");
  }
  for (const { address, peerClass, drops } of turnedAway)
    page.wrap(
      `sshd dropped ${address} (${peerClass.replace("_", " ")}) ${drops} times: it may take this host for down.`,
      "  ",
    );
  for (const { seconds, sessions, products } of idle?.cuts ?? []) {
    const age = seconds === "other" ? "the same idle age" : `${seconds} s of silence`;
    page.wrap(`${sessions} session${sessions === 1 ? "" : "s"} cut after ${age}.`, "  ");
    for (const { product, keptOpen } of products) {
      const word =
        keptOpen === undefined ? "" : keptOpen ? ": sshd would have kept it open" : ": sshd keeps nothing open there";
      page.wrap(`- ${product}${word}`, "    ");
    }
  }
  if (idle?.keepAlive !== undefined) page.wrap(`${idle.keepAlive}.`, "  ");
}

function flowsText(page: Page, what: string, { peers, others }: Flows): void {
  page.wrap(`${what}:`, "  ");
  for (const { address, known, provider, flows, rules, fromMs, toMs } of peers) {
    const by = rules.length === 0 ? "" : `, by ${rules.join(", ")}`;
    const when = fromMs === toMs ? moment(fromMs) : `${moment(fromMs)} to ${moment(toMs).slice(11)}`;
    const who = known ? "known peer" : "never logged in here";
    page.wrap(`- ${address} (${who}): ${flows} flow${flows === 1 ? "" : "s"} (${provider}), ${when}${by}`, "    ");
  }
  if (others.flows > 0) page.wrap(`- and ${others.flows} flows of further addresses`, "    ");
}

function fromOutside(page: Page, { outside }: Diagnosed): void {
  if (outside === undefined) return;
  const { target, fromMs, toMs, saw, sentence, because, next: steps } = outside;
  const counts = Object.entries(saw).map(([what, count]) => `${count} ${what}`);
  page.line("");
  page.wrap(
    `${page.paint("From outside:", "bold")} probes of ${target}, ${moment(fromMs)} to ${moment(toMs).slice(11)}: ${counts.join(", ")}.`,
    "",
  );
  page.wrap(page.paint(sentence, outside.view === "neither" ? "green" : "yellow"), "  ");
  for (const reason of because) page.wrap(reason, "  ");
  for (const step of steps) page.line(`  ${step}`);
}

function notChecked(page: Page, { sources, report, outside }: Diagnosed): void {
  const unread = sources.flatMap(({ from, missing }) => (missing === undefined ? [] : [{ from, ...missing }]));
  if (unread.length > 0) {
    page.line("");
    page.line(page.paint("Could not read:", "bold"));
    for (const { reason, grant } of unread) {
      page.wrap(`${reason}${grant === undefined ? "" : `; to see it: ${grant}`}`, "  ");
    }
  }
  if (report.conclusion.verdict === "outside" && outside === undefined) {
    page.line("");
    page.wrap(
      "From one of the peers: ssh-reset-exporter probe --json HOST > probe.json, then here diagnose --probe probe.json; and ssh -v HOST true: the last line before the reset names the phase.",
      "",
    );
  }
}

/** Local time, to the second. */
function moment(timeMs: number): string {
  const date = new Date(timeMs - new Date(timeMs).getTimezoneOffset() * 60_000);
  return date.toISOString().slice(0, 19).replace("T", " ");
}

function span(ms: number): string {
  const minutes = Math.round(ms / 60_000);
  if (minutes < 120) return `${minutes} min`;
  return minutes < 48 * 60 ? `${Number((minutes / 60).toFixed(1))} h` : `${Number((minutes / 1440).toFixed(1))} days`;
}

class Page {
  text = "";
  readonly #look: Look;

  constructor(look: Look) {
    this.#look = look;
  }

  line(text: string): void {
    this.text += `${text}\n`;
  }

  /** Broken at spaces; what follows the first line is set in by two more. */
  wrap(text: string, margin: string): void {
    const { width } = this.#look;
    if (width === undefined) {
      this.line(margin + text);
      return;
    }
    let current = "";
    let lead = margin;
    for (const word of text.split(" ")) {
      const wider = current === "" ? word : `${current} ${word}`;
      if (current !== "" && lead.length + visibleLength(wider) > width) {
        this.line(lead + current);
        lead = `${margin}  `;
        current = word;
      } else current = wider;
    }
    this.line(lead + current);
  }

  paint(text: string, how: Paint): string {
    return this.#look.colour ? `\x1b[${codes[how]}m${text}\x1b[0m` : text;
  }
}

/** biome would take the escape for a mistake in a literal. */
const colourCodes = new RegExp(`${String.fromCharCode(27)}\\[\\d+m`, "g");
const visibleLength = (text: string): number => text.replace(colourCodes, "").length;
