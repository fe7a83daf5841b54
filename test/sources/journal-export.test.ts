import { expect } from "chai";
import fc from "fast-check";
import { JournalExport } from "../../src/sources/journal-export.ts";
import { binaryField, exported } from "./journal-files.ts";

const fields = ["__CURSOR", "MESSAGE", "_PID"];

function read(bytes: Buffer, pieces: readonly number[] = []): object[] {
  const parser = new JournalExport(fields);
  const entries: object[] = [];
  let start = 0;
  for (const piece of [...pieces, bytes.length]) {
    entries.push(...parser.read(bytes.subarray(start, start + piece)).map((entry) => Object.fromEntries(entry)));
    start += piece;
  }
  return entries;
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

  it("throws for no bytes", () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => void read(Buffer.from(bytes), [7, 9])));
  });
});
