/** Real journal files, made by systemd-journal-remote, read by a real journalctl. */

import { chmodSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { delimiter, dirname } from "node:path";
import { expect } from "chai";
import { createJournalSource } from "../../src/sources/journal.ts";
import { journalMatches } from "../../src/sources/journal-match.ts";
import { debianOr, type Tool } from "../../tools/debian.ts";
import { entry, sshdEntries, sshdFields, timeOf, writeJournal } from "./journal-files.ts";
import { folders, numbered, Reading, start } from "./reading.ts";

describe("the journal", () => {
  const temporary = folders();
  let remote: Tool;
  before(async function () {
    remote = await debianOr(this, "systemd-journal-remote");
    if (!onPath("journalctl")) {
      const journalctl = await debianOr(this, "journalctl");
      process.env["PATH"] += `${delimiter}${dirname(journalctl.path)}`;
    }
  });

  it("gives records of wanted identifiers only, with what journald vouches for", async () => {
    const file = `${temporary.make()}/fix.journal`;
    const unit = { _TRANSPORT: "journal", SYSLOG_IDENTIFIER: "systemd", UNIT: "ssh.service", MESSAGE: "unit" };
    writeJournal(
      remote,
      file,
      Buffer.concat([
        entry(0, { ...sshdFields, _SYSTEMD_UNIT: "session-3.scope", SYSLOG_FACILITY: "4", MESSAGE: "a\nb" }),
        entry(1, { ...sshdFields, SYSLOG_IDENTIFIER: "cron", _COMM: "cron", MESSAGE: "not ours" }),
        entry(2, { ...unit, _PID: "1", _SYSTEMD_UNIT: "init.scope", EXIT_CODE: "killed", EXIT_STATUS: "9" }),
        entry(3, { ...unit, _PID: "2000", _UID: "1000", MESSAGE: "a user's own systemd" }),
        entry(4, { _TRANSPORT: "kernel", SYSLOG_IDENTIFIER: "kernel", SYSLOG_FACILITY: "0", MESSAGE: "kernel" }),
        entry(5, {
          _TRANSPORT: "kernel",
          SYSLOG_IDENTIFIER: "kernel",
          SYSLOG_FACILITY: "1",
          MESSAGE: "written to kmsg",
        }),
        entry(6, { _TRANSPORT: "syslog", SYSLOG_IDENTIFIER: "kernel", _COMM: "logger", MESSAGE: "logger -t kernel" }),
        entry(7, { ...sshdFields, SYSLOG_IDENTIFIER: "systemd", MESSAGE: "sshd as systemd" }),
        entry(8, { _TRANSPORT: "stdout", _COMM: "sshd-session", _PID: "5", MESSAGE: "no identifier" }),
      ]),
    );
    const reading = new Reading(createJournalSource({ ...start(), file }));
    await reading.until(({ messages }) => messages.includes("no identifier"));
    expect(reading.messages).to.deep.equal(["a\nb", "unit", "kernel", "no identifier"]);
    expect(reading.records[0]).to.deep.equal({
      source: "journal",
      timeMs: timeOf(0),
      ident: "sshd",
      pid: 268,
      message: "a\nb",
      count: 1,
      journal: {
        trusted: {
          transport: "syslog",
          comm: "sshd",
          unit: "session-3.scope",
          bootId: "12c43316b5a14ce7ad08dcb604ef0e05",
          pid: 268,
          uid: 0,
        },
        facility: 4,
      },
    });
    expect(reading.records[1]?.journal).to.deep.include({ unit: "ssh.service", exitCode: "killed", exitStatus: "9" });
    await reading.stop();
  });

  it("is followed: what is added comes too, and nothing comes twice after a restart", async () => {
    const file = `${temporary.make()}/fix.journal`;
    writeJournal(remote, file, sshdEntries(0, 3));
    const first = new Reading(createJournalSource({ ...start(), file }));
    await first.count(3);
    writeJournal(remote, file, sshdEntries(3, 5));
    await first.count(5);
    const position = await first.stop();
    writeJournal(remote, file, sshdEntries(5, 7));
    const second = new Reading(createJournalSource({ ...start({ position }), file }));
    await second.count(2);
    expect(first.messages).to.deep.equal(numbered(0, 5));
    expect(second.messages).to.deep.equal(numbered(5, 7));
    expect(first.lost + second.lost).to.equal(0);
    await second.stop();
  });

  it("counts a loss where the entry read last was vacuumed, and reads what is left", async () => {
    const folder = temporary.make();
    const file = `${folder}/fix*.journal`;
    const options = start();
    writeJournal(remote, `${folder}/fix1.journal`, sshdEntries(0, 3));
    const first = new Reading(createJournalSource({ ...options, file }));
    await first.count(3);
    const position = await first.stop();
    writeJournal(remote, `${folder}/fix2.journal`, sshdEntries(6, 9));
    rmSync(`${folder}/fix1.journal`);
    const second = new Reading(createJournalSource({ ...options, position, file }));
    await second.count(3);
    expect(second.messages).to.deep.equal(numbered(6, 9));
    expect(second.lost).to.equal(1);
    expect(options.warnings.at(-1)).to.contain("vacuumed");
    await second.stop();
  });

  it("is read from now on at the first start, and from then on after a restart without a record between", async () => {
    const file = `${temporary.make()}/fix.journal`;
    writeJournal(remote, file, sshdEntries(0, 3));
    const nowMs = () => timeOf(2) + 500;
    const first = new Reading(createJournalSource({ ...start({ fromBeginning: false }), file, nowMs }));
    await first.until(({ position }) => position !== undefined);
    const position = await first.stop();
    expect(position).to.deep.equal({ sinceMs: timeOf(2) + 500 });
    writeJournal(remote, file, sshdEntries(3, 5));
    const second = new Reading(createJournalSource({ ...start({ position, fromBeginning: false }), file }));
    await second.count(2);
    expect(second.messages).to.deep.equal(numbered(3, 5));
    await second.stop();
  });

  it("is read on when journalctl dies", async () => {
    const folder = temporary.make();
    const file = `${folder}/fix.journal`;
    const options = start();
    writeJournal(remote, file, sshdEntries(0, 3));
    writeFileSync(`${folder}/dying`, `#!/bin/sh\necho $$ >> ${folder}/pids\nexec journalctl "$@"\n`);
    chmodSync(`${folder}/dying`, 0o755);
    const source = createJournalSource({ ...options, file, command: `${folder}/dying`, retryMs: 20 });
    const reading = new Reading(source);
    await reading.count(3);
    const [pid] = readFileSync(`${folder}/pids`, "utf8").trim().split("\n");
    process.kill(Number(pid), "SIGKILL");
    await reading.until(() => options.warnings.length > 0);
    expect(options.warnings).to.deep.equal([`${folder}/dying was killed by SIGKILL; starting it again`]);
    writeJournal(remote, file, sshdEntries(3, 5));
    await reading.count(5);
    expect([reading.messages, reading.lost]).to.deep.equal([numbered(0, 5), 0]);
    expect(source.status()).to.deep.equal({ up: true });
    await reading.stop();
  });

  it("that fails says why, with a bounded number of tries", async () => {
    const folder = temporary.make();
    const options = start();
    const source = createJournalSource({ ...options, file: `${folder}/none.journal`, retryMs: 20 });
    const reading = new Reading(source);
    await reading.until(() => options.warnings.length >= 2);
    expect(source.status().up).to.equal(false);
    expect(options.warnings[0]).to.match(/^journalctl ended with exit code 1: .*No such file or directory; starting/);
    await reading.stop();
  });

  it("without journalctl says so", async () => {
    const options = start();
    const source = createJournalSource({ ...options, command: "/nonexistent/journalctl", retryMs: 20 });
    const reading = new Reading(source);
    await reading.until(() => options.warnings.length > 0);
    expect(source.status()).to.deep.equal({ up: false, reason: "/nonexistent/journalctl is not there" });
    await reading.stop();
  });

  it("that only root may read says which group may, too", async () => {
    const folder = temporary.make();
    const options = start();
    const said = "No journal files were opened due to insufficient permissions.";
    writeFileSync(`${folder}/journalctl`, `#!/bin/sh\necho '${said}' >&2\nexit 1\n`);
    chmodSync(`${folder}/journalctl`, 0o755);
    const source = createJournalSource({ ...options, command: `${folder}/journalctl`, retryMs: 20 });
    const reading = new Reading(source);
    await reading.until(() => options.warnings.length > 0);
    expect(source.status()).to.deep.equal({
      up: false,
      reason: `${folder}/journalctl ended with exit code 1: ${said}`,
      grant: "membership in the group systemd-journal",
    });
    await reading.stop();
  });

  for (const position of [{ cursor: "--help" }, { cursor: 7, sinceMs: 5 }, { cursor: "s=1;i=2\0", sinceMs: -1 }]) {
    it(`counts a loss for the position ${JSON.stringify(position)}, and begins anew`, async () => {
      const began = Date.now();
      const warnings: string[] = [];
      const onWarning = (message: string) => warnings.push(message);
      const source = createJournalSource({ position, fromBeginning: true, idents: ["sshd"], onWarning });
      const { value } = await source.batches(AbortSignal.abort())[Symbol.asyncIterator]().next();
      expect(value?.lost).to.equal(1);
      expect(value?.position).to.have.keys("sinceMs");
      expect(value?.position["sinceMs"]).to.be.at.least(began);
      expect(warnings).to.deep.equal(["journal: the position in the state makes no sense: entries may be lost"]);
    });
  }

  it("is matched by who speaks, not by unit", () => {
    expect(journalMatches(["sshd", "systemd", "kernel", "systemd-oomd"]).join(" ")).to.equal(
      "SYSLOG_IDENTIFIER=sshd SYSLOG_IDENTIFIER=systemd-oomd + _COMM=sshd + SYSLOG_IDENTIFIER=systemd _PID=1 + _TRANSPORT=kernel SYSLOG_FACILITY=0",
    );
    expect(journalMatches(["kernel"])).to.deep.equal(["_TRANSPORT=kernel", "SYSLOG_FACILITY=0"]);
  });
});

function onPath(program: string): boolean {
  return (process.env["PATH"] ?? "").split(delimiter).some((folder) => {
    try {
      return readFileSync(`${folder}/${program}`).length > 0;
    } catch {
      return false;
    }
  });
}
