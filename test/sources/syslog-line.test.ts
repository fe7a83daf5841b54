import { expect } from "chai";
import fc from "fast-check";
import type { LogRecord } from "../../src/model/record.ts";
import { lineBytes, SyslogLines } from "../../src/sources/syslog-line.ts";

const idents = ["sshd", "sshd-session", "systemd", "kernel"];
const november = new Date(2026, 10, 22, 12).getTime();

function read(text: string | Buffer, nowMs = november): LogRecord[] {
  const records: LogRecord[] = [];
  const bytes = Buffer.from(text);
  const taken = new SyslogLines(idents, () => nowMs).read(bytes, records);
  expect(taken).to.equal(bytes.lastIndexOf(10) + 1);
  return records;
}

function local(year: number, month: number, day: number, hour = 0, minute = 0, second = 0): number {
  return new Date(year, month - 1, day, hour, minute, second).getTime();
}

/** The line, and the record that it makes: time, ident, pid, message, count. */
const samples: readonly (readonly [string, number, string, number, string, number?])[] = [
  ["Nov  2 15:40:14 host sshd[28179]: msg", local(2026, 11, 2, 15, 40, 14), "sshd", 28179, "msg"],
  ["Nov 2 15:40:14 host sshd[28179]: msg", local(2026, 11, 2, 15, 40, 14), "sshd", 28179, "msg"],
  ["Nov 22 13:28:59.123456 host sshd[1]: msg", local(2026, 11, 22, 13, 28, 59) + 123, "sshd", 1, "msg"],
  ["2024-09-22T02:54:37.863123+00:00 host sshd[26538]: msg", 1726973677863, "sshd", 26538, "msg"],
  ["2024-09-22T02:54:37Z host sshd-session[1]: msg", 1726973677000, "sshd-session", 1, "msg"],
  ["2024-09-22T04:54:37+0200 host sshd[1]: msg", 1726973677000, "sshd", 1, "msg"],
  ["<86>Nov 22 13:28:59 host sshd[1]: msg", local(2026, 11, 22, 13, 28, 59), "sshd", 1, "msg"],
  ['<38>1 2022-01-19T14:23:57+00:00 h sshd 142 - [meta sequenceId="11"] msg', 1642602237000, "sshd", 142, "msg"],
  ['<38>1 2022-01-19T14:23:57Z h sshd 1 ID [a b="x\\"]\\\\"][c] \u{feff}msg', 1642602237000, "sshd", 1, "msg"],
  ["<38>1 2022-01-19T14:23:57Z h sshd 1 - -  message repeated 3 times: [ a]", 1642602237000, "sshd", 1, "a", 3],
  ["<38>1 - - sshd - - - msg", november, "sshd", 0, "msg"],
  ["Nov 22 13:28:59 host auth.info sshd[2301]: msg", local(2026, 11, 22, 13, 28, 59), "sshd", 2301, "msg"],
  ["Mon Nov 22 13:28:59 2021 authpriv.info sshd[1]: msg", local(2021, 11, 22, 13, 28, 59), "sshd", 1, "msg"],
  ["2020-03-24 08:38:47.230409-0700  localhost sshd[2531]: msg", 1585064327230, "sshd", 2531, "msg"],
  ["Nov 22 13:00:00 h sshd[2]: [ID 800047 auth.notice] msg", local(2026, 11, 22, 13), "sshd", 2, "msg"],
  ["auth.info: Nov 22 13:00:00 sshd[30993]: msg", local(2026, 11, 22, 13), "sshd", 30993, "msg"],
  ["2026-11-22_13:00:00.10878 auth.info: Nov 22 13:00:00 sshd[3]: msg", local(2026, 11, 22, 13), "sshd", 3, "msg"],
  ["Nov 22 13:00:00 sshd[1]: no host", local(2026, 11, 22, 13), "sshd", 1, "no host"],
  ["Nov 22 13:00:00 UDMP-DTC UDMP-DTC sshd[1]: msg", local(2026, 11, 22, 13), "sshd", 1, "msg"],
  ["Nov 22 13:00:00 2001:db8::1 sshd[1]: msg", local(2026, 11, 22, 13), "sshd", 1, "msg"],
  ["Nov 22 13:00:00 2001:db8:: sshd[1]: msg", local(2026, 11, 22, 13), "sshd", 1, "msg"],
  ["Nov 22 13:00:00 h [sshd]: msg", local(2026, 11, 22, 13), "sshd", 0, "msg"],
  ["Nov 22 13:00:00 h [sshd] msg", local(2026, 11, 22, 13), "sshd", 0, "msg"],
  ["Nov 22 13:00:00 h sshd(pam_unix)[123]: msg", local(2026, 11, 22, 13), "sshd", 123, "msg"],
  ["Nov 22 13:00:00 h /usr/sbin/sshd[1]: msg", local(2026, 11, 22, 13), "sshd", 1, "msg"],
  ["Nov 22 13:00:00 h systemd: Started x.", local(2026, 11, 22, 13), "systemd", 0, "Started x."],
  ["Nov 22 13:00:00 h kernel: [ 5864.708440] msg", local(2026, 11, 22, 13), "kernel", 0, "msg"],
  ["Nov 22 13:00:00 h kernel:[75215.92] msg", local(2026, 11, 22, 13), "kernel", 0, "msg"],
  ["Nov 22 13:00:00 h kernel: [drm] msg", local(2026, 11, 22, 13), "kernel", 0, "[drm] msg"],
  ["Nov 22 13:00:00 h kernel: a#012b#011c", local(2026, 11, 22, 13), "kernel", 0, "a\nb\tc"],
  // sshd escapes newlines itself: here it is what the peer wrote
  ["Nov 22 13:00:00 h sshd[1]: Invalid user a#012b", local(2026, 11, 22, 13), "sshd", 1, "Invalid user a#012b"],
  ["Nov 22 13:00:00 h sshd[1]: message repeated 3 times: [ a]b]", local(2026, 11, 22, 13), "sshd", 1, "a]b", 3],
  [
    "Nov 22 13:00:00 h sshd[1]: message repeated 999999999 times: [ a]",
    local(2026, 11, 22, 13),
    "sshd",
    1,
    "a",
    100_000,
  ],
  ["Nov 22 13:00:00 h sshd[1]: ", local(2026, 11, 22, 13), "sshd", 1, ""],
  ["Nov 22 13:00:00 h sshd[1]: user \u{e9}\u{20ac}", local(2026, 11, 22, 13), "sshd", 1, "user \u{e9}\u{20ac}"],
  // A hole of NULs that copytruncate left
  ["\0\0\0\0Nov 22 13:00:00 h sshd[1]: msg", local(2026, 11, 22, 13), "sshd", 1, "msg"],
  // Digits that are no time: the reader's clock
  ["Nov 32 13:00:00 h sshd[1]: msg", november, "sshd", 1, "msg"],
  ["2026-13-22T13:00:00Z h sshd[1]: msg", november, "sshd", 1, "msg"],
  ["Nov 22 13:00:xx h sshd[1]: msg", november, "sshd", 1, "msg"],
];

const nobodys = [
  "",
  " ",
  "-- Boot 12c43316b5a14ce7ad08dcb604ef0e05 --",
  "-- No entries --",
  "sshd[1]: no time",
  "2018-06-26 13:22:02.108781500 msg",
  "Nov 22 13:00:00 h CRON[1]: (root) CMD (true)",
  "Nov 22 13:00:00 h cron[1]: sshd[2]: Connection reset by 1.2.3.4 port 22",
  "Nov 22 13:00:00 h app said sshd[2]: Connection reset by 1.2.3.4 port 22",
  "Nov 22 13:00:00 h app Nov 22 13:00:00 h sshd[2]: Connection reset by 1.2.3.4 port 22",
  "Nov 22 13:00:00 h sshd-keygen[2]: msg",
  "Nov 22 13:00:00 h xsshd[2]: msg",
  "Nov 22 13:00:00 h sshd[2 ]: msg",
  "Nov 22 13:00:00 h sshd[12345678901]: msg",
  "Nov 22 13:00:00 h sshd[]: msg",
  "Nov 22 13:00:00 h sshd",
  "Nov 22 13:00:00 h last message repeated 2 times",
  '<38>1 2022-01-19T14:23:57Z h app 1 - [x y="] sshd[1]: msg"] sshd[1]: msg',
  '<38>1 2022-01-19T14:23:57Z h sshd 1 - [x y="never closed',
];

describe("a syslog line", () => {
  for (const [text, timeMs, ident, pid, message, count = 1] of samples) {
    it(JSON.stringify(text), () => {
      const expected = [{ source: "logfile", timeMs, ident, pid, message, count }];
      expect(read(`${text}\n`)).to.deep.equal(expected);
      expect(read(`${text}\r\n`)).to.deep.equal(expected);
    });
  }

  for (const text of nobodys) {
    it(`${JSON.stringify(text)} is nobody's`, () => expect(read(`${text}\n`)).to.deep.equal([]));
  }

  it("takes the year in which it is not the future", () => {
    const january = local(2027, 1, 2, 8);
    expect(read("Dec 31 23:59:58 h sshd[1]: a\n", january)[0]?.timeMs).to.equal(local(2026, 12, 31, 23, 59, 58));
    expect(read("Jan  2 08:00:01 h sshd[1]: a\n", january)[0]?.timeMs).to.equal(local(2027, 1, 2, 8, 0, 1));
    const sylvester = local(2026, 12, 31, 23, 59);
    expect(read("Jan  1 00:00:03 h sshd[1]: a\n", sylvester)[0]?.timeMs).to.equal(local(2027, 1, 1, 0, 0, 3));
    expect(read("Feb 29 10:00:00 h sshd[1]: a\n", january)[0]?.timeMs).to.equal(local(2024, 2, 29, 10));
    expect(read("Feb 29 10:00:00 h sshd[1]: a\n", local(2028, 3, 1))[0]?.timeMs).to.equal(local(2028, 2, 29, 10));
  });

  it("counts `last message repeated` for the line before, of whatever program that was", () => {
    const repeated = "Nov 22 13:00:01 h last message repeated 4 times\n";
    expect(read(`Nov 22 13:00:00 h sshd[1]: a\n${repeated}`).map((r) => [r.message, r.count])).to.deep.equal([
      ["a", 1],
      ["a", 4],
    ]);
    expect(read(`Nov 22 13:00:00 h sshd[1]: a\nNov 22 13:00:00 h cron[1]: b\n${repeated}`)).to.have.length(1);
    expect(read(`Nov 22 13:00:00 h sshd[1]: a\n${repeated.replace("\n", " x\n")}`)).to.have.length(1);
  });

  it("is cut at 8 KiB of message, and counted where it is longer than a line may be", () => {
    const lines = new SyslogLines(idents);
    const records: LogRecord[] = [];
    lines.read(Buffer.from(`Nov 22 13:00:00 h sshd[1]: ${"x".repeat(20_000)}\n`), records);
    expect([records[0]?.message.length, lines.cutLines]).to.deep.equal([8192, 0]);
    lines.read(Buffer.from(`Nov 22 13:00:00 h sshd[1]: ${"x".repeat(lineBytes)}\n`), records);
    expect([records[1]?.message.length, lines.cutLines]).to.deep.equal([8192, 1]);
  });

  it("turns invalid UTF-8 into replacement characters and keeps NULs inside a message", () => {
    const bytes = Buffer.concat([Buffer.from("Nov 22 13:00:00 h sshd[1]: a"), Buffer.from([0xff, 0, 0xc3, 10])]);
    expect(read(bytes)[0]?.message).to.equal("a\u{fffd}\0\u{fffd}");
  });

  it("has one header, at its start, whatever a peer writes", () => {
    const forged = ["Jan  1 00:00:00 h sshd[1]: ", "2026-01-01T00:00:00Z h sshd[1]: ", "<38>1 - h sshd 1 - - ", "]: "];
    fc.assert(
      fc.property(
        fc.array(fc.oneof(fc.constantFrom(...forged), fc.string({ unit: "binary" })), { maxLength: 6 }),
        (parts) => {
          const text = parts.join("").replaceAll("\n", "");
          const [record, ...more] = read(`Nov 22 13:00:00 h sshd[7]: Invalid user ${text} from 192.0.2.1 port 1\n`);
          expect([record?.pid, more.length]).to.deep.equal([7, 0]);
          expect(record?.message.endsWith(" from 192.0.2.1 port 1")).to.equal(true);
          expect(read(`Nov 22 13:00:00 h app[7]: ${text}\n`)).to.deep.equal([]);
        },
      ),
      { numRuns: 300 },
    );
  });

  it("throws for no bytes, and takes none from the next line", () => {
    const pieces = [...samples.map(([text]) => text), ...nobodys].map((text) => Buffer.from(text));
    fc.assert(
      fc.property(fc.constantFrom(...pieces), fc.nat(80), fc.uint8Array({ maxLength: 3 }), (text, cut, junk) => {
        const mutated = Buffer.concat([text.subarray(0, cut), junk, text.subarray(cut + junk.length)]);
        const broken = Buffer.from(mutated.filter((byte) => byte !== 10));
        const good = Buffer.from("\nNov 22 13:00:00 h sshd[9]: whole\n");
        const records = read(Buffer.concat([broken, good]));
        expect(records.at(-1)).to.include({ pid: 9, message: "whole" });
        expect(records.length).to.be.at.most(2);
      }),
      { numRuns: 5000 },
    );
  });
});

describe("a stream of lines", () => {
  const wanted = fc.constantFrom(...samples.map(([text]) => `${text}\n`), ...samples.map(([text]) => `${text}\r\n`));
  const others = fc.constantFrom(
    ...nobodys.filter((text) => !text.includes("repeated")).map((text) => `${text}\n`),
    "Nov 22 13:00:00 h cron[1]: \u{20ac}\n",
  );

  function readInPieces(bytes: Buffer, pieces: readonly number[]): LogRecord[] {
    const records: LogRecord[] = [];
    const lines = new SyslogLines(idents, () => november);
    let start = 0;
    let end = 0;
    for (const piece of [...pieces, bytes.length]) {
      end = Math.min(bytes.length, end + piece);
      start += lines.read(bytes.subarray(start, end), records);
    }
    return records;
  }

  it("gives the same records however it is split into chunks", () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(wanted, others)), fc.array(fc.nat(200)), (texts, pieces) => {
        const bytes = Buffer.from(texts.join(""));
        expect(readInPieces(bytes, pieces)).to.deep.equal(readInPieces(bytes, []));
      }),
    );
  });

  it("gives the same records whatever other programs write between", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(wanted, fc.array(others, { maxLength: 3 }))), (pairs) => {
        const alone = read(pairs.map(([text]) => text).join(""));
        expect(read(pairs.map(([text, between]) => text + between.join("")).join(""))).to.deep.equal(alone);
      }),
    );
  });
});
