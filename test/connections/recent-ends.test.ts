import { expect } from "chai";
import { RecentEnds } from "../../src/connections/recent-ends.ts";

const addressOf = (n: number): string => `192.0.2.${n}`;

function remember(ends: RecentEnds, n: number, port = 1): void {
  const ended = ends.renew(addressOf(n), port);
  Object.assign(ended, { timeMs: 1_000 * n, pid: n, authenticated: false, received: true });
}

const saved = (ends: RecentEnds): unknown => JSON.parse(JSON.stringify(ends.snapshot()));

describe("recent ends", () => {
  it("live one to two turns", () => {
    const ends = new RecentEnds(10);
    remember(ends, 1);
    ends.turn();
    remember(ends, 2);
    expect(ends.get(addressOf(1), 1)?.pid).to.equal(1);
    expect(ends.get(addressOf(1), 2)).to.equal(undefined);
    ends.turn();
    expect(ends.get(addressOf(1), 1)).to.equal(undefined);
    expect(ends.get(addressOf(2), 1)?.pid).to.equal(2);
  });

  it("live on when they are renewed, with what they count", () => {
    const ends = new RecentEnds(10);
    ends.renew(addressOf(1), 0).unclaimed++;
    ends.turn();
    ends.renew(addressOf(1), 0).unclaimed++;
    ends.turn();
    expect(ends.get(addressOf(1), 0)?.unclaimed).to.equal(2);
    ends.turn();
    ends.turn();
    expect(ends.renew(addressOf(1), 0).unclaimed, "used again").to.equal(0);
  });

  it("are twice the capacity at most", () => {
    const ends = new RecentEnds(10);
    for (let n = 0; n < 100; n++) remember(ends, n);
    const kept = Array.from({ length: 100 }, (_, n) => n).filter((n) => ends.get(addressOf(n), 1));
    expect(kept).to.deep.equal(Array.from({ length: 20 }, (_, n) => 80 + n));
  });

  it("come back from a snapshot, in their generations", () => {
    const ends = new RecentEnds(10);
    remember(ends, 1);
    ends.turn();
    remember(ends, 2);
    remember(ends, 3, 0);
    const deleted = ends.renew(addressOf(4), 9);
    ends.delete(deleted);
    const snapshot = [
      [
        ["192.0.2.2 1", [2_000, 2, false, true, 0]],
        ["192.0.2.3", [3_000, 3, false, true, 0]],
      ],
      [["192.0.2.1 1", [1_000, 1, false, true, 0]]],
    ];
    expect(saved(ends)).to.deep.equal(snapshot);
    const restored = new RecentEnds(10);
    restored.restore(snapshot, "ends");
    expect(saved(restored)).to.deep.equal(snapshot);
    restored.turn();
    expect(restored.get(addressOf(1), 1)).to.equal(undefined);
    expect(restored.get(addressOf(3), 0)?.timeMs).to.equal(3_000);
  });

  it("refuse a snapshot of anything else", () => {
    const row = [0, 0, false, false, 0];
    expect(() => new RecentEnds(1).restore([[["host 1", row]], []], "ends")).to.throw("is no address and port");
    const two = [
      ["192.0.2.1 1", row],
      ["192.0.2.2 1", row],
    ];
    expect(() => new RecentEnds(1).restore([two, []], "ends")).to.throw("more than 1");
  });
});
