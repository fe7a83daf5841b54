import { expect } from "chai";
import fc from "fast-check";
import { Queue, type Queued } from "../../src/connections/queue.ts";

class Item implements Queued<Item> {
  queue: Queue<Item> | undefined = undefined;
  before: Item | undefined = undefined;
  after: Item | undefined = undefined;
}

describe("queue", () => {
  it("holds what a Set would, in its order", () => {
    const changes = fc.array(fc.tuple(fc.boolean(), fc.nat(7)));
    fc.assert(
      fc.property(changes, (all) => {
        const items = Array.from({ length: 8 }, () => new Item());
        const queue = new Queue<Item>();
        const set = new Set<Item>();
        for (const [adds, n] of all) {
          const item = items[n] as Item;
          if (!adds) {
            queue.delete(item);
            set.delete(item);
          } else if (!set.has(item)) {
            queue.add(item);
            set.add(item);
          }
          expect([...queue].map((each) => items.indexOf(each))).to.deep.equal(
            [...set].map((each) => items.indexOf(each)),
          );
          expect(queue.size).to.equal(set.size);
          expect(queue.first === [...set][0] && queue.last === [...set].at(-1)).to.equal(true);
        }
      }),
    );
  });

  it("can be walked while items of it are deleted", () => {
    const items = [new Item(), new Item(), new Item(), new Item()] as const;
    const queue = new Queue<Item>();
    for (const item of items) queue.add(item);
    const seen: number[] = [];
    for (const item of queue) {
      seen.push(items.indexOf(item));
      queue.delete(item);
      // The next one too.
      if (item === items[0]) queue.delete(items[1]);
    }
    expect(seen).to.deep.equal([0, 2, 3]);
    expect(queue.size).to.equal(0);
  });

  it("leaves alone what is in another queue", () => {
    const [one, other, item] = [new Queue<Item>(), new Queue<Item>(), new Item()];
    one.add(item);
    other.delete(item);
    expect([...one]).to.have.length(1);
  });
});
