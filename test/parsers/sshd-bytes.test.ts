/**
 * The shortcut from bytes to event against the plain way through text and patterns: on every sample, capture, hostile text
 * and line of the bench's corpus, whole and mutated, it says the same or leaves it to them.
 */
import { readdirSync, readFileSync } from "node:fs";
import { expect } from "chai";
import fc from "fast-check";
import { conversation, peerOf, randomFrom } from "../../bench/corpus.ts";
import { blockOf } from "../../src/model/bytes.ts";
import type { Event } from "../../src/model/event.ts";
import type { LogRecord } from "../../src/model/record.ts";
import { idents, parse } from "../../src/parsers/index.ts";
import { SshdBytes } from "../../src/parsers/sshd-bytes.ts";
import { SyslogLines } from "../../src/sources/syslog-line.ts";
import { Random } from "../fuzz/random.ts";
import { readSamples } from "./samples.ts";

const fixtures = new URL("../fixtures/", import.meta.url);
const nowMs = new Date(2026, 10, 22, 14).getTime();

const linesOf = (path: string): string[] => readFileSync(new URL(path, fixtures), "utf8").split("\n").filter(Boolean);

/** One of each form, and what it is: these must take the shortcut. */
const forms: readonly (readonly [string, Event])[] = [
  ["Invalid user admin from 192.0.2.7 port 40022", { kind: "noted" }],
  [
    "Failed password for root from 192.0.2.7 port 40022 ssh2",
    { kind: "sshd.authentication_failed", address: "192.0.2.7", port: 40022 },
  ],
  [
    "Failed password for invalid user admin from 2001:DB8:0::7 port 1 ssh2",
    { kind: "sshd.authentication_failed", address: "2001:db8::7", port: 1 },
  ],
  [
    "Failed publickey for bob from ::ffff:192.0.2.7 port 65535 ssh2: ED25519 SHA256:uVLXdvW3xUeQk4hmaFmQ4x8r",
    { kind: "sshd.authentication_failed", address: "192.0.2.7", port: 65535 },
  ],
  [
    "Failed keyboard-interactive/pam for a from 192.0.2.7 port 40022 ssh2",
    { kind: "sshd.authentication_failed", address: "192.0.2.7", port: 40022 },
  ],
  [
    "Accepted publickey for bob from 192.0.2.7 port 40022 ssh2: RSA SHA256:uVLXdvW3xUeQk4hmaFmQ4x8r",
    { kind: "sshd.accepted", address: "192.0.2.7", port: 40022 },
  ],
  [
    "Accepted password for bob from 192.0.2.7 port 40022 ssh2",
    { kind: "sshd.accepted", address: "192.0.2.7", port: 40022 },
  ],
  [
    "Connection from 192.0.2.7 port 40022 on 2001:db8::1 port 22",
    { kind: "sshd.connection", address: "192.0.2.7", port: 40022, localPort: 22 },
  ],
  [
    'Connection from 192.0.2.7 port 40022 on 192.0.2.1 port 22 rdomain ""',
    { kind: "sshd.connection", address: "192.0.2.7", port: 40022, localPort: 22 },
  ],
  ["Connection reset by 192.0.2.7 port 40022", ends("reset", "read", undefined)],
  ["Connection closed by 192.0.2.7 port 40022 [preauth]", ends("closed", "read", "kex")],
  ["Connection reset by authenticating user root 192.0.2.7 port 40022 [preauth]", ends("reset", "read", "auth")],
  ["Connection closed by invalid user  192.0.2.7 port 40022 [preauth]", ends("closed", "read", "auth")],
  ["Connection closed by invalid user admin 192.0.2.7 port 40022", ends("closed", "read", "auth")],
  ["Disconnected from user bob 192.0.2.7 port 40022", ends("disconnect", "disconnect", "session")],
  ["Received disconnect from 192.0.2.7 port 40022:11: Bye Bye [preauth]", ends("disconnect", "disconnect", "kex")],
  ["Received disconnect from 192.0.2.7 port 40022:11: by user", ends("disconnect", "disconnect", undefined)],
  [
    "kex_exchange_identification: read: Connection reset by peer",
    { kind: "sshd.ended", outcome: "reset", detail: "banner", phase: "banner" },
  ],
  [
    "error: kex_exchange_identification: Connection closed by remote host",
    { kind: "sshd.ended", outcome: "closed", detail: "banner", phase: "banner" },
  ],
  ["pam_unix(sshd:auth): check pass; user unknown", { kind: "noted" }],
  ["pam_unix(sshd:session): session opened for user bob(uid=1000) by (uid=0)", { kind: "sshd.session_opened" }],
  ["pam_unix(sshd:session): session opened for user bob by root(uid=0)", { kind: "sshd.session_opened" }],
  ["pam_unix(sshd:session): session closed for user bob", { kind: "sshd.session_closed" }],
];

function ends(
  outcome: "reset" | "closed" | "disconnect",
  detail: "read" | "disconnect",
  phase: "kex" | "auth" | "session" | undefined,
): Event {
  const peer = { address: "192.0.2.7", port: 40022 };
  return { kind: "sshd.ended", outcome, detail, ...(phase && { phase }), ...peer };
}

/** What people and machines have written to sshd's log: samples, captures, real logs, hostile texts, the bench's corpus. */
function everyMessage(): readonly string[] {
  const texts = linesOf("messages/hostile/texts.txt").slice(1);
  const hostile = linesOf("messages/hostile/forms.txt")
    .slice(1)
    .map((line) => line.slice(line.indexOf(" ") + 1))
    .flatMap((form) => texts.map((text) => form.replaceAll("TEXT", () => text)));
  const captured = readdirSync(new URL("connections/", fixtures))
    .flatMap((name) => linesOf(`connections/${name}`).map((line) => JSON.parse(line) as Partial<LogRecord>))
    .flatMap(({ message }) => (typeof message === "string" ? [message] : []));
  const real = readdirSync(new URL("messages/real/", fixtures)).flatMap((name) => linesOf(`messages/real/${name}`));
  const random = randomFrom(8);
  const bench = Array.from({ length: 500 }, (_, n) => conversation(random, peerOf(n), 1024 + n).messages).flat();
  const samples = readSamples().map(({ record }) => record.message);
  return [...forms.map(([text]) => text), ...samples, ...captured, ...real, ...hostile, ...bench];
}

const messages = [...new Set(everyMessage())].map((text) => text.replaceAll("\n", " "));
const reader = new SshdBytes();

function plainly(line: Buffer): { readonly event: Event | undefined } | undefined {
  const records: LogRecord[] = [];
  new SyslogLines(idents, () => nowMs).read(line, records);
  const [record] = records;
  return record && { event: parse(record) };
}

/** True: the shortcut was taken, and led to the same event and the end of the line. */
function isShortcut(message: Buffer, end = "\n"): boolean {
  const header = Buffer.from("Nov 22 13:28:59 bastion sshd[4711]: ");
  const line = Buffer.concat([header, message, Buffer.from(end)]);
  const event = reader.read(blockOf(line), header.length);
  if (event === undefined) return false;
  expect(reader.lineEnd, String(message)).to.equal(line.length - 1);
  // Longer ones are never asked for: the plain way cuts them.
  if (line.length < 8000) expect({ event }, String(message)).to.deep.equal(plainly(line));
  return true;
}

describe("sshd's messages from their bytes", () => {
  for (const [text, event] of forms) {
    it(text, () => {
      for (const end of ["\n", "\r\n"]) expect(isShortcut(Buffer.from(text), end)).to.equal(true);
      expect(plainly(Buffer.from(`Nov 22 13:28:59 h sshd[1]: ${text}\n`))).to.deep.equal({ event });
    });
  }

  it("are what the patterns say, or left to them", () => {
    expect(messages.length).to.be.greaterThan(5000);
    const taken = messages.filter((text) => isShortcut(Buffer.from(text)) && isShortcut(Buffer.from(text), "\r\n"));
    expect(taken.length).to.be.greaterThan(1000);
  });

  it("cut at any byte, too", () => {
    for (const [text] of forms) for (let end = 0; end < text.length; end++) isShortcut(Buffer.from(text.slice(0, end)));
  });

  it("and mutated", function () {
    this.timeout(60_000);
    const random = new Random(0x0b17e5);
    const likely = [...forms.map(([text]) => text), ...messages.filter((_, i) => i % 7 === 0)];
    const pieces = [
      ...[
        " port ",
        " from ",
        " ssh2",
        " ssh2: ",
        " [preauth]",
        "invalid user ",
        "user ",
        "authenticating user ",
        ":11: ",
      ],
      ...[
        "1.2.3.4",
        "256.1.1.1",
        "01.2.3.4",
        "1.2.3",
        "::1",
        "a::1",
        "fe80::1%eth0",
        "1.2.3.4.5",
        "UNKNOWN",
        "0",
        "65536",
      ],
      ...[
        " ",
        "  ",
        "\r",
        "\t",
        "\0",
        "é",
        "\u{7f}",
        "(",
        ")",
        "(uid=0)",
        "a".repeat(300),
        " by ",
        " on ",
        ' rdomain "',
        '"',
        "password for ",
        ": ",
      ],
    ];
    let taken = 0;
    for (let i = 0; i < 150_000; i++) {
      let text = likely[random.below(likely.length)] as string;
      for (let times = 1 + random.below(2); times > 0; times--) {
        const at = random.below(text.length + 1);
        const piece = pieces[random.below(pieces.length)] as string;
        const until = at + random.below(2) * random.below(20);
        const other = likely[random.below(likely.length)] as string;
        text = text.slice(0, at) + (random.below(4) === 0 ? other.slice(random.below(60)) : piece) + text.slice(until);
      }
      if (isShortcut(random.below(4) === 0 ? Buffer.from(text, "latin1") : Buffer.from(text))) taken++;
    }
    expect(taken).to.be.greaterThan(10_000);
  });

  it("give one text for an address, however many there are", () => {
    const random = randomFrom(3);
    for (let i = 0; i < 30_000; i++) {
      const address =
        random() < 0.7 ? peerOf(Math.floor(random() * 50_000)) : `2001:db8::${(1 + (i % 6000)).toString(16)}`;
      const event = reader.read(blockOf(Buffer.from(`Connection reset by ${address} port 22\n`)), 0);
      expect(event).to.include({ kind: "sshd.ended", address });
    }
  });
});

describe("a log read with the shortcut", () => {
  const headers = [
    ...["Nov 22 13:28:59 bastion ", "Nov 22 13:29:00 bastion ", "Nov 22 13:28:59 Bastion ", "Nov  2 03:28:00 h "],
    ...[
      "2026-11-22T13:28:59.123456+01:00 bastion ",
      "2026-11-22T13:28:07.9+01:00 bastion ",
      "<86>Nov 22 13:28:59 bastion ",
    ],
    ...[
      "Nov 22 13:28:59 bastion bastion ",
      "Nov 22 13:28:59 Bastion Bastion ",
      "Nov 22 13:28:59 2001:db8:: 2001:db8:: ",
      "Nov 22 13:28:59 last ",
      "Nov 22 13:28:59 --- ",
      "Nov 22 13:28:xx bastion ",
    ],
    ...[
      "Nov 22 13:28:59 bastion  ",
      "Nov 22 13:28:59 ",
      "Nov 22 13:28:60 bastion ",
      "Nov 22 13:28:75 bastion ",
      "Nov 22 13:28:59 server-1 ",
      "Nov 22 13:28:59 sshd-1 ",
      "Nov 22 13:28:59 lastly ",
      "Nov 22 13:28:59 10.0.0.1 ",
      "Nov 22 13:28:59 sshd: ",
      "Nov 22 13:28:59 app: ",
      "Nov 22 13:28:59 [sshd] ",
      "Nov 22 13:28:59 /sbin/sshd: ",
      "2026-11-22T13:28:59.1+01:00 gate ",
      "2026-11-22T13:28:59.1+02:00 gate ",
      "2026-11-22T13:28:59Z gate ",
      "2026-11-22T13:28:59 gate ",
      "Mon Nov 22 13:28:59 2022 gate ",
      "Mon Nov 22 13:28:59 gate ",
      "Nov 22 13:28:59 gate\u{e9} ",
      "Mon Nov 22 13:28:59 2022 ",
      "2026-11-22T13:28:59+02:00 ",
      "auth.info: Nov 22 13:28:59 bastion ",
      "2026-11-22_13:28:00.10878 auth.info: Nov 22 13:28:59 bastion ",
      "Nov 32 13:28:59 bastion ",
    ],
    ...["\0\0Nov 22 13:28:59 bastion ", "Nov 22 13:28:59.5 bastion ", "Mon Nov 22 13:28:59 2021 bastion "],
  ];
  const speakers = [
    ...[
      "sshd[4711]: ",
      "sshd[4711]: ",
      "sshd-session[12]: ",
      "sshd-auth[7]: ",
      "sshd: ",
      "sshd[]: ",
      "sshd[12345678901]: ",
    ],
    ...[
      "sshd(pam_unix)[3]: ",
      "/usr/sbin/sshd[3]: ",
      "[sshd] ",
      "sshd[4711]:",
      "sshd[4711] ",
      "sshd-keygen[1]: ",
      "auth.info sshd[9]: ",
    ],
    ...["CRON[1]: ", "sudo:   ", "systemd-logind[612]: ", "systemd[1]: ", "kernel: ", "B::", "BASTION: "],
    ...[
      "message repeated 2 times: [ ",
      "rsyslogd: ",
      "Xsshd[1]: ",
      "",
      " ",
      "- ",
      "auth.info: Nov 22 13:28:59 sshd[5]: ",
    ],
  ];
  const end = fc.constantFrom("\n", "\n", "\r\n");
  const header = fc.constantFrom(...headers, ...headers.slice(0, 3));
  const speaker = fc.constantFrom(...speakers, "sshd[4711]: ", "sshd[4711]: ");
  const message = fc.constantFrom(...forms.map(([text]) => text), ...messages);
  const repeated = fc.constantFrom("last message repeated 3 times", "--- last message repeated 2 times ---");
  const line = fc
    .oneof(
      { weight: 8, arbitrary: fc.tuple(header, speaker, message, end) },
      { weight: 1, arbitrary: fc.tuple(header, repeated, end) },
    )
    .map((parts) => parts.join(""));

  /** The bytes taken, the lines cut, the records. */
  interface Read {
    readonly taken: number;
    readonly cut: number;
    readonly told: readonly unknown[];
  }

  function told(records: readonly LogRecord[]): readonly unknown[] {
    return records.map((record) => {
      const { source, timeMs, ident, pid, count } = record;
      return [source, timeMs, ident, pid, count, parse(record)];
    });
  }

  /** In blocks of these sizes. */
  function quickly(bytes: Buffer, sizes: readonly number[] = []): Read {
    const records: LogRecord[] = [];
    const lines = new SyslogLines(idents, () => nowMs, new SshdBytes());
    let start = 0;
    let end = 0;
    for (const size of [...sizes, bytes.length]) {
      end = Math.min(bytes.length, end + size);
      // Of its own, so that nothing stands behind it.
      start += lines.read(Buffer.from(new Uint8Array(bytes.subarray(start, end)).buffer), records);
    }
    return { taken: start, cut: lines.cutLines, told: told(records) };
  }

  /** Line by line, each step by step. */
  function stepwise(bytes: Buffer): Read {
    const records: LogRecord[] = [];
    const lines = new SyslogLines(idents, () => nowMs);
    let start = 0;
    for (let end = bytes.indexOf(10); end !== -1; end = bytes.indexOf(10, start)) {
      lines.readLine(bytes.subarray(start, end), records);
      start = end + 1;
    }
    return { taken: start, cut: lines.cutLines, told: told(records) };
  }

  it("has the same records, whatever stands in it and however it is cut", () => {
    fc.assert(
      fc.property(fc.array(line, { minLength: 1, maxLength: 25 }), fc.array(fc.nat(400)), (texts, sizes) => {
        const bytes = Buffer.from(texts.join(""));
        expect(quickly(bytes, sizes)).to.deep.equal(stepwise(bytes));
      }),
      { numRuns: 3000, seed: 60 },
    );
  });

  it("has the same records of single bytes changed", () => {
    fc.assert(
      fc.property(fc.array(line, { minLength: 3, maxLength: 6 }), fc.nat(), fc.nat(255), (texts, place, byte) => {
        const bytes = Buffer.from(texts.join(""));
        bytes[place % bytes.length] = byte;
        expect(quickly(bytes)).to.deep.equal(stepwise(bytes));
      }),
      { numRuns: 3000, seed: 61 },
    );
  });

  it("cuts and counts long lines as ever", () => {
    for (const length of [8000, 8170, 8192, 8300, 65_000, 65_536, 70_000]) {
      const texts = ["Invalid user ", "CRON ", "Received disconnect from 192.0.2.7 port 40022:11: "].flatMap(
        (words) => [
          `Nov 22 13:28:59 bastion sshd[1]: ${words}\n`,
          `Nov 22 13:28:59 bastion sshd[1]: ${words}${"x".repeat(length)} [preauth]\n`,
          `Nov 22 13:28:59 bastion CRON[1]: ${words}${"x".repeat(length)}\n`,
        ],
      );
      const bytes = Buffer.from(texts.join(""));
      expect(quickly(bytes), String(length)).to.deep.equal(stepwise(bytes));
    }
  });

  it("keeps no text of what it knows", () => {
    const records: LogRecord[] = [];
    const text = "Connection reset by 192.0.2.7 port 40022";
    const bytes = Buffer.from(`Nov 22 13:28:59 bastion sshd[4711]: ${text}\n`.repeat(3));
    new SyslogLines(idents, () => nowMs, new SshdBytes()).read(bytes, records);
    expect(records.map(({ message }) => message)).to.deep.equal([text, "", ""]);
  });
});
