import { writeFileSync } from "node:fs";
import { expect } from "chai";
import { createLogfileSource } from "../../src/sources/logfile.ts";
import { folders, lines, pollMs, start } from "./reading.ts";

describe("the first blocks of a log", () => {
  const temporary = folders();

  it("are short, since nothing is compiled yet, and lose nothing", async () => {
    const path = `${temporary.make()}/auth.log`;
    const count = 10_000;
    writeFileSync(path, lines(0, count));
    const messages: string[] = [];
    const sizes: number[] = [];
    const abort = new AbortController();
    for await (const { records } of createLogfileSource({ ...start(), paths: [path], pollMs }).batches(abort.signal)) {
      sizes.push(records.length);
      messages.push(...records.map(({ message }) => message));
      if (messages.length >= count) abort.abort();
    }
    expect(messages).to.deep.equal(Array.from({ length: count }, (_, n) => `line ${n}`));
    const [first = 0, second = 0, third = 0] = sizes.filter((size) => size > 0);
    expect(first).to.be.within(100, 250);
    expect(second / first).to.be.within(1.8, 2.2);
    expect(third / second).to.be.within(1.8, 2.2);
  });
});
