/** The command line of `probe`: mistakes quote the value and end with 2, a failed probe with 1. */
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import { expect } from "chai";
import { type FaultServer, faultServer } from "./fault-server.ts";

const main = new URL("../../src/cli/main.ts", import.meta.url).pathname;
const run = (...args: readonly string[]): Promise<{ status: number; out: string; error: string }> =>
  new Promise((resolve) => {
    execFile(process.execPath, ["--import=tsx", main, "probe", ...args], { timeout: 20_000 }, (error, out, text) => {
      resolve({ status: error === null ? 0 : Number(error.code), out, error: text });
    });
  });

describe("probe on the command line", function () {
  this.timeout(30_000);
  for (const [args, message] of [
    [[], /^no target/],
    [["host:65536"], /^port "65536" in target "host:65536" is not between 1 and 65535/],
    [["[::1"], /^target "\[::1" is not HOST/],
    [["--idle=500", "host"], /^--idle: "500" is not a number between 1 and 110/],
    [["--repeat=1.5", "host"], /^--repeat: "1\.5" is not a whole number between 1 and 10000/],
    [["--interval=0", "host"], /^--interval: "0" is not a number between 1 and 3600/],
    [["--mtu", "--idle=5", "host"], /^--mtu and --idle are two questions/],
    [["--speed", "host"], /^Unknown option '--speed'/],
  ] as const) {
    it(`refuses ${JSON.stringify(args)}`, async () => {
      const { status, out, error } = await run(...args);
      expect(error).to.match(message);
      expect([status, out]).to.deep.equal([2, ""]);
    });
  }

  it("probes several targets, one line of JSON each", async () => {
    const servers: FaultServer[] = [
      await faultServer("banner", "close"),
      await faultServer("kex_reply", "reset", { host: "::1" }),
    ];
    const targets = servers.map(({ port }, i) => (i === 0 ? `127.0.0.1:${port}` : `[::1]:${port}`));
    const { status, out } = await run("--json", ...targets);
    for (const server of servers) await server.close();
    const answers = out
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as { result: string; failure: unknown; next: string[] });
    expect(status).to.equal(1);
    expect(answers.map(({ result }) => result)).to.deep.equal(["closed", "reset"]);
    expect(answers[1]?.failure).to.deep.equal({ phase: "kex_reply", reason: "reset", errno: "ECONNRESET" });
    expect(answers[1]?.next[0]).to.include("step 5");
  });

  it("ends without a word when nobody reads its output any more", async () => {
    const server = await faultServer("banner", "close");
    const args = ["--import=tsx", main, "probe", "--repeat=3", "--interval=1", `127.0.0.1:${server.port}`];
    const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"] });
    const error = text(child.stderr);
    child.stdout.once("data", () => child.stdout.destroy());
    const [status] = (await once(child, "exit")) as [number | null];
    await server.close();
    // As after SIGPIPE.
    expect([status, await error]).to.deep.equal([141, ""]);
    expect(server.connections()).to.equal(2);
  });

  it("has a help whose flags it knows", async () => {
    const { status, out } = await run("--help");
    expect(status).to.equal(0);
    for (const flag of ["--repeat", "--mtu", "--idle", "--timeout", "--interval", "-4", "--json"])
      expect(out).to.include(flag);
  });
});
