/** Every target for a moment, and every input that once broke it. The long run is `npm run fuzz -- --minutes 20`. */
import { expect } from "chai";
import { fuzz } from "./campaign.ts";
import { findings } from "./findings.ts";
import { targets } from "./targets.ts";

const momentMs = 400;
const seed = 0x55_48;

describe("fuzzing", () => {
  it("breaks nothing in a moment", async function () {
    this.timeout(120_000);
    const names = targets.map(({ name }) => name);
    const done: string[] = [];
    for await (const { target, inputs, error, input } of fuzz(names, momentMs, seed)) {
      if (error !== undefined) expect.fail(`${target}: ${error}\n${JSON.stringify(input?.toString("latin1"))}`);
      if (inputs > 0) done.push(target);
    }
    expect(done).to.deep.equal(names);
  });

  for (const target of targets) {
    for (const { name, input } of findings(target.name)) {
      it(`${target.name}: ${name} no longer breaks it`, async function () {
        this.timeout(30_000);
        await target.check(input);
      });
    }
  }
});
