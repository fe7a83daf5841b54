import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { releaseOf, SshdVersion } from "../../src/collectors/sshd-version.ts";
import { debianOr } from "../../tools/debian.ts";
import { hostWith, temporaryFolder } from "./fixture-host.ts";

describe("the release of sshd", () => {
  for (const suite of ["bookworm", "trixie"] as const) {
    it(`is read from ${suite}'s program with Debian's revision`, async function () {
      const { root } = await debianOr(this, "sshd", suite);
      const upstream = { bookworm: "9\\.2p1", trixie: "10\\.\\dp\\d" }[suite];
      expect(new SshdVersion(root).read()).to.match(new RegExp(`^${upstream} Debian-\\d+\\+deb\\d\\d\\w+$`));
    });
  }

  it("is not one of the releases whose bugs the program knows", () => {
    expect(releaseOf("\0OpenSSH_6.6.1*\0OpenSSH_7.4*\0OpenSSH_9.2\0OpenSSH_8.7p1\0")).to.equal("8.7p1");
    expect(releaseOf("\0OpenSSH_6.6.1*\0OpenSSH_9.2\0")).to.equal(undefined);
    expect(releaseOf(`\0OpenSSH_9.6p1 Ubuntu-3ubuntu13.5\0`)).to.equal("9.6p1 Ubuntu-3ubuntu13.5");
  });

  it("follows an upgrade, and is unknown without a program", () => {
    const root = hostWith({ "usr/sbin/sshd": "\0OpenSSH_9.2p1\0" });
    const installed = new SshdVersion(root);
    expect(installed.read()).to.equal("9.2p1");
    writeFileSync(join(root, "usr/sbin/sshd"), "\0OpenSSH_10.0p2\0, longer");
    expect(installed.read()).to.equal("10.0p2");
    expect(new SshdVersion(temporaryFolder()).read()).to.equal(undefined);
  });

  it("is unknown where the program may not be read", () => {
    const root = hostWith({ "usr/sbin/sshd": "\0OpenSSH_9.2p1\0" });
    chmodSync(join(root, "usr/sbin/sshd"), 0);
    const isRoot = process.getuid?.() === 0;
    if (isRoot) process.seteuid?.("nobody");
    try {
      expect(new SshdVersion(root).read()).to.equal(undefined);
    } finally {
      if (isRoot) process.seteuid?.(0);
    }
  });
});
