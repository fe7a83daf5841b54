/**
 * Peers that authenticated here within the last 30 days, and when they were last reset. Bounded: the one whose login is
 * longest ago makes room.
 */
import { LongList } from "../model/long-list.ts";
import { list, text, time, tuple } from "../model/saved.ts";
import { detached, oldest } from "./bounded.ts";

export const knownForMs = 30 * 24 * 3_600_000;
export const activeForMs = 3_600_000;
export const resetForMs = 10 * 60_000;
/** Logins of one peer so close together leave it in its place: the order only tells who is forgotten first. */
const sameOrderMs = 3_600_000;

interface Known {
  authenticatedMs: number;
  /** Last end of one of its connections; 0 before the first. */
  endedMs: number;
  /** 0: never. */
  resetMs: number;
}

export class KnownPeers {
  readonly #capacity: number;
  /** By login, oldest first. */
  readonly #peers = new Map<string, Known>();

  constructor(capacity = 20_000) {
    this.#capacity = capacity;
  }

  get size(): number {
    return this.#peers.size;
  }

  has(peer: string, timeMs: number): boolean {
    const known = this.#peers.get(peer);
    return known !== undefined && timeMs - known.authenticatedMs <= knownForMs;
  }

  authenticated(peer: string, timeMs: number): void {
    const known = this.#peers.get(peer);
    if (known) {
      if (timeMs <= known.authenticatedMs) return;
      if (timeMs - known.authenticatedMs < sameOrderMs) {
        known.authenticatedMs = timeMs;
        return;
      }
      this.#peers.delete(peer);
      this.#peers.set(peer, { ...known, authenticatedMs: timeMs });
      return;
    }
    this.#peers.set(detached(peer), { authenticatedMs: timeMs, endedMs: 0, resetMs: 0 });
    if (this.#peers.size > this.#capacity) {
      for (const displaced of oldest(this.#peers.keys(), this.#capacity)) this.#peers.delete(displaced);
    }
  }

  ended(peer: string, timeMs: number, reset: boolean): void {
    const known = this.#peers.get(peer);
    if (!known) return;
    known.endedMs = Math.max(known.endedMs, timeMs);
    if (reset) known.resetMs = Math.max(known.resetMs, timeMs);
  }

  /** `connected`: peers with an open session now, who are active however long ago they logged in. */
  count(nowMs: number, connected: ReadonlySet<string>): { all: number; active: number; reset: number } {
    let all = 0;
    let active = 0;
    let reset = 0;
    for (const [peer, { authenticatedMs, endedMs, resetMs }] of this.#peers) {
      if (nowMs - authenticatedMs > knownForMs) continue;
      all++;
      if (nowMs - Math.max(authenticatedMs, endedMs) <= activeForMs || connected.has(peer)) active++;
      if (resetMs !== 0 && nowMs - resetMs <= resetForMs) reset++;
    }
    return { all, active, reset };
  }

  /** Forgets those whose last login is too long ago. */
  sweep(nowMs: number): void {
    for (const [peer, { authenticatedMs }] of this.#peers) {
      if (nowMs - authenticatedMs > knownForMs) this.#peers.delete(peer);
    }
  }

  snapshot(): unknown {
    return new LongList(() => this.#rows());
  }

  *#rows(): Generator<readonly [string, number, number, number]> {
    for (const [peer, { authenticatedMs, endedMs, resetMs }] of this.#peers) {
      yield [peer, authenticatedMs, endedMs, resetMs];
    }
  }

  restore(saved: unknown): void {
    const rows = list(tuple(text, time, time, time), this.#capacity)(saved, "known peers");
    for (const [peer, authenticatedMs, endedMs, resetMs] of rows) {
      this.#peers.set(peer, { authenticatedMs, endedMs, resetMs });
    }
  }
}
