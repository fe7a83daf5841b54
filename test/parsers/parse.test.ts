/** What holds for every record: nothing throws, one event at most, and half a line tells no wrong address. */
import { isIP } from "node:net";
import { expect } from "chai";
import fc from "fast-check";
import type { Event } from "../../src/model/event.ts";
import { type LogRecord, sourceNames } from "../../src/model/record.ts";
import { idents, parse } from "../../src/parsers/index.ts";
import { readSamples } from "./samples.ts";

function addressOf(event: Event | undefined): string | undefined {
  return event !== undefined && "address" in event ? event.address : undefined;
}

/** The promises of model/event.ts: canonical addresses, real ports, counts and pids that are numbers. */
function isSound(event: Event | undefined): boolean {
  return Object.entries(event ?? {}).every(([key, value]) => {
    if (key === "address" || key === "localAddress") return typeof value === "string" && isIP(value) > 0;
    if (key === "port" || key === "localPort") return Number.isInteger(value) && value >= 1 && value <= 65535;
    if (key === "interface") return typeof value === "string" && /^[\w.@-]{1,15}$/.test(value);
    if (typeof value === "string") return /^[a-zA-Z0-9_.-]{1,60}$/.test(value);
    return typeof value === "boolean" || (Number.isSafeInteger(value) && value >= 0);
  });
}

describe("parse", () => {
  const samples = readSamples();
  const logged = samples.filter(({ record }) => record.source !== "tcp_trace");

  it("cut at any byte, a line tells the true address or none", () => {
    for (const { place, record, event } of logged) {
      const words = new Set(record.message.split(/[\s[\]():,]+/));
      for (let end = 0; end < record.message.length; end++) {
        const cut = parse({ ...record, message: record.message.slice(0, end) });
        const address = addressOf(cut);
        expect(isSound(cut), place).to.equal(true);
        if (record.journal !== undefined || address === undefined || address === addressOf(event)) continue;
        expect(addressOf(event), `${place} cut at ${end}`).to.equal(undefined);
        expect(words.has(address), `${place} cut at ${end}`).to.equal(true);
      }
    }
  });

  it("whatever the record, nothing is thrown and the event is sound", () => {
    const word = fc.constantFrom(...samples.flatMap(({ record }) => record.message.split(/(?<= )/)));
    const message = fc.oneof(
      fc.string({ unit: "binary" }),
      fc.array(word, { maxLength: 30 }).map((words) => words.join("")),
    );
    const text = fc.option(fc.oneof(fc.string(), fc.constantFrom("ssh.service", "killed", "9", "signal")), {
      nil: undefined,
    });
    fc.assert(
      fc.property(
        fc.constantFrom(...idents, "constructor", "__proto__", "cron"),
        fc.constantFrom(...sourceNames),
        message,
        fc.option(
          fc.record({
            messageId: text,
            unit: text,
            exitCode: text,
            exitStatus: text,
            unitResult: text,
            coredumpExe: text,
            dropped: text,
          }),
          { nil: undefined },
        ),
        (ident, source, said, fields) => {
          const defined = Object.fromEntries(Object.entries(fields ?? {}).filter(([, value]) => value !== undefined));
          const journal =
            fields === undefined
              ? {}
              : { journal: { trusted: { pid: 1, uid: 0, transport: "journal", exe: "/usr/sbin/sshd" }, ...defined } };
          const record: LogRecord = { source, timeMs: 0, ident, pid: 1, message: said, count: 1, ...journal };
          return isSound(parse(record));
        },
      ),
      { numRuns: 20_000, seed: 7 },
    );
  });

  it("records of other programs mean nothing", () => {
    for (const { record } of samples) expect(parse({ ...record, ident: "CRON" })).to.equal(undefined);
  });

  it("a name of JavaScript's own is no pattern", () => {
    for (const message of ["constructor", "__proto__", "fatal: Write failed: constructor", "error: accept: toString"]) {
      expect(parse({ source: "logfile", timeMs: 0, ident: "sshd", pid: 1, message, count: 1 })).to.equal(undefined);
    }
  });
});
