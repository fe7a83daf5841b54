/**
 * A list in a snapshot that may have tens of thousands of entries. They are made one by one while the snapshot is
 * written, in turns of the event loop, and never copied all at once: what they are made of must not change until then.
 */
export class LongList<T> implements Iterable<T> {
  readonly #entries: () => Iterable<T>;

  constructor(entries: () => Iterable<T>) {
    this.#entries = entries;
  }

  [Symbol.iterator](): Iterator<T> {
    return this.#entries()[Symbol.iterator]();
  }

  toJSON(): readonly T[] {
    return [...this];
  }
}
