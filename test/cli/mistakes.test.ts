/** Every mistake that a user can make at the start: exact message, exit code 2, nothing half-started. */
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { runExporter, startExporter } from "./exporter-process.ts";

describe("mistakes at the start", function () {
  this.timeout(30_000);
  let folder: string;
  let state: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "mistakes-"));
    state = join(folder, "state");
    mkdirSync(state);
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  async function refused(...args: string[]): Promise<string> {
    const { code, stderr, stdout } = await runExporter(
      `--state.directory=${state}`,
      "--web.listen-address=127.0.0.1:0",
      ...args,
    );
    expect(code, stderr).to.equal(2);
    expect(stdout).to.equal("");
    expect(stderr.trim().split("\n")).to.have.length(1);
    expect(readdirSync(state), "nothing half-started").to.deep.equal([]);
    return stderr.trim();
  }

  it("an unknown flag", async () => {
    expect(await refused("--source.logfle=/x")).to.equal(
      "ssh-reset-exporter: unknown flag --source.logfle; did you mean --source.logfile?",
    );
  });

  it("an unknown command", async () => {
    const { code, stderr } = await runExporter("serv");
    expect(code).to.equal(2);
    expect(stderr).to.match(
      /^unknown command "serv"; there are: serve, diagnose, audit, check, observe, probe, completion\n$/,
    );
  });

  it("a port that is taken", async () => {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    try {
      expect(await refused(`--web.listen-address=127.0.0.1:${port}`)).to.equal(
        `ssh-reset-exporter: --web.listen-address: cannot listen on 127.0.0.1:${port}: the port is taken; see who has it with: ss -ltnp "sport = :${port}"`,
      );
    } finally {
      server.close();
    }
  });

  it("a state directory that is missing", async () => {
    const missing = join(folder, "missing");
    expect(await refused(`--state.directory=${missing}`)).to.equal(
      `ssh-reset-exporter: state directory "${missing}" does not exist; make it with: install -d -m 0700 "${missing}"`,
    );
  });

  it("a log that is a folder", async () => {
    expect(await refused(`--source.logfile=${folder}`)).to.match(/^ssh-reset-exporter: --source\.logfile: .*directory/);
  });

  it("two sources for one kind of record", async () => {
    expect(await refused("--source.logfile=/var/log/auth.log", "--source.journal")).to.equal(
      "ssh-reset-exporter: --source.journal and --source.logfile=/var/log/auth.log would both read sshd's and systemd's records, and count them twice: give one of them",
    );
  });

  it("--config.check says whether a configuration is good", async () => {
    const config = join(folder, "config.yml");
    writeFileSync(config, "log.level: debug\n");
    expect(await runExporter(`--config.file=${config}`, "--config.check")).to.deep.equal({
      code: 0,
      stdout: "the configuration is good\n",
      stderr: "",
    });
    writeFileSync(config, "log.levle: debug\n");
    const { code, stderr } = await runExporter(`--config.file=${config}`, "--config.check");
    expect([code, stderr]).to.deep.equal([
      2,
      `ssh-reset-exporter: ${config}: unknown key "log.levle"; did you mean log.level?\n`,
    ]);
  });

  it("--config.check looks into the files that a configuration names, and at what a start would refuse", async () => {
    const web = join(folder, "web.yml");
    writeFileSync(web, "basic_auth_user: {}\n");
    const cases: readonly (readonly [string, string])[] = [
      [
        `--web.config.file=${web}`,
        `${web}: unknown key "basic_auth_user"; there are: tls_server_config, http_server_config, basic_auth_users`,
      ],
      ["--probe.allow=:::", '--probe.allow: target ":::" is not HOST, HOST:PORT, IPV6 or [IPV6]:PORT'],
      [
        "--source.logfile=/var/log/auth.log --source.journal",
        "--source.journal and --source.logfile=/var/log/auth.log would both read sshd's and systemd's records, and count them twice: give one of them",
      ],
    ];
    for (const [flags, message] of cases) {
      const { code, stderr } = await runExporter("--config.check", ...flags.split(" "));
      expect([code, stderr]).to.deep.equal([2, `ssh-reset-exporter: ${message}\n`]);
    }
  });

  it("a damaged snapshot is kept aside, said, and the exporter starts fresh", async () => {
    writeFileSync(join(state, "counts.json"), '{"version":1,"data":{"pipe');
    const exporter = await startExporter([`--state.directory=${state}`, "--no-source.journal", "--no-source.kmsg"]);
    try {
      expect(exporter.stderr()).to.match(/level=warn .*counts\.json\.broken.*it is damaged.*starting fresh/);
      expect(readdirSync(state)).to.include("counts.json.broken");
      expect((await exporter.values()).get("sshreset_state_commit_success")).to.equal(1);
    } finally {
      await exporter.stop();
    }
  });

  it("a snapshot whose content is of no use is kept aside too", async () => {
    writeFileSync(join(state, "counts.json"), '{"version":1,"data":{"pipeline":7}}');
    const exporter = await startExporter([`--state.directory=${state}`, "--no-source.journal", "--no-source.kmsg"]);
    try {
      expect(exporter.stderr()).to.match(/level=warn .*counts\.json\.broken.*starting fresh/);
    } finally {
      await exporter.stop();
    }
  });
});
