/** The real logrotate(8) rotates the file, while it is followed and while nobody follows it. */

import { spawnSync } from "node:child_process";
import { appendFileSync, writeFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { expect } from "chai";
import { createLogfileSource } from "../../src/sources/logfile.ts";
import { debianOr } from "../../tools/debian.ts";
import { folders, lines, numbered, pollMs, Reading, start } from "./reading.ts";

describe("a log file that logrotate rotates", () => {
  const temporary = folders();

  for (const directives of [
    "create",
    "create\ncompress",
    "create\ncompress\ndelaycompress",
    "create\ndateext\ndateformat -%Y%m%d-%s",
    "copytruncate",
    "copytruncate\ncompress",
  ]) {
    it(`with ${directives.replaceAll("\n", ", ")} gives every line once, over a restart too`, async function () {
      const logrotate = await debianOr(this, "logrotate");
      this.timeout(20_000);
      const folder = temporary.make();
      const path = `${folder}/auth.log`;
      writeFileSync(`${folder}/conf`, `${path} {\nrotate 9\n${directives}\n}\n`, {
        mode: 0o644,
      });
      // A date to the second refuses a second rotation within it.
      const rotate = async (): Promise<void> => {
        const args = ["--force", "--state", `${folder}/state`, `${folder}/conf`];
        for (;;) {
          const { status, stderr } = spawnSync(logrotate.path, args, { env: logrotate.env, encoding: "utf8" });
          if (status === 0) return;
          if (!stderr.includes("already exists")) throw new Error(stderr);
          await delay(50);
        }
      };
      writeFileSync(path, lines(0, 2), { mode: 0o600 });
      const options = { paths: [path], pollMs };
      const first = new Reading(createLogfileSource({ ...start(), ...options }));
      await first.count(2);
      await first.settled(pollMs);
      appendFileSync(path, lines(2, 4));
      await rotate();
      appendFileSync(path, lines(4, 6));
      await first.count(6);
      const position = await first.stop();
      appendFileSync(path, lines(6, 8));
      await rotate();
      appendFileSync(path, lines(8, 10));
      await rotate();
      appendFileSync(path, lines(10, 12));
      const second = new Reading(createLogfileSource({ ...start({ position }), ...options }));
      await second.count(6);
      await second.settled(pollMs);
      expect([...first.messages, ...second.messages]).to.deep.equal(numbered(0, 12));
      expect(first.lost + second.lost).to.equal(0);
      await second.stop();
    });
  }
});
