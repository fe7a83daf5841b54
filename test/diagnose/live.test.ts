import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { collectorModules } from "../../src/collectors/index.ts";
import { loadConfig } from "../../src/config/load.ts";
import { readCollectors } from "../../src/diagnose/live.ts";

describe("diagnose/live", function () {
  this.timeout(20_000);
  const folder = mkdtempSync(join(tmpdir(), "live-"));
  const path = process.env["PATH"];
  after(() => {
    process.env["PATH"] = path;
    rmSync(folder, { recursive: true });
  });

  it("waits for a program that takes its time", async () => {
    writeFileSync(join(folder, "ss"), "#!/bin/sh\nsleep 1\n");
    chmodSync(join(folder, "ss"), 0o755);
    process.env["PATH"] = `${folder}:${path}`;
    const { config } = loadConfig(["--sshd.port=22"], collectorModules);
    const { states } = await readCollectors({ ...config, collectors: ["sockets"] });
    expect(states.map(({ name, state, missing }) => ({ name, state, missing }))).to.deep.equal([
      { name: "sockets", state: "ok", missing: [] },
    ]);
  });
});
