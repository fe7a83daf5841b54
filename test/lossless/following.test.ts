/** Following a log that is rotated under load, held against GNU tail -F and mtail in the same run; a minute in all. */
import { expect } from "chai";
import { debianOr, type Tool } from "../../tools/debian.ts";
import { disturbances, follow } from "./following.ts";

describe("following a log", function () {
  this.timeout(90_000);
  let mtail: Tool;
  before(async function () {
    mtail = await debianOr(this, "mtail");
  });

  for (const [name, disturbance] of Object.entries(disturbances)) {
    it(`loses and doubles nothing while it is ${name}`, async () => {
      const outcome = await follow({ disturb: disturbance(), linesPerSecond: 20_000, seconds: 2, mtail });
      const { written, exporter, exporterLost } = outcome;
      console.log(`      ${JSON.stringify(outcome)}`);
      expect(exporter).to.be.at.most(written);
      // Between the copy and the cut lines are lost to everybody: then the loss must be told.
      if (name === "copied and truncated" && exporter < written) expect(exporterLost).to.be.above(0);
      else expect({ exporter, exporterLost }).to.deep.equal({ exporter: written, exporterLost: 0 });
    });
  }
});
