/** Following a log that is rotated under load, held against GNU tail -F and mtail in the same run; a minute in all. */
import { expect } from "chai";
import { debianOr, type Tool } from "../../tools/debian.ts";
import { disturbances, follow } from "./following.ts";

const seconds = 3;

describe("following a log", function () {
  this.timeout(90_000);
  let mtail: Tool;
  before(async function () {
    mtail = await debianOr(this, "mtail");
  });

  for (const [name, disturbance] of Object.entries(disturbances)) {
    it(`loses and doubles nothing while it is ${name}`, async () => {
      const outcome = await follow({ disturb: disturbance(), linesPerSecond: 20_000, seconds, mtail });
      const { written, exporter, exporterLost } = outcome;
      console.log(`      ${JSON.stringify(outcome)}`);
      expect(exporter).to.be.at.most(written);
      // What goes between the copy and the cut is lost to everybody, and nobody sees whether anything does: each cut of a
      // log that grows is told.
      if (name.startsWith("copied and truncated")) {
        if (exporter < written) expect(exporterLost).to.be.above(0);
        expect(written - exporter).to.be.at.most(name.includes("between") ? 5 * seconds : 0);
        expect(exporterLost).to.be.at.most(seconds);
      } else expect({ exporter, exporterLost }).to.deep.equal({ exporter: written, exporterLost: 0 });
    });
  }
});
