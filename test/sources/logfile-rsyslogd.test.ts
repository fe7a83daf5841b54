/** A real rsyslogd writes the file, a real logger(1) speaks to it, and the file is rotated with rsyslogd's own HUP. */

import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { existsSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { expect } from "chai";
import { createLogfileSource } from "../../src/sources/logfile.ts";
import { debianOr } from "../../tools/debian.ts";
import { folders, numbered, pollMs, Reading, rotate, start } from "./reading.ts";

describe("a log file that rsyslogd writes", () => {
  const temporary = folders();
  let daemon: ChildProcess | undefined;
  afterEach(() => daemon?.kill());

  for (const [format, template] of [
    ["RFC 3339", "RSYSLOG_FileFormat"],
    ["RFC 3164", "RSYSLOG_TraditionalFileFormat"],
    ["RFC 5424", "RSYSLOG_SyslogProtocol23Format"],
  ] as const) {
    it(`in ${format} format is followed line by line, through a rotation`, async function () {
      const rsyslogd = await debianOr(this, "rsyslogd");
      const logger = await debianOr(this, "logger");
      this.timeout(20_000);
      const folder = temporary.make();
      const path = join(folder, "auth.log");
      const modules = findFolder(rsyslogd.root, "rsyslog", "imuxsock.so");
      writeFileSync(
        join(folder, "rsyslog.conf"),
        `module(load="imuxsock" SysSock.Use="off")
input(type="imuxsock" Socket="${folder}/log" CreatePath="off")
module(load="builtin:omfile" Template="${template}")
$RepeatedMsgReduction on
*.* action(type="omfile" file="${path}")
`,
      );
      const args = ["-n", "-f", join(folder, "rsyslog.conf"), "-i", join(folder, "pid"), "-M", modules];
      const child = spawn(rsyslogd.path, args, { env: rsyslogd.env, stdio: ["ignore", "ignore", "inherit"] });
      daemon = child;
      const say = (tag: string, message: string) =>
        execFileSync(logger.path, ["--socket", `${folder}/log`, "-t", tag, "--id=4711", "-p", "auth.info", message], {
          env: logger.env,
        });
      for (let tries = 0; !existsSync(`${folder}/log`); tries++) {
        if (tries > 500) throw new Error("rsyslogd made no socket");
        await delay(10);
      }
      const before = Math.floor(Date.now() / 1000) * 1000;
      const reading = new Reading(createLogfileSource({ ...start(), paths: [path], pollMs }));
      say("sshd", "line 0");
      say("cron", "not ours");
      say("sshd", "line 1");
      await reading.count(2);
      rotate(path);
      say("sshd", "line 2"); // a late write to the old file
      await reading.count(3);
      child.kill("SIGHUP");
      say("sshd", "line 3");
      await reading.count(4);
      // rsyslogd folds repeats, and says how many when another line comes
      for (let n = 0; n < 4; n++) say("sshd", "line 4");
      say("sshd", "line 5");
      await reading.until(({ messages }) => messages.includes("line 5"));
      const said = reading.records.flatMap(({ message, count }) => Array<string>(count).fill(message));
      expect(said).to.deep.equal([...numbered(0, 5), "line 4", "line 4", "line 4", "line 5"]);
      expect(reading.records.every(({ ident, pid }) => ident === "sshd" && pid === 4711)).to.equal(true);
      expect(reading.records.every(({ timeMs }) => timeMs >= before && timeMs <= Date.now() + 1000)).to.equal(true);
      expect(reading.lost).to.equal(0);
      await reading.stop();
    });
  }
});

function findFolder(root: string, name: string, file: string): string {
  const found = readdirSync(root, { recursive: true, encoding: "utf8" }).find((p) => p.endsWith(`/${name}/${file}`));
  if (found === undefined) throw new Error(`no ${file} below ${root}`);
  return join(root, found, "..");
}
