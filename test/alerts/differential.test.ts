/**
 * One catalogue, two interpreters: the same series through the shipped rules in promtool (Prometheus' own engine) and
 * through this process, compared at every evaluation. They may differ within one evaluation interval of an edge.
 */
import { expect } from "chai";
import { catalogue } from "../../src/diagnosis/catalogue.ts";
import { symptom } from "../../src/diagnosis/symptom.ts";
import { Diagnosis } from "../../src/diagnosis/verdict.ts";
import { debianOr } from "../../tools/debian.ts";
import { isFull } from "../../tools/full.ts";
import { firingByPrometheus, stepSeconds } from "./promtool.ts";
import { type Scenario, scenarios } from "./scenarios.ts";
import { SimulatedHost } from "./simulated-host.ts";

type Timeline = readonly ReadonlySet<string>[];

/** Only the rules watch the exporter itself. */
const ofCause = (alert: string): boolean => alert === symptom.alert || catalogue.some((cause) => cause.alert === alert);
const alertOf = new Map(catalogue.map(({ id, alert }) => [id, alert]));

/** Alerts by this process at each step; during an outage the exporter does not run. */
function firingInProcess({ changes, outages, minutes }: Pick<Scenario, "changes" | "outages" | "minutes">): Timeline {
  const host = new SimulatedHost(changes, outages);
  const diagnosis = new Diagnosis();
  return Array.from({ length: (minutes * 60) / stepSeconds }, (_, step) => {
    const timeMs = step * stepSeconds * 1000;
    const samples = host.samples(step * stepSeconds);
    if (samples.length > 0) diagnosis.record(timeMs, samples);
    const active = diagnosis
      .verdicts(timeMs)
      .flatMap(({ cause, state }) => (state === "active" ? [alertOf.get(cause) ?? cause] : []));
    return new Set(diagnosis.symptom().state === "active" ? [...active, symptom.alert] : active);
  });
}

/** Steps at which one side has an alert that the other does not have within `tolerance` steps. */
function disagreements(one: Timeline, other: Timeline, tolerance: number): string[] {
  const near = Array.from({ length: 2 * tolerance + 1 }, (_, index) => index - tolerance);
  return one.flatMap((alerts, step) =>
    [...alerts]
      .filter((alert) => ofCause(alert) && !near.some((offset) => other[step + offset]?.has(alert)))
      .map((alert) => `${alert} at ${step * stepSeconds} s`),
  );
}

function windows(timeline: Timeline): { alert: string; from: number; until: number }[] {
  const found: { alert: string; from: number; until: number }[] = [];
  for (const alert of new Set(timeline.flatMap((alerts) => [...alerts]))) {
    timeline.forEach((alerts, step) => {
      const seconds = step * stepSeconds;
      if (alerts.has(alert) && !timeline[step - 1]?.has(alert)) found.push({ alert, from: seconds, until: seconds });
      const last = found.at(-1);
      if (alerts.has(alert) && last) last.until = seconds + stepSeconds;
    });
  }
  return found;
}

describe("the rules and the verdicts of this process", () => {
  // Prometheus 2 takes the sample at the very start of a window too: one interval more for each of the two windows that
  // end an alert (its evidence's and the one that keeps it). Prometheus 3 and this process do not.
  for (const { suite, tolerance } of [
    { suite: "machine", tolerance: 2 },
    ...(isFull ? [{ suite: "sid", tolerance: 1 } as const] : []),
  ] as const) {
    it(`agree at every step of every scenario, and as expected (promtool of ${suite})`, async function () {
      const promtool = await debianOr(this, "promtool", suite);
      this.timeout(540_000);
      const byPrometheus = await firingByPrometheus(promtool, scenarios);
      const wrong = scenarios.flatMap((scenario, index) => {
        const rules = byPrometheus[index] ?? [];
        const process = firingInProcess(scenario);
        return [
          ...disagreements(rules, process, tolerance).map((text) => `only by the rules: ${text}`),
          ...disagreements(process, rules, tolerance).map((text) => `only in process: ${text}`),
          ...unexpected(scenario, windows(rules)),
        ].map((text) => `${scenario.name}: ${text}`);
      });
      expect(wrong.slice(0, 30)).to.deep.equal([]);
    });
  }
});

/** Every alert in its time, give or take one evaluation at its start and two at its end; and no other. */
function unexpected({ fires }: Scenario, found: ReturnType<typeof windows>): string[] {
  const near = (wanted: number | undefined, seconds: number, steps: number): boolean =>
    wanted === undefined || Math.abs(wanted - seconds) <= steps * stepSeconds;
  const fits = (firing: Scenario["fires"][number], window: (typeof found)[number]): boolean =>
    firing.alert === window.alert && near(firing.from, window.from, 1) && near(firing.until, window.until, 2);
  return [
    ...fires
      .filter((firing) => !found.some((window) => fits(firing, window)))
      .map((firing) => `expected ${JSON.stringify(firing)}`),
    ...found
      .filter((window) => !fires.some((firing) => fits(firing, window)))
      .map((window) => `not expected ${JSON.stringify(window)}`),
  ];
}
