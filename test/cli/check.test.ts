import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { runExporter } from "./exporter-process.ts";

const host = new URL("../fixtures/hosts/healthy", import.meta.url).pathname;

describe("the check command", function () {
  this.timeout(30_000);
  let log: string;
  before(() => {
    log = join(mkdtempSync(join(tmpdir(), "check-")), "auth.log");
    writeFileSync(log, "");
  });
  after(() => rmSync(join(log, ".."), { recursive: true }));
  const flags = [
    `--path.procfs=${host}/proc`,
    `--path.sysfs=${host}/sys`,
    `--path.rootfs=${host}`,
    "--path.tracefs=/nonexistent",
    "--no-source.kmsg",
  ];

  it("names what is read, what is not and what would grant it, and ends with 1", async () => {
    const { code, stdout, stderr } = await runExporter("check", ...flags, `--source.logfile=${log}`);
    expect(stderr).to.equal("");
    expect(code).to.equal(1);
    expect(stdout).to.match(/^ {2}logfile +yes$/m);
    expect(stdout).to.match(/^ {2}tcp_trace +no .*\n +to see it: as root: mount -t tracefs/m);
    expect(stdout).to.match(/^ {2}conntrack +yes/m);
    expect(stdout).to.match(/^ {2}sshd_crash +yes +sshd crashed$/m);
    expect(stdout).to.match(/^ {2}middlebox_reset +no .*\n +to see it: ssh-reset-exporter observe install/m);
    expect(stdout).to.match(/\n\d+ of these cannot be seen\.\n$/);
  });

  it("says where the state would be kept, and how to make the place", async () => {
    const there = await runExporter(
      "check",
      ...flags,
      `--source.logfile=${log}`,
      `--state.directory=${join(log, "..")}`,
    );
    expect(there.stdout).to.match(/^ {2}state directory +yes +\/.*check-\w+/m);
    const gone = await runExporter(
      "check",
      ...flags,
      `--source.logfile=${log}`,
      "--state.directory=/nonexistent/state",
    );
    expect(gone.code).to.equal(1);
    expect(gone.stdout).to.match(
      /^ {2}state directory +FAILED .*does not exist.*\n +to see it: install -d -m 0700 -o \w+ \/nonexistent\/state$/m,
    );
  });

  it("needs no folder for temporary files where there is a state directory", async () => {
    const place = [`--source.logfile=${log}`, `--state.directory=${join(log, "..")}`];
    const before = process.env["TMPDIR"];
    process.env["TMPDIR"] = "/nonexistent";
    try {
      const { code, stdout, stderr } = await runExporter("check", ...flags, ...place);
      expect({ code, stderr }).to.deep.equal({ code: 1, stderr: "" });
      expect(stdout).to.match(/^ {2}logfile +yes$/m);
      expect(readdirSync(join(log, ".."))).to.deep.equal(["auth.log"]);
    } finally {
      if (before === undefined) delete process.env["TMPDIR"];
      else process.env["TMPDIR"] = before;
    }
  });

  it("without any log it can judge no crash, and says what to grant", async () => {
    const { code, stdout } = await runExporter("check", ...flags, "--no-source.journal");
    expect(code).to.equal(1);
    expect(stdout).to.match(/^ {2}sshd records +no .*\n +to see it: membership in the group systemd-journal/m);
    expect(stdout).to.match(/^ {2}sshd_crash +no/m);
  });

  it("ends with 2 on a mistake", async () => {
    const { code, stderr } = await runExporter("check", "--surce.kmsg");
    expect([code, stderr]).to.deep.equal([
      2,
      "ssh-reset-exporter: unknown flag --surce.kmsg; did you mean --source.kmsg?\n",
    ]);
  });
});
