/**
 * Space-Saving (Metwally, Agrawal, El Abbadi 2005): the heaviest of any number of keys in fixed memory. A count is at
 * most `error` too high. A heap with the lightest key on top: a new key takes the place of the lightest.
 */
import { amount, list, text, tuple } from "../model/saved.ts";
import { detached } from "./bounded.ts";

interface Entry {
  key: string;
  count: number;
  error: number;
  /** In the heap. */
  place: number;
}

export class HeavyHitters {
  readonly #capacity: number;
  readonly #heap: Entry[] = [];
  readonly #entries = new Map<string, Entry>();

  constructor(capacity = 1_000) {
    this.#capacity = capacity;
  }

  get size(): number {
    return this.#heap.length;
  }

  /** How often the key was surely seen, after this one. */
  add(key: string, count = 1): number {
    let entry = this.#entries.get(key);
    if (!entry && this.#heap.length < this.#capacity) {
      entry = { key: detached(key), count: 0, error: 0, place: this.#heap.length };
      this.#entries.set(entry.key, entry);
      this.#heap.push(entry);
      this.#rise(entry);
    } else if (!entry) {
      entry = this.#heap[0] as Entry;
      this.#entries.delete(entry.key);
      entry.key = detached(key);
      entry.error = entry.count;
      this.#entries.set(entry.key, entry);
    }
    entry.count += count;
    this.#sink(entry);
    return entry.count - entry.error;
  }

  entries(): readonly Readonly<Entry>[] {
    return this.#heap;
  }

  snapshot(): unknown {
    return this.#heap.map(({ key, count, error }) => [key, count, error]);
  }

  restore(saved: unknown): void {
    const rows = list(tuple(text, amount, amount), this.#capacity)(saved, "heavy hitters");
    for (const [key, count, error] of rows) {
      if (this.#entries.has(key)) throw new Error(`heavy hitters: ${JSON.stringify(key)} is there twice`);
      const entry = { key, count, error, place: this.#heap.length };
      this.#heap.push(entry);
      this.#entries.set(key, entry);
    }
  }

  #put(entry: Entry, place: number): void {
    this.#heap[place] = entry;
    entry.place = place;
  }

  #rise(entry: Entry): void {
    let { place } = entry;
    while (place > 0) {
      const above = (place - 1) >> 1;
      const parent = this.#heap[above] as Entry;
      if (parent.count <= entry.count) break;
      this.#put(parent, place);
      place = above;
    }
    this.#put(entry, place);
  }

  #sink(entry: Entry): void {
    let { place } = entry;
    for (;;) {
      const below = 2 * place + 1;
      let child = this.#heap[below];
      const right = this.#heap[below + 1];
      if (child && right && right.count < child.count) child = right;
      if (!child || child.count >= entry.count) break;
      const next = child.place;
      this.#put(child, place);
      place = next;
    }
    this.#put(entry, place);
  }
}
