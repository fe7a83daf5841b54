/**
 * Peers that authenticated here within the last 30 days, and when they were last reset. Bounded: the one whose login is
 * longest ago makes room.
 */
import { LongList } from "../model/long-list.ts";
import { list, text, time, tuple } from "../model/saved.ts";
import { oldest } from "./bounded.ts";
import { holders, type PeerPlaces } from "./peer-places.ts";

export const knownForMs = 30 * 24 * 3_600_000;
export const activeForMs = 3_600_000;
export const resetForMs = 10 * 60_000;
/** Logins of one peer so close together leave it in its place: the order only tells who is forgotten first. */
const sameOrderMs = 3_600_000;
/** After a step of the clock it may be all of them: some milliseconds' work, the rest at the next sweep. */
const sweptAtOnce = 2_000;

/** What is kept of a peer, in this order: its last login; the last end of one of its connections; the last of these that was a reset. 0: never. */
const login = 0;
const end = 1;
const reset = 2;
const timesOfPeer = 3;

export class KnownPeers {
  readonly #capacity: number;
  readonly #places: PeerPlaces;
  /** By login, oldest first. */
  readonly #order = new Set<number>();
  /** By place. All in one array: 20,000 objects of three numbers would be most of what the garbage collector has to visit. */
  readonly #times: Float64Array;

  constructor(places: PeerPlaces, capacity: number) {
    this.#capacity = capacity;
    this.#places = places;
    this.#times = new Float64Array(places.capacity * timesOfPeer);
  }

  get size(): number {
    return this.#order.size;
  }

  has(peer: string, timeMs: number): boolean {
    const place = this.#find(peer);
    return place !== -1 && timeMs - this.#time(place, login) <= knownForMs;
  }

  authenticated(peer: string, timeMs: number): void {
    const place = this.#find(peer);
    if (place === -1) {
      this.#add(peer, timeMs, 0, 0);
      return;
    }
    const before = this.#time(place, login);
    if (timeMs <= before) return;
    this.#set(place, login, timeMs);
    if (timeMs - before < sameOrderMs) return;
    this.#order.delete(place);
    this.#order.add(place);
  }

  ended(peer: string, timeMs: number, wasReset: boolean): void {
    const place = this.#find(peer);
    if (place === -1) return;
    if (timeMs > this.#time(place, end)) this.#set(place, end, timeMs);
    if (wasReset && timeMs > this.#time(place, reset)) this.#set(place, reset, timeMs);
  }

  /**
   * `connected`: peers with an open session now, with repeats, who are active however long ago they logged in. Only asked for
   * where somebody logged in so long ago.
   */
  count(nowMs: number, connected: () => Iterable<string>): { all: number; active: number; reset: number } {
    const counts = { all: 0, active: 0, reset: 0 };
    const isQuiet = new Uint8Array(this.#places.capacity);
    for (const place of this.#order) {
      const loginMs = this.#time(place, login);
      if (nowMs - loginMs > knownForMs) continue;
      counts.all++;
      if (nowMs - Math.max(loginMs, this.#time(place, end)) <= activeForMs) counts.active++;
      else isQuiet[place] = 1;
      const resetMs = this.#time(place, reset);
      if (resetMs !== 0 && nowMs - resetMs <= resetForMs) counts.reset++;
    }
    if (counts.active === counts.all) return counts;
    for (const peer of connected()) {
      const place = this.#find(peer);
      if (place === -1 || isQuiet[place] === 0) continue;
      isQuiet[place] = 0;
      counts.active++;
    }
    return counts;
  }

  /** Forgets those whose last login is too long ago: they are known no more, and only take places. */
  sweep(nowMs: number): void {
    let left = sweptAtOnce;
    for (const place of this.#order) {
      if (nowMs - this.#time(place, login) <= knownForMs) continue;
      this.#forget(place);
      if (--left === 0) return;
    }
  }

  snapshot(): unknown {
    return new LongList(() => this.#rows());
  }

  *#rows(): Generator<readonly [string, number, number, number]> {
    for (const place of this.#order) {
      yield [this.#places.peer(place), this.#time(place, login), this.#time(place, end), this.#time(place, reset)];
    }
  }

  restore(saved: unknown): void {
    const rows = list(tuple(text, time, time, time), this.#capacity)(saved, "known peers");
    for (const [peer, loginMs, endMs, resetMs] of rows) {
      if (this.#find(peer) !== -1) throw new Error(`known peers: ${JSON.stringify(peer)} is there twice`);
      this.#add(peer, loginMs, endMs, resetMs);
    }
  }

  #find(peer: string): number {
    const place = this.#places.find(peer);
    return this.#places.isHeld(place, holders.known) ? place : -1;
  }

  #add(peer: string, loginMs: number, endMs: number, resetMs: number): void {
    if (this.size >= this.#capacity) {
      for (const displaced of oldest(this.#order, this.#capacity)) this.#forget(displaced);
    }
    const place = this.#places.hold(peer, holders.known);
    this.#order.add(place);
    this.#set(place, login, loginMs);
    this.#set(place, end, endMs);
    this.#set(place, reset, resetMs);
  }

  #forget(place: number): void {
    this.#order.delete(place);
    this.#places.release(place, holders.known);
  }

  #time(place: number, which: number): number {
    return this.#times[place * timesOfPeer + which] as number;
  }

  #set(place: number, which: number, timeMs: number): void {
    this.#times[place * timesOfPeer + which] = timeMs;
  }
}
