/** Counts over many lives of the exporter; `npm run bench -- --only lossless` takes 50 of them. */
import { expect } from "chai";
import { skip } from "../../tools/skip.ts";
import { diskFull, killedAgainAndAgain } from "./lives.ts";

describe("counting over many lives", function () {
  this.timeout(60_000);

  it("loses and doubles nothing when it is killed at random moments and the log is rotated meanwhile", async () => {
    const { written, counted, lost, stepsBack } = await killedAgainAndAgain(5, Math.random);
    expect({ counted, lost, stepsBack }).to.deep.equal({ counted: written, lost: 0, stepsBack: 0 });
  });

  it("loses and doubles nothing when the state directory was full", async function () {
    if (process.getuid?.() !== 0) skip(this, "a small file system needs root");
    const { written, counted, lost, commitErrors } = await diskFull();
    expect({ counted, lost }).to.deep.equal({ counted: written, lost: 0 });
    expect(commitErrors).to.be.above(0);
  });
});
