import { appendFileSync, copyFileSync, truncateSync, writeFileSync } from "node:fs";
import { expect } from "chai";
import { createLogfileSource } from "../../src/sources/logfile.ts";
import { folders, lines, numbered, pollMs, Reading, start } from "./reading.ts";

describe("a log file that is copied and truncated", () => {
  const temporary = folders();

  it("gives what the copy holds beyond the last look, then goes on from its start", async () => {
    const path = `${temporary.make()}/auth.log`;
    writeFileSync(path, lines(0, 10));
    const reading = new Reading(createLogfileSource({ ...start(), paths: [path], pollMs: 200 }));
    await reading.count(10);
    appendFileSync(path, lines(10, 12));
    copyFileSync(path, `${path}.1`);
    truncateSync(path);
    appendFileSync(path, lines(12, 13));
    await reading.count(13);
    expect(reading.messages).to.deep.equal(numbered(0, 13));
    expect(reading.lost).to.equal(0);
    await reading.stop();
  });

  it("is read once, though each copy overwrites the one before", async () => {
    const path = `${temporary.make()}/auth.log`;
    writeFileSync(path, lines(0, 1));
    const reading = new Reading(createLogfileSource({ ...start(), paths: [path], pollMs: 50 }));
    await reading.count(1);
    for (let n = 1; n < 21; n += 4) {
      appendFileSync(path, lines(n, n + 3));
      copyFileSync(path, `${path}.1`);
      truncateSync(path);
      appendFileSync(path, lines(n + 3, n + 4));
      await reading.count(n + 4);
    }
    await reading.settled(50);
    expect(reading.messages).to.deep.equal(numbered(0, 21));
    expect(reading.lost).to.equal(0);
    await reading.stop();
  });

  it("is recognised when it has grown beyond the old size again", async () => {
    const path = `${temporary.make()}/auth.log`;
    writeFileSync(path, lines(0, 2));
    const reading = new Reading(createLogfileSource({ ...start(), paths: [path], pollMs: 200 }));
    await reading.count(2);
    copyFileSync(path, `${path}.1`);
    writeFileSync(path, lines(2, 40));
    await reading.count(40);
    expect(reading.messages).to.deep.equal(numbered(0, 40));
    expect(reading.lost).to.equal(0);
    await reading.stop();
  });

  it("counts a loss when there is no copy", async () => {
    const path = `${temporary.make()}/auth.log`;
    const options = start();
    writeFileSync(path, lines(0, 10));
    const reading = new Reading(createLogfileSource({ ...options, paths: [path], pollMs }));
    await reading.count(10);
    writeFileSync(path, lines(10, 11));
    await reading.count(11);
    expect(reading.messages).to.deep.equal(numbered(0, 11));
    expect(reading.lost).to.equal(1);
    expect(options.warnings).to.deep.equal([
      `${path}: lines may be lost: it was truncated, and there is no copy of what was in it`,
    ]);
    await reading.stop();
  });
});
