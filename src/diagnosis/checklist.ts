/**
 * Verdicts to the checklist as a person walks it: six steps and what lies beyond, the causes of each, and the conclusion.
 * Pure: the status page shows the verdicts of now with it, `diagnose` those of a past window.
 */
import {
  type CauseLines,
  type CauseReport,
  type CauseState,
  type ChecklistReport,
  type Conclusion,
  type Episode,
  type EvidenceNumber,
  type StepReport,
  type StepState,
  type SymptomReport,
  sentence,
  type Trend,
} from "../model/checklist.ts";
import { catalogue } from "./catalogue.ts";
import type { Cause, CauseId, Step } from "./cause.ts";
import type { Condition } from "./condition.ts";
import type { Finding, Verdict, VerdictState } from "./verdict.ts";

export const steps: readonly { readonly step: Step; readonly title: string }[] = [
  { step: 1, title: "sshd crashed, restarted or is down" },
  { step: 2, title: "memory, CPU, processes and files" },
  { step: 3, title: "TCP wrappers" },
  { step: 4, title: "path MTU" },
  { step: 5, title: "connection tracking, firewalls and proxies" },
  { step: 6, title: "cloud limits" },
  { step: "beyond", title: "sshd's own limits and the network" },
];

/** What is known of one cause. Episodes are those of the whole window, oldest first. */
export interface CauseSeen extends Partial<CauseLines> {
  readonly state: VerdictState;
  readonly observable: boolean;
  readonly episodes: readonly Episode[];
  readonly evidence: readonly Finding[];
  readonly trend?: Trend;
}

/** What the verdicts of now say, without a past. */
export function seenNow(verdicts: readonly Verdict[]): ReadonlyMap<CauseId, CauseSeen> {
  return new Map(
    verdicts.map(({ cause, state, sinceMs, observable, evidence }) => {
      const episodes = sinceMs === undefined ? [] : [{ fromMs: sinceMs }];
      return [cause, { state, observable, episodes, evidence }];
    }),
  );
}

/** What was seen of ends, whether a cause explains them or not. Undefined: nobody counted. */
export interface Ends {
  /** Known peers reset within the last 10 minutes. */
  readonly resetPeers?: number | undefined;
  /** Connections of known peers that ended by a reset in the window. */
  readonly knownResets?: number;
  /** Sessions that ended without a word: what a reset leaves before OpenSSH 9.8. */
  readonly silentSessions?: number;
  /** Whether anything that tells of resets is read. */
  readonly visible: boolean;
}

export interface Walked {
  readonly fromMs: number;
  readonly toMs: number;
  readonly seen: ReadonlyMap<CauseId, CauseSeen>;
  readonly symptom: SymptomReport;
  readonly ends: Ends;
}

export function checklist({ fromMs, toMs, seen, symptom, ends }: Walked): ChecklistReport {
  const causes = new Map(catalogue.map((cause) => [cause.id, causeReport(cause, seen)]));
  const stepReports = steps.map(({ step, title }): StepReport => {
    const own = catalogue.filter((cause) => cause.step === step).flatMap(({ id }) => causes.get(id) ?? []);
    return { step: String(step), title, state: stepState(own.map(({ state }) => state)), causes: own };
  });
  const conclusion = conclude([...causes.values()], symptom, ends);
  return { fromMs, toMs, conclusion, steps: stepReports, symptom };
}

export const isFound = (state: CauseState): boolean => state === "active" || state === "past" || state === "pending";

function causeReport(cause: Cause, seen: ReadonlyMap<CauseId, CauseSeen>): CauseReport {
  const own: CauseSeen = seen.get(cause.id) ?? { state: "unknown", observable: false, episodes: [], evidence: [] };
  const state = stateOf(cause, own);
  const root = isFound(state) ? rootOf(cause.id, own, seen) : undefined;
  return {
    cause: cause.id,
    title: cause.title,
    summary: cause.summary,
    alert: cause.alert,
    state,
    ...(root !== undefined && { follows: root }),
    episodes: own.episodes,
    evidence: own.evidence.flatMap((finding) => (speaks(finding) ? [evidenceNumber(finding)] : [])),
    unseen: own.evidence.flatMap(({ value, unit }) => (value === undefined ? [unit] : [])),
    ...(own.lines !== undefined && { lines: own.lines }),
    ...(own.lineCount !== undefined && { lineCount: own.lineCount }),
    ...(own.strangerLines !== undefined && { strangerLines: own.strangerLines }),
    ...(own.trend !== undefined && { trend: own.trend }),
    ...(!own.observable && { grant: cause.grant }),
    next: cause.next,
  };
}

type Measured = Finding & { readonly value: number };

/** That a counter stood still supports what stands beside it, and says nothing alone. */
const speaks = (finding: Finding): finding is Measured =>
  finding.holds && finding.value !== undefined && !(finding.is === "<" && finding.metric.endsWith("_total"));

const evidenceNumber = ({ metric, value, is, threshold, unit }: Measured): EvidenceNumber => ({
  what: unit,
  value,
  is,
  threshold,
  metric,
});

function stateOf({ evidence: condition }: Cause, { state, observable, episodes, evidence }: CauseSeen): CauseState {
  if (state === "active" || state === "pending") return state;
  if (episodes.length > 0) return "past";
  return state === "inactive" && observable && isJudged(condition, [...evidence]) ? "clear" : "unknown";
}

/** Whether the numbers that there are say no. Of alternatives one is enough; of what must come together, the one that is missing. */
function isJudged(condition: Condition, findings: Finding[]): boolean {
  switch (condition.form) {
    case "and":
      return condition.all.map((part) => isJudged(part, findings)).includes(true);
    case "or":
      return condition.any.map((part) => isJudged(part, findings)).includes(true);
    default: {
      // Findings stand in the order of the condition's leaves.
      const finding = findings.shift();
      return finding?.value !== undefined && !finding.holds;
    }
  }
}

function stepState(states: readonly CauseState[]): StepState {
  if (states.some(isFound)) return "found";
  if (!states.includes("unknown")) return "clear";
  return states.includes("clear") ? "partly" : "unknown";
}

/** Ends and evidence trail their cause: what began so soon after it may follow from it. */
const trailMs = 10 * 60_000;

/** The cause found at the same time that inhibits this one, over any number of steps: the first of its chain. */
function rootOf(id: CauseId, own: CauseSeen, seen: ReadonlyMap<CauseId, CauseSeen>): CauseId | undefined {
  const roots = catalogue.filter(({ id: other, inhibits }) => {
    const above = seen.get(other);
    return inhibits.includes(id) && above !== undefined && leadsTo(above.episodes, own.episodes);
  });
  const [root] = roots;
  const above = root && seen.get(root.id);
  return root && above && (rootOf(root.id, above, seen) ?? root.id);
}

/** Each is counted when all of its lines are in: by a minute the two may come in the wrong order. */
const leadsTo = (root: readonly Episode[], effect: readonly Episode[]): boolean =>
  effect.some(({ fromMs }) =>
    root.some((each) => each.fromMs <= fromMs + 60_000 && fromMs <= (each.toMs ?? fromMs) + trailMs),
  );

/** The worst first: what pages, then what is still at work, then what came first. */
export function found(causes: readonly CauseReport[]): readonly CauseReport[] {
  const severity = new Map<string, number>(
    catalogue.map((cause) => [cause.id, ["critical", "warning", "info"].indexOf(cause.severity)]),
  );
  const rank = ({ cause, follows, state, episodes }: CauseReport): readonly number[] => [
    follows === undefined ? 0 : 1,
    severity.get(cause) ?? 0,
    state === "past" ? 1 : 0,
    episodes[0]?.fromMs ?? 0,
  ];
  return causes
    .filter(({ state }) => isFound(state))
    .toSorted((a, b) => {
      const [one, other] = [rank(a), rank(b)];
      const at = one.findIndex((value, index) => value !== other[index]);
      return at < 0 ? 0 : (one[at] ?? 0) - (other[at] ?? 0);
    });
}

function conclude(causes: readonly CauseReport[], symptom: SymptomReport, ends: Ends): Conclusion {
  const [first, ...others] = found(causes);
  if (first !== undefined) {
    const also = others.map(({ title, follows }) =>
      follows === undefined ? `Also found: ${title}.` : `${sentence(title)}: follows from it.`,
    );
    return {
      verdict: "cause",
      cause: first.cause,
      sentence: `${sentence(first.title)}.`,
      because: [first.summary, ...also],
    };
  }
  if (!ends.visible) {
    return {
      verdict: "blind",
      sentence: "Nothing can be said: neither the journal nor a log file of sshd could be read.",
      because: [],
    };
  }
  const clear = causes.filter(({ state }) => state === "clear").length;
  const unknown = causes.filter(({ state }) => state === "unknown").map(({ title }) => title);
  const judged = [
    `${clear} of ${causes.length} causes judged, and clear.`,
    ...(unknown.length > 0 ? [`Not checked, so not excluded: ${unknown.join("; ")}.`] : []),
  ];
  const { resetPeers = 0, knownResets: resets = 0, silentSessions: silent = 0 } = ends;
  if (symptom.state === "inactive" && resetPeers + resets + silent === 0) {
    return {
      verdict: "nothing",
      sentence: "No cause found, and no connection of a known peer was seen to be reset.",
      because: judged,
    };
  }
  const counts = [
    ...(resetPeers > 0 ? [`${resetPeers} known peer${plural(resetPeers)} reset in the last 10 minutes`] : []),
    ...(resets > 0 ? [`${resets} connection${plural(resets)} of known peers ended by a reset`] : []),
    ...(silent > 0
      ? [`${silent} session${plural(silent)} ended without a word (so does a reset before OpenSSH 9.8)`]
      : []),
  ];
  return {
    verdict: "outside",
    sentence: `No cause found on this host: it came from outside${clear === 0 ? "" : ", from the peer or from a device on the path"}.`,
    because: [...(counts.length > 0 ? [`${counts.join(", ")}.`] : []), ...judged],
  };
}

const plural = (count: number): string => (count === 1 ? "" : "s");
