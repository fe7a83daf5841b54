/**
 * The course of the causes over a window: when each was at work, with its largest numbers meanwhile, and whether resets of
 * known peers went unexplained. It follows a Diagnosis, judgement by judgement.
 */
import type { Episode, SymptomReport } from "../model/checklist.ts";
import type { CauseId } from "./cause.ts";
import type { Diagnosis, Finding } from "./verdict.ts";

const episodesKept = 50;
/** What only follows the window's end belongs to it: its lines did not come later. */
const afterwardsMs = 15_000;

export class Course {
  readonly #causes = new Map<CauseId, { episodes: Episode[]; evidence: readonly Finding[] }>();
  #unexplained: { sinceMs: number } | undefined;
  #explainedBy: ReadonlySet<CauseId> = new Set();

  /** After a judgement at `timeMs`. What was over before `fromMs` is forgotten. */
  follow(
    diagnosis: Diagnosis,
    timeMs: number,
    { fromMs, toMs }: { readonly fromMs: number; readonly toMs: number },
  ): void {
    const active = diagnosis.active();
    for (const [id, { episodes }] of this.#causes) {
      const last = episodes.at(-1);
      if (last !== undefined && last.toMs === undefined && !active.has(id))
        episodes[episodes.length - 1] = { ...last, toMs: timeMs };
    }
    for (const own of this.#causes.values())
      if ((own.episodes[0]?.toMs ?? fromMs) < fromMs)
        own.episodes = own.episodes.filter(({ toMs: end }) => (end ?? fromMs) >= fromMs);
    const { state, sinceMs, causes } = diagnosis.symptom();
    if (state === "active" && sinceMs !== undefined && timeMs >= fromMs) this.#unexplained ??= { sinceMs };
    if (state === "explained" && timeMs >= fromMs) this.#explainedBy = new Set([...this.#explainedBy, ...causes]);
    if (active.size === 0 || timeMs < fromMs) return;
    const verdicts = diagnosis.verdicts(timeMs);
    for (const [id, sinceMs] of active) {
      const own = this.#causes.get(id) ?? { episodes: [], evidence: [] };
      this.#causes.set(id, own);
      const last = own.episodes.at(-1);
      if (last === undefined) own.evidence = [];
      if (last === undefined || last.toMs !== undefined) {
        if (own.episodes.length < episodesKept && sinceMs <= toMs + afterwardsMs)
          own.episodes.push({ fromMs: sinceMs });
      }
      own.evidence = larger(own.evidence, verdicts.find(({ cause }) => cause === id)?.evidence ?? []);
    }
  }

  of(id: CauseId): { readonly episodes: readonly Episode[]; readonly evidence: readonly Finding[] } | undefined {
    const own = this.#causes.get(id);
    return own === undefined || own.episodes.length === 0 ? undefined : own;
  }

  symptom(diagnosis: Diagnosis): SymptomReport {
    const { state, sinceMs } = diagnosis.symptom();
    const explainedBy = [...this.#explainedBy];
    if (this.#unexplained !== undefined) return { state: "active", sinceMs: this.#unexplained.sinceMs, explainedBy };
    if (state === "pending" && sinceMs !== undefined) return { state, sinceMs, explainedBy };
    return { state: explainedBy.length > 0 ? "explained" : "inactive", explainedBy };
  }
}

/** By metric and threshold, the finding that holds, with the value farthest from the threshold. */
function larger(before: readonly Finding[], now: readonly Finding[]): readonly Finding[] {
  if (before.length !== now.length) return now;
  return now.map((finding, index) => {
    const old = before[index];
    if (old?.holds !== true) return finding;
    if (!finding.holds) return old;
    const grew = finding.is === "<" ? (finding.value ?? 0) < (old.value ?? 0) : (finding.value ?? 0) > (old.value ?? 0);
    return grew ? finding : old;
  });
}
