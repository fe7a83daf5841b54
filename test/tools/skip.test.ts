import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { skip } from "../../tools/skip.ts";

describe("a skipped check", () => {
  const saved = { CI: process.env["CI"], SKIPS_FILE: process.env["SKIPS_FILE"] };
  const folder = mkdtempSync(join(tmpdir(), "ssh-reset-exporter-skip-"));
  let skipped = 0;
  const context = {
    currentTest: { fullTitle: () => "the check" },
    skip: () => {
      skipped++;
    },
  } as unknown as Mocha.Context;

  afterEach(() => {
    for (const [name, value] of Object.entries(saved)) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  });
  after(() => rmSync(folder, { recursive: true }));

  it("is told with its reason", () => {
    delete process.env["CI"];
    process.env["SKIPS_FILE"] = join(folder, "skips");
    skip(context, "no root");
    expect(skipped).to.equal(1);
    expect(JSON.parse(readFileSync(join(folder, "skips"), "utf8"))).to.deep.equal({
      title: "the check",
      reason: "no root",
    });
  });

  it("fails in CI", () => {
    process.env["CI"] = "true";
    expect(() => skip(context, "no root")).to.throw("CI may not skip: no root");
  });
});
