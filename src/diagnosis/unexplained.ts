/**
 * Whether a cause explains that known peers are reset, in this process; src/kit/rules.ts says the same in PromQL. A cause
 * explains while its evidence holds, and as long as known_peers_reset remembers after that, unless ends came that it
 * could not have produced: out of its scope, or later than its trail.
 */
import { type Phase, phases } from "../model/connection.ts";
import { object, orNull, record, time } from "../model/saved.ts";
import type { Cause, CauseId } from "./cause.ts";
import { type Condition, increase, type Selector, selectors, series } from "./condition.ts";
import { evaluate } from "./evaluate.ts";
import type { History } from "./history.ts";
import { evidenceNeedsSeconds, memorySeconds, symptom, trailSeconds, unexplainedEnds } from "./symptom.ts";

export interface SymptomVerdict {
  /** `explained`: by `causes`; `active`: by none. */
  readonly state: "active" | "pending" | "explained" | "inactive";
  readonly sinceMs: number | undefined;
  readonly causes: readonly CauseId[];
}

/** JSON-safe. Times by cause: when its evidence last held, when it last was not older than the trail, when ends came too late for it. */
export interface SymptomSnapshot {
  readonly evidenceMs: Readonly<Record<string, number>>;
  readonly freshMs: Readonly<Record<string, number>>;
  readonly pendingSinceMs: number | null;
  readonly activeSinceMs: number | null;
  readonly lastTrueMs: number | null;
}

const ends = {
  value: unexplainedEnds,
  unit: "resets of known peers",
  reason: "As many as the symptom needs at least.",
};
const scrapeSeconds = 15;

/** Resets of known peers in these phases. */
const resets = (of: readonly Phase[], seconds: number): Condition =>
  increase(
    series("connections_ended_total", { outcome: ["reset"], peer_class: ["known"], phase: of }),
    seconds / 60,
    ">=",
    "ends",
  );

/** The cause's phases for resets; empty: it explains no reset. */
export const resetPhases = ({ explains }: Cause): readonly Phase[] =>
  phases.filter((phase) => explains.some((scope) => scope.outcomes.includes("reset") && scope.phases.includes(phase)));

/** Resets of known peers out of the cause's scope; undefined where nothing is. */
export function outside(cause: Cause): Condition | undefined {
  const own = resetPhases(cause);
  const others = phases.filter((phase) => !own.includes(phase));
  return others.length === 0 ? undefined : resets(others, memorySeconds);
}

/** Resets in the last minutes: too late for a cause whose evidence ended before `trailSeconds` and those minutes. */
export const late: Condition = resets(phases, trailSeconds);
export const endThresholds = { ends };

export const explaining = (catalogue: readonly Cause[]): readonly Cause[] =>
  catalogue.filter((cause) => resetPhases(cause).length > 0);

/** At least as long as the evidence of every explaining cause needs, in whole minutes. */
export const symptomForSeconds = (catalogue: readonly Cause[]): number =>
  60 * Math.ceil(Math.max(...explaining(catalogue).map((cause) => evidenceNeedsSeconds(cause, scrapeSeconds))) / 60);

const symptomShape = object({
  evidenceMs: record(time, 100),
  freshMs: record(time, 100),
  pendingSinceMs: orNull(time),
  activeSinceMs: orNull(time),
  lastTrueMs: orNull(time),
});

export class Symptom {
  readonly #causes: readonly { readonly cause: Cause; readonly outside: Condition | undefined }[];
  /** What its conditions name. */
  readonly selectors: readonly Selector[];
  readonly #forMs: number;
  #evidenceMs = new Map<string, number>();
  #freshMs = new Map<string, number>();
  #pendingSinceMs: number | undefined;
  #activeSinceMs: number | undefined;
  #lastTrueMs: number | undefined;
  #explainedBy: readonly CauseId[] = [];
  #seen = false;

  constructor(catalogue: readonly Cause[]) {
    this.#causes = explaining(catalogue).map((cause) => ({ cause, outside: outside(cause) }));
    const conditions = [symptom.evidence, late, ...this.#causes.flatMap((own) => own.outside ?? [])];
    this.selectors = conditions.flatMap(selectors);
    this.#forMs = this.#causes.length === 0 ? 0 : symptomForSeconds(catalogue) * 1000;
  }

  step(timeMs: number, history: History): void {
    const explains = this.#causes.filter((own) => this.#explains(own.cause, own.outside, timeMs, history));
    this.#explainedBy = explains.map(({ cause }) => cause.id);
    this.#seen = evaluate(symptom.evidence, symptom.thresholds, history, timeMs) === true;
    if (this.#seen && this.#explainedBy.length === 0) {
      this.#lastTrueMs = timeMs;
      this.#pendingSinceMs ??= timeMs;
      if (timeMs - this.#pendingSinceMs >= this.#forMs) this.#activeSinceMs ??= timeMs;
      return;
    }
    this.#pendingSinceMs = undefined;
    const kept = this.#lastTrueMs !== undefined && timeMs - this.#lastTrueMs < symptom.keepSeconds * 1000;
    if (!kept) this.#activeSinceMs = undefined;
  }

  verdict(): SymptomVerdict {
    if (this.#activeSinceMs !== undefined) return { state: "active", sinceMs: this.#activeSinceMs, causes: [] };
    if (this.#pendingSinceMs !== undefined) return { state: "pending", sinceMs: this.#pendingSinceMs, causes: [] };
    return this.#seen
      ? { state: "explained", sinceMs: undefined, causes: this.#explainedBy }
      : { state: "inactive", sinceMs: undefined, causes: [] };
  }

  snapshot(): SymptomSnapshot {
    return {
      evidenceMs: Object.fromEntries(this.#evidenceMs),
      freshMs: Object.fromEntries(this.#freshMs),
      pendingSinceMs: this.#pendingSinceMs ?? null,
      activeSinceMs: this.#activeSinceMs ?? null,
      lastTrueMs: this.#lastTrueMs ?? null,
    };
  }

  /** Throws on anything but a snapshot. */
  restore(saved: unknown): void {
    const { evidenceMs, freshMs, pendingSinceMs, activeSinceMs, lastTrueMs } = symptomShape(saved, "symptom");
    this.#evidenceMs = new Map(Object.entries(evidenceMs));
    this.#freshMs = new Map(Object.entries(freshMs));
    this.#pendingSinceMs = pendingSinceMs ?? undefined;
    this.#activeSinceMs = activeSinceMs ?? undefined;
    this.#lastTrueMs = lastTrueMs ?? undefined;
  }

  #explains(
    { id, evidence, explainsWhen, thresholds }: Cause,
    out: Condition | undefined,
    timeMs: number,
    history: History,
  ): boolean {
    const since = (time: number | undefined): number => timeMs - (time ?? Number.NEGATIVE_INFINITY);
    if (evaluate(explainsWhen ?? evidence, thresholds, history, timeMs) === true) this.#evidenceMs.set(id, timeMs);
    const age = since(this.#evidenceMs.get(id));
    const trailing = age < 2 * trailSeconds * 1000;
    const remembered = age < memorySeconds * 1000;
    if (remembered && !trailing && evaluate(late, endThresholds, history, timeMs) === true)
      this.#freshMs.set(id, timeMs);
    const tooLate = since(this.#freshMs.get(id)) < memorySeconds * 1000;
    if (!trailing && (!remembered || tooLate)) return false;
    return out === undefined || evaluate(out, endThresholds, history, timeMs) !== true;
  }
}
