/**
 * How long sessions had been idle when they ended: firewalls, balancers and NAT cut idle connections at fixed ages.
 * Needs the sockets' own clock (ss, tcp_info's last_rcv); without it nothing is counted here.
 */
import type { ConnectionEnd } from "../model/connection.ts";
import type { EventKind } from "../model/event.ts";
import { knownIdleSeconds } from "../model/idle-timeouts.ts";
import type { HistogramValue, MetricDef, Sample } from "../model/metric.ts";
import { amount, anything, flag, list, object, oneOf, time, tuple } from "../model/saved.ts";
import { Counters } from "./counters.ts";
import type { Tally } from "./tally.ts";

/** Sockets are looked at every few seconds, and a cut shows only when somebody sends. */
const toleranceSeconds = 5;
const otherTolerance = 0.05;
/** Below this, idle ages are those of sessions in use. */
const shortestSeconds = 3;
const cutsForOther = 3;
const rememberMs = 24 * 3_600_000;
const remembered = 64;
const outcomes = ["reset", "closed", "disconnect", "timeout", "error"];

export const idleAtEnd: MetricDef = {
  name: "sshreset_session_idle_at_end_seconds",
  help: "Time since the last segment received from the peer when a session ended. Only where sockets are watched.",
  type: "histogram",
  labels: ["outcome"],
  values: { outcome: outcomes },
  buckets: [1, 5, 15, 30, 55, 65, 120, 180, 235, 245, 300, 345, 355, 480, 595, 605, 900, 1_800, 3_600, 7_200, 86_400],
};
export const cutIdle: MetricDef = {
  name: "sshreset_sessions_cut_idle_total",
  help:
    "Sessions that ended without an SSH disconnect (reset, closed, or without a word) at a well-known idle age, within 5 s " +
    "(which product has it: docs/idle-timeouts.md); other: at least three sessions within 24 h at the same idle age, within 5 %.",
  type: "counter",
  labels: ["timeout"],
  values: { timeout: [...knownIdleSeconds.map(String), "other"] },
};

export class IdleTally implements Tally {
  readonly kinds: readonly EventKind[] = [];
  readonly #histograms = new Map<string, { counts: number[]; sum: number }>();
  readonly #cut = new Counters(cutIdle);
  /** Cuts at ages that are not well-known; those counted as other are marked. */
  #cuts: { timeMs: number; seconds: number; counted: boolean }[] = [];

  constructor() {
    for (const outcome of outcomes) this.#histograms.set(outcome, { counts: bucketCounts(), sum: 0 });
  }

  ended({ phase, outcome, idleMs, timeMs }: ConnectionEnd): void {
    if (phase !== "session" || idleMs === undefined) return;
    const seconds = idleMs / 1000;
    this.#observe(outcome, seconds);
    if (outcome === "disconnect" || outcome === "timeout" || seconds < shortestSeconds) return;
    const wellKnown = knownIdleSeconds.find((timeout) => Math.abs(seconds - timeout) <= toleranceSeconds);
    if (wellKnown !== undefined) this.#cut.add(1, String(wellKnown));
    else this.#cutOther(seconds, timeMs);
  }

  #observe(outcome: string, seconds: number): void {
    const histogram = this.#histograms.get(outcome);
    if (!histogram) return;
    const found = idleAtEnd.buckets?.findIndex((bound) => seconds <= bound) ?? -1;
    const bucket = found < 0 ? histogram.counts.length - 1 : found;
    histogram.counts[bucket] = (histogram.counts[bucket] ?? 0) + 1;
    histogram.sum += seconds;
  }

  #cutOther(seconds: number, timeMs: number): void {
    this.#cuts = this.#cuts.filter((cut) => timeMs - cut.timeMs <= rememberMs).slice(1 - remembered);
    this.#cuts.push({ timeMs, seconds, counted: false });
    const tolerance = Math.max(1, seconds * otherTolerance);
    const same = this.#cuts.filter((cut) => Math.abs(cut.seconds - seconds) <= tolerance);
    if (same.length < cutsForOther) return;
    for (const cut of same) {
      if (!cut.counted) this.#cut.add(1, "other");
      cut.counted = true;
    }
  }

  samples(): Sample[] {
    const histograms = [...this.#histograms].map(([outcome, { counts, sum }]) => {
      const value: HistogramValue = { counts: [...counts], sum };
      return { name: idleAtEnd.name, labels: { outcome }, value };
    });
    return [...histograms, ...this.#cut.samples()];
  }

  snapshot(): unknown {
    return { histograms: [...this.#histograms], cut: this.#cut.snapshot(), cuts: this.#cuts };
  }

  restore(saved: unknown): void {
    const state = object({
      histograms: list(tuple(oneOf(outcomes), object({ counts: list(amount, 100), sum: amount })), outcomes.length),
      cut: anything,
      cuts: list(object({ timeMs: time, seconds: amount, counted: flag }), remembered),
    })(saved, "idle");
    for (const [outcome, histogram] of state.histograms) {
      // Buckets of another release cannot be carried over.
      if (histogram.counts.length === bucketCounts().length) this.#histograms.set(outcome, histogram);
    }
    this.#cut.restore(state.cut);
    this.#cuts = state.cuts;
  }
}

const bucketCounts = (): number[] => new Array<number>((idleAtEnd.buckets?.length ?? 0) + 1).fill(0);

export const idleMetrics = [idleAtEnd, cutIdle];
