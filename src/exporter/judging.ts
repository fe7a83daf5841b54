/**
 * Judges the causes every 15 seconds on all samples of this host, and keeps their hour of history in the state
 * directory: separate from the counts, since losing it costs an hour of judgement and no count.
 */
import { causeIds } from "../diagnosis/cause.ts";
import { type CauseSeen, checklist, type Ends, seenNow } from "../diagnosis/checklist.ts";
import { Course } from "../diagnosis/course.ts";
import { Diagnosis } from "../diagnosis/verdict.ts";
import type { CauseLines, ChecklistReport } from "../model/checklist.ts";
import type { Sample } from "../model/metric.ts";

export const judgeIntervalMs = 15_000;
const hourMs = 3_600_000;
/** Samples are written every minute: a kill -9 costs at most that much of the hour. */
const judgementsPerSave = 4;

export class Judging {
  readonly diagnosis = new Diagnosis();
  readonly #course = new Course();
  #latest: readonly Sample[] = [];
  /** Made when they are first asked for after a judgement. */
  #trends: ReturnType<Diagnosis["trends"]> | undefined;
  readonly #save: (state: unknown) => Promise<void>;
  #judgements = 0;
  #shown: readonly Sample[] = [];
  #shownMs = Number.NEGATIVE_INFINITY;

  /** `saved` is what `save` was given before; throws if it is not. */
  constructor(save: (state: unknown) => Promise<void>, saved?: unknown) {
    this.#save = save;
    if (saved !== undefined) this.diagnosis.restore(saved);
  }

  async judge(timeMs: number, samples: readonly Sample[]): Promise<void> {
    this.diagnosis.record(timeMs, samples);
    this.#course.follow(this.diagnosis, timeMs, { fromMs: timeMs - hourMs, toMs: timeMs });
    this.#latest = samples;
    this.#trends = undefined;
    this.#show(timeMs);
    const saves = this.savesNext;
    this.#judgements++;
    if (saves) await this.save();
  }

  /** Whether the samples of the next judgement will be written down. */
  get savesNext(): boolean {
    return (this.#judgements + 1) % judgementsPerSave === 0;
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

  /** The checklist of the last hour, as of the last judgement. `lines`: the decisive ones, for who may see them. */
  checklist(timeMs: number, lines?: ReadonlyMap<string, CauseLines>): ChecklistReport {
    this.#trends ??= this.diagnosis.trends();
    const trends = this.#trends;
    const seen = new Map(
      [...seenNow(this.diagnosis.verdicts(timeMs))].map(([cause, now]): [typeof cause, CauseSeen] => {
        const past = this.#course.of(cause);
        const trend = trends.get(cause);
        return [
          cause,
          {
            ...now,
            // While it is at work its numbers are those of now.
            ...(past !== undefined && now.state !== "active" && { evidence: past.evidence }),
            ...(past !== undefined && { episodes: past.episodes }),
            ...(trend !== undefined && { trend }),
            ...lines?.get(cause),
          },
        ];
      }),
    );
    const { state, sinceMs, causes } = this.diagnosis.symptom();
    return checklist({
      fromMs: timeMs - hourMs,
      toMs: timeMs,
      seen,
      symptom: { state, ...(sinceMs !== undefined && { sinceMs }), explainedBy: causes },
      ends: this.#ends(),
    });
  }

  #ends(): Ends {
    const resetPeers = this.#latest.find(({ name }) => name === "sshreset_known_peers_reset")?.value;
    const visible = this.#latest.some(
      ({ name, labels = {}, value }) =>
        name === "sshreset_source_up" && value === 1 && /^(?:journal|logfile)$/.test(labels["source"] ?? ""),
    );
    return { visible, ...(typeof resetPeers === "number" && { resetPeers }) };
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
