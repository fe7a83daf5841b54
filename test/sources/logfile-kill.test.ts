import { appendFileSync, writeFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { expect } from "chai";
import type { Position } from "../../src/model/source.ts";
import { createLogfileSource } from "../../src/sources/logfile.ts";
import { folders, lines, numbered, rotate, start } from "./reading.ts";

describe("a reader that is killed at random moments", () => {
  const temporary = folders();

  it("has read every line exactly once over all its lives, rotations meanwhile", async function () {
    this.timeout(30_000);
    const path = `${temporary.make()}/auth.log`;
    const total = 30_000;
    let written = 0;
    writeFileSync(path, "");
    const writing = (async () => {
      while (written < total) {
        appendFileSync(path, lines(written, written + 100));
        written += 100;
        if (written % 3000 === 0) rotate(path);
        await delay(1);
      }
    })();

    const seen: string[] = [];
    let lost = 0;
    let lives = 0;
    let position: Position | undefined;
    const deadline = Date.now() + 25_000;
    while ((seen.length < total || lives < 20) && Date.now() < deadline) {
      // Killed: whatever was read after the last batch handed over is forgotten.
      lives++;
      let batches = 1 + Math.floor(Math.random() * 6);
      const source = createLogfileSource({ ...start({ position }), paths: [path], pollMs: 5 });
      for await (const batch of source.batches(AbortSignal.timeout(500))) {
        seen.push(...batch.records.map(({ message }) => message));
        lost += batch.lost;
        position = JSON.parse(JSON.stringify(batch.position)) as Position;
        if (--batches === 0) break;
      }
    }
    await writing;
    expect(lost).to.equal(0);
    expect(seen).to.deep.equal(numbered(0, total));
    expect(lives).to.be.at.least(20);
  });
});
