import { expect } from "chai";
import { and, gauge, increase, or, ratio, series, type Thresholds } from "../../src/diagnosis/condition.ts";
import { evaluate, extrapolatedIncrease, measure } from "../../src/diagnosis/evaluate.ts";
import { History } from "../../src/diagnosis/history.ts";
import { toPromql } from "../../src/diagnosis/to-promql.ts";
import type { Sample } from "../../src/model/metric.ts";

const thresholds: Thresholds = {
  one: { value: 1, unit: "events", reason: "a test" },
  half: { value: 0.5, unit: "of it", reason: "a test" },
};
const drops = series("drops_total", { limit: ["a", "b"] });
const entries = series("entries");
const room = series("room");
const anyDrop = increase(drops, 5, ">=", "one");
const crowded = ratio(entries, room, ">", "half");
const absent = gauge(series("absent"), ">", "one");

const drop = (value: number, limit = "a"): Sample => ({ name: "sshreset_drops_total", labels: { limit }, value });
const value = (name: string, number: number): Sample => ({ name: `sshreset_${name}`, value: number });

function historyOf(scrapes: readonly (readonly Sample[])[], stepMs = 15_000): History {
  const history = new History([drops, entries, room, series("absent"), absent.form === "gauge" ? absent.of : entries]);
  for (const [step, samples] of scrapes.entries()) history.record(step * stepMs, samples);
  return history;
}

describe("conditions in this process", () => {
  it("count an increase over all series of a selector", () => {
    const history = historyOf([
      [drop(3), drop(9, "b")],
      [drop(3), drop(9, "b")],
      [drop(4), drop(11, "b")],
    ]);
    expect(evaluate(anyDrop, thresholds, history, 30_000)).to.equal(true);
  });

  it("leave out series whose labels are not named", () => {
    const history = historyOf([
      [drop(0), drop(0, "c")],
      [drop(0), drop(50, "c")],
    ]);
    expect(evaluate(anyDrop, thresholds, history, 15_000)).to.equal(false);
  });

  it("read a counter that went down as one that began again at 0", () => {
    const history = historyOf([[drop(1000)], [drop(1000)], [drop(0)], [drop(0)]]);
    expect(evaluate(anyDrop, thresholds, history, 45_000)).to.equal(false);
    const counted = historyOf([[drop(1000)], [drop(1000)], [drop(2)]]);
    expect(evaluate(anyDrop, thresholds, counted, 30_000)).to.equal(true);
  });

  it("forget what is older than the window", () => {
    const steps = (count: number) => historyOf(Array.from({ length: count }, (_, step) => [drop(step < 2 ? 0 : 1)]));
    expect(evaluate(anyDrop, thresholds, steps(20), 15_000 * 19)).to.equal(true);
    expect(evaluate(anyDrop, thresholds, steps(24), 15_000 * 23)).to.equal(false);
  });

  it("know nothing without samples, one sample, or samples that ended", () => {
    expect(evaluate(absent, thresholds, historyOf([[]]), 0)).to.equal("unknown");
    expect(evaluate(anyDrop, thresholds, historyOf([[drop(5)]]), 0)).to.equal("unknown");
    const gone = historyOf([[value("entries", 9), value("room", 10)], []]);
    expect(evaluate(crowded, thresholds, gone, 15_000)).to.equal("unknown");
  });

  it("join what is known and what is not", () => {
    const history = historyOf([[value("entries", 9), value("room", 10)]]);
    const sparse = historyOf([[value("entries", 1), value("room", 10)]]);
    expect(evaluate(or(absent, crowded), thresholds, history, 0)).to.equal(true);
    expect(evaluate(or(absent, crowded), thresholds, sparse, 0)).to.equal("unknown");
    expect(evaluate(and(absent, crowded), thresholds, history, 0)).to.equal("unknown");
    expect(evaluate(and(absent, crowded), thresholds, sparse, 0)).to.equal(false);
  });

  it("divide by zero as PromQL does", () => {
    const history = historyOf([[value("entries", 9), value("room", 0)]]);
    expect(evaluate(crowded, thresholds, history, 0)).to.equal(true);
    const empty = historyOf([[value("entries", 0), value("room", 0)]]);
    expect(evaluate(crowded, thresholds, empty, 0)).to.equal(false);
  });

  it("throw on a threshold that is not there", () => {
    const history = historyOf([[value("entries", 9)]]);
    expect(() => evaluate(gauge(entries, ">", "nowhere"), thresholds, history, 0)).to.throw('"nowhere"');
  });
});

describe("extrapolatedIncrease", () => {
  const points = (...values: number[]) => values.map((number, step) => ({ timeMs: step * 15_000, value: number }));

  it("stretches to the window as Prometheus does", () => {
    // From promql/functions.go: 3 events over 45 s sampled, 15 s to the start of the window, none to its end.
    expect(extrapolatedIncrease(points(10, 11, 12, 13), -15_000, 45_000)).to.equal(4);
  });

  it("does not stretch beyond the moment when the counter was 0", () => {
    expect(extrapolatedIncrease(points(0, 1, 2, 3), -15_000, 45_000)).to.equal(3);
  });

  it("stretches by half an interval where the window is longer than what was sampled", () => {
    expect(extrapolatedIncrease(points(10, 11, 12, 13), -600_000, 45_000)).to.equal(3.5);
  });
});

describe("conditions in PromQL", () => {
  const dialect = { matchers: "", hostLabels: "job, instance", timeScale: 1 };

  it("are sums per host, with thresholds between whole numbers", () => {
    expect(toPromql(anyDrop, thresholds, dialect)).to.equal(
      'sum by (job, instance) (increase(sshreset_drops_total{limit=~"a|b"}[5m])) > 0.5',
    );
    expect(toPromql(crowded, thresholds, dialect)).to.equal(
      "sum by (job, instance) (sshreset_entries) / sum by (job, instance) (sshreset_room) > 0.5",
    );
    expect(toPromql(or(absent, and(crowded, anyDrop)), thresholds, dialect)).to.match(
      /^\(.*\) or \(\(.*\) and \(.*\)\)$/,
    );
  });

  it("take a fleet's matchers and a test's time scale", () => {
    expect(toPromql(anyDrop, thresholds, { ...dialect, matchers: 'job="ssh"', timeScale: 30 })).to.include(
      '{job="ssh",limit=~"a|b"}[10s]',
    );
  });
});

describe("the measure", () => {
  it("is undefined, never 0, where there is nothing", () => {
    const history = historyOf([[value("entries", 3)]]);
    expect(measure({ form: "gauge", of: entries, is: ">", threshold: "one" }, history, 0)).to.equal(3);
    expect(measure({ form: "gauge", of: room, is: ">", threshold: "one" }, history, 0)).to.equal(undefined);
  });
});
