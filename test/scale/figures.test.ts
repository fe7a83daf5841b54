import { readFileSync } from "node:fs";
import { expect } from "chai";
import { figures, type Results, withFigures } from "./figures.ts";

const results = JSON.parse(readFileSync("test/scale/results.json", "utf8")) as Results;

describe("the figures of docs/fleet.md", () => {
  it("are those of the last run that was kept: npm run scale -- --write", () => {
    const page = readFileSync("docs/fleet.md", "utf8");
    expect(withFigures(page, results) === page, "docs/fleet.md is stale").to.equal(true);
  });

  it("follow what was measured", () => {
    const twice = { ...results, samplesPerSecond: 77_777, prometheusCores: { all: 8000, withoutRules: 1 } };
    expect(figures(twice)).to.include("| samples | 77777 a second |").and.to.not.equal(figures(results));
    // Four processors, one for each host.
    const dear = { ...results, prometheusCores: { all: 0, withoutRules: results.hosts } };
    expect(figures(dear)).to.match(/^So [34] hosts a shard\./m);
    const slow = { ...results, ruleCpuMillisecondsPerHostAndEvaluation: 7500, evaluationsMissed: 0 };
    expect(figures(slow)).to.match(/^So [01] hosts a shard\./m);
  });
});
