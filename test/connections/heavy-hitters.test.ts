import { expect } from "chai";
import { HeavyHitters } from "../../src/connections/heavy-hitters.ts";

/** A fixed sequence, so that a failure can be repeated (Park and Miller 1988). */
function* random(seed: number): Generator<number> {
  for (let x = seed; ; ) {
    x = (x * 48_271) % 2_147_483_647;
    yield x / 2_147_483_647;
  }
}

describe("heavy hitters", () => {
  it("finds the fifty heaviest of 300,000 events by 100,000 peers, never overstating what is sure", () => {
    const sketch = new HeavyHitters(1_000);
    const exact = new Map<string, number>();
    const numbers = random(1);
    let overstated = 0;
    for (let i = 0; i < 300_000; i++) {
      const u = numbers.next().value as number;
      const key = `peer ${Math.floor(100_000 ** u)}`;
      exact.set(key, (exact.get(key) ?? 0) + 1);
      if (sketch.add(key) > (exact.get(key) as number)) overstated++;
    }
    expect(overstated).to.equal(0);
    const heaviest = [...exact].sort((a, b) => b[1] - a[1]).slice(0, 50);
    const found = [...sketch.entries()].sort((a, b) => b.count - a.count).slice(0, 60);
    const names = new Set(found.map(({ key }) => key));
    expect(heaviest.filter(([key]) => !names.has(key))).to.deep.equal([]);
    for (const { key, count, error } of found) {
      expect(count).to.be.at.least(exact.get(key) as number);
      expect(error).to.be.at.most(300_000 / 1_000);
    }
  });

  it("goes on the same after a restart", () => {
    const one = new HeavyHitters(10);
    const numbers = random(7);
    const next = () => `${Math.floor(30 * (numbers.next().value as number) ** 2)}`;
    for (let i = 0; i < 500; i++) one.add(next());
    const other = new HeavyHitters(10);
    other.restore(JSON.parse(JSON.stringify(one.snapshot())));
    for (let i = 0; i < 500; i++) {
      const key = next();
      expect(other.add(key)).to.equal(one.add(key));
    }
    expect(other.snapshot()).to.deep.equal(one.snapshot());
  });
});
