/**
 * copytruncate: what the copies hold is read, in order and once, however often the file was cut since the last look;
 * what went between copy and cut is told.
 */
import { execFileSync, spawn } from "node:child_process";
import { appendFileSync, copyFileSync, existsSync, renameSync, truncateSync, writeFileSync } from "node:fs";
import { text } from "node:stream/consumers";
import { setTimeout as delay } from "node:timers/promises";
import { expect } from "chai";
import type { Position } from "../../src/model/source.ts";
import { createLogfileSource } from "../../src/sources/logfile.ts";
import { folders, line, lines, numbered, pollMs, Reading, start } from "./reading.ts";

/** As logrotate does it with `copytruncate`. */
function copyTruncate(path: string, compressed = false): void {
  for (let n = 18; n >= 1; n--)
    for (const end of ["", ".gz"])
      if (existsSync(`${path}.${n}${end}`)) renameSync(`${path}.${n}${end}`, `${path}.${n + 1}${end}`);
  copyFileSync(path, `${path}.1`);
  truncateSync(path);
  if (compressed) execFileSync("gzip", [`${path}.1`]);
}

/** A process of its own, so that it is cut at any moment, but never between a copy and its cut. Prints how many lines it wrote. */
const cuttingWriter = `
const { appendFileSync, copyFileSync, existsSync, readFileSync, renameSync, rmSync, statSync, truncateSync, utimesSync, writeFileSync } = require("node:fs");
const { gzipSync } = require("node:zlib");
const [, path] = process.argv;
const line = (n) => "2026-11-22T13:28:59.000000+00:00 host sshd[1]: line " + n + "\\n";
let n = 1;
let rotations = 0;
const endMs = Date.now() + 4000;
while (Date.now() < endMs) {
  for (let some = Math.random() * 30 - 5; some > 0; some--) appendFileSync(path, line(n++));
  for (let k = rotations++; k >= 1; k--)
    for (const end of ["", ".gz"])
      if (existsSync(path + "." + k + end)) renameSync(path + "." + k + end, path + "." + (k + 1) + end);
  copyFileSync(path, path + ".1");
  truncateSync(path);
  const old = path + (Math.random() < 0.5 ? ".1" : ".2");
  if (existsSync(old) && Math.random() < 0.5) {
    const { atimeMs, mtimeMs } = statSync(old);
    writeFileSync(old + ".gz", gzipSync(readFileSync(old)));
    utimesSync(old + ".gz", atimeMs / 1000, mtimeMs / 1000);
    rmSync(old);
  }
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, Math.random() * 12);
}
appendFileSync(path, line("end"));
console.log(n);
`;

describe("a log file that is copied and truncated", () => {
  const temporary = folders();

  it("gives what the copy holds beyond the last look, then goes on from its start", async () => {
    const path = `${temporary.make()}/auth.log`;
    writeFileSync(path, lines(0, 10));
    const reading = new Reading(createLogfileSource({ ...start(), paths: [path], pollMs: 200 }));
    await reading.count(10);
    await reading.settled(200);
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
      await reading.settled(50);
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
    await reading.settled(200);
    copyFileSync(path, `${path}.1`);
    writeFileSync(path, lines(2, 40));
    await reading.count(40);
    expect(reading.messages).to.deep.equal(numbered(0, 40));
    expect(reading.lost).to.equal(0);
    await reading.stop();
  });

  for (const compressed of [false, true]) {
    it(`is read whole where it was cut again and again between two looks${compressed ? ", copies compressed" : ""}`, async () => {
      const path = `${temporary.make()}/auth.log`;
      writeFileSync(path, lines(0, 1));
      const reading = new Reading(createLogfileSource({ ...start(), paths: [path], pollMs: 100 }));
      await reading.count(1);
      await reading.settled(100);
      for (let n = 1; n < 30; n += 5) {
        appendFileSync(path, lines(n, n + 5));
        copyTruncate(path, compressed);
      }
      // Empty ones too.
      copyTruncate(path, compressed);
      appendFileSync(path, lines(31, 32));
      await reading.count(32);
      await reading.settled(100);
      expect(reading.messages).to.deep.equal(numbered(0, 32));
      expect(reading.lost).to.equal(0);
      await reading.stop();
    });
  }

  for (const stopped of [false, true]) {
    it(`is read whole where it was empty at the last look${stopped ? " of the life before" : ""}, and filled and cut since`, async () => {
      const path = `${temporary.make()}/auth.log`;
      writeFileSync(path, lines(0, 2));
      let reading = new Reading(createLogfileSource({ ...start(), paths: [path], pollMs: 100 }));
      await reading.count(2);
      await reading.settled(100);
      appendFileSync(path, lines(2, 3));
      copyTruncate(path);
      await reading.count(3);
      await reading.settled(100);
      const before = [...reading.messages];
      if (stopped) {
        const position = await reading.stop();
        reading = new Reading(createLogfileSource({ ...start({ position }), paths: [path], pollMs: 100 }));
      }
      appendFileSync(path, lines(3, 6));
      copyTruncate(path);
      appendFileSync(path, lines(6, 8));
      await reading.count(stopped ? 5 : 8);
      await reading.settled(100);
      const seen = stopped ? [...before, ...reading.messages] : reading.messages;
      expect(seen).to.deep.equal(numbered(0, 8));
      expect(reading.lost).to.equal(0);
      await reading.stop();
    });
  }

  it("is read whole where it was cut twice while nobody read, the first time before it was begun", async () => {
    const path = `${temporary.make()}/auth.log`;
    writeFileSync(path, lines(0, 2));
    const first = new Reading(createLogfileSource({ ...start(), paths: [path], pollMs: 100 }));
    await first.count(2);
    const position = await first.stop();
    for (let n = 2; n < 8; n += 3) {
      appendFileSync(path, lines(n, n + 3));
      copyTruncate(path);
    }
    appendFileSync(path, lines(8, 9));
    const second = new Reading(createLogfileSource({ ...start({ position }), paths: [path], pollMs: 100 }));
    await second.count(7);
    await second.settled(100);
    expect(second.messages).to.deep.equal(numbered(2, 9));
    expect(second.lost).to.equal(0);
    await second.stop();
  });

  it("is read once where it is being copied while it is begun", async () => {
    const path = `${temporary.make()}/auth.log`;
    writeFileSync(path, lines(0, 2));
    const reading = new Reading(createLogfileSource({ ...start(), paths: [path], pollMs: 200 }));
    await reading.count(2);
    appendFileSync(path, lines(2, 3));
    copyTruncate(path);
    await reading.count(3);
    await reading.settled(200);
    // The copy has a part of what the file still holds.
    appendFileSync(path, lines(3, 9));
    renameSync(`${path}.1`, `${path}.2`);
    writeFileSync(`${path}.1`, lines(3, 5));
    await reading.count(9);
    appendFileSync(path, lines(9, 10));
    copyFileSync(path, `${path}.1`);
    truncateSync(path);
    appendFileSync(path, lines(10, 11));
    await reading.count(11);
    await reading.settled(200);
    expect(reading.messages).to.deep.equal(numbered(0, 11));
    await reading.stop();
  });

  it("is read whole and once beside a writer that cuts it all the time", async function () {
    this.timeout(40_000);
    const path = `${temporary.make()}/auth.log`;
    writeFileSync(path, line(0));
    const args = ["-e", cuttingWriter, path];
    const writer = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
    const written = text(writer.stdout).then(Number);
    const seen: string[] = [];
    const options = start();
    let lost = 0;
    let position: Position | undefined;
    while (seen.at(-1) !== "line end") {
      // Each life ends after some batches, as a kill would end it: at a position of its own.
      const source = createLogfileSource({ ...options, position, paths: [path], pollMs: 5 });
      const lasts = 10 + Math.random() * 200;
      let batches = 0;
      for await (const batch of source.batches(AbortSignal.timeout(35_000))) {
        seen.push(...batch.records.map(({ message }) => message));
        lost += batch.lost;
        position = JSON.parse(JSON.stringify(batch.position)) as Position;
        if (seen.at(-1) === "line end" || batches++ > lasts) break;
        if (Math.random() < 0.1) await delay(Math.random() * 40);
      }
    }
    const numbers = seen.slice(0, -1).map((message) => Number(message.slice("line ".length)));
    expect(numbers).to.deep.equal(numbers.toSorted((a, b) => a - b));
    expect(new Set(numbers).size).to.equal(numbers.length);
    const missing = (await written) - numbers.length;
    // A file that is renamed, compressed and deleted within the milliseconds of a start may be gone; then that is told.
    expect(missing).to.be.below((await written) / 10);
    if (missing > 0) expect(lost).to.be.above(0);
  });

  it("counts a loss where the copy ends within a line", async () => {
    const path = `${temporary.make()}/auth.log`;
    const options = start();
    writeFileSync(path, lines(0, 2));
    const reading = new Reading(createLogfileSource({ ...options, paths: [path], pollMs: 100 }));
    await reading.count(2);
    await reading.settled(100);
    appendFileSync(path, lines(2, 4).slice(0, -10));
    copyTruncate(path);
    appendFileSync(path, lines(4, 5));
    await reading.count(4);
    await reading.settled(100);
    expect(reading.messages).to.deep.equal([...numbered(0, 3), "line 4"]);
    expect(options.warnings).to.deep.equal([`${path}: lines may be lost: it was truncated within a line`]);
    expect(reading.lost).to.equal(1);
    await reading.stop();
  });

  it("counts a loss where lines were written all the time: some may have gone between copy and cut", async () => {
    const path = `${temporary.make()}/auth.log`;
    const options = start();
    writeFileSync(path, "");
    const reading = new Reading(createLogfileSource({ ...options, paths: [path], pollMs: 100 }));
    let n = 0;
    const write = async (forMs: number): Promise<void> => {
      for (const endMs = Date.now() + forMs; Date.now() < endMs; await delay(5)) appendFileSync(path, line(n++));
    };
    await write(500);
    appendFileSync(path, line(n++));
    copyFileSync(path, `${path}.1`);
    const missing = n;
    appendFileSync(path, line(n++));
    truncateSync(path);
    await write(500);
    await reading.count(n - 1);
    expect(reading.messages).to.deep.equal(numbered(0, n).toSpliced(missing, 1));
    expect(options.warnings).to.deep.equal([
      `${path}: lines may be lost: it was written while it was copied and truncated`,
    ]);
    expect(reading.lost).to.equal(1);
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
