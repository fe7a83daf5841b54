import { expect } from "chai";
import { series } from "../../src/diagnosis/condition.ts";
import { History, intervalMs } from "../../src/diagnosis/history.ts";
import type { Sample } from "../../src/model/metric.ts";

const wanted = series("moves");
const moves = (value: number, labels: Record<string, string> = {}): Sample => ({
  name: "sshreset_moves",
  labels,
  value,
});

describe("the history", () => {
  it("keeps points no further apart than 15 s, and the newest one always", () => {
    const history = new History([wanted]);
    for (let second = 0; second <= 40; second += 1) history.record(second * 1000, [moves(second)]);
    const [points] = history.since(wanted, -1);
    expect(points?.map(({ value }) => value)).to.deep.equal([0, 14, 28, 40]);
    expect(history.now(wanted)).to.deep.equal([40]);
  });

  it("keeps one hour, whatever comes", () => {
    const history = new History([wanted]);
    for (let step = 0; step < 1000; step += 1) history.record(step * intervalMs, [moves(step)]);
    expect(history.length).to.be.within(240, 242);
    expect(JSON.stringify(history.snapshot()).length).to.be.below(20_000);
  });

  it("keeps nothing that no condition names", () => {
    const history = new History([wanted]);
    history.record(0, [{ name: "sshreset_other", value: 1 }, moves(1)]);
    expect(JSON.stringify(history.snapshot())).to.not.include("other");
  });

  it("is bounded in series", () => {
    const history = new History([wanted]);
    history.record(
      0,
      Array.from({ length: 2000 }, (_, n) => moves(n, { interface: `eth${n}` })),
    );
    expect(history.now(wanted)).to.have.length(500);
  });

  it("lets go of a series that ended an hour ago", () => {
    const history = new History([wanted]);
    history.record(0, [moves(1, { interface: "gone" }), moves(2)]);
    for (let step = 1; step < 300; step += 1) history.record(step * intervalMs, [moves(2)]);
    expect(history.since(wanted, -1)).to.have.length(1);
  });

  it("begins anew when time steps back", () => {
    const history = new History([wanted]);
    history.record(100_000, [moves(1)]);
    history.record(50_000, [moves(2)]);
    expect(history.length).to.equal(1);
  });

  it("comes back from its snapshot, through JSON, with its gaps", () => {
    const history = new History([wanted]);
    const scrapes = [[moves(1)], [], [moves(1)], [moves(4), moves(7, { interface: "eth0" })]];
    for (const [step, samples] of scrapes.entries()) history.record(step * intervalMs, samples);
    const restored = new History([wanted]);
    restored.restore(JSON.parse(JSON.stringify(history.snapshot())));
    expect(restored.since(wanted, -1)).to.deep.equal(history.since(wanted, -1));
    expect(restored.snapshot()).to.deep.equal(history.snapshot());
  });

  it("refuses a snapshot that is not its own", () => {
    const bad = { times: [1, 2], series: [{ metric: "sshreset_moves", labels: {}, runs: [[1, 5]] as const }] };
    expect(() => new History([wanted]).restore(bad)).to.throw("5 values for 2 times");
  });
});
