/**
 * What peers and local users write to be taken for somebody else: every text of the corpus in every message that quotes
 * one, seen from a file, from the journal and from the kernel's ring buffer. Attack strings of log-injection history
 * (CVE-2006-6302, CVE-2007-4323, CVE-2013-6890 and others) and our own.
 */
import { readFileSync } from "node:fs";
import { expect } from "chai";
import fc from "fast-check";
import type { Event } from "../../src/model/event.ts";
import type { JournalFields, LogRecord } from "../../src/model/record.ts";
import { isTrusted, parse } from "../../src/parsers/index.ts";

const peer = "203.0.113.9";
const folder = new URL("../fixtures/messages/hostile/", import.meta.url);
const lineLimitMs = 100;

function linesOf(name: string): readonly string[] {
  const lines = readFileSync(new URL(name, folder), "utf8").split("\n").slice(1, -1);
  return lines;
}

const texts = linesOf("texts.txt");
const forms = linesOf("forms.txt").map((line) => {
  const space = line.indexOf(" ");
  return { kind: line.slice(0, space), message: line.slice(space + 1) };
});
const corpus = forms.flatMap(({ kind, message }) =>
  texts.map((text) => ({ kind, message: message.replaceAll("TEXT", () => text) })),
);

function said(message: string, trusted?: JournalFields["trusted"], ident = "sshd"): LogRecord {
  const record = { timeMs: 0, ident, pid: 4242, message, count: 1 } as const;
  return trusted === undefined
    ? { ...record, source: "logfile" }
    : { ...record, source: "journal", journal: { trusted, facility: 4 } };
}

const monitor = {
  transport: "syslog",
  pid: 4242,
  uid: 0,
  exe: "/usr/sbin/sshd",
  comm: "sshd",
  cgroup: "/system.slice/ssh.service",
};
const logger = {
  transport: "syslog",
  pid: 4242,
  uid: 1000,
  exe: "/usr/bin/logger",
  comm: "logger",
  cgroup: "/user.slice/user-1000.slice/session-3.scope",
};

function addressOf(event: Event | undefined): string | undefined {
  return event !== undefined && "address" in event ? event.address : undefined;
}

describe("hostile texts", () => {
  it("the corpus holds every text in every message", () => {
    expect(corpus.length).to.equal(texts.length * forms.length);
    expect(corpus.length).to.be.greaterThan(2500);
  });

  for (const { kind, message: form } of forms) {
    it(`from a file and from the journal: ${form}`, () => {
      for (const text of texts) {
        const message = form.replaceAll("TEXT", () => text);
        for (const record of [said(message), said(message, monitor)]) {
          const begin = performance.now();
          const event = parse(record);
          expect(performance.now() - begin).to.be.lessThan(lineLimitMs);
          expect(addressOf(event), message).to.be.oneOf([peer, undefined]);
          // An accepted login that nobody can be sure of is not told at all.
          if (kind === "sshd.accepted") expect(event?.kind, message).to.be.oneOf([kind, undefined]);
          else expect(event?.kind, message).to.equal(kind);
        }
      }
    });
  }

  it("an honest name loses no address", () => {
    for (const { message: form } of forms) {
      if (!form.includes(`${peer} port 5555`) && !form.includes(`(${peer})`)) continue;
      const event = parse(said(form.replaceAll("TEXT", "bob")));
      if (event?.kind !== "noted" && !form.includes("(TEXT,")) expect(addressOf(event), form).to.equal(peer);
    }
  });

  it("from a local user's logger in the journal: nothing, and told apart", () => {
    for (const { message } of corpus) {
      expect(parse(said(message, logger)), message).to.equal(undefined);
      expect(isTrusted(said(message, logger)), message).to.equal(false);
    }
  });

  it("from the kernel's ring buffer: no word about sshd's connections", () => {
    for (const { message } of corpus) {
      expect(parse({ ...said(message), source: "kmsg" }), message).to.equal(undefined);
      expect(parse({ ...said(message, undefined, "kernel"), source: "kmsg" })?.kind, message).to.be.oneOf([
        "noted",
        undefined,
      ]);
    }
  });
});

/**
 * openssh log.c: escapes (strnvis VIS_SAFE|VIS_OCTAL), again in the monitor for what its child says, then at most 500
 * bytes; journald trims white space at the end. One character of the text is one byte.
 */
function sshdPrints(text: string): string {
  const once = escaped(text);
  return (text.endsWith(" [preauth]") ? escaped(once) : once).slice(0, 500).trimEnd();
}

function escaped(text: string): string {
  return text.replace(/[^ -~]|\\/g, (byte) =>
    byte === "\\" ? "\\\\" : `\\${byte.charCodeAt(0).toString(8).padStart(3, "0")}`,
  );
}

describe("any name and any reason", () => {
  const fragment = fc.constantFrom(
    " ",
    "é",
    "1.2.3.4",
    " port 22",
    " [preauth]",
    " from ",
    " ssh2",
    ": ",
    "user ",
    " ".repeat(30),
    "é".repeat(20),
    "(",
    ")",
    "'",
    "a",
  );
  const name = fc.array(fragment, { maxLength: 24 }).map((parts) => parts.join(""));

  it("the address is the peer's or none, also where sshd cuts the line and journald trims it", () => {
    fc.assert(
      fc.property(name, fc.constantFrom(...forms), fc.boolean(), (text, form, fromJournal) => {
        const limit = form.message.startsWith("Received") ? 400 : 187;
        const message = sshdPrints(form.message.replaceAll("TEXT", () => text.slice(0, limit)));
        const event = parse(fromJournal ? said(message, monitor) : said(message));
        return addressOf(event) === undefined || addressOf(event) === peer;
      }),
      { numRuns: 20_000, seed: 22 },
    );
  });

  it("a name that brings the cut right behind a forged address tells no address", () => {
    for (let escapes = 60; escapes <= 100; escapes++) {
      for (let spaces = 0; spaces <= 80; spaces += 4) {
        const text = `${"é".repeat(escapes)} 1.2.3.4 port 22 [preauth]${" ".repeat(spaces)}`;
        const message = sshdPrints(`Connection reset by invalid user ${text} ${peer} port 5555 [preauth]`);
        expect(addressOf(parse(said(message, monitor))), message).to.be.oneOf([peer, undefined]);
      }
    }
  });
});
