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

/** What is kept of a peer, in this order: its last login; the last end of one of its connections; the last of these that was a reset. 0: never. */
const login = 0;
const end = 1;
const reset = 2;
const timesOfPeer = 3;

export class KnownPeers {
  readonly #capacity: number;
  /** By login, oldest first; where the times of each begin. */
  readonly #places = new Map<string, number>();
  /** All times in one array: 20,000 objects of three numbers would be most of what the garbage collector has to visit. */
  readonly #times: Float64Array;
  readonly #free: number[] = [];
  /** Asked for several times for each end: the last answer is kept. */
  #lastPeer: string | undefined;
  #lastPlace: number | undefined;

  constructor(capacity = 20_000) {
    this.#capacity = capacity;
    this.#times = new Float64Array(capacity * timesOfPeer);
  }

  get size(): number {
    return this.#places.size;
  }

  has(peer: string, timeMs: number): boolean {
    const place = this.#find(peer);
    return place !== undefined && timeMs - this.#time(place, login) <= knownForMs;
  }

  authenticated(peer: string, timeMs: number): void {
    const place = this.#find(peer);
    if (place === undefined) {
      this.#add(peer, timeMs, 0, 0);
      return;
    }
    const before = this.#time(place, login);
    if (timeMs <= before) return;
    this.#times[place + login] = timeMs;
    if (timeMs - before < sameOrderMs) return;
    this.#places.delete(peer);
    this.#places.set(detached(peer), place);
  }

  ended(peer: string, timeMs: number, wasReset: boolean): void {
    const place = this.#find(peer);
    if (place === undefined) return;
    if (timeMs > this.#time(place, end)) this.#times[place + end] = timeMs;
    if (wasReset && timeMs > this.#time(place, reset)) this.#times[place + reset] = timeMs;
  }

  /** `connected`: peers with an open session now, who are active however long ago they logged in. */
  count(nowMs: number, connected: ReadonlySet<string>): { all: number; active: number; reset: number } {
    const counts = { all: 0, active: 0, reset: 0 };
    for (const [peer, place] of this.#places) {
      const loginMs = this.#time(place, login);
      if (nowMs - loginMs > knownForMs) continue;
      counts.all++;
      if (nowMs - Math.max(loginMs, this.#time(place, end)) <= activeForMs || connected.has(peer)) counts.active++;
      const resetMs = this.#time(place, reset);
      if (resetMs !== 0 && nowMs - resetMs <= resetForMs) counts.reset++;
    }
    return counts;
  }

  /** Forgets those whose last login is too long ago. */
  sweep(nowMs: number): void {
    for (const [peer, place] of this.#places) {
      if (nowMs - this.#time(place, login) > knownForMs) this.#forget(peer, place);
    }
  }

  snapshot(): unknown {
    return new LongList(() => this.#rows());
  }

  *#rows(): Generator<readonly [string, number, number, number]> {
    for (const [peer, place] of this.#places) {
      yield [peer, this.#time(place, login), this.#time(place, end), this.#time(place, reset)];
    }
  }

  restore(saved: unknown): void {
    const rows = list(tuple(text, time, time, time), this.#capacity)(saved, "known peers");
    for (const [peer, loginMs, endMs, resetMs] of rows) {
      if (this.#places.has(peer)) throw new Error(`known peers: ${JSON.stringify(peer)} is there twice`);
      this.#add(peer, loginMs, endMs, resetMs);
    }
  }

  #find(peer: string): number | undefined {
    if (peer !== this.#lastPeer) {
      this.#lastPlace = this.#places.get(peer);
      this.#lastPeer = peer;
    }
    return this.#lastPlace;
  }

  #add(peer: string, loginMs: number, endMs: number, resetMs: number): void {
    if (this.#places.size >= this.#capacity) {
      for (const [displaced, place] of oldest(this.#places, this.#capacity)) this.#forget(displaced, place);
    }
    const place = this.#free.pop() ?? this.#places.size * timesOfPeer;
    this.#times[place + login] = loginMs;
    this.#times[place + end] = endMs;
    this.#times[place + reset] = resetMs;
    this.#places.set(detached(peer), place);
    this.#lastPeer = undefined;
  }

  #forget(peer: string, place: number): void {
    this.#places.delete(peer);
    this.#free.push(place);
    this.#lastPeer = undefined;
  }

  #time(place: number, which: number): number {
    return this.#times[place + which] as number;
  }
}
