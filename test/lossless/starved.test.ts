/** The exporter gets no processor for a while, and the rotation deletes what it has not read: it must say so. */
import { closeSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { counted, Log, settled, startFollowing } from "./following.ts";

describe("an exporter that was stopped while its log was rotated", function () {
  this.timeout(60_000);

  for (const { rotations, keeps } of [
    { rotations: 5, keeps: "all" },
    { rotations: 12, keeps: "some" },
  ]) {
    it(`${rotations} times, of which 5 are kept, has ${keeps} of the lines and no line twice`, async () => {
      const folder = mkdtempSync(join(tmpdir(), "starved-"));
      mkdirSync(join(folder, "logs"));
      const log = new Log(join(folder, "logs", "auth.log"), 5);
      const exporter = await startFollowing(folder, log.path);
      try {
        log.write(1_000);
        await exporter.until("the first lines", (values) => counted(values) === 1_000);
        exporter.child.kill("SIGSTOP");
        for (let n = 0; n < rotations; n++) {
          log.write(1_000);
          closeSync(log.rename());
          if (n % 2 === 0) await log.compress();
        }
        log.write(1_000);
        exporter.child.kill("SIGCONT");
        const values = await settled(exporter);
        const lost = values.get('sshreset_source_lost_records_total{source="logfile"}');
        // The first file was held, so its lines are there. Of the others the last five and the live one are left.
        if (keeps === "all")
          expect({ counted: counted(values), lost }).to.deep.equal({ counted: log.written, lost: 0 });
        else expect({ counted: counted(values), lost }).to.deep.equal({ counted: 8_000, lost: 1 });
      } finally {
        exporter.child.kill("SIGCONT");
        await exporter.stop("SIGKILL");
        log.close();
        rmSync(folder, { recursive: true });
      }
    });
  }
});
