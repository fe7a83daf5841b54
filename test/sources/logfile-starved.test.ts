/**
 * A reader that comes late: while it reads one file, others take the path's name and are deleted by the rotation. What
 * it cannot read any more it must tell; what it has read it must not read again under another name.
 */
import { execFileSync, spawn } from "node:child_process";
import { appendFileSync, existsSync, mkdirSync, renameSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { text } from "node:stream/consumers";
import { setTimeout as delay } from "node:timers/promises";
import { expect } from "chai";
import { createLogfileSource } from "../../src/sources/logfile.ts";
import { folders, lines, numbered, pollMs, Reading, rotate, start } from "./reading.ts";

/** Of so many lines that they take several blocks. */
const large = 3_000;

/** As logrotate's `rotate KEPT`: the oldest is deleted. */
function rotateKeeping(kept: number, path: string): void {
  rotate(path);
  for (const end of ["", ".gz"]) rmSync(`${path}.${kept + 1}${end}`, { force: true });
}

describe("a reader that comes late", () => {
  const temporary = folders();

  /** Reads as its caller pulls, and looks ahead after each block. */
  function pulling(path: string, overrides: { readonly pollMs?: number } = {}) {
    const options = start();
    const source = createLogfileSource({ ...options, paths: [path], pollMs: 0, ...overrides });
    const abort = new AbortController();
    const batches = source.batches(abort.signal)[Symbol.asyncIterator]();
    const seen: string[] = [];
    let lost = 0;
    const pull = async (): Promise<void> => {
      const { value } = await batches.next();
      seen.push(...(value?.records ?? []).map(({ message }: { readonly message: string }) => message));
      lost += value?.lost ?? 0;
    };
    return {
      seen,
      lost: () => lost,
      warnings: options.warnings,
      pull,
      async pullUntil(last: string): Promise<void> {
        const deadline = Date.now() + 8_000;
        while (seen.at(-1) !== last) {
          if (Date.now() > deadline) throw new Error(`no ${last}: ${seen.length} lines, the last ${seen.at(-1)}`);
          await Promise.race([pull(), delay(8_000)]);
        }
      },
      async end(): Promise<void> {
        abort.abort();
        await batches.return?.();
      },
    };
  }

  it("tells a loss where more files came and went than are kept, and reads the kept ones", async () => {
    const path = `${temporary.make()}/auth.log`;
    writeFileSync(path, lines(0, large));
    const reader = pulling(path);
    await reader.pull();
    await reader.pull();
    // It stands in the first file. Nine follow, the last five and the live one stay: 3,001 to 3,003 are gone.
    for (let n = 0; n < 9; n++) {
      rotateKeeping(5, path);
      appendFileSync(path, lines(large + n, large + n + 1));
    }
    await reader.pullUntil(`line ${large + 8}`);
    expect(reader.seen).to.deep.equal([...numbered(0, large), ...numbered(large + 3, large + 9)]);
    expect(reader.lost()).to.equal(1);
    expect(reader.warnings).to.deep.equal([
      `${path}: lines may be lost: the file that was read is gone, and with it files that followed, if there were more than are kept`,
    ]);
    await reader.end();
  });

  it("tells none where the files that followed are all kept", async () => {
    const path = `${temporary.make()}/auth.log`;
    writeFileSync(path, lines(0, large));
    const reader = pulling(path);
    await reader.pull();
    await reader.pull();
    for (let n = 0; n < 5; n++) {
      rotateKeeping(5, path);
      appendFileSync(path, lines(large + n, large + n + 1));
    }
    await reader.pullUntil(`line ${large + 4}`);
    expect(reader.seen).to.deep.equal(numbered(0, large + 5));
    expect(reader.lost()).to.equal(0);
    await reader.end();
  });

  it("takes hold of each file in time, and loses none though it is far behind", async () => {
    const path = `${temporary.make()}/auth.log`;
    writeFileSync(path, lines(0, 10 * large));
    const reader = pulling(path);
    let written = 10 * large;
    for (let n = 0; n < 12; n++) {
      await reader.pull();
      rotateKeeping(2, path);
      appendFileSync(path, lines(written, written + 10));
      written += 10;
    }
    expect(reader.seen.length).to.be.below(10 * large);
    await reader.pullUntil(`line ${written - 1}`);
    expect(reader.seen).to.deep.equal(numbered(0, written));
    expect(reader.lost()).to.equal(0);
    await reader.end();
  });

  it("holds no more than 16 files that wait, and tells what went beyond", async () => {
    const path = `${temporary.make()}/auth.log`;
    writeFileSync(path, lines(0, 20 * large));
    const reader = pulling(path);
    let written = 20 * large;
    for (let n = 0; n < 22; n++) {
      await reader.pull();
      rotateKeeping(2, path);
      appendFileSync(path, lines(written, written + 10));
      written += 10;
    }
    await reader.pullUntil(`line ${written - 1}`);
    expect(reader.seen).to.have.lengthOf.below(written);
    expect(new Set(reader.seen)).to.have.lengthOf(reader.seen.length);
    expect(reader.lost()).to.equal(1);
    await reader.end();
  });

  it("reads nothing twice where what it holds is compressed, late writes and empty files too", async () => {
    const path = `${temporary.make()}/auth.log`;
    writeFileSync(path, lines(0, large));
    const reader = pulling(path);
    await reader.pull();
    await reader.pull();
    appendFileSync(path, lines(large, large + 1));
    for (const more of [lines(large + 1, large + 2), "", lines(large + 2, large + 3)]) {
      rotateGzip(path);
      appendFileSync(path, more);
    }
    await reader.pullUntil(`line ${large + 2}`);
    expect(reader.seen).to.deep.equal(numbered(0, large + 3));
    expect(reader.lost()).to.equal(0);
    await reader.end();
  });

  // xz keeps the time of the file, bzip2 the second.
  for (const [end, keptTime] of [
    ["xz", (seconds: number) => seconds],
    ["bz2", Math.floor],
  ] as const) {
    it(`tells each file that became .${end} before it was read, not the one that was read`, async () => {
      const path = `${temporary.make()}/auth.log`;
      writeFileSync(path, lines(0, large));
      const reader = pulling(path);
      await reader.pull();
      await reader.pull();
      for (let n = 0; n < 3; n++) {
        const seconds = 1_700_000_000.5 + n;
        utimesSync(path, seconds, seconds);
        rotate(path);
        for (let k = 8; k >= 1; k--)
          if (existsSync(`${path}.${k}.${end}`)) renameSync(`${path}.${k}.${end}`, `${path}.${k + 1}.${end}`);
        rmSync(`${path}.1`);
        writeFileSync(`${path}.1.${end}`, "compressed");
        utimesSync(`${path}.1.${end}`, keptTime(seconds), keptTime(seconds));
        appendFileSync(path, lines(large + n, large + n + 1));
      }
      await reader.pullUntil(`line ${large + 2}`);
      expect(reader.seen).to.deep.equal([...numbered(0, large), `line ${large + 2}`]);
      expect(reader.lost()).to.equal(2);
      await reader.end();
    });
  }

  for (const kept of [5, 10_000]) {
    it(`beside a writer that rotates all the time and keeps ${kept} reads nothing twice, and tells what it missed`, async function () {
      this.timeout(30_000);
      const path = `${temporary.make()}/auth.log`;
      writeFileSync(path, lines(0, 1));
      const seen: string[] = [];
      let lost = 0;
      const args = ["-e", rotatingWriter, path, String(kept)];
      const writer = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
      const written = text(writer.stdout).then(Number);
      const options = start();
      const source = createLogfileSource({ ...options, paths: [path], pollMs: 5 });
      for await (const batch of source.batches(AbortSignal.timeout(25_000))) {
        seen.push(...batch.records.map(({ message }) => message));
        lost += batch.lost;
        if (seen.at(-1) === "line end") break;
        if (seen.length % 7 === 0) await delay(Math.random() * 40);
      }
      const numbers = seen.slice(0, -1).map((message) => Number(message.slice("line ".length)));
      expect(seen.at(-1)).to.equal("line end");
      expect(numbers).to.deep.equal(numbers.toSorted((a, b) => a - b));
      expect(new Set(numbers).size).to.equal(numbers.length);
      const missing = (await written) - numbers.length;
      const said = options.warnings.filter((warning) => warning.includes("lost"));
      if (kept > 5) expect({ missing, lost, said }).to.deep.equal({ missing: 0, lost: 0, said: [] });
      else if (missing > 0) expect(lost).to.be.above(0);
    });
  }

  it("tells no loss where the file is deleted and made anew, older rotated ones beside it", async () => {
    const path = `${temporary.make()}/auth.log`;
    writeFileSync(`${path}.2`, lines(100, 101));
    writeFileSync(`${path}.1`, lines(101, 102));
    execFileSync("gzip", [`${path}.2`]);
    await delay(20);
    writeFileSync(path, lines(0, 1));
    const reading = new Reading(createLogfileSource({ ...start(), paths: [path], pollMs: 200 }));
    await reading.count(1);
    appendFileSync(path, lines(1, 2));
    rmSync(path);
    writeFileSync(path, lines(2, 3));
    await reading.count(3);
    await reading.settled(50);
    expect(reading.messages).to.deep.equal(numbered(0, 3));
    expect(reading.lost).to.equal(0);
    await reading.stop();
  });

  it("tells no loss where the file is moved to another folder", async () => {
    const folder = temporary.make();
    const path = `${folder}/auth.log`;
    mkdirSync(`${folder}/old`);
    writeFileSync(path, lines(0, 1));
    const reading = new Reading(createLogfileSource({ ...start(), paths: [path], pollMs }));
    await reading.count(1);
    renameSync(path, `${folder}/old/auth.log.1`);
    writeFileSync(path, lines(1, 2));
    await reading.count(2);
    expect(reading.messages).to.deep.equal(numbered(0, 2));
    expect(reading.lost).to.equal(0);
    await reading.stop();
  });

  it("takes a copy that somebody made by hand for no rotated file", async () => {
    const path = `${temporary.make()}/auth.log`;
    writeFileSync(path, lines(0, 1));
    const reading = new Reading(createLogfileSource({ ...start(), paths: [path], pollMs }));
    await reading.count(1);
    await delay(20);
    writeFileSync(`${path}.bak`, lines(100, 101));
    writeFileSync(`${path}.1.bak`, lines(100, 101));
    rotate(path);
    appendFileSync(path, lines(1, 2));
    await reading.count(2);
    await reading.settled(pollMs);
    expect(reading.messages).to.deep.equal(numbered(0, 2));
    expect(reading.lost).to.equal(0);
    await reading.stop();
  });

  it("goes on in a copy that an editor put in the file's place", async () => {
    const path = `${temporary.make()}/auth.log`;
    writeFileSync(path, lines(0, 5));
    const reading = new Reading(createLogfileSource({ ...start(), paths: [path], pollMs }));
    await reading.count(5);
    writeFileSync(`${path}~`, lines(0, 6));
    renameSync(`${path}~`, path);
    appendFileSync(path, lines(6, 7));
    await reading.count(7);
    await reading.settled(pollMs);
    expect(reading.messages).to.deep.equal(numbered(0, 7));
    expect(reading.lost).to.equal(0);
    await reading.stop();
  });
});

/** As logrotate with `compress`: the file is .1.gz at once. */
function rotateGzip(path: string): void {
  for (let n = 8; n >= 1; n--) if (existsSync(`${path}.${n}.gz`)) renameSync(`${path}.${n}.gz`, `${path}.${n + 1}.gz`);
  renameSync(path, `${path}.1`);
  writeFileSync(path, "");
  execFileSync("gzip", [`${path}.1`]);
}

/** A process of its own, so that names change at any moment. Compresses some files; prints how many lines it wrote. */
const rotatingWriter = `
const { appendFileSync, existsSync, readFileSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } = require("node:fs");
const { gzipSync } = require("node:zlib");
const [, path, kept] = process.argv;
let rotations = 0;
const line = (n) => "2026-11-22T13:28:59.000000+00:00 host sshd[1]: line " + n + "\\n";
let n = 1;
const endMs = Date.now() + 3000;
while (Date.now() < endMs) {
  for (let some = Math.random() * 40; some > 0; some--) appendFileSync(path, line(n++));
  for (let k = Math.min(rotations++, kept); k >= 1; k--)
    for (const end of ["", ".gz"])
      if (existsSync(path + "." + k + end)) renameSync(path + "." + k + end, path + "." + (k + 1) + end);
  for (const end of ["", ".gz"]) rmSync(path + "." + (1 + Number(kept)) + end, { force: true });
  renameSync(path, path + ".1");
  writeFileSync(path, "");
  const old = path + (Math.random() < 0.5 ? ".1" : ".2");
  if (existsSync(old)) {
    const { atimeMs, mtimeMs } = statSync(old);
    writeFileSync(old + ".gz", gzipSync(readFileSync(old)));
    utimesSync(old + ".gz", atimeMs / 1000, mtimeMs / 1000);
    rmSync(old);
  }
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, Math.random() * 8);
}
appendFileSync(path, line("end"));
console.log(n);
`;
