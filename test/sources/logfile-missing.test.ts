import { mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { expect } from "chai";
import { createLogfileSource } from "../../src/sources/logfile.ts";
import { folders, lines, numbered, pollMs, Reading, start } from "./reading.ts";

describe("a log file that is missing", () => {
  const temporary = folders();

  it("is waited for, with a reason, and read from its start when it appears", async () => {
    const path = `${temporary.make()}/log/auth.log`;
    const options = start({ fromBeginning: false });
    const source = createLogfileSource({ ...options, paths: [path], pollMs });
    const reading = new Reading(source);
    await reading.until(() => source.status().reason === `${path} does not exist`);
    expect(source.status().up).to.equal(false);
    expect(options.warnings).to.deep.equal([`${path} does not exist`]);
    mkdirSync(dirname(path));
    writeFileSync(path, lines(0, 2));
    await reading.count(2);
    await reading.until(() => source.status().up);
    expect(reading.messages).to.deep.equal(numbered(0, 2));
    await reading.stop();
  });

  it("is known to be new at a restart, too", async () => {
    const path = `${temporary.make()}/auth.log`;
    const first = new Reading(createLogfileSource({ ...start({ fromBeginning: false }), paths: [path], pollMs }));
    await first.until(({ position }) => position !== undefined);
    const position = await first.stop();
    writeFileSync(path, lines(0, 2));
    const second = new Reading(
      createLogfileSource({ ...start({ position, fromBeginning: false }), paths: [path], pollMs }),
    );
    await second.count(2);
    expect(second.messages).to.deep.equal(numbered(0, 2));
    await second.stop();
  });

  it("that goes and comes again is read on: the old one to its end, the new one from its start", async () => {
    const folder = temporary.make();
    const path = `${folder}/auth.log`;
    writeFileSync(path, lines(0, 1));
    const source = createLogfileSource({ ...start(), paths: [path], pollMs });
    const reading = new Reading(source);
    await reading.count(1);
    rmSync(path);
    await reading.until(() => !source.status().up);
    writeFileSync(`${folder}/new`, lines(1, 3));
    renameSync(`${folder}/new`, path);
    await reading.count(3);
    expect(reading.messages).to.deep.equal(numbered(0, 3));
    expect(reading.lost).to.equal(0);
    await reading.stop();
  });
});
