/**
 * The verdicts of this process: what each cause's evidence says, held by one state machine (`for`, hysteresis, keep) that
 * moves exactly as Prometheus' alerts do. A host's grants decide whether a cause can be judged at all.
 */
import type { Trend } from "../model/checklist.ts";
import type { Sample } from "../model/metric.ts";
import { anything, object, optional, record, time } from "../model/saved.ts";
import { catalogue as everyCause } from "./catalogue.ts";
import type { Cause, CauseId } from "./cause.ts";
import { leaves, limit, selectors, series } from "./condition.ts";
import { evaluate, measure } from "./evaluate.ts";
import { History, type HistorySnapshot } from "./history.ts";
import { observableThresholds } from "./observable.ts";
import { trendOf } from "./trend.ts";
import { Symptom, type SymptomSnapshot, type SymptomVerdict } from "./unexplained.ts";

export type VerdictState = "active" | "pending" | "inactive" | "unknown";

/** One number of the evidence, beside what it is compared with. */
export interface Finding {
  readonly metric: string;
  /** Undefined: no samples. */
  readonly value: number | undefined;
  readonly is: "<" | ">" | ">=";
  readonly threshold: number;
  readonly unit: string;
  readonly holds: boolean;
}

export interface Verdict {
  readonly cause: CauseId;
  readonly state: VerdictState;
  /** Since when it is active or pending; undefined else. */
  readonly sinceMs: number | undefined;
  /** Whether what this host grants is enough to judge it. */
  readonly observable: boolean;
  readonly evidence: readonly Finding[];
}

interface Progress {
  readonly pendingSinceMs?: number;
  readonly activeSinceMs?: number;
  readonly lastTrueMs?: number;
}

/** JSON-safe. */
export interface DiagnosisSnapshot {
  readonly history: HistorySnapshot;
  readonly progress: Readonly<Record<string, Progress>>;
  readonly symptom: SymptomSnapshot;
}

const progressShape = object({
  pendingSinceMs: optional(time),
  activeSinceMs: optional(time),
  lastTrueMs: optional(time),
});
const diagnosisShape = object({ history: anything, progress: record(progressShape, 100), symptom: anything });

/** No condition names these; they are kept for whoever asks later whether this host reset a connection. */
export const resetsSent = series("tcp_resets_sent_total");
export const resetsRead = series("source_up", { source: ["tcp_trace"] });

export class Diagnosis {
  readonly #catalogue: readonly Cause[];
  readonly #history: History;
  readonly #symptom: Symptom;
  #progress = new Map<CauseId, Progress>();

  constructor(catalogue: readonly Cause[] = everyCause, sampleIntervalMs?: number) {
    this.#catalogue = catalogue;
    const named = catalogue.flatMap(({ evidence, stay, explainsWhen, observable }) =>
      [evidence, stay, explainsWhen, observable].flatMap((condition) =>
        condition === undefined ? [] : selectors(condition),
      ),
    );
    this.#symptom = new Symptom(catalogue);
    this.#history = new History([...named, ...this.#symptom.selectors, resetsSent, resetsRead], sampleIntervalMs);
  }

  /** One whole scrape, in order of time. */
  record(timeMs: number, samples: readonly Sample[]): void {
    this.#history.record(timeMs, samples);
    for (const cause of this.#catalogue) this.#progress.set(cause.id, this.#step(cause, timeMs));
    this.#symptom.step(timeMs, this.#history);
  }

  /** As of the newest record; `timeMs` only tells how old that is: after 5 minutes without one nothing is known. */
  verdicts(timeMs: number): readonly Verdict[] {
    const latestMs = this.#history.latestMs;
    const stale = latestMs === undefined || timeMs - latestMs > 300_000;
    return this.#catalogue.map((cause) => this.#verdict(cause, stale ? undefined : latestMs));
  }

  /** Causes at work as of the newest record, with since when: cheaper than the verdicts. */
  active(): ReadonlyMap<CauseId, number> {
    const since = new Map<CauseId, number>();
    for (const [id, { activeSinceMs }] of this.#progress) if (activeSinceMs !== undefined) since.set(id, activeSinceMs);
    return since;
  }

  /** Of the leading number of each cause, as of the newest record. */
  trends(): ReadonlyMap<CauseId, Trend> {
    const nowMs = this.#history.latestMs ?? 0;
    return new Map(this.#catalogue.map((cause) => [cause.id, trendOf(cause, this.#history, nowMs)]));
  }

  /** Known peers that are reset, and whether a cause explains it. */
  symptom(): SymptomVerdict {
    return this.#symptom.verdict();
  }

  snapshot(): DiagnosisSnapshot {
    return {
      history: this.#history.snapshot(),
      progress: Object.fromEntries(this.#progress),
      symptom: this.#symptom.snapshot(),
    };
  }

  /** Throws on anything but a snapshot. */
  restore(saved: unknown): void {
    const { history, progress, symptom } = diagnosisShape(saved, "diagnosis");
    this.#history.restore(history);
    this.#progress = new Map(
      this.#catalogue.flatMap(({ id }) => (progress[id] === undefined ? [] : [[id, progress[id]]])),
    );
    this.#symptom.restore(symptom);
  }

  #step({ id, evidence, stay, thresholds, forSeconds, keepSeconds }: Cause, timeMs: number): Progress {
    const { pendingSinceMs, activeSinceMs, lastTrueMs } = this.#progress.get(id) ?? {};
    const holds =
      evaluate(evidence, thresholds, this.#history, timeMs) === true ||
      (activeSinceMs !== undefined && stay !== undefined && evaluate(stay, thresholds, this.#history, timeMs) === true);
    if (activeSinceMs !== undefined) {
      if (holds) return { activeSinceMs, lastTrueMs: timeMs };
      const kept = lastTrueMs !== undefined && timeMs - lastTrueMs < keepSeconds * 1000;
      return kept ? { activeSinceMs, lastTrueMs } : {};
    }
    if (!holds) return {};
    const sinceMs = pendingSinceMs ?? timeMs;
    return timeMs - sinceMs >= forSeconds * 1000
      ? { activeSinceMs: timeMs, lastTrueMs: timeMs }
      : { pendingSinceMs: sinceMs };
  }

  #verdict({ id, evidence, thresholds, observable }: Cause, nowMs: number | undefined): Verdict {
    if (nowMs === undefined) {
      return { cause: id, state: "unknown", sinceMs: undefined, observable: false, evidence: [] };
    }
    const { pendingSinceMs, activeSinceMs } = this.#progress.get(id) ?? {};
    const canSee = evaluate(observable, observableThresholds, this.#history, nowMs) === true;
    const findings = leaves(evidence).map((leaf): Finding => {
      const value = measure(leaf, this.#history, nowMs);
      const { value: threshold, unit } = thresholds[leaf.threshold] ?? { value: Number.NaN, unit: "" };
      const than = limit(leaf, thresholds);
      const holds = value !== undefined && (leaf.is === "<" ? value < than : value > than);
      return { metric: leaf.of.metric, value, is: leaf.is, threshold, unit, holds };
    });
    const known = canSee && this.#history.length > 1 && findings.some(({ value }) => value !== undefined);
    const state =
      activeSinceMs !== undefined
        ? "active"
        : pendingSinceMs !== undefined
          ? "pending"
          : known
            ? "inactive"
            : "unknown";
    return { cause: id, state, sinceMs: activeSinceMs ?? pendingSinceMs, observable: canSee, evidence: findings };
  }
}
