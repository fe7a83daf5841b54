/**
 * The checklist walked: steps, causes, verdict. The status page, /api/v1/diagnosis and `diagnose` show the same. Counts
 * and times only, but for `lines`, which hold texts of the log and addresses: they are for who may read the log.
 */

/** `unknown`: not seen, and not visible either. */
export type CauseState = "active" | "past" | "pending" | "clear" | "unknown";
export type StepState = "found" | "clear" | "partly" | "unknown";

export interface EvidenceNumber {
  /** What is counted, as in `connections of known peers refused in 10 minutes`. */
  readonly what: string;
  readonly value: number;
  readonly is: "<" | ">" | ">=";
  readonly threshold: number;
  readonly metric: string;
}

/** `Connections of known peers refused in 10 minutes: 3 (evidence: 1 or more)`; shares as `92 % of memory available (...)`. */
export function evidenceText({ what, value, is, threshold }: EvidenceNumber): string {
  const share = what.startsWith("of ");
  const shown = (number: number): string => (share ? `${threeDigits(number * 100)} %` : threeDigits(number));
  const words = {
    ">=": `${threshold} or more`,
    ">": `more than ${shown(threshold)}`,
    "<": `less than ${shown(threshold)}`,
  };
  const now = shown(is === ">=" ? Math.round(value) : value);
  return share ? `${now} ${what} (evidence: ${words[is]})` : `${sentence(what)}: ${now} (evidence: ${words[is]})`;
}

export const threeDigits = (value: number): string => String(Number(value.toPrecision(3)));

/** As a sentence begins; sshd is written small even there. */
export const sentence = (text: string): string =>
  text.startsWith("sshd") ? text : text.charAt(0).toUpperCase() + text.slice(1);

/** A decisive line. `text` is printable, and at most 300 characters. */
export interface EvidenceLine {
  readonly timeMs: number;
  readonly speaker: string;
  readonly text: string;
}

/** The lines about one cause. */
export interface CauseLines {
  readonly lines: readonly EvidenceLine[];
  /** How many such lines there were. */
  readonly lineCount: number;
  /** Of those, lines about addresses that have never logged in here; they are not among `lines`. */
  readonly strangerLines: number;
}

export interface Episode {
  readonly fromMs: number;
  /** Undefined: still at work at the end. */
  readonly toMs?: number;
}

/** A cause's leading number over the last hour, minute by minute, oldest first; null where there was no sample. */
export interface Trend {
  readonly what: string;
  readonly values: readonly (number | null)[];
  /** Where it becomes evidence; of counts, as much in every minute. */
  readonly threshold: number;
  /** What came in each minute; else the last value in it. */
  readonly counts: boolean;
}

export interface CauseReport extends Partial<CauseLines> {
  readonly cause: string;
  readonly title: string;
  readonly summary: string;
  /** The alert's name, which is also its runbook's. */
  readonly alert: string;
  readonly state: CauseState;
  /** What else was found that this follows from. */
  readonly follows?: string;
  readonly episodes: readonly Episode[];
  readonly evidence: readonly EvidenceNumber[];
  /** Numbers that there were no samples for. */
  readonly unseen: readonly string[];
  /** What would grant access, where it cannot be judged. */
  readonly grant?: string;
  readonly next: readonly { readonly run: string; readonly shows: string }[];
  readonly trend?: Trend;
}

export interface StepReport {
  readonly step: string;
  readonly title: string;
  readonly state: StepState;
  readonly causes: readonly CauseReport[];
}

export interface SymptomReport {
  /** `active`: known peers were reset and nothing explains it; `explained`: a cause does. */
  readonly state: "active" | "pending" | "explained" | "inactive";
  readonly sinceMs?: number;
  readonly explainedBy: readonly string[];
}

/** In one sentence each. */
export interface Conclusion {
  readonly verdict: "cause" | "outside" | "nothing" | "blind";
  readonly cause?: string;
  readonly sentence: string;
  readonly because: readonly string[];
}

export interface ChecklistReport {
  readonly fromMs: number;
  readonly toMs: number;
  readonly conclusion: Conclusion;
  readonly steps: readonly StepReport[];
  readonly symptom: SymptomReport;
}
