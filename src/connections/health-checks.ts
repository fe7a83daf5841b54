/**
 * Finds load balancers and monitors: peers that connect again and again at a steady pace and leave before the banner is
 * answered. Twenty such probes make a health check; one attempt to authenticate, or a day of silence, ends it.
 * Pace: each gap within half of the mean gap (or 2 s), since a balancer's nodes take turns.
 */
import { amount, list, object, text, time, tuple } from "../model/saved.ts";
import { detached, oldest } from "./bounded.ts";

const probesNeeded = 20;
/** A burst is a scan. */
const shortestGapMs = 500;
const longestGapMs = 15 * 60_000;
const forgetMs = 24 * 3_600_000;

interface Probes {
  count: number;
  /** 0: it was turned away since. */
  lastMs: number;
  meanGapMs: number;
}

export class HealthChecks {
  readonly #found = new Map<string, Probes>();
  readonly #candidates = new Map<string, Probes>();
  readonly #capacity: { readonly found: number; readonly candidates: number };

  constructor(capacity = { found: 1_000, candidates: 4_000 }) {
    this.#capacity = capacity;
  }

  has(peer: string): boolean {
    return this.#found.has(peer);
  }

  probed(peer: string, timeMs: number): void {
    const found = this.#found.get(peer);
    if (found) {
      found.lastMs = Math.max(found.lastMs, timeMs);
      return;
    }
    const before = this.#candidates.get(peer);
    const probes = before ?? { count: 0, lastMs: timeMs, meanGapMs: 0 };
    follow(probes, timeMs);
    this.#candidates.delete(peer);
    if (probes.count >= probesNeeded && this.#found.size < this.#capacity.found) {
      this.#found.set(detached(peer), probes);
      return;
    }
    this.#candidates.set(before ? peer : detached(peer), probes);
    if (this.#candidates.size > this.#capacity.candidates) {
      for (const displaced of oldest(this.#candidates.keys(), this.#capacity.candidates)) {
        this.#candidates.delete(displaced);
      }
    }
  }

  /** sshd turned it away: how regular it is cannot be told from what comes next, which may be long after. */
  interrupted(peer: string): void {
    const candidate = this.#candidates.get(peer);
    if (candidate) candidate.lastMs = 0;
  }

  /** It went further than a probe does. */
  refute(peer: string): void {
    if (this.#found.size > 0) this.#found.delete(peer);
    if (this.#candidates.size > 0) this.#candidates.delete(peer);
  }

  sweep(nowMs: number): void {
    for (const [peer, { lastMs }] of this.#found) if (nowMs - lastMs > forgetMs) this.#found.delete(peer);
  }

  snapshot(): unknown {
    const rows = (probes: Map<string, Probes>) =>
      [...probes].map(([peer, { count, lastMs, meanGapMs }]) => [peer, count, lastMs, meanGapMs]);
    return { found: rows(this.#found), candidates: rows(this.#candidates) };
  }

  restore(saved: unknown): void {
    const row = tuple(text, amount, time, amount);
    const { found, candidates } = object({
      found: list(row, this.#capacity.found),
      candidates: list(row, this.#capacity.candidates),
    })(saved, "health checks");
    for (const [rows, into] of [
      [found, this.#found],
      [candidates, this.#candidates],
    ] as const) {
      for (const [peer, count, lastMs, meanGapMs] of rows) into.set(peer, { count, lastMs, meanGapMs });
    }
  }
}

function follow(probes: Probes, timeMs: number): void {
  const gapMs = timeMs - probes.lastMs;
  const isInterrupted = probes.lastMs === 0;
  probes.lastMs = timeMs;
  if (isInterrupted) return;
  if (probes.count === 0) {
    probes.count = 1;
    return;
  }
  const regular = probes.meanGapMs === 0 || Math.abs(gapMs - probes.meanGapMs) <= Math.max(2_000, probes.meanGapMs / 2);
  if (!regular || gapMs < shortestGapMs || gapMs > longestGapMs) {
    probes.count = 1;
    probes.meanGapMs = 0;
    return;
  }
  probes.count++;
  probes.meanGapMs = probes.meanGapMs === 0 ? gapMs : probes.meanGapMs + (gapMs - probes.meanGapMs) / 8;
}
