/** The command, and files that are not what they should be. */

import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { contains, parsePorts } from "../../src/audit/address.ts";
import { audit } from "../../src/audit/audit.ts";
import { cutNote, keepAliveOf } from "../../src/audit/sshd-settings.ts";

const question = { peer: "192.0.2.7", port: 22 };
const judge = (text: string) => audit([{ name: "a.txt", text }], question);

describe("files that are no rule sets", () => {
  for (const [title, text, message] of [
    ["an empty file", "", 'a.txt: holds nothing that is known; it begins with ""'],
    ["a picture", "\x89PNG\r\n", "a.txt: holds nothing that is known"],
    ["half a document", '{"SecurityGroups": [', "a.txt: no valid JSON: "],
    ["another document", '{"Vpcs": []}', "a.txt: no rule set in it: an object with Vpcs"],
    [
      "a list of groups that is none",
      '{"SecurityGroups": "none"}',
      'a.txt: SecurityGroups: expected a list, found "none"',
    ],
    [
      "a group without an id",
      '{"SecurityGroups": [{}]}',
      "a.txt: SecurityGroups[0].GroupId: expected a text, found nothing",
    ],
    [
      "a prefix that is none",
      '{"SecurityGroups":[{"GroupId":"g","IpPermissions":[{"IpProtocol":"-1","IpRanges":[{"CidrIp":"300.0.0.0/8"}]}]}]}',
      'a.txt: "300.0.0.0/8" is no address, prefix or range',
    ],
    [
      "ports that are none",
      '[{"name":"x","allowed":[{"IPProtocol":"tcp","ports":["ssh"]}]}]',
      'a.txt: "ssh" is no port or range of ports',
    ],
    [
      "a rule of an undeclared chain",
      "*filter\n-A INPUT -j DROP\n",
      'a.txt: line 2: a rule of the chain "INPUT", which is not declared',
    ],
    [
      "a line that is no rule",
      "*filter\n:INPUT ACCEPT [0:0]\niptables -A INPUT\n",
      'a.txt: line 3: "iptables -A INPUT" is no rule of iptables-save',
    ],
    [
      "a flag that is none",
      "*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -p tcp --tcp-flags SYN,FOO SYN -j DROP\n",
      'a.txt: line 3: "FOO" is no TCP flag',
    ],
    [
      "a rule of nft without its chain",
      '{"nftables":[{"rule":{"family":"ip","table":"t","chain":"c","expr":[]}}]}',
      'its chain "c" is not in the file',
    ],
    ["lists 10,000 deep", `${"[".repeat(10_000)}${"]".repeat(10_000)}`, "a.txt: nests deeper than 200 levels"],
    ["objects 10,000 deep", `${'{"a":'.repeat(10_000)}1${"}".repeat(10_000)}`, "a.txt: nests deeper than 200 levels"],
  ] as const)
    it(title, () => {
      expect(() => judge(text)).to.throw(message);
    });

  it("does not take brackets in a text for depth", () => {
    const name = `"${"[".repeat(500)}\\"`.concat('"');
    expect(judge(`[{"name": ${name}, "allowed": []}]`).answers).to.have.length(1);
  });
});

describe("addresses of rules", () => {
  for (const [prefix, address, holds] of [
    ["192.0.2.0/24", "192.0.2.7", true],
    ["192.0.2.0/255.255.255.0", "192.0.2.7", true],
    ["192.0.2.1-192.0.2.9", "192.0.2.7", true],
    ["192.0.2.8-192.0.2.9", "192.0.2.7", false],
    ["0.0.0.0/0", "192.0.2.7", true],
    ["0.0.0.0/0", "2001:db8::7", false],
    ["::/0", "2001:db8::7", true],
    ["2001:db8::/33", "2001:db8:8000::1", false],
    ["192.0.2.7", "192.0.2.7", true],
  ] as const)
    it(`${prefix} ${holds ? "holds" : "does not hold"} ${address}`, () => {
      expect(contains(prefix, address)).to.equal(holds);
    });

  for (const wrong of ["", "192.0.2.0/33", "::/129", "192.0.2.0/255.0.255.0", "192.0.2.1-::1", "host.example"])
    it(`refuses ${JSON.stringify(wrong)}`, () => {
      expect(() => contains(wrong, "192.0.2.7")).to.throw(JSON.stringify(wrong));
    });

  it("takes ports and ranges of them", () => {
    expect([parsePorts("22"), parsePorts("20:25"), parsePorts("*")]).to.deep.equal([
      { first: 22, last: 22 },
      { first: 20, last: 25 },
      { first: 0, last: 65_535 },
    ]);
    for (const wrong of ["", "65536", "25-20", "-1"]) expect(() => parsePorts(wrong)).to.throw(JSON.stringify(wrong));
  });
});

describe("sshd's keep-alive against an idle timeout", () => {
  const timeout = { seconds: 350, by: "the balancer" };
  for (const [settings, cuts] of [
    [
      "clientaliveinterval 0\ntcpkeepalive yes\n",
      "ClientAliveInterval 0 sends nothing, TCPKeepAlive's first probe comes after 7200 s",
    ],
    ["clientaliveinterval 0\ntcpkeepalive no\n", "ClientAliveInterval 0 sends nothing, TCPKeepAlive is off"],
    ["clientaliveinterval 400\n", "ClientAliveInterval 400 sends something every 400 s"],
    ["clientaliveinterval 300\n", undefined],
  ] as const)
    it(JSON.stringify(settings), () => {
      const note = cutNote(timeout, keepAliveOf(settings));
      if (cuts === undefined) expect(note).to.equal(undefined);
      else expect(note).to.include("the balancer forgets idle connections after 350 s").and.to.include(cuts);
    });

  it("is left to TCPKeepAlive where the timeout is longer than its two hours", () => {
    expect(cutNote({ seconds: 432_000, by: "x" }, keepAliveOf("clientaliveinterval 0\ntcpkeepalive yes\n"))).to.equal(
      undefined,
    );
  });

  it("asks for sshd -T where it is not given", () => {
    expect(cutNote(timeout, undefined)).to.include("give the output of sshd -T");
  });
});

describe("audit", function () {
  this.timeout(30_000);
  const folder = mkdtempSync(join(tmpdir(), "ssh-reset-exporter-audit-"));
  after(() => rmSync(folder, { recursive: true }));
  const main = join(import.meta.dirname, "../../src/cli/main.ts");
  const file = (name: string, text: string) => {
    writeFileSync(join(folder, name), text);
    return join(folder, name);
  };
  const run = (...args: string[]) => {
    const { status, stdout, stderr } = spawnSync(process.execPath, ["--import=tsx", main, "audit", ...args], {
      encoding: "utf8",
    });
    return { status, stdout, stderr };
  };
  const rules = "*filter\n:INPUT DROP [0:0]\n-A INPUT -p tcp -m tcp --dport 22 -s 192.0.2.0/24 -j ACCEPT\nCOMMIT\n";

  it("says yes, by which rule, with exit code 0", () => {
    const { status, stdout } = run("--peer", "192.0.2.7", file("rules", rules));
    expect(status).to.equal(0);
    expect(stdout).to.include(
      "its SYN passes\n      filter INPUT rule 1: -p tcp -m tcp --dport 22 -s 192.0.2.0/24 -j ACCEPT",
    );
    expect(stdout).to.match(/192\.0\.2\.7 to port 22: may reach it, and the answers get back\n$/);
  });

  it("says no with exit code 1, and as JSON", () => {
    const { status, stdout } = run("--json", "--peer=198.51.100.7", file("rules", rules));
    expect(status).to.equal(1);
    const { verdict, answers } = JSON.parse(stdout) as { verdict: string; answers: { connect: object }[] };
    expect({ verdict, connect: answers[0]?.connect }).to.deep.equal({
      verdict: "no",
      connect: { decision: "dropped", rules: ["policy drop of filter INPUT"], needs: [] },
    });
  });

  it("says what it needs with exit code 3", () => {
    const { status, stdout } = run(
      "--peer=192.0.2.7",
      file("set", rules.replace("-s 192.0.2.0/24", "-m set --match-set a src")),
    );
    expect(status).to.equal(3);
    expect(stdout).to.include("its SYN cannot be told").and.to.include("needs: ipset save a");
  });

  for (const [title, args, message] of [
    ["no peer", [], "audit: --peer is missing: whose way is to be judged?\n"],
    ["a name for a peer", ["--peer=host.example", "x"], 'audit: --peer: "host.example" is no IP address\n'],
    ["no port", ["--peer=192.0.2.7", "--port=ssh", "x"], 'audit: --port: "ssh" is no port: 1 to 65535\n'],
    ["no file", ["--peer=192.0.2.7"], "audit: no file given\n"],
    [
      "a file that is not there",
      ["--peer=192.0.2.7", "/nonexistent"],
      "audit: ENOENT: no such file or directory, stat '/nonexistent'\n",
    ],
  ] as const)
    it(`refuses ${title} with exit code 2`, () => {
      expect(run(...args)).to.deep.equal({ status: 2, stdout: "", stderr: message });
    });
});
