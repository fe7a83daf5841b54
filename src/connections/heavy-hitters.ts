/**
 * Space-Saving (Metwally, Agrawal, El Abbadi 2005): the heaviest of any number of keys in fixed memory. A count is at
 * most `error` too high. A heap with the lightest key on top: a new key takes the place of the lightest.
 */
import { detached } from "./connections.ts";

interface Entry {
  key: string;
  count: number;
  error: number;
}

export class HeavyHitters {
  readonly #capacity: number;
  readonly #heap: Entry[] = [];
  readonly #places = new Map<string, number>();

  constructor(capacity = 1_000) {
    this.#capacity = capacity;
  }

  get size(): number {
    return this.#heap.length;
  }

  /** How often the key was surely seen, after this one. */
  add(key: string, count = 1): number {
    let place = this.#places.get(key);
    if (place === undefined && this.#heap.length < this.#capacity) {
      place = this.#heap.length;
      this.#put({ key: detached(key), count: 0, error: 0 }, place);
      this.#rise(place);
      place = this.#places.get(key) ?? place;
    } else if (place === undefined) {
      place = 0;
      const lightest = this.#heap[0] as Entry;
      this.#places.delete(lightest.key);
      this.#put({ key: detached(key), count: lightest.count, error: lightest.count }, 0);
    }
    const entry = this.#heap[place] as Entry;
    entry.count += count;
    this.#sink(place);
    return entry.count - entry.error;
  }

  /** Surely seen so often; 0 for a key not tracked. */
  sure(key: string): number {
    const place = this.#places.get(key);
    const entry = place === undefined ? undefined : this.#heap[place];
    return entry ? entry.count - entry.error : 0;
  }

  entries(): readonly Readonly<Entry>[] {
    return this.#heap;
  }

  snapshot(): unknown {
    return this.#heap.map(({ key, count, error }) => [key, count, error]);
  }

  restore(saved: unknown): void {
    for (const [key, count, error] of saved as [string, number, number][]) {
      this.#put({ key, count, error }, this.#heap.length);
    }
  }

  #put(entry: Entry, place: number): void {
    this.#heap[place] = entry;
    this.#places.set(entry.key, place);
  }

  #rise(place: number): void {
    const entry = this.#heap[place] as Entry;
    while (place > 0) {
      const above = (place - 1) >> 1;
      const parent = this.#heap[above] as Entry;
      if (parent.count <= entry.count) break;
      this.#put(parent, place);
      place = above;
    }
    this.#put(entry, place);
  }

  #sink(place: number): void {
    const entry = this.#heap[place] as Entry;
    const start = place;
    for (;;) {
      let below = 2 * place + 1;
      let child = this.#heap[below];
      const right = this.#heap[below + 1];
      if (child && right && right.count < child.count) {
        child = right;
        below++;
      }
      if (!child || child.count >= entry.count) break;
      this.#put(child, place);
      place = below;
    }
    if (place !== start) this.#put(entry, place);
  }
}
