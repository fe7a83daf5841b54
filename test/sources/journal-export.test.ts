import { expect } from "chai";
import fc from "fast-check";
import { type JournalEntry, JournalExport } from "../../src/sources/journal-export.ts";
import { binaryField, exported } from "./journal-files.ts";

const fields = ["__CURSOR", "MESSAGE", "_PID"];

function read(bytes: Buffer, pieces: readonly number[] = []): object[] {
  const parser = new JournalExport(fields);
  const entries: object[] = [];
  let start = 0;
  for (const piece of [...pieces, bytes.length]) {
    entries.push(...parser.read(bytes.subarray(start, start + piece)).map(named));
    start += piece;
  }
  return entries;
}

function named(entry: JournalEntry): object {
  return Object.fromEntries(
    fields.flatMap((name, place) => (entry[place] === undefined ? [] : [[name, entry[place]]])),
  );
}

/** The format once more, as plainly as it can be written: text fields only, of whole entries. */
function readPlainly(text: string): object[] {
  return text
    .split("\n\n")
    .map((entry) => {
      const lines = entry
        .split("\n")
        .map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]);
      return Object.fromEntries(lines.reverse().filter(([name = ""]) => fields.includes(name)));
    })
    .filter((entry) => Object.keys(entry).length > 0);
}

describe("the journal export format", () => {
  it("gives the wanted fields of complete entries, text and binary", () => {
    const bytes = Buffer.concat([
      exported({ __CURSOR: "a", MESSAGE: "one=two", _PID: "1", _EXE: "/usr/sbin/sshd" }),
      exported({ __CURSOR: "b", MESSAGE: "two\n\n__CURSOR=forged\n\nlines", _COMM: "x\ny" }),
      Buffer.from("__CURSOR=incomplete\n"),
    ]);
    expect(read(bytes)).to.deep.equal([
      { __CURSOR: "a", MESSAGE: "one=two", _PID: "1" },
      { __CURSOR: "b", MESSAGE: "two\n\n__CURSOR=forged\n\nlines" },
    ]);
  });

  it("takes the first of a field that comes twice", () => {
    expect(read(Buffer.from("MESSAGE=first\nMESSAGE=second\n\n"))).to.deep.equal([{ MESSAGE: "first" }]);
  });

  it("cuts values at 64 KiB, text and binary, and goes on after them", () => {
    const long = "x".repeat(300_000);
    const bytes = Buffer.concat([
      exported({ MESSAGE: long, _PID: "1" }),
      Buffer.concat([binaryField("MESSAGE", Buffer.from(long)), Buffer.from("_PID=2\n\n")]),
    ]);
    for (const pieces of [[], Array<number>(20).fill(20_000), [65_530, 1, 1, 10, 100]]) {
      const entries = read(bytes, pieces) as { MESSAGE: string; _PID: string }[];
      expect(entries.map((entry) => entry._PID)).to.deep.equal(["1", "2"]);
      for (const { MESSAGE } of entries) expect(MESSAGE.length).to.be.within(65_000, 65_536);
    }
  });

  it("gives the same entries however the stream is split", () => {
    const value = fc.oneof(fc.string(), fc.string({ unit: "binary" }));
    const entry = fc.record({ __CURSOR: fc.stringMatching(/^[0-9a-f]+$/), MESSAGE: value, OTHER: value });
    fc.assert(
      fc.property(fc.array(entry, { maxLength: 5 }), fc.array(fc.nat(40)), (entries, pieces) => {
        const bytes = Buffer.concat(entries.map((fields) => exported(fields)));
        const expected = entries.map(({ __CURSOR, MESSAGE }) => ({ __CURSOR, MESSAGE }));
        expect(read(bytes, pieces)).to.deep.equal(expected);
      }),
    );
  });

  it("gives the same for lines like those of the entry before: the same, of another value, left out, in another order", () => {
    const name = fc.constantFrom("__CURSOR", "MESSAGE", "_PID", "_PIDS", "OTHER", "MESSAGE_ID", "M".repeat(170));
    const value = fc.oneof(
      fc.constantFrom(
        "",
        "a",
        "ab",
        "b",
        "ä",
        "x".repeat(150),
        "x".repeat(158),
        `${"x".repeat(158)}y`,
        "y".repeat(400),
      ),
      fc.stringMatching(/^[ab=]{0,4}$/),
    );
    const line = fc.oneof(fc.tuple(name, value), fc.tuple(fc.constant("MESSAGE"), fc.constantFrom("a", "b", "ba")));
    const entry = fc.array(line, { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(fc.array(entry, { maxLength: 20 }), fc.array(fc.nat(200)), (entries, pieces) => {
        const text = entries
          .map((lines) => `${lines.map(([name, value]) => `${name}=${value}\n`).join("")}\n`)
          .join("");
        expect(read(Buffer.from(text), pieces)).to.deep.equal(readPlainly(text));
      }),
      { numRuns: 500 },
    );
  });

  it("remembers a bounded number of lines, and reads on with more", () => {
    const lines = (from: number) => Array.from({ length: 200 }, (_, n) => `F${(from + n) % 300}=${n}\n`).join("");
    const text = [0, 50, 100, 0].map((from) => `${lines(from)}MESSAGE=${from}\n\n`).join("");
    expect(read(Buffer.from(text))).to.deep.equal(readPlainly(text));
  });

  it("throws for no bytes", () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => void read(Buffer.from(bytes), [7, 9])));
  });
});
