import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { expect } from "chai";

const command = join(import.meta.dirname, "../../src/cli/observe.ts");

/** `observe ARGS` in a process of its own, with nothing in PATH. */
function observe(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  const script = `import { observe } from ${JSON.stringify(command)}; process.exitCode = await observe(process.argv.slice(1));`;
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ["--import=tsx", "--input-type=module", "-e", script, "--", ...args],
    { encoding: "utf8", env: { PATH: "" } },
  );
  return { status, stdout, stderr };
}

describe("observe", function () {
  this.timeout(30_000);

  it("show prints the ruleset for the ports that are given", () => {
    const { status, stdout } = observe("show", "--sshd.port", "22", "--sshd.port=2222");
    expect(status).to.equal(0);
    expect(stdout).to.include("table inet ssh_reset_exporter {").and.to.include("tcp dport != { 22, 2222 } return");
  });

  for (const [args, message] of [
    [[], "no command given"],
    [["instal"], 'unknown command "instal"'],
    [["show", "twice"], 'unexpected "twice"'],
    [["show", "--sshd.port", "0"], '--sshd.port: "0" is no port: 1 to 65535'],
    [["show", "--sshd.port", "22;drop"], '--sshd.port: "22;drop" is no port: 1 to 65535'],
    [["trace", "--group", "no-such-group"], '--group: there is no group "no-such-group" in /etc/group'],
    [["show", "--port", "22"], "Unknown option '--port'"],
  ] as const)
    it(`refuses ${JSON.stringify(args)} with exit code 2`, () => {
      const { status, stdout, stderr } = observe(...args);
      expect({ status, stdout }).to.deep.equal({ status: 2, stdout: "" });
      expect(stderr).to.include(message);
    });

  it("install says that nft is missing, with exit code 1", () => {
    const { status, stderr } = observe("install");
    expect({ status, stderr }).to.deep.equal({
      status: 1,
      stderr: "observe: nft: not found in PATH: install nftables\n",
    });
  });
});
