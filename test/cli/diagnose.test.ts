/** `diagnose` as users run it: the built program on fixture hosts, log files and a real journal. */
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { debianOr } from "../../tools/debian.ts";
import { writeJournal } from "../sources/journal-files.ts";
import { runExporter, startExporter } from "./exporter-process.ts";

const host = new URL("../fixtures/hosts/healthy", import.meta.url).pathname;
const incidents = new URL("../fixtures/journal/incidents.export", import.meta.url).pathname;
const ago = (minutes: number): string => new Date(Date.now() - minutes * 60_000).toISOString().replace("Z", "+00:00");

describe("the diagnose command", function () {
  this.timeout(60_000);
  let folder: string;
  let log: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "diagnose-"));
    mkdirSync(join(folder, "state"));
    log = join(folder, "auth.log");
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const run = (...args: string[]) =>
    runExporter(
      "diagnose",
      `--path.procfs=${host}/proc`,
      `--path.sysfs=${host}/sys`,
      `--path.rootfs=${host}`,
      `--state.directory=${folder}/state`,
      "--no-source.kmsg",
      ...args,
    );
  const login = (minutes: number, address: string): string =>
    `${ago(minutes)} web1 sshd[100]: Accepted publickey for alice from ${address} port 5000 ssh2: ED25519 SHA256:x\n`;
  const refusal = (minutes: number, address: string): string =>
    `${ago(minutes)} web1 sshd[200]: refused connect from ${address} (${address})\n`;

  it("names the cause of a known peer's refusal, with its line, and ends with 1", async () => {
    writeFileSync(log, login(300, "192.0.2.7") + refusal(20, "192.0.2.7"));
    const { code, stdout, stderr } = await run(`--source.logfile=${log}`);
    expect([code, stderr]).to.deep.equal([1, ""]);
    expect(stdout).to.match(/^3 {2}TCP wrappers: FOUND$/m);
    expect(stdout).to.include("sshd[200]: refused connect from 192.0.2.7 (192.0.2.7)");
    expect(stdout)
      .to.match(/^Verdict: TCP wrappers refuse\.$/m)
      .and.include("tcpdmatch sshd ADDRESS");
  });

  it("ends with 0 where nothing is found, and tells of strangers' refusals how to ask", async () => {
    writeFileSync(log, refusal(20, "192.0.2.7"));
    const { code, stdout } = await run(`--source.logfile=${log}`);
    expect(code).to.equal(0);
    expect(stdout).to.include(
      "1 time, none of them a peer that has logged in here. If yours is among them: --peer ADDRESS",
    );
    const asked = await run(`--source.logfile=${log}`, "--peer", "::ffff:192.0.2.7");
    expect(asked.code).to.equal(1);
    expect(asked.stdout).to.include("Only connections of 192.0.2.7, taken as a known peer.");
  });

  it("leaves out that another network namespace's connection table is full", async () => {
    cpSync(`${host}/proc`, join(folder, "proc"), { recursive: true });
    mkdirSync(join(folder, "proc/self/ns"), { recursive: true });
    symlinkSync("net:[4026531840]", join(folder, "proc/self/ns/net"));
    const full = (inode: number): string =>
      [20, 19, 18]
        .map((minutes) => `${ago(minutes)} web1 kernel: nf_conntrack: table full in netns ${inode}, dropping packet\n`)
        .join("");
    const found = async (inode: number): Promise<string> => {
      writeFileSync(log, login(300, "192.0.2.7") + full(inode));
      return (await run(`--path.procfs=${folder}/proc`, `--source.logfile=${log}`)).stdout;
    };
    expect(await found(4026531840)).to.match(/table full in netns 4026531840/);
    expect(await found(4026532999)).not.to.include("table full");
    const bundle = join(folder, "web1.bundle");
    await run(`--path.procfs=${folder}/proc`, `--source.logfile=${log}`, `--bundle=${bundle}`);
    expect((await runExporter("diagnose", "--from-bundle", bundle)).stdout).not.to.include("table full");
  });

  it("looks only at the window", async () => {
    writeFileSync(log, login(300, "192.0.2.7") + refusal(100, "192.0.2.7"));
    expect((await run(`--source.logfile=${log}`)).code).to.equal(0);
    expect((await run(`--source.logfile=${log}`, "--since=3h")).code).to.equal(1);
    expect((await run(`--source.logfile=${log}`, "--since=3h", "--until=2h")).code).to.equal(0);
  });

  it("gives the same as JSON", async () => {
    writeFileSync(log, login(300, "192.0.2.7") + refusal(20, "192.0.2.7"));
    const { code, stdout } = await run(`--source.logfile=${log}`, "--json");
    const { report, sources } = JSON.parse(stdout);
    expect([code, report.conclusion.cause, sources[0].records]).to.deep.equal([1, "tcp_wrappers", 1]);
    expect(report.steps.map(({ step }: { step: string }) => step)).to.deep.equal([
      "1",
      "2",
      "3",
      "4",
      "5",
      "6",
      "beyond",
    ]);
  });

  it("saves a bundle that says the same elsewhere, without users and addresses", async () => {
    writeFileSync(log, login(300, "192.0.2.7") + refusal(20, "192.0.2.7"));
    const bundle = join(folder, "web1.bundle");
    const saved = await run(`--source.logfile=${log}`, `--bundle=${bundle}`);
    expect([saved.code, saved.stderr]).to.deep.equal([1, `saved ${bundle}\n`]);
    const { code, stdout } = await runExporter("diagnose", "--from-bundle", bundle);
    expect(code).to.equal(1);
    expect(stdout)
      .to.match(/^Verdict: TCP wrappers refuse\.$/m)
      .and.not.match(/192\.0\.2\.7|alice/);
    writeFileSync(bundle, readFileSync(bundle).subarray(0, 200));
    const broken = await runExporter("diagnose", `--from-bundle=${bundle}`);
    expect([broken.code, broken.stdout]).to.deep.equal([2, ""]);
    expect(broken.stderr).to.match(
      /^ssh-reset-exporter diagnose: cannot read the bundle ".*web1\.bundle": unexpected end of file\n$/,
    );
  });

  it("knows the peers that an exporter has kept, and uses its samples", async () => {
    writeFileSync(log, login(300, "192.0.2.7"));
    const exporter = await startExporter([
      `--state.directory=${folder}/state`,
      `--source.logfile=${log}`,
      "--source.from-beginning",
      "--no-source.kmsg",
      "--no-source.tcp-trace",
    ]);
    await exporter.until("the login", (values) => values.get("sshreset_known_peers") === 1);
    await exporter.stop();
    writeFileSync(log, refusal(20, "192.0.2.7"));
    const { code, stdout } = await run(`--source.logfile=${log}`);
    expect(code).to.equal(1);
    expect(stdout)
      .to.match(/^Verdict: TCP wrappers refuse\.$/m)
      .and.not.include("no exporter has kept samples");
    writeFileSync(
      join(folder, "state", "samples.json"),
      '{"version":1,"data":{"history":{"times":[1],"series":[{}]}}}',
    );
    const damaged = await run(`--source.logfile=${log}`);
    expect(damaged.stderr).to.equal("");
    expect(damaged.stdout).to.match(/^Note: .*state: diagnosis\.\w+: /m);
  });

  it("reads a journal", async function () {
    const remote = await debianOr(this, "systemd-journal-remote");
    const file = join(folder, "incidents.journal");
    writeJournal(remote, file, readFileSync(incidents));
    const window = ["--since=2026-11-22T13:30:00Z", "--until=2026-11-22T14:10:00Z"];
    const { code, stdout, stderr } = await run(`--source.journal.file=${file}`, ...window);
    expect([code, stderr]).to.deep.equal([1, ""]);
    expect(stdout).to.match(/^1 {2}sshd crashed, restarted or is down: FOUND$/m);
    expect(stdout).to.match(/ssh\.service: Main process exited, code=killed, status=9\/KILL/);
  });

  it("ends with 2 where there is no journal and no log, and says what to grant", async () => {
    const { code, stdout } = await run("--no-source.journal");
    expect(code).to.equal(2);
    expect(stdout).to.match(
      /^Verdict: Nothing can be said: neither the journal nor a log file of sshd could be read\.$/m,
    );
    expect(stdout).to.match(
      /^Could not read:\n {2}no journal is read .*; to see it: membership in the group systemd-journal/m,
    );
  });

  it("ends with 2 where the log cannot be read", async () => {
    const { code, stdout } = await run(`--source.logfile=${log}`);
    expect(code).to.equal(2);
    expect(stdout).to.include("ENOENT");
  });

  for (const [args, message] of [
    [["--since=tomorrow"], '--since: "tomorrow" is no time: give 90m, 24h, 7d, 16:30 or 2026-11-22T16:30'],
    [["--since=2099-01-01"], '--since: "2099-01-01" is in the future'],
    [["--peer=example.com"], '--peer: "example.com" is no IP address'],
    [["--peer"], "--peer needs a value; see diagnose --help"],
    [["--json=yes"], '--json takes no value, got "yes"'],
    [["--sinse=1h"], "unknown flag --sinse"],
    [["--from-bundle=x", "--since=1h"], "--from-bundle and --since exclude each other"],
    [["--bundle=x", "--bundle.plain", "--peers.hash"], "--bundle.plain keeps addresses and --peers.hash hides them"],
    [["1h"], 'unexpected argument "1h"; flags start with --, see --help'],
  ] as const) {
    it(`ends with 2 on a mistake: ${args.join(" ")}`, async () => {
      const { code, stdout, stderr } = await runExporter("diagnose", ...args);
      expect([code, stdout]).to.deep.equal([2, ""]);
      expect(stderr)
        .to.match(/^ssh-reset-exporter diagnose: /)
        .and.include(message);
    });
  }

  it("teaches", async () => {
    const { code, stdout } = await runExporter("diagnose", "--help");
    expect(code).to.equal(0);
    expect(stdout).to.include("--from-bundle=FILE").and.include("Exit code:");
  });
});
