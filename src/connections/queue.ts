/**
 * Items in the order of their arrival, each carrying its neighbours: taking one out of the middle costs two writes, and
 * nothing is allocated for one that comes or goes.
 */

/** What an item carries; it is in one queue at a time. */
export interface Queued<T extends Queued<T>> {
  queue: Queue<T> | undefined;
  before: T | undefined;
  after: T | undefined;
}

export class Queue<T extends Queued<T>> implements Iterable<T> {
  #first: T | undefined;
  #last: T | undefined;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get first(): T | undefined {
    return this.#first;
  }

  get last(): T | undefined {
    return this.#last;
  }

  /** At the end; the item must be in no queue. */
  add(item: T): void {
    item.queue = this;
    item.before = this.#last;
    item.after = undefined;
    if (this.#last === undefined) this.#first = item;
    else this.#last.after = item;
    this.#last = item;
    this.#size++;
  }

  /** Nothing if it is not in this queue. It keeps its `after`, so that whoever stands at it can still go on. */
  delete(item: T): void {
    if (item.queue !== this) return;
    item.queue = undefined;
    const { before, after } = item;
    if (before === undefined) this.#first = after;
    else before.after = after;
    if (after === undefined) this.#last = before;
    else after.before = before;
    this.#size--;
  }

  /** The item that it stands at may be deleted meanwhile, and others. */
  *[Symbol.iterator](): Generator<T> {
    for (let item = this.#first; item !== undefined; item = item.after) if (item.queue === this) yield item;
  }
}
