import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { expect } from "chai";
import { readNeeded } from "../../src/collectors/elf-needed.ts";
import { HostsFiles, isLinked, tcpWrappers } from "../../src/collectors/tcp-wrappers.ts";
import { debianOr } from "../../tools/debian.ts";
import { contextOf, healthyHost, hostWith, pathsBelow, table } from "./fixture-host.ts";

const elf = readFileSync(`${healthyHost}/usr/sbin/sshd`);

describe("elf-needed", () => {
  it("reads the libraries of a small program", () => {
    expect(readNeeded(`${healthyHost}/usr/sbin/sshd`)).to.deep.equal(["libwrap.so.0", "libc.so.6"]);
  });

  it("finds libwrap in Debian's sshd, as its loader does", async function () {
    const { root } = await debianOr(this, "sshd");
    expect(readNeeded(`${root}/usr/sbin/sshd`)).to.include("libwrap.so.0");
  });

  it("finds libwrap in Debian 13's sshd or sshd-session", async function () {
    const { root } = await debianOr(this, "sshd", "trixie");
    expect(isLinked({ ...pathsBelow(root), procfs: "/nonexistent" }, undefined)).to.equal(true);
  });

  it("finds the C library in this very program", () => {
    expect(readNeeded(process.execPath).some((name) => name.startsWith("libc."))).to.equal(true);
  });

  for (const [name, bytes, message] of [
    ["a text file", Buffer.from("#!/bin/sh\n".repeat(20)), "is no ELF file"],
    ["an empty file", Buffer.alloc(0), "is no ELF file"],
    ["too many headers", patched(56, 0xffff), "has program headers that make no sense"],
    ["no string table", patched(64 + 16, 0x9000), "has no table of library names"],
  ] as const) {
    it(`refuses ${name}`, () => {
      const root = hostWith({});
      writeFileSync(`${root}/program`, bytes);
      expect(() => readNeeded(`${root}/program`)).to.throw(`${root}/program: ${message}`);
    });
  }

  it("survives a file cut anywhere", () => {
    const root = hostWith({});
    for (let length = 0; length < elf.length; length++) {
      writeFileSync(`${root}/program`, elf.subarray(0, length));
      try {
        expect(readNeeded(`${root}/program`)).to.be.an("array");
      } catch (error) {
        expect((error as Error).message).to.match(/program: /);
      }
    }
  });

  function patched(at: number, value: number): Buffer {
    const copy = Buffer.from(elf);
    copy.writeUInt16LE(value, at);
    return copy;
  }
});

describe("tcp-wrappers", () => {
  it("says whether sshd obeys, and counts the rules that refuse", async () => {
    const stop = new AbortController();
    const collector = tcpWrappers.create(contextOf(pathsBelow(healthyHost)));
    const done = collector.run?.(stop.signal);
    await new Promise(setImmediate);
    stop.abort();
    await done;
    const reading = await collector.read();
    expect(reading.status === "ok" && table(reading.samples)).to.deep.equal({
      tcp_wrappers_linked: 1,
      tcp_wrappers_deny_rules: 2,
      tcp_wrappers_malformed_lines: 0,
    });
  });

  it("looks at sshd-session too", () => {
    const root = hostWith({});
    const plain = Buffer.from(elf.toString("latin1").replace("libwrap.so.0", "libxxxx.so.0"), "latin1");
    mkdirSync(`${root}/usr/sbin`, { recursive: true });
    mkdirSync(`${root}/usr/lib/openssh`, { recursive: true });
    writeFileSync(`${root}/usr/sbin/sshd`, plain);
    expect(isLinked(pathsBelow(root), undefined)).to.equal(false);
    writeFileSync(`${root}/usr/lib/openssh/sshd-session`, elf);
    expect(isLinked(pathsBelow(root), undefined)).to.equal(true);
  });

  it("says where it looked for sshd in vain", () => {
    const root = hostWith({});
    expect(() => isLinked(pathsBelow(root), undefined)).to.throw(`no sshd in ${root}/usr/sbin/sshd, `);
  });

  it("reads a file again when it has changed", () => {
    const root = hostWith({ "etc/hosts.deny": "sshd: 10.\n" });
    const files = new HostsFiles(root);
    expect(files.read().deny).to.have.length(1);
    expect(files.read().deny).to.equal(files.read().deny);
    writeFileSync(`${root}/etc/hosts.deny`, "sshd: 10.\nsshd: 11.\n");
    expect(files.read().deny).to.have.length(2);
  });

  it("counts the rules again when a file has changed, or is gone", async () => {
    const root = hostWith({ "etc/hosts.deny": "sshd: 10.\n" });
    const collector = tcpWrappers.create(contextOf(pathsBelow(root)));
    const rules = async () => {
      const reading = await collector.read();
      return reading.status === "ok" && table(reading.samples)["tcp_wrappers_deny_rules"];
    };
    const seen = [await rules(), await rules()];
    writeFileSync(`${root}/etc/hosts.deny`, "sshd: 10.\nsshd: 11.\n");
    seen.push(await rules());
    rmSync(`${root}/etc/hosts.deny`);
    seen.push(await rules());
    expect(seen).to.deep.equal([1, 1, 2, 0]);
  });

  it("warns of a malformed line with its number, once", async () => {
    const warnings: unknown[] = [];
    const root = hostWith({ "etc/hosts.deny": "# all\nsshd ALL\n" });
    const collector = tcpWrappers.create(
      contextOf(pathsBelow(root), { onWarning: (_, details) => warnings.push(details) }),
    );
    await collector.read();
    const reading = await collector.read();
    expect(warnings).to.deep.equal([{ problem: '/etc/hosts.deny:2: missing ":" separator' }]);
    expect(reading.status === "ok" && table(reading.samples)).to.include({ tcp_wrappers_malformed_lines: 1 });
  });

  it("fails where hosts.deny cannot be read", async () => {
    const root = hostWith({ "etc/hosts.deny/x": "" });
    const reading = await tcpWrappers.create(contextOf(pathsBelow(root))).read();
    expect(reading.status === "ok" && reading.errors).to.deep.equal(["/etc/hosts.deny: EISDIR"]);
  });

  it("counts a rule of hosts.allow that refuses, and no rule of hosts.deny that allows", async () => {
    const root = hostWith({
      "etc/hosts.allow": "sshd: 10.: deny\nsshd: 11.: twist /bin/echo no\nsshd: 12.: spawn echo deny\nsshd: ALL",
      "etc/hosts.deny": "sshd: 13.: allow\nsshd: 14.\n",
    });
    const reading = await tcpWrappers.create(contextOf(pathsBelow(root))).read();
    expect(reading.status === "ok" && table(reading.samples)).to.include({ tcp_wrappers_deny_rules: 4 });
  });
});
