/** The live chain as a check: see live-chain.ts. */
import { spawn } from "node:child_process";
import { expect } from "chai";
import { debianOr } from "../../tools/debian.ts";
import { isFull } from "../../tools/full.ts";

describe("the live chain", () => {
  before(async function () {
    await debianOr(this, "prometheus");
    await debianOr(this, "prometheus-alertmanager");
  });

  it("pages each cause, and each pair of causes, once and with its root, and resolves it", async function () {
    this.timeout(480_000);
    // What is told within half an hour; the rest doubles the time.
    await chain(...(isFull ? [] : ["--short"]));
  });

  it("pages what the built exporter reads from a host's log and files", async function () {
    this.timeout(300_000);
    await chain("--exporter");
  });
});

/** Prints the chain's own report, latencies among it. */
async function chain(...flags: string[]): Promise<void> {
  const child = spawn(process.execPath, ["--import=tsx", "test/alerts/live-chain.ts", ...flags]);
  let output = "";
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (chunk: string) => {
      output += chunk;
    });
  const code = await new Promise((done) => child.on("close", done));
  console.log(output.replace(/^(?=.)/gm, "      "));
  expect(code, output).to.equal(0);
}
