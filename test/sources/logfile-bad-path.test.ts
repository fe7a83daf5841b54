import { execFileSync } from "node:child_process";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { expect } from "chai";
import { NotRegularFile } from "../../src/sources/held-file.ts";
import { createLogfileSource, findLogfiles } from "../../src/sources/logfile.ts";
import { folders, lines, pollMs, Reading, start } from "./reading.ts";

describe("a path that is no log file", () => {
  const temporary = folders();

  it("is refused at once if it is a directory, a FIFO or a device", () => {
    const folder = temporary.make();
    execFileSync("mkfifo", [`${folder}/fifo`]);
    const refused = (path: string) => () => createLogfileSource({ ...start(), paths: [path] });
    expect(refused(folder)).to.throw(NotRegularFile, `${folder} is a directory, not a log file`);
    expect(refused(`${folder}/fifo`)).to.throw(NotRegularFile, `${folder}/fifo is a FIFO, not a log file`);
    expect(refused("/dev/null")).to.throw(NotRegularFile, "/dev/null is a device, not a log file");
  });

  it("is a reason, no crash, if it becomes one later", async () => {
    const path = `${temporary.make()}/auth.log`;
    writeFileSync(path, lines(0, 1));
    const source = createLogfileSource({ ...start(), paths: [path], pollMs });
    const reading = new Reading(source);
    await reading.count(1);
    rmSync(path);
    mkdirSync(path);
    await reading.until(() => source.status().reason === `${path} is a directory, not a log file`);
    rmSync(path, { recursive: true });
    writeFileSync(path, lines(1, 2));
    await reading.count(2);
    await reading.until(() => source.status().up);
    await reading.stop();
  });
});

describe("the log files of a host", () => {
  const temporary = folders();

  it("are found by the names that distributions give them", () => {
    const root = temporary.make();
    const log = `${root}/var/log`;
    mkdirSync(log, { recursive: true });
    const none = { sshd: undefined, systemd: undefined, kernel: undefined };
    expect(findLogfiles(root)).to.deep.equal(none);
    mkdirSync(`${log}/auth.log`);
    expect(findLogfiles(root)).to.deep.equal(none);
    writeFileSync(`${log}/messages`, "");
    expect(findLogfiles(root)).to.deep.equal({
      sshd: `${log}/messages`,
      systemd: `${log}/messages`,
      kernel: `${log}/messages`,
    });
    writeFileSync(`${log}/secure`, "");
    expect(findLogfiles(root).sshd).to.equal(`${log}/secure`);
    rmSync(`${log}/auth.log`, { recursive: true });
    for (const name of ["auth.log", "syslog", "kern.log"]) writeFileSync(`${log}/${name}`, "");
    expect(findLogfiles(root)).to.deep.equal({
      sshd: `${log}/auth.log`,
      systemd: `${log}/syslog`,
      kernel: `${log}/kern.log`,
    });
  });
});
