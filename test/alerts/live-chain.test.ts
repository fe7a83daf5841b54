/** The live chain as a check: see live-chain.ts. */
import { spawn } from "node:child_process";
import { expect } from "chai";
import { debianOr } from "../../tools/debian.ts";

describe("the live chain", () => {
  it("pages each cause and each pair of causes exactly once, with its root, and resolves it", async function () {
    await debianOr(this, "prometheus");
    await debianOr(this, "prometheus-alertmanager");
    this.timeout(570_000);
    const child = spawn(process.execPath, ["--import=tsx", "test/alerts/live-chain.ts"]);
    let output = "";
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding("utf8").on("data", (chunk: string) => {
        output += chunk;
      });
    const code = await new Promise((done) => child.on("close", done));
    console.log(output.replace(/^/gm, "      "));
    expect(code, output).to.equal(0);
  });
});
