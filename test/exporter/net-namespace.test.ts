import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { ownNetNamespace } from "../../src/exporter/net-namespace.ts";

describe("the own network namespace", () => {
  const root = mkdtempSync(join(tmpdir(), "netns-"));
  after(() => rmSync(root, { recursive: true }));

  it("is the inode that /proc/self/ns/net names", () => {
    mkdirSync(join(root, "self/ns"), { recursive: true });
    symlinkSync("net:[4026531840]", join(root, "self/ns/net"));
    expect(ownNetNamespace(root)).to.equal(4026531840);
    expect(ownNetNamespace("/proc")).to.be.greaterThan(4026531000);
  });

  it("is undefined where /proc does not say", () => {
    expect(ownNetNamespace(join(root, "absent"))).to.equal(undefined);
  });
});
