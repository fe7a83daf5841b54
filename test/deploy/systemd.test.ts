/** The systemd unit: silent under `systemd-analyze verify`, and hardened as promised. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { debianOr, type Tool } from "../../tools/debian.ts";

const unit = new URL("../../deploy/systemd/ssh-reset-exporter.service", import.meta.url).pathname;
const dropIn = new URL("../../deploy/systemd/no-trace.conf", import.meta.url).pathname;

describe("deploy/systemd", () => {
  let analyze: Tool;
  before(async function () {
    analyze = await debianOr(this, "systemd-analyze");
  });
  const run = (...args: string[]) => spawnSync(analyze.path, args, { env: analyze.env, encoding: "utf8" });

  it("is a unit without a word of complaint", () => {
    const folder = mkdtempSync(join(tmpdir(), "unit-"));
    try {
      const copy = join(folder, "ssh-reset-exporter.service");
      // The program is not installed on the machine that checks.
      writeFileSync(copy, readFileSync(unit, "utf8").replaceAll("/usr/bin/ssh-reset-exporter", "/bin/true"));
      const { status, stdout, stderr } = run("verify", "--man=no", copy);
      expect(stdout + stderr).to.equal("");
      expect(status).to.equal(0);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it("exposes no more than 1.5 of 10", () => {
    const { status, stdout } = run("security", "--offline=true", "--threshold=15", "--no-pager", unit);
    expect(stdout).to.match(/Overall exposure level for ssh-reset-exporter\.service: (0|1\.[0-5]) OK/);
    expect(status).to.equal(0);
  });

  it("runs nothing as root with the drop-in", () => {
    const roots = [...readFileSync(unit, "utf8").matchAll(/^(\w+)=-\+/gm)].map(([, key]) => `${key}=`);
    const cleared = readFileSync(dropIn, "utf8").split("\n");
    expect(roots).to.have.length(2);
    for (const key of roots) expect(cleared).to.include(key);
  });
});
