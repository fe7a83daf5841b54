import { appendFileSync, closeSync, openSync, truncateSync, writeFileSync, writeSync } from "node:fs";
import { expect } from "chai";
import { createLogfileSource } from "../../src/sources/logfile.ts";
import { folders, line, lines, pollMs, Reading, start } from "./reading.ts";

describe("a line that is too long", () => {
  const temporary = folders();

  it("of 10 MB is cut, counted once and skipped up to its end", async () => {
    const path = `${temporary.make()}/auth.log`;
    const options = start();
    writeFileSync(path, lines(0, 1) + line("x".repeat(10_000_000)) + lines(1, 2));
    const reading = new Reading(createLogfileSource({ ...options, paths: [path], pollMs }));
    await reading.count(3);
    expect(reading.messages.map((message) => message.length)).to.deep.equal([6, 8192, 6]);
    expect(reading.lost).to.equal(1);
    expect(options.warnings).to.deep.equal([`${path}: 1 line(s) longer than 65536 bytes cut`]);
    await reading.stop();
  });

  it("is counted once even if a restart falls into it, and its rest is no line", async () => {
    const path = `${temporary.make()}/auth.log`;
    writeFileSync(path, `x${"-".repeat(1_000_000)}`);
    const first = new Reading(createLogfileSource({ ...start(), paths: [path], pollMs }));
    await first.until(({ position }) => String(JSON.stringify(position)).includes('"offset":1000001'));
    const position = await first.stop();
    expect(first.lost).to.equal(1);
    appendFileSync(path, line("forged") + line(1));
    const second = new Reading(createLogfileSource({ ...start({ position }), paths: [path], pollMs }));
    await second.count(1);
    expect([second.messages, second.lost]).to.deep.equal([["line 1"], 0]);
    await second.stop();
  });

  it("of 2 GB is read in bounded memory", async function () {
    this.timeout(60_000);
    const path = `${temporary.make()}/auth.log`;
    // A hole would be NULs, which belong to no line: one byte per block makes it a line, still sparse on the disk.
    const fd = openSync(path, "w");
    writeSync(fd, "x");
    for (let at = 1; at < 2048; at++) writeSync(fd, "x", at * 1_048_576);
    writeSync(fd, `\n${line(1)}`, 2_147_483_648);
    closeSync(fd);
    const before = process.memoryUsage.rss();
    const reading = new Reading(createLogfileSource({ ...start(), paths: [path], pollMs }));
    let peak = 0;
    await reading.until(({ records }) => {
      peak = Math.max(peak, process.memoryUsage.rss());
      return records.length >= 1;
    }, 50_000);
    expect([reading.messages, reading.lost]).to.deep.equal([["line 1"], 1]);
    expect((peak - before) / 1e6).to.be.below(150);
    await reading.stop();
  });

  it("is not what a hole of NULs is, as copytruncate leaves before a writer without O_APPEND", async () => {
    const path = `${temporary.make()}/auth.log`;
    writeFileSync(path, "");
    truncateSync(path, 5_000_000);
    appendFileSync(path, lines(0, 2));
    const reading = new Reading(createLogfileSource({ ...start(), paths: [path], pollMs }));
    await reading.count(2);
    expect([reading.messages, reading.lost]).to.deep.equal([["line 0", "line 1"], 0]);
    await reading.stop();
  });
});
