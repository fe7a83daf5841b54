/** A small fleet through a real Prometheus and a real Alertmanager, as a check: see test/scale/main.ts. */
import { spawn } from "node:child_process";
import { expect } from "chai";
import { debianOr } from "../../tools/debian.ts";

describe("a fleet of forty hosts", () => {
  it("pages each incident once: four hosts, a network, a balancer, a rollout, a blind network", async function () {
    await debianOr(this, "prometheus");
    await debianOr(this, "prometheus-alertmanager");
    this.timeout(240_000);
    const args = ["--import=tsx", "test/scale/main.ts", "--hosts", "40", "--scrape", "1", "--time-scale", "15"];
    const child = spawn(process.execPath, args);
    let output = "";
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding("utf8").on("data", (chunk: string) => {
        output += chunk;
      });
    const code = await new Promise((done) => child.on("close", done));
    expect(code, output).to.equal(0);
    expect(output).to.include('"due": 8,').and.to.include('"sent": 8,').and.to.include("scale: ok");
  });
});
