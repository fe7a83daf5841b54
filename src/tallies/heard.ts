/**
 * Who was heard of on this host, and when: addresses in sshd's log and in the kernel's reset events, by turns of ten
 * minutes. Cloud flow logs come up to a quarter of an hour late; then it must still be known.
 */
import { detached } from "../connections/bounded.ts";
import type { Event, EventKind } from "../model/event.ts";
import { list, object, orNull, text, tuple, whole } from "../model/saved.ts";

export const heardKinds: readonly EventKind[] = [
  "sshd.connection",
  "sshd.accepted",
  "sshd.authentication_failed",
  "sshd.ended",
  "sshd.drop",
  "tcp.reset_received",
  "tcp.reset_sent",
];
const turnMs = 600_000;
/** A flow begins up to a minute after its record says, by rounding and by clocks that differ. */
const earlyMs = 60_000;
const lateMs = 600_000;

export class Heard {
  readonly #turnsKept: number;
  readonly #turnCapacity: number;
  /** By number of the turn; undefined: more addresses than are kept, so that it cannot tell any more. */
  readonly #turns = new Map<number, Set<string> | undefined>();
  #first = Number.POSITIVE_INFINITY;

  constructor({ turnsKept = 6, turnCapacity = 5_000 } = {}) {
    this.#turnsKept = turnsKept;
    this.#turnCapacity = turnCapacity;
  }

  take(event: Event, timeMs: number): void {
    const address = "address" in event ? event.address : undefined;
    const turn = Math.floor(timeMs / turnMs);
    this.#first = Math.min(this.#first, turn);
    if (address === undefined) return;
    if (!this.#turns.has(turn)) this.#begin(turn);
    const addresses = this.#turns.get(turn);
    if (addresses === undefined || addresses.has(address)) return;
    if (addresses.size < this.#turnCapacity) addresses.add(detached(address));
    else this.#turns.set(turn, undefined);
  }

  /** Whether it was heard of around a beginning at that time; undefined where that cannot be told. */
  of(address: string, timeMs: number): boolean | undefined {
    const from = Math.floor((timeMs - earlyMs) / turnMs);
    const to = Math.floor((timeMs + lateMs) / turnMs);
    let certain = from >= this.#first;
    for (let turn = from; turn <= to; turn++) {
      const addresses = this.#turns.get(turn);
      if (addresses?.has(address)) return true;
      if (addresses === undefined && this.#turns.has(turn)) certain = false;
    }
    return certain ? false : undefined;
  }

  #begin(turn: number): void {
    this.#turns.set(turn, new Set());
    while (this.#turns.size > this.#turnsKept) {
      const oldest = Math.min(...this.#turns.keys());
      this.#turns.delete(oldest);
      this.#first = Math.max(this.#first, oldest + 1);
    }
  }

  snapshot(): unknown {
    return {
      first: Number.isFinite(this.#first) ? this.#first : null,
      turns: [...this.#turns].map(([turn, addresses]) => [turn, addresses === undefined ? null : [...addresses]]),
    };
  }

  restore(saved: unknown): void {
    const turns = list(tuple(whole, orNull(list(text, this.#turnCapacity))), this.#turnsKept);
    const state = object({ first: orNull(whole), turns })(saved, "heard");
    this.#first = state.first ?? Number.POSITIVE_INFINITY;
    for (const [turn, addresses] of state.turns)
      this.#turns.set(turn, addresses === null ? undefined : new Set(addresses));
  }
}
