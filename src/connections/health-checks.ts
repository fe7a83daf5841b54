/**
 * Finds load balancers and monitors: peers that connect again and again at a steady pace and leave before the banner is
 * answered. Twenty such probes make a health check; one attempt to authenticate, or a day of silence, ends it.
 * Pace: each gap within half of the mean gap (or 2 s), since a balancer's nodes take turns.
 */
import { amount, list, object, text, time, tuple } from "../model/saved.ts";
import { oldest } from "./bounded.ts";
import { holders, type PeerPlaces } from "./peer-places.ts";

const probesNeeded = 20;
/** A burst is a scan. */
const shortestGapMs = 500;
const longestGapMs = 15 * 60_000;
const forgetMs = 24 * 3_600_000;

/** What is kept of a peer, in this order: regular probes in a row; the last of them, 0 when it was turned away since; the mean gap. */
const count = 0;
const last = 1;
const gap = 2;
const numbersOfPeer = 3;

export class HealthChecks {
  readonly #places: PeerPlaces;
  readonly #found = new Set<number>();
  /** By their last probe, oldest first. */
  readonly #candidates = new Set<number>();
  /** By place. */
  readonly #numbers: Float64Array;
  readonly #capacity: { readonly found: number; readonly candidates: number };

  constructor(places: PeerPlaces, capacity: { readonly found: number; readonly candidates: number }) {
    this.#places = places;
    this.#capacity = capacity;
    this.#numbers = new Float64Array(places.capacity * numbersOfPeer);
  }

  has(peer: string): boolean {
    return this.#places.isHeld(this.#places.find(peer), holders.check);
  }

  probed(peer: string, timeMs: number): void {
    let place = this.#places.find(peer);
    if (this.#places.isHeld(place, holders.check)) {
      if (timeMs > this.#number(place, last)) this.#set(place, last, timeMs);
      return;
    }
    if (this.#places.isHeld(place, holders.candidate)) this.#candidates.delete(place);
    else place = this.#begin(peer, timeMs);
    this.#candidates.add(place);
    this.#follow(place, timeMs);
    if (this.#number(place, count) >= probesNeeded && this.#found.size < this.#capacity.found) {
      this.#found.add(this.#places.hold(peer, holders.check));
      this.#drop(place);
    }
  }

  #begin(peer: string, timeMs: number): number {
    if (this.#candidates.size >= this.#capacity.candidates) {
      for (const displaced of oldest(this.#candidates, this.#capacity.candidates)) this.#drop(displaced);
    }
    const place = this.#places.hold(peer, holders.candidate);
    this.#set(place, count, 0);
    this.#set(place, last, timeMs);
    this.#set(place, gap, 0);
    return place;
  }

  /** sshd turned it away: how regular it is cannot be told from what comes next, which may be long after. */
  interrupted(peer: string): void {
    const place = this.#places.find(peer);
    if (this.#places.isHeld(place, holders.candidate)) this.#set(place, last, 0);
  }

  /** It went further than a probe does. */
  refute(peer: string): void {
    const place = this.#places.find(peer);
    if (this.#places.isHeld(place, holders.check)) this.#forget(place);
    if (this.#places.isHeld(place, holders.candidate)) this.#drop(place);
  }

  sweep(nowMs: number): void {
    for (const place of this.#found) if (nowMs - this.#number(place, last) > forgetMs) this.#forget(place);
  }

  snapshot(): unknown {
    const rows = (places: Iterable<number>) =>
      Array.from(places, (place) => [
        this.#places.peer(place),
        this.#number(place, count),
        this.#number(place, last),
        this.#number(place, gap),
      ]);
    return { found: rows(this.#found), candidates: rows(this.#candidates) };
  }

  restore(saved: unknown): void {
    const row = tuple(text, amount, time, amount);
    const { found, candidates } = object({
      found: list(row, this.#capacity.found),
      candidates: list(row, this.#capacity.candidates),
    })(saved, "health checks");
    const kinds = [
      { rows: found, into: this.#found, holder: holders.check },
      { rows: candidates, into: this.#candidates, holder: holders.candidate },
    ];
    for (const { rows, into, holder } of kinds) {
      for (const [peer, ...numbers] of rows) {
        const place = this.#places.hold(peer, holder);
        into.add(place);
        this.#numbers.set(numbers, place * numbersOfPeer);
      }
    }
  }

  #follow(place: number, timeMs: number): void {
    const lastMs = this.#number(place, last);
    const meanGapMs = this.#number(place, gap);
    this.#set(place, last, timeMs);
    if (lastMs === 0) return;
    if (this.#number(place, count) === 0) {
      this.#set(place, count, 1);
      return;
    }
    const gapMs = timeMs - lastMs;
    const regular = meanGapMs === 0 || Math.abs(gapMs - meanGapMs) <= Math.max(2_000, meanGapMs / 2);
    if (!regular || gapMs < shortestGapMs || gapMs > longestGapMs) {
      this.#set(place, count, 1);
      this.#set(place, gap, 0);
      return;
    }
    this.#set(place, count, this.#number(place, count) + 1);
    this.#set(place, gap, meanGapMs === 0 ? gapMs : meanGapMs + (gapMs - meanGapMs) / 8);
  }

  #drop(candidate: number): void {
    this.#candidates.delete(candidate);
    this.#places.release(candidate, holders.candidate);
  }

  #forget(check: number): void {
    this.#found.delete(check);
    this.#places.release(check, holders.check);
  }

  #number(place: number, which: number): number {
    return this.#numbers[place * numbersOfPeer + which] as number;
  }

  #set(place: number, which: number, value: number): void {
    this.#numbers[place * numbersOfPeer + which] = value;
  }
}
