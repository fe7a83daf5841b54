/**
 * Writes a log at a rate for a while, as a program of its own: whoever measures scrapes meanwhile must not be busy with it.
 * Arguments: path, lines a second, seconds. Says how many lines it wrote.
 */
import { closeSync, openSync, writeSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { liveLines } from "./corpus.ts";

const [path = "", linesPerSecond = "", seconds = ""] = process.argv.slice(2);
const blockLines = 20_000;
const next = liveLines(8);
const blocks = Array.from({ length: 8 }, () => Buffer.from(next(blockLines).text));
const fd = openSync(path, "a");
const startMs = Date.now();
let written = 0;
for (let elapsedMs = 0; elapsedMs < Number(seconds) * 1000; elapsedMs = Date.now() - startMs) {
  if (written < (elapsedMs / 1000) * Number(linesPerSecond)) {
    writeSync(fd, blocks[(written / blockLines) % blocks.length] as Buffer);
    written += blockLines;
  } else await delay(5);
}
closeSync(fd);
process.stdout.write(`${written}\n`);
