/** Every sample means what stands above it; every pattern has a sample; no two patterns match one line. */
import { expect } from "chai";
import { readSampleFile } from "../../src/kit/message-samples.ts";
import type { Pattern } from "../../src/model/parser.ts";
import type { LogRecord } from "../../src/model/record.ts";
import { bareMessage, parse, parsers } from "../../src/parsers/index.ts";
import { readSamples } from "./samples.ts";

/** Generous: a line takes microseconds; only a runaway expression takes this long. */
const lineLimitMs = 100;

function matching(record: LogRecord): readonly Pattern[] {
  return parsers
    .filter((parser) => parser.idents.includes(record.ident))
    .flatMap((parser) => parser.patterns)
    .filter((pattern) => pattern.match(bareMessage(record), record) !== undefined);
}

describe("annotated samples", () => {
  const samples = readSamples();

  for (const { place, record, pattern, event } of samples) {
    it(`${place} ${record.message.slice(0, 90)}`, () => {
      const begin = performance.now();
      const seen = parse(record);
      expect(performance.now() - begin).to.be.lessThan(lineLimitMs);
      expect(seen).to.deep.equal(event);
      expect(matching(record).map(({ id }) => id)).to.deep.equal(pattern === undefined ? [] : [pattern]);
    });
  }

  it("every pattern has a sample", () => {
    const sampled = new Set(samples.map(({ pattern }) => pattern));
    const patterns = parsers.flatMap((parser) => parser.patterns.map(({ id }) => id));
    expect(patterns.filter((id) => !sampled.has(id))).to.deep.equal([]);
  });

  it("pattern ids are unique, in kebab-case, with versions and origin", () => {
    const patterns = parsers.flatMap((parser) => parser.patterns);
    expect(new Set(patterns.map(({ id }) => id)).size).to.equal(patterns.length);
    for (const { id, versions, origin } of patterns) {
      expect(id).to.match(/^[a-z0-9]+(?:-[a-z0-9]+)+$/);
      expect(versions, id).to.not.equal("");
      expect(origin, id).to.not.equal("");
    }
  });

  it("a message without expectation is refused", () => {
    expect(() => readSampleFile("x.txt", "Connection reset by 192.0.2.1 port 5")).to.throw(
      "x.txt:1: a message without",
    );
    expect(() => readSampleFile("x.txt", "#- noted\n#- noted\nx")).to.throw(
      "x.txt:2: an expectation without a message",
    );
    expect(() => readSampleFile("x.txt", "#? noted\nx")).to.throw("x.txt:1: a message without");
    expect(() => readSampleFile("x.txt", "#- noted")).to.throw("x.txt: ends with an expectation");
  });
});
