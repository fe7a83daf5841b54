import { appendFileSync, renameSync, utimesSync, writeFileSync } from "node:fs";
import { expect } from "chai";
import { createLogfileSource } from "../../src/sources/logfile.ts";
import { folders, lines, numbered, pollMs, Reading, rotate, start } from "./reading.ts";

describe("a log file that is rotated by rename", () => {
  const temporary = folders();

  it("is read to its end, then the new one from its start", async () => {
    const path = `${temporary.make()}/auth.log`;
    writeFileSync(path, lines(0, 3));
    const reading = new Reading(createLogfileSource({ ...start(), paths: [path], pollMs }));
    await reading.count(3);
    appendFileSync(path, lines(3, 5));
    rotate(path);
    appendFileSync(path, lines(5, 7));
    await reading.count(7);
    expect(reading.messages).to.deep.equal(numbered(0, 7));
    expect(reading.lost).to.equal(0);
    await reading.stop();
  });

  it("is still read when its writer has not reopened it: late writes", async () => {
    const path = `${temporary.make()}/auth.log`;
    writeFileSync(path, lines(0, 1));
    const reading = new Reading(createLogfileSource({ ...start(), paths: [path], pollMs }));
    await reading.count(1);
    rotate(path);
    appendFileSync(path, lines(1, 2));
    await reading.count(2);
    appendFileSync(`${path}.1`, lines(2, 4));
    await reading.count(4);
    expect(reading.messages).to.deep.equal(numbered(0, 4));
    await reading.stop();
  });

  it("loses no file when it is rotated several times between two looks", async () => {
    const path = `${temporary.make()}/auth.log`;
    writeFileSync(path, lines(0, 1));
    const reading = new Reading(createLogfileSource({ ...start(), paths: [path], pollMs: 200 }));
    await reading.count(1);
    for (let n = 1; n < 5; n++) {
      rotate(path);
      appendFileSync(path, lines(n, n + 1));
    }
    await reading.count(5);
    expect(reading.messages).to.deep.equal(numbered(0, 5));
    expect(reading.lost).to.equal(0);
    await reading.stop();
  });

  it("loses no file whose name carries a date", async () => {
    const path = `${temporary.make()}/secure`;
    writeFileSync(path, lines(0, 1));
    const reading = new Reading(createLogfileSource({ ...start(), paths: [path], pollMs: 200 }));
    await reading.count(1);
    for (const [n, date] of ["20261120", "20261121", "20261122"].entries()) {
      appendFileSync(path, lines(2 * n + 1, 2 * n + 2));
      renameSync(path, `${path}-${date}`);
      writeFileSync(path, lines(2 * n + 2, 2 * n + 3));
    }
    await reading.count(7);
    expect(reading.messages).to.deep.equal(numbered(0, 7));
    expect(reading.lost).to.equal(0);
    await reading.stop();
  });

  it("reads files in the order of their dates, though an older one was written to last", async () => {
    const path = `${temporary.make()}/secure`;
    writeFileSync(path, lines(0, 1));
    const reading = new Reading(createLogfileSource({ ...start(), paths: [path], pollMs: 200 }));
    await reading.count(1);
    for (const [n, date] of ["20261120", "20261121", "20261122"].entries()) {
      renameSync(path, `${path}-${date}`);
      writeFileSync(path, lines(n + 1, n + 2));
    }
    const late = new Date(Date.now() + 1000);
    utimesSync(`${path}-20261121`, late, late);
    await reading.count(4);
    expect(reading.messages).to.deep.equal(numbered(0, 4));
    expect(reading.lost).to.equal(0);
    await reading.stop();
  });
});
