/** A million mutated lines: no throw, no unsound address, no line over its time limit. Seeded, so a failure repeats. */
import { isIP } from "node:net";
import { expect } from "chai";
import { parse } from "../../src/parsers/index.ts";
import { Random } from "../fuzz/random.ts";
import { readSamples } from "./samples.ts";

const lines = 1_000_000;
/** Generous: a pause of the garbage collector or of a busy machine fits in, a runaway expression does not. */
const lineLimitMs = 500;
const seed = 0x55_48;

describe("mutated lines", () => {
  it(`${lines} of them are survived`, function () {
    this.timeout(120_000);
    const samples = readSamples();
    const random = new Random(seed);
    const below = (limit: number) => random.below(limit);
    const anySample = () => samples[below(samples.length)] ?? expect.fail("no samples");
    const inserts = [
      " port ",
      " from ",
      ": ",
      " [preauth]",
      "1.2.3.4",
      " ssh2",
      "(",
      ")",
      "[",
      "]",
      "'",
      '"',
      " ",
      "\0",
      "é",
      "=",
      ",",
      " ".repeat(200),
      "9".repeat(40),
      "a ".repeat(300),
    ];

    function mutate(text: string): string {
      const at = below(text.length + 1);
      switch (below(7)) {
        case 0:
          return text.slice(0, at);
        case 1:
          return text.slice(0, at) + String.fromCharCode(below(256)) + text.slice(at + 1);
        case 2:
          return text.slice(0, at) + text.slice(at + 1 + below(8));
        case 3:
          return text.slice(0, at) + (inserts[below(inserts.length)] ?? "") + text.slice(at);
        case 4:
          return text.slice(0, at) + text.slice(below(text.length + 1));
        case 5:
          return text.slice(0, at) + anySample().record.message.slice(below(40));
        default:
          return text + text.slice(at).repeat(1 + below(4));
      }
    }

    const micros = new Float64Array(lines);
    let events = 0;
    for (let i = 0; i < lines; i++) {
      const { record } = anySample();
      let message = record.message;
      for (let times = 1 + below(3); times > 0; times--) message = mutate(message);
      const mutated = { ...record, message: message.slice(0, 8192) };
      const begin = process.hrtime.bigint();
      const event = parse(mutated);
      micros[i] = Number(process.hrtime.bigint() - begin) / 1000;
      if (event === undefined) continue;
      events++;
      if ("address" in event && event.address !== undefined && isIP(event.address) === 0)
        expect.fail(`not an address: ${mutated.message}`);
    }
    micros.sort();
    const [median, p999, slowest] = [0.5, 0.999, 1].map(
      (part) => micros[Math.min(lines - 1, Math.floor(part * lines))] ?? Number.NaN,
    );
    console.log(
      `      ${lines} lines, ${events} events, median ${median?.toFixed(1)} us, p99.9 ${p999?.toFixed(1)} us, slowest ${((slowest ?? 0) / 1000).toFixed(1)} ms`,
    );
    expect(slowest).to.be.lessThan(lineLimitMs * 1000);
    expect(events).to.be.greaterThan(lines / 10);
  });
});
