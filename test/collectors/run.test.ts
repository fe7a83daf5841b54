import { expect } from "chai";
import { collectorModules } from "../../src/collectors/index.ts";
import { runCollectors, scrapeMetrics } from "../../src/collectors/run.ts";
import type { Collector, CollectorModule } from "../../src/model/collector.ts";
import { contextOf, healthyHost, pathsBelow, table } from "./fixture-host.ts";

function moduleOf(name: string, read: Collector["read"], run?: Collector["run"]): CollectorModule {
  return { name, summary: name, enabled: true, metrics: [], create: () => (run ? { read, run } : { read }) };
}

const good = moduleOf("good", () => ({ status: "ok", samples: [{ name: "sshreset_good", value: 7 }] }));
const broken = moduleOf("broken", () => {
  throw new Error('/proc/x: "y" is no count');
});
const absent = moduleOf("absent", () => ({ status: "absent", reason: "no such file", grant: "load the module" }));
const partly = moduleOf("partly", () => ({
  status: "ok",
  samples: [{ name: "sshreset_part", value: 1 }],
  errors: ["ip: no answer", "ss: no answer"],
}));

describe("runCollectors", () => {
  it("keeps the good one's samples when another fails, and tells absent from failed", async () => {
    const { samples, states } = await runCollectors(
      [broken, absent, good, partly],
      contextOf(pathsBelow("/")),
    ).collect();
    const values = table(samples);
    expect(values).to.include({
      good: 7,
      part: 1,
      'scrape_collector_success{collector="good"}': 1,
      'scrape_collector_available{collector="good"}': 1,
      'scrape_collector_success{collector="broken"}': 0,
      'scrape_collector_available{collector="broken"}': 1,
      'scrape_collector_success{collector="absent"}': 1,
      'scrape_collector_available{collector="absent"}': 0,
      'scrape_collector_success{collector="partly"}': 0,
    });
    expect(values['scrape_collector_duration_seconds{collector="good"}']).to.be.within(0, 1);
    expect(states.map(({ name, state, error, missing }) => ({ name, state, error, missing }))).to.deep.equal([
      { name: "broken", state: "failed", error: '/proc/x: "y" is no count', missing: [] },
      {
        name: "absent",
        state: "absent",
        error: undefined,
        missing: [{ reason: "no such file", grant: "load the module" }],
      },
      { name: "good", state: "ok", error: undefined, missing: [] },
      { name: "partly", state: "failed", error: "ip: no answer; ss: no answer", missing: [] },
    ]);
  });

  it("reads only the named ones", async () => {
    const { states } = await runCollectors([broken, good], contextOf(pathsBelow("/"))).collect(new Set(["good"]));
    expect(states.map(({ name }) => name)).to.deep.equal(["good"]);
  });

  it("warns once of a failure, and again when it came back", async () => {
    let fails = true;
    const warnings: unknown[] = [];
    const flaky = moduleOf("flaky", () => {
      if (fails) throw new Error("no");
      return { status: "ok", samples: [] };
    });
    const collectors = runCollectors(
      [flaky],
      contextOf(pathsBelow("/"), { onWarning: (...all) => warnings.push(all) }),
    );
    await collectors.collect();
    await collectors.collect();
    fails = false;
    await collectors.collect();
    fails = true;
    await collectors.collect();
    const warning = ["collector failed", { name: "flaky", error: "no" }];
    expect(warnings).to.deep.equal([warning, warning]);
  });

  it("ends its background work with the signal, also where one of them throws", async () => {
    const warnings: string[] = [];
    const waits = moduleOf(
      "waits",
      good.create(contextOf(pathsBelow("/"))).read,
      (signal) => new Promise((resolve) => signal.addEventListener("abort", () => resolve())),
    );
    const throws = moduleOf(
      "throws",
      () => ({ status: "ok", samples: [] }),
      () => Promise.reject(new Error("gone")),
    );
    const stop = new AbortController();
    const done = runCollectors(
      [waits, throws],
      contextOf(pathsBelow("/"), { onWarning: (message) => warnings.push(message) }),
    ).run(stop.signal);
    setImmediate(() => stop.abort());
    await done;
    expect(warnings).to.deep.equal(["collector's background work ended"]);
  });
});

describe("collectorModules", () => {
  const defined = [...scrapeMetrics, ...collectorModules.flatMap(({ metrics }) => metrics)];

  it("defines each metric once, with the prefix, and a name per collector", () => {
    const names = defined.map(({ name }) => name);
    expect(new Set(names).size).to.equal(names.length);
    for (const name of names) expect(name).to.match(/^sshreset_[a-z][a-z0-9_]*$/);
    expect(new Set(collectorModules.map(({ name }) => name)).size).to.equal(collectorModules.length);
  });

  it("ends counters in _total and nothing else", () => {
    for (const { name, type } of defined) expect(name.endsWith("_total"), name).to.equal(type === "counter");
  });

  it("gives samples of the healthy host that its definitions allow", async () => {
    const { samples } = await runCollectors(collectorModules, contextOf(pathsBelow(healthyHost))).collect();
    const byName = new Map(defined.map((definition) => [definition.name, definition]));
    const seen = new Set<string>();
    for (const { name, labels = {} } of samples) {
      const definition = byName.get(name);
      expect(definition, name).to.not.equal(undefined);
      expect(Object.keys(labels)).to.deep.equal([...(definition?.labels ?? [])]);
      for (const [label, values] of Object.entries(definition?.values ?? {})) expect(values).to.include(labels[label]);
      const series = name + JSON.stringify(labels);
      expect(seen.has(series), series).to.equal(false);
      seen.add(series);
    }
  });
});
