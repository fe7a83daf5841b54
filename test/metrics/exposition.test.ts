import { expect } from "chai";
import { expose, negotiate } from "../../src/metrics/exposition.ts";
import type { MetricDef } from "../../src/model/metric.ts";

const definitions: readonly MetricDef[] = [
  { name: "x_resets_total", help: "Resets.", type: "counter", labels: ["peer"] },
  { name: "x_up", help: "Up.", type: "gauge", labels: [] },
  { name: "x_idle_seconds", help: "Idle.", type: "histogram", labels: [], buckets: [1, 2.5] },
];

describe("metrics/exposition", () => {
  it("writes the text format, with escaped labels and cumulative buckets", async () => {
    const text = await expose(
      definitions,
      [
        { name: "x_up", value: 1 },
        { name: "x_resets_total", labels: { peer: 'a"b\\c' }, value: 3 },
        { name: "x_idle_seconds", value: { counts: [1, 2, 3], sum: 20.5 } },
      ],
      "text",
    );
    expect(text.split("\n")).to.deep.equal([
      "# HELP x_resets_total Resets.",
      "# TYPE x_resets_total counter",
      'x_resets_total{peer="a\\"b\\\\c"} 3',
      "",
      "# HELP x_up Up.",
      "# TYPE x_up gauge",
      "x_up 1",
      "",
      "# HELP x_idle_seconds Idle.",
      "# TYPE x_idle_seconds histogram",
      'x_idle_seconds_bucket{le="1"} 1',
      'x_idle_seconds_bucket{le="2.5"} 3',
      'x_idle_seconds_bucket{le="+Inf"} 6',
      "x_idle_seconds_sum 20.5",
      "x_idle_seconds_count 6",
      "",
    ]);
  });

  it("writes OpenMetrics: the family without _total, float bounds, # EOF", async () => {
    const text = await expose(
      definitions,
      [
        { name: "x_resets_total", labels: { peer: "a" }, value: 3 },
        { name: "x_idle_seconds", value: { counts: [0, 0, 0], sum: 0 } },
      ],
      "openmetrics",
    );
    expect(text).to.include('# TYPE x_resets counter\nx_resets_total{peer="a"} 3\n');
    expect(text).to.include('le="1.0"');
    expect(text.endsWith("\n# EOF\n")).to.equal(true);
  });

  it("writes what has changed since the page before, and nothing that has gone", async () => {
    const written = new Map();
    const resets = (peer: string, value: number) => ({ name: "x_resets_total", labels: { peer }, value });
    const pages = [
      [resets("a", 1), { name: "x_idle_seconds", value: { counts: [0, 0, 1], sum: 7 } }],
      [resets("a", 1), { name: "x_idle_seconds", value: { counts: [0, 1, 0], sum: 7 } }],
      [resets("b", 1), { name: "x_up", value: Number.NaN }],
      [resets("b", 1), resets("a", 2)],
      [resets("b", 3)],
    ];
    for (const samples of pages) {
      expect(await expose(definitions, samples, "text", written)).to.equal(await expose(definitions, samples, "text"));
    }
  });

  it("refuses a sample without definition", async () => {
    const error = await expose(definitions, [{ name: "y", value: 1 }], "text").catch((reason: unknown) => reason);
    expect(String(error)).to.equal('Error: sample "y" has no definition');
  });

  const accepts: readonly (readonly [string | undefined, string])[] = [
    [undefined, "text"],
    ["*/*", "text"],
    ["text/plain;version=0.0.4", "text"],
    ["application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1", "openmetrics"],
    ["application/openmetrics-text;q=0.3,text/plain;q=0.5", "text"],
    ["application/openmetrics-text;q=0", "text"],
    ["application/openmetrics-text;q=nonsense", "text"],
    [`${",".repeat(100_000)}application/openmetrics-text`, "text"],
  ];
  for (const [accept, format] of accepts) {
    it(`answers Accept: ${accept?.slice(0, 60)} with ${format}`, () => {
      expect(negotiate(accept)).to.equal(format);
    });
  }
});
