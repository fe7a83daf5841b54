import { execFileSync } from "node:child_process";
import { appendFileSync, copyFileSync, renameSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { expect } from "chai";
import type { Position } from "../../src/model/source.ts";
import { createLogfileSource } from "../../src/sources/logfile.ts";
import { folders, lines, numbered, pollMs, Reading, rotate, start } from "./reading.ts";

describe("a restart", () => {
  const temporary = folders();

  async function readFirst(path: string, count: number): Promise<Position | undefined> {
    writeFileSync(path, lines(0, count));
    const reading = new Reading(createLogfileSource({ ...start(), paths: [path], pollMs }));
    await reading.count(count);
    return reading.stop();
  }

  async function readOn(path: string, position: Position | undefined, count: number): Promise<Reading> {
    const options = start({ position });
    const reading = new Reading(createLogfileSource({ ...options, paths: [path], pollMs }));
    await reading.count(count);
    await reading.settled(pollMs);
    await reading.stop();
    return reading;
  }

  const cases: readonly (readonly [string, (path: string) => void])[] = [
    ["in the same file", (path) => appendFileSync(path, lines(3, 9))],
    [
      "after a rotation",
      (path) => {
        appendFileSync(path, lines(3, 5));
        rotate(path);
        appendFileSync(path, lines(5, 9));
      },
    ],
    [
      "after several rotations",
      (path) => {
        for (let n = 3; n < 9; n += 2) {
          appendFileSync(path, lines(n, n + 1));
          rotate(path);
          appendFileSync(path, lines(n + 1, n + 2));
        }
      },
    ],
    [
      "after rotations with compression, which makes new inodes",
      (path) => {
        appendFileSync(path, lines(3, 5));
        rotate(path);
        appendFileSync(path, lines(5, 8));
        rotate(path);
        execFileSync("gzip", [`${path}.2`]);
        execFileSync("gzip", [`${path}.1`]);
        appendFileSync(path, lines(8, 9));
      },
    ],
    [
      "after a rotation with a date in the name, and compression",
      (path) => {
        appendFileSync(path, lines(3, 5));
        renameSync(path, `${path}-20261121`);
        execFileSync("gzip", [`${path}-20261121`]);
        writeFileSync(path, lines(5, 8));
        renameSync(path, `${path}-20261122`);
        writeFileSync(path, lines(8, 9));
      },
    ],
    [
      "while the rotated file is being compressed",
      (path) => {
        appendFileSync(path, lines(3, 5));
        rotate(path);
        writeFileSync(`${path}.1.gz`, gzipSync(lines(0, 5)).subarray(0, 50));
        appendFileSync(path, lines(5, 9));
      },
    ],
    [
      "after copytruncate",
      (path) => {
        appendFileSync(path, lines(3, 5));
        copyFileSync(path, `${path}.1`);
        truncateSync(path);
        appendFileSync(path, lines(5, 9));
      },
    ],
    [
      "after the log was moved to another disk",
      (path) => {
        copyFileSync(path, `${path}.moving`);
        renameSync(`${path}.moving`, path);
        appendFileSync(path, lines(3, 9));
      },
    ],
  ];
  for (const [name, meanwhile] of cases) {
    it(`${name} gives every line once, in order`, async () => {
      const path = `${temporary.make()}/auth.log`;
      const position = await readFirst(path, 3);
      meanwhile(path);
      const reading = await readOn(path, position, 6);
      expect(reading.messages).to.deep.equal(numbered(3, 9));
      expect(reading.lost).to.equal(0);
    });
  }

  it("counts a loss where the file read before is gone, and reads the new one", async () => {
    const path = `${temporary.make()}/auth.log`;
    const position = await readFirst(path, 3);
    rmSync(path);
    writeFileSync(path, lines(7, 9));
    const reading = await readOn(path, position, 2);
    expect(reading.messages).to.deep.equal(numbered(7, 9));
    expect(reading.lost).to.equal(1);
  });

  it("counts a loss where a file between cannot be decompressed, and reads the rest", async () => {
    const path = `${temporary.make()}/auth.log`;
    const position = await readFirst(path, 3);
    rotate(path);
    writeFileSync(path, lines(3, 5));
    rotate(path);
    rmSync(`${path}.1`);
    writeFileSync(`${path}.1.gz`, "no gzip");
    writeFileSync(path, lines(5, 6));
    const reading = await readOn(path, position, 1);
    expect(reading.messages).to.deep.equal(["line 5"]);
    expect(reading.lost).to.equal(1);
  });

  it("takes no other file for the one read before, though it has its inode", async () => {
    const path = `${temporary.make()}/auth.log`;
    const position = await readFirst(path, 3);
    writeFileSync(path, lines(10, 20));
    const reading = await readOn(path, position, 10);
    expect(reading.messages).to.deep.equal(numbered(10, 20));
    expect(reading.lost).to.equal(1);
  });

  it("goes on in late writes to a file that was rotated before", async () => {
    const path = `${temporary.make()}/auth.log`;
    writeFileSync(path, lines(0, 1));
    const first = new Reading(createLogfileSource({ ...start(), paths: [path], pollMs }));
    await first.count(1);
    rotate(path);
    appendFileSync(path, lines(1, 2));
    await first.count(2);
    const position = await first.stop();
    appendFileSync(`${path}.1`, lines(2, 3));
    appendFileSync(path, lines(3, 4));
    const reading = await readOn(path, position, 2);
    expect(reading.messages).to.deep.equal(numbered(2, 4));
    expect(reading.lost).to.equal(0);
  });

  it("counts `last message repeated` for a line that was read before it", async () => {
    const path = `${temporary.make()}/auth.log`;
    const position = await readFirst(path, 3);
    appendFileSync(path, "Nov 22 13:28:59 host last message repeated 5 times\n");
    const reading = await readOn(path, position, 1);
    expect(reading.records.map(({ message, count }) => [message, count])).to.deep.equal([["line 2", 5]]);
  });

  it("at the first start ever begins at the end, unless told otherwise", async () => {
    const path = `${temporary.make()}/auth.log`;
    writeFileSync(path, lines(0, 3));
    const reading = new Reading(createLogfileSource({ ...start({ fromBeginning: false }), paths: [path], pollMs }));
    await reading.until(({ position }) => position !== undefined);
    appendFileSync(path, lines(3, 5));
    await reading.count(2);
    expect(reading.messages).to.deep.equal(numbered(3, 5));
    await reading.stop();
  });

  it("takes a position that is not its own for none", async () => {
    const path = `${temporary.make()}/auth.log`;
    writeFileSync(path, lines(0, 3));
    const position = { paths: { [path]: [{ device: "1", inode: -1 }] } };
    const reading = await readOn(path, position, 3);
    expect(reading.messages).to.deep.equal(numbered(0, 3));
  });
});
