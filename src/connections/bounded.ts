/**
 * What collections need that stay bounded whatever the input: a memory that forgets, room for what is new, keys that
 * keep nothing else alive.
 */
import { LongList } from "../model/long-list.ts";
import { list, type Shape, tuple } from "../model/saved.ts";

/**
 * Remembers keys for a while without a clock of their own: two generations, the older one forgotten at each turn.
 * An entry lives between one and two turns. Bounded: a full generation turns early.
 */
export class Recent<K extends string | number, V> {
  readonly #capacity: number;
  #young = new Map<K, V>();
  #old = new Map<K, V>();

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  get size(): number {
    return this.#young.size + this.#old.size;
  }

  get(key: K): V | undefined {
    return this.#young.get(key) ?? this.#old.get(key);
  }

  set(key: K, value: V): void {
    if (this.#young.size >= this.#capacity) this.turn();
    this.#young.set(key, value);
  }

  delete(key: K): void {
    // To look first is cheaper: most are in neither.
    if (this.#young.has(key)) this.#young.delete(key);
    if (this.#old.has(key)) this.#old.delete(key);
  }

  turn(): void {
    this.#old = this.#young;
    this.#young = new Map();
  }

  /** Good until the next change. */
  snapshot<R>(row: (value: V) => R): readonly LongList<readonly [K, R]>[] {
    return [this.#young, this.#old].map(
      (generation) =>
        new LongList(function* () {
          for (const [key, value] of generation) yield [key, row(value)] as const;
        }),
    );
  }

  restore(saved: unknown, key: Shape<K>, value: Shape<V>, place: string): void {
    const generation = list(tuple(key, value), this.#capacity);
    const [young, old] = tuple(generation, generation)(saved, place);
    this.#young = new Map(young);
    this.#old = new Map(old);
  }
}

/**
 * The first hundredth of what a full collection holds, at least one. Not one by one: a Map or Set that loses its first
 * entry again and again is searched from its beginning each time.
 */
export function oldest<T>(entries: Iterable<T>, capacity: number): T[] {
  const found: T[] = [];
  const wanted = Math.max(1, Math.floor(capacity / 100));
  for (const entry of entries) {
    found.push(entry);
    if (found.length >= wanted) break;
  }
  return found;
}

/** A copy that does not keep the chunk it was cut from alive. */
export const detached = (text: string): string => Buffer.from(text, "latin1").toString("latin1");
