/** `npm run demo` as a newcomer runs it: from the recording to the resolved page, and a clean end at any time. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { debianOr } from "../../tools/debian.ts";
import { waitFor } from "../cli/exporter-process.ts";

/** Command lines that name the folder: programs that were started in it. */
async function holding(folder: string): Promise<string[]> {
  const pids = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  const lines = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "")));
  return lines.filter((line) => line.includes(folder));
}

describe("the demo", function () {
  this.timeout(180_000);
  let folder: string;
  let child: ChildProcess;
  let output = "";

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "demo-test-"));
    output = "";
  });
  afterEach(async () => {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill("SIGTERM");
      await once(child, "exit");
    }
    rmSync(folder, { recursive: true });
  });

  function start(args: readonly string[], env: NodeJS.ProcessEnv = {}): void {
    child = spawn(process.execPath, ["--import=tsx", "tools/demo.ts", ...args], {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, TMPDIR: folder, ...env },
    });
    for (const stream of [child.stdout, child.stderr])
      stream?.setEncoding("utf8").on("data", (chunk: string) => {
        output += chunk;
      });
  }
  const ended = (): Promise<unknown> => once(child, "close");
  const addresses = (): readonly string[] => [...new Set(output.match(/http:\/\/127\.0\.0\.1:\d+/g))];

  /** Nothing answers, and nothing is left in the folder of temporary files (but tsx's cache). */
  async function nothingLeft(): Promise<void> {
    expect(addresses()).to.have.length(3);
    for (const address of addresses()) {
      const answer = await fetch(address).catch(() => undefined);
      expect(answer, address).to.equal(undefined);
    }
    expect(readdirSync(folder).filter((name) => name.startsWith("ssh-reset"))).to.deep.equal([]);
  }

  it("pages the crash, proves the fix, and ends by itself", async function () {
    for (const program of ["prometheus", "prometheus-alertmanager"] as const) await debianOr(this, program);
    start(["--once"]);
    const [code] = (await ended()) as [number | null];
    expect(code, output).to.equal(0);
    const page = output.slice(output.indexOf("[FIRING]"), output.indexOf("[RESOLVED]"));
    expect(page).to.match(/^\[FIRING\] sshd_crash on db1\n/);
    const words = page.replace(/\n {2}\|/g, "");
    expect(words)
      .to.match(/Evidence on db1: Stops of sshd by a signal, a core dump or the watchdog in 5 minutes: \d+\./)
      .and.to.include("1. systemctl status ssh");
    const runbook = /RUNBOOK: (\S+)/.exec(words)?.[1] ?? "";
    expect(existsSync(runbook), runbook).to.equal(true);
    expect(output.slice(output.indexOf("[RESOLVED]"))).to.match(/THE FIX: Proven: \d+ logins/);
    await nothingLeft();
  });

  it("ends clean on Ctrl-C in its middle", async function () {
    for (const program of ["prometheus", "prometheus-alertmanager"] as const) await debianOr(this, program);
    start([]);
    await waitFor("the incident", 60_000, async () => (output.includes("Main process exited") ? true : undefined));
    child.kill("SIGINT");
    const [code] = (await ended()) as [number | null];
    expect(code, output).to.equal(0);
    expect(output).to.not.match(/demo: |Error/);
    await nothingLeft();
  });

  it("leaves nothing when it is ended while it starts", async function () {
    for (const program of ["prometheus", "prometheus-alertmanager"] as const) await debianOr(this, program);
    start([]);
    await waitFor("its start", 60_000, async () => (output.includes("starting the exporter") ? true : undefined));
    child.kill("SIGTERM");
    await ended();
    expect(await holding(folder)).to.deep.equal([]);
    expect(readdirSync(folder).filter((name) => name.startsWith("ssh-reset"))).to.deep.equal([]);
  });

  it("leaves nothing when nobody reads its output any more", async function () {
    for (const program of ["prometheus", "prometheus-alertmanager"] as const) await debianOr(this, program);
    start([]);
    await waitFor("the addresses", 60_000, async () => (addresses().length === 3 ? true : undefined));
    child.stdout?.destroy();
    const [code] = (await once(child, "exit")) as [number | null];
    expect(code).to.equal(1);
    expect(await holding(folder)).to.deep.equal([]);
    await nothingLeft();
  });

  it("says what to install where nothing is installed or can be fetched", async () => {
    start(["--once"], { PATH: folder, XDG_CACHE_HOME: folder });
    const [code] = (await ended()) as [number | null];
    expect(code).to.equal(1);
    expect(output).to.include("apt-get install prometheus prometheus-alertmanager");
    expect(output).to.match(/cannot be fetched here:\n {2}\S/);
  });
});
