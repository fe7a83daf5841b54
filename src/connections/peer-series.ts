/**
 * Resets per peer as a bounded number of counters: up to 50 peers have series of their own, all others share
 * peer="other". A reset is added to exactly one series when it happens, and nothing moves later. A series begins at 0:
 * the reset that makes a peer worth showing is still counted as other.
 * Known peers are shown from their login on while there is room; an unknown one when the sketch is sure of ten resets.
 */
import { createHmac } from "node:crypto";
import { type PeerClass, peerClasses } from "../model/connection.ts";
import type { Sample } from "../model/metric.ts";
import { amount, anything, flag, list, object, optional, type Shape, text, time, tuple } from "../model/saved.ts";
import { HeavyHitters } from "./heavy-hitters.ts";

export type PeersShown = "known" | "all" | "none";
export type Direction = "received" | "sent";

export interface PeerSeriesOptions {
  readonly show: PeersShown;
  /** Key for showing HMAC-SHA256 (16 hex digits) in place of the address. */
  readonly hashKey?: string | undefined;
}

const shownLimit = 50;
/** Places that peers who never logged in cannot take. */
const keptForKnown = 30;
const sureResets = 10;
/** A shown peer without a reset for so long gives its place to another; its series end. */
const idleMs = 24 * 3_600_000;

type Counts = Record<Direction, number>;

interface Shown {
  /** By class: a peer that logs in for the first time goes on as another series. */
  readonly counts: Partial<Record<PeerClass, Counts>>;
  known: boolean;
  lastMs: number;
  /** Whether it was ever reset while shown: one that was not makes room first. */
  reset: boolean;
}

export class PeerSeries {
  readonly #options: PeerSeriesOptions;
  readonly #sketch = new HeavyHitters();
  readonly #shown = new Map<string, Shown>();
  /** For known peers and others: no shown one gives up its place before. Else an attack would ask them all at each reset. */
  #knownFullUntilMs = 0;
  #othersFullUntilMs = 0;
  readonly #other: Record<PeerClass, Counts> = {
    known: { received: 0, sent: 0 },
    unknown: { received: 0, sent: 0 },
    health_check: { received: 0, sent: 0 },
    proxy: { received: 0, sent: 0 },
  };

  constructor(options: PeerSeriesOptions) {
    this.#options = options;
  }

  /** A login: worth a series at 0 while places are free. */
  known(peer: string, timeMs: number): void {
    const shown = this.#shown.get(peer);
    if (shown) {
      if (!shown.known) this.#mayHaveRoom();
      shown.known = true;
      shown.counts.known ??= { received: 0, sent: 0 };
    } else if (this.#options.show !== "none" && this.#shown.size < shownLimit && this.#knownShown() < keptForKnown) {
      this.#show(peer, "known", timeMs);
    }
  }

  #knownShown(): number {
    let count = 0;
    for (const shown of this.#shown.values()) if (shown.known) count++;
    return count;
  }

  /** `peer` undefined: the kernel event has no address. */
  add(direction: Direction, peer: string | undefined, peerClass: PeerClass, timeMs: number, count: number): void {
    const shown = peer === undefined ? undefined : this.#shown.get(peer);
    if (shown) {
      shown.counts[peerClass] ??= { received: 0, sent: 0 };
      shown.counts[peerClass][direction] += count;
      shown.lastMs = Math.max(shown.lastMs, timeMs);
      shown.reset = true;
      return;
    }
    this.#other[peerClass][direction] += count;
    if (peer === undefined || !this.#worthShowing(peer, peerClass, count)) return;
    if (this.#makeRoom(peerClass, timeMs)) this.#show(peer, peerClass, timeMs);
  }

  #worthShowing(peer: string, peerClass: PeerClass, count: number): boolean {
    const { show } = this.#options;
    // Only this choice asks who is heavy; a flood of strangers costs nothing in the others.
    const sure = show === "all" ? this.#sketch.add(peer, count) : 0;
    return show !== "none" && (peerClass === "known" || sure >= sureResets);
  }

  #makeRoom(peerClass: PeerClass, timeMs: number): boolean {
    const known = peerClass === "known";
    if (timeMs <= (known ? this.#knownFullUntilMs : this.#othersFullUntilMs)) return false;
    const others = this.#shown.size - this.#knownShown();
    if (this.#shown.size < shownLimit && (known || others < shownLimit - keptForKnown)) return true;
    let earliestMs = Number.POSITIVE_INFINITY;
    for (const [peer, shown] of this.#shown) {
      if (shown.known !== known) continue;
      if ((known && !shown.reset) || timeMs - shown.lastMs > idleMs) {
        this.#shown.delete(peer);
        return true;
      }
      earliestMs = Math.min(earliestMs, shown.lastMs + idleMs);
    }
    if (known) this.#knownFullUntilMs = earliestMs;
    else this.#othersFullUntilMs = earliestMs;
    return false;
  }

  #mayHaveRoom(): void {
    this.#knownFullUntilMs = 0;
    this.#othersFullUntilMs = 0;
  }

  #show(peer: string, peerClass: PeerClass, timeMs: number): void {
    this.#mayHaveRoom();
    const counts = { [peerClass]: { received: 0, sent: 0 } };
    this.#shown.set(peer, { counts, known: peerClass === "known", lastMs: timeMs, reset: false });
  }

  samples(names: Readonly<Record<Direction, string>>): Sample[] {
    const samples: Sample[] = [];
    const push = (peer: string, peerClass: PeerClass, counts: Counts): void => {
      const labels = { peer, peer_class: peerClass };
      samples.push({ name: names.received, labels, value: counts.received });
      samples.push({ name: names.sent, labels, value: counts.sent });
    };
    for (const [peer, { counts }] of this.#shown) {
      const label = this.#label(peer);
      for (const peerClass of peerClasses) {
        const own = counts[peerClass];
        if (own) push(label, peerClass, own);
      }
    }
    for (const peerClass of peerClasses) push("other", peerClass, this.#other[peerClass]);
    return samples;
  }

  #label(peer: string): string {
    const { hashKey } = this.#options;
    if (hashKey === undefined) return peer;
    return createHmac("sha256", hashKey).update(peer).digest("hex").slice(0, 16);
  }

  snapshot(): unknown {
    return { shown: [...this.#shown], other: this.#other, sketch: this.#sketch.snapshot() };
  }

  restore(saved: unknown): void {
    const { shown, other, sketch } = seriesShape(saved, "peer series");
    for (const [peer, entry] of shown) this.#shown.set(peer, { ...entry, reset: entry.reset ?? true });
    for (const peerClass of peerClasses) Object.assign(this.#other[peerClass], other[peerClass]);
    this.#sketch.restore(sketch);
  }
}

const countsShape = object({ received: amount, sent: amount });
const seriesShape = object({
  shown: list(
    tuple(
      text,
      object({ counts: object(byClass(optional(countsShape))), known: flag, lastMs: time, reset: optional(flag) }),
    ),
    shownLimit,
  ),
  other: object(byClass(countsShape)),
  sketch: anything,
});

function byClass<T>(shape: Shape<T>): Record<PeerClass, Shape<T>> {
  return { known: shape, unknown: shape, health_check: shape, proxy: shape };
}
