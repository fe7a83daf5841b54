import { readFileSync } from "node:fs";
import { expect } from "chai";
import { catalogue } from "../../src/diagnosis/catalogue.ts";
import { scenarios } from "./scenarios/index.ts";

describe("the lab's scenarios", () => {
  const rules = readFileSync("alerts/ssh-reset-exporter.rules.yml", "utf8");
  const alerts = new Set([...rules.matchAll(/- alert: (\w+)/g)].map((match) => match[1]));

  it("have a name of their own", () => {
    const names = scenarios.map(({ name }) => name);
    expect(new Set(names).size).to.equal(names.length);
  });

  it("expect only alerts that are shipped", () => {
    const named = scenarios.flatMap(({ page, alsoFine }) => [...(page ? [page] : []), ...Object.keys(alsoFine ?? {})]);
    expect(named.filter((alert) => !alerts.has(alert))).to.deep.equal([]);
  });

  it("cover every cause that can be made real", () => {
    const covered = new Set(scenarios.map(({ page }) => page));
    const notMade = ["cloud_limit", "memory_pressure", "sshd_restart"];
    const missing = catalogue.filter(({ id, alert }) => !covered.has(alert) && !notMade.includes(id));
    expect(missing.map(({ id }) => id)).to.deep.equal([]);
  });

  it("are thirty or more, with CI's core among them", () => {
    expect(scenarios.length).to.be.at.least(30);
    const core = scenarios.filter((scenario) => scenario.core).map(({ name }) => name);
    expect(core).to.have.members([
      "crash",
      "oom-sshd",
      "max-startups",
      "tcp-wrappers",
      "middlebox-reset",
      "mtu-blackhole",
      "quiet",
    ]);
  });
});
