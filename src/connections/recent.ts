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
    this.#young.delete(key);
    this.#old.delete(key);
  }

  turn(): void {
    this.#old = this.#young;
    this.#young = new Map();
  }

  snapshot(): readonly [readonly (readonly [K, V])[], readonly (readonly [K, V])[]] {
    return [[...this.#young], [...this.#old]];
  }

  restore(saved: unknown): void {
    const [young, old] = saved as [[K, V][], [K, V][]];
    this.#young = new Map(young);
    this.#old = new Map(old);
  }
}
