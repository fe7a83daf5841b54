/**
 * Judges the causes every 15 seconds on all samples of this host, and keeps their hour of history in the state
 * directory: separate from the counts, since losing it costs an hour of judgement and no count.
 */
import { causeIds } from "../diagnosis/cause.ts";
import { Diagnosis, type DiagnosisSnapshot } from "../diagnosis/verdict.ts";
import type { Sample } from "../model/metric.ts";

export const judgeIntervalMs = 15_000;
/** Samples are written every minute: a kill -9 costs at most that much of the hour. */
const judgementsPerSave = 4;

export class Judging {
  readonly diagnosis = new Diagnosis();
  readonly #save: (state: unknown) => Promise<void>;
  #judgements = 0;
  #shown: readonly Sample[] = [];
  #shownMs = Number.NEGATIVE_INFINITY;

  /** `saved` is what `save` was given before; throws if it is not. */
  constructor(save: (state: unknown) => Promise<void>, saved?: unknown) {
    this.#save = save;
    if (saved !== undefined) this.diagnosis.restore(saved as DiagnosisSnapshot);
  }

  async judge(timeMs: number, samples: readonly Sample[]): Promise<void> {
    this.diagnosis.record(timeMs, samples);
    this.#show(timeMs);
    this.#judgements++;
    if (this.#judgements % judgementsPerSave === 0) await this.save();
  }

  save(): Promise<void> {
    return this.#save(this.diagnosis.snapshot());
  }

  /** As of the last judgement; looked at again where none came in time. */
  samples(timeMs: number): readonly Sample[] {
    const ageMs = timeMs - this.#shownMs;
    if (ageMs < 0 || ageMs >= judgeIntervalMs) this.#show(timeMs);
    return this.#shown;
  }

  #show(timeMs: number): void {
    const verdicts = this.diagnosis.verdicts(timeMs);
    this.#shownMs = timeMs;
    this.#shown = causeIds.flatMap((cause) => {
      const verdict = verdicts.find((each) => each.cause === cause);
      const labels = { cause };
      return [
        { name: "sshreset_cause_active", labels, value: verdict?.state === "active" ? 1 : 0 },
        { name: "sshreset_cause_observable", labels, value: verdict?.observable ? 1 : 0 },
      ];
    });
  }
}
