import { appendFileSync, writeFileSync } from "node:fs";
import { expect } from "chai";
import { createLogfileSource } from "../../src/sources/logfile.ts";
import { folders, line, lines, numbered, pollMs, Reading, rotate, start } from "./reading.ts";

describe("a line without its end", () => {
  const temporary = folders();

  it("is held until it is whole, and the position stays before it", async () => {
    const path = `${temporary.make()}/auth.log`;
    writeFileSync(path, lines(0, 1) + line(1).slice(0, 40));
    const reading = new Reading(createLogfileSource({ ...start(), paths: [path], pollMs }));
    await reading.count(1);
    await reading.settled(pollMs);
    expect(JSON.stringify(reading.position)).to.include(`"offset":${line(0).length},`);
    appendFileSync(path, line(1).slice(40, 50));
    await reading.settled(pollMs);
    appendFileSync(path, line(1).slice(50) + line(2));
    await reading.count(3);
    expect(reading.messages).to.deep.equal(numbered(0, 3));
    await reading.stop();
  });

  it("is read again as a whole by the next one that starts at the position", async () => {
    const path = `${temporary.make()}/auth.log`;
    writeFileSync(path, lines(0, 1) + line(1).slice(0, 40));
    const first = new Reading(createLogfileSource({ ...start(), paths: [path], pollMs }));
    await first.count(1);
    const position = await first.stop();
    appendFileSync(path, line(1).slice(40));
    const second = new Reading(createLogfileSource({ ...start({ position }), paths: [path], pollMs }));
    await second.count(1);
    expect(second.messages).to.deep.equal(["line 1"]);
    await second.stop();
  });

  it("at the end of a file that was rotated away is whole once nobody writes there any more", async () => {
    const path = `${temporary.make()}/auth.log`;
    let nowMs = Date.now();
    writeFileSync(path, lines(0, 1) + line(1).trimEnd());
    const reading = new Reading(createLogfileSource({ ...start(), paths: [path], pollMs, nowMs: () => nowMs }));
    await reading.count(1);
    rotate(path);
    appendFileSync(path, line(2));
    await reading.count(2);
    expect(reading.messages).to.deep.equal(["line 0", "line 2"]);
    nowMs += 120_000;
    await reading.count(3);
    expect(reading.messages).to.deep.equal(["line 0", "line 2", "line 1"]);
    await reading.stop();
  });

  it("in which the first start falls is passed over: its rest is no line", async () => {
    const path = `${temporary.make()}/auth.log`;
    writeFileSync(path, `x${"-".repeat(200_000)}`);
    const reading = new Reading(createLogfileSource({ ...start({ fromBeginning: false }), paths: [path], pollMs }));
    await reading.until(({ position }) => position !== undefined);
    appendFileSync(path, line("forged") + line(1));
    await reading.count(1);
    expect(reading.messages).to.deep.equal(["line 1"]);
    await reading.stop();
  });
});
