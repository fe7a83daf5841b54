/** The journal's files read without journalctl: held against journalctl on real files, and on files of every shape. */
import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import fc from "fast-check";
import type { LogRecord } from "../../src/model/record.ts";
import { createJournalSource } from "../../src/sources/journal.ts";
import { type BacklogBatch, journalBacklog } from "../../src/sources/journal-backlog.ts";
import { JournalExport } from "../../src/sources/journal-export.ts";
import { journalMatches } from "../../src/sources/journal-match.ts";
import { cursorOf, JournalRecords, journalFields } from "../../src/sources/journal-record.ts";
import { debianOr, type Tool } from "../../tools/debian.ts";
import { journalBytes, writeJournalFile, cursorOf as writtenCursor } from "./journal-file-writer.ts";
import { entry, type Fields, sshdEntries, sshdFields, writeJournal } from "./journal-files.ts";
import { folders, numbered, Reading, start } from "./reading.ts";

const idents = ["sshd", "sshd-session", "systemd", "kernel", "systemd-oomd"];
const sshd = ["_TRANSPORT=syslog", "SYSLOG_IDENTIFIER=sshd", "_COMM=sshd", "_UID=0"];
const written = (number: number, ...more: string[]) => ({
  number,
  fields: [...sshd, ...more, `MESSAGE=line ${number}`],
});
const range = (from: number, to: number) => Array.from({ length: to - from }, (_, n) => from + n);

async function batches(directory: string, after?: string): Promise<BacklogBatch[]> {
  const all: BacklogBatch[] = [];
  for await (const batch of journalBacklog({ directory, idents, after })) all.push(batch);
  return all;
}

async function records(directory: string, after?: string): Promise<LogRecord[]> {
  const reader = new JournalRecords(idents);
  return (await batches(directory, after)).flatMap(({ entries }) =>
    entries.flatMap((each) => reader.record(each) ?? []),
  );
}

const messages = async (directory: string, after?: string) =>
  (await records(directory, after)).map(({ message }) => message);

function journalctl(directory: string): { readonly records: LogRecord[]; readonly cursors: readonly string[] } {
  const args = ["--output=export", `--directory=${directory}`, ...journalMatches(idents)];
  const entries = new JournalExport(journalFields).read(execFileSync("journalctl", args, { maxBuffer: 1 << 28 }));
  const reader = new JournalRecords(idents);
  return {
    records: entries.flatMap((each) => reader.record(each) ?? []),
    cursors: entries.map((each) => cursorOf(each) ?? ""),
  };
}

const openDescriptors = (): number => readdirSync("/proc/self/fd").length;

describe("the journal's files", () => {
  const temporary = folders();
  let remote: Tool;
  before(async function () {
    remote = await debianOr(this, "systemd-journal-remote");
  });

  it("say what journalctl says, from the beginning and after each entry", async function () {
    this.timeout(60_000);
    const value = fc.oneof(
      fc.constantFrom("", "a", "sshd", "x".repeat(300), "a\nb", "line\0\x01", "ä€", "a=b"),
      fc.string({ maxLength: 20 }),
    );
    const fields: fc.Arbitrary<Fields> = fc.record(
      {
        SYSLOG_IDENTIFIER: fc.constantFrom("sshd", "sshd-session", "cron", "systemd", "kernel", "systemd-oomd"),
        _COMM: fc.constantFrom("sshd", "cron", "systemd", "sshd-session"),
        _PID: fc.constantFrom("1", "2", "300"),
        _TRANSPORT: fc.constantFrom("kernel", "syslog", "journal"),
        SYSLOG_FACILITY: fc.constantFrom("0", "4"),
        SYSLOG_PID: fc.constantFrom("1", "77"),
        _UID: fc.constantFrom("0", "1000"),
        UNIT: value,
        OTHER: value,
        MESSAGE: value,
      },
      { requiredKeys: ["MESSAGE"] },
    );
    await fc.assert(
      fc.asyncProperty(fc.array(fields, { minLength: 1, maxLength: 60 }), async (all) => {
        const folder = temporary.make();
        writeJournal(remote, join(folder, "fix.journal"), Buffer.concat(all.map((each, n) => entry(n, each))));
        const reference = journalctl(folder);
        expect(await records(folder)).to.deep.equal(reference.records);
        expect((await batches(folder)).at(-1)?.cursor).to.equal(reference.cursors.at(-1));
        const [middle] = reference.cursors.slice(reference.cursors.length / 2);
        if (middle === undefined) return;
        const rest = (await batches(folder, middle)).reduce((sum, batch) => sum + batch.entries.length, 0);
        expect(rest).to.equal(reference.cursors.length - reference.cursors.indexOf(middle) - 1);
      }),
      { numRuns: 25 },
    );
  });

  for (const env of [
    {},
    { SYSTEMD_JOURNAL_COMPACT: "0" },
    { SYSTEMD_JOURNAL_COMPACT: "0", SYSTEMD_JOURNAL_KEYED_HASH: "0" },
  ]) {
    for (const suite of ["bookworm", "trixie"] as const) {
      it(`say what journalctl says in ${suite}'s format ${JSON.stringify(env)}`, async function () {
        const tool = await debianOr(this, "systemd-journal-remote", suite);
        const folder = temporary.make();
        const all = Array.from({ length: 1000 }, (_, n) =>
          entry(n, {
            ...sshdFields,
            _PID: `${300 + (n >> 2)}`,
            _CMDLINE: "y".repeat(n % 400),
            MESSAGE: n % 50 === 0 ? "the same" : `line ${n} ä\n${"z".repeat(n % 90)}`,
          }),
        );
        writeJournal({ ...tool, env: { ...tool.env, ...env } }, join(folder, "a.journal"), Buffer.concat(all));
        expect(await records(folder))
          .to.deep.equal(journalctl(folder).records)
          .with.lengthOf(1000);
      });
    }
  }

  it("are read to the first value that is compressed and wanted; journalctl reads on, and nothing comes twice", async () => {
    const folder = temporary.make();
    const long = "long ".repeat(300);
    const all = [
      sshdEntries(0, 3),
      entry(3, { SYSLOG_IDENTIFIER: "cron", _COMM: "cron", MESSAGE: long }),
      sshdEntries(4, 6),
      entry(6, { ...sshdFields, MESSAGE: long }),
      sshdEntries(7, 9),
    ];
    writeJournal(remote, join(folder, "fix.journal"), Buffer.concat(all));
    expect(await messages(folder)).to.deep.equal([...numbered(0, 3), ...numbered(4, 6)]);
    const reading = new Reading(createJournalSource({ ...start(), directory: folder }));
    await reading.count(8);
    writeJournal(remote, join(folder, "fix.journal"), sshdEntries(9, 11));
    await reading.count(10);
    const position = await reading.stop();
    expect(reading.messages).to.deep.equal([...numbered(0, 3), ...numbered(4, 6), long, ...numbered(7, 11)]);
    writeJournal(remote, join(folder, "fix.journal"), sshdEntries(11, 13));
    const again = new Reading(createJournalSource({ ...start({ position }), directory: folder }));
    await again.count(2);
    expect([again.messages, reading.lost + again.lost]).to.deep.equal([numbered(11, 13), 0]);
    await again.stop();
  });

  for (const compact of [false, true]) {
    it(`of the system and of users are joined by number${compact ? ", in the compact format" : ""}`, async () => {
      const folder = temporary.make();
      const machine = join(folder, "3d1219c7c4c5404aaa1f6d2a48adfda4");
      mkdirSync(machine);
      const ofUser = (number: number) => number >= 30 && number % 3 === 0;
      const system = range(1, 701).filter((number) => !ofUser(number));
      writeJournalFile(
        join(machine, "system@1.journal"),
        system.filter((n) => n <= 200).map((n) => written(n)),
        { compact },
      );
      writeJournalFile(
        join(machine, "system.journal"),
        system.filter((n) => n > 200).map((n) => written(n)),
        { compact },
      );
      writeJournalFile(
        join(machine, "user-1000.journal"),
        range(1, 701)
          .filter(ofUser)
          .map((n) => written(n)),
        { compact },
      );
      writeJournalFile(join(machine, "user-1001.journal"), [], { compact });
      expect(await messages(folder)).to.deep.equal(numbered(1, 701));
      for (const last of [1, 29, 30, 31, 199, 200, 201, 500, 699]) {
        expect(await messages(folder, writtenCursor(last))).to.deep.equal(numbered(last + 1, 701));
      }
      expect(await batches(folder, writtenCursor(700))).to.deep.equal([]);
      expect((await batches(folder)).at(-1)?.cursor).to.equal(writtenCursor(700));
    });
  }

  it("give the cursor of the last entry that matches, however many follow", async () => {
    const folder = temporary.make();
    const others = range(3, 900).map((number) => ({ number, fields: ["SYSLOG_IDENTIFIER=cron", "MESSAGE=x"] }));
    writeJournalFile(join(folder, "a.journal"), [written(1), written(2), ...others, written(900)]);
    expect((await batches(folder)).map(({ entries, cursor }) => [entries.length, cursor])).to.deep.equal([
      [2, writtenCursor(2)],
      [1, writtenCursor(900)],
    ]);
  });

  it("match where a field comes twice, as journalctl does, and the first one stands", async () => {
    const folder = temporary.make();
    const twice = {
      number: 1,
      fields: ["SYSLOG_IDENTIFIER=cron", "SYSLOG_IDENTIFIER=sshd", "_COMM=sshd", "MESSAGE=a", "MESSAGE=b"],
    };
    const split = { number: 2, fields: ["SYSLOG_IDENTIFIER=systemd", "_PID=2", "MESSAGE=no"] };
    writeJournalFile(join(folder, "a.journal"), [twice, split]);
    expect((await records(folder)).map(({ ident, message }) => [ident, message])).to.deep.equal([["sshd", "a"]]);
  });

  const refused: Readonly<Record<string, (folder: string) => string | undefined>> = {
    "two journals": (folder) => {
      writeJournalFile(join(folder, "b.journal"), [written(1)], { by: "28c5300b3e034cdc80cda24c825643c5" });
      return undefined;
    },
    "an entry read last that is another one": () => writtenCursor(2).replace(/x=.*/, "x=1"),
    "an entry read last that is gone": () => writtenCursor(4),
    "an entry read last of another journal": () => writtenCursor(2, "28c5300b3e034cdc80cda24c825643c5"),
    "a format that came later": (folder) => {
      writeJournalFile(join(folder, "b.journal"), [written(9)], { flags: 0b100000 });
      return undefined;
    },
    "an empty file": (folder) => {
      writeFileSync(join(folder, "b.journal"), "");
      return undefined;
    },
    "the same entries in two files": (folder) => {
      writeJournalFile(join(folder, "b.journal"), [written(1)]);
      return undefined;
    },
  };
  for (const [what, make] of Object.entries(refused)) {
    it(`are left to journalctl with ${what}`, async () => {
      const folder = temporary.make();
      writeJournalFile(
        join(folder, "a.journal"),
        [1, 2, 3, 5].map((n) => written(n)),
      );
      const after = make(folder);
      const opened = openDescriptors();
      const given = await messages(folder, after);
      expect(openDescriptors()).to.equal(opened);
      expect(given).to.deep.equal(what === "the same entries in two files" ? numbered(1, 2) : []);
    });
  }

  it("that are rotated or vacuumed meanwhile are read no further", async () => {
    const opened = openDescriptors();
    for (const change of [rmSync, (path: string) => renameSync(path, `${path}.old`)]) {
      const folder = temporary.make();
      const later = join(folder, "b.journal");
      writeJournalFile(
        join(folder, "a.journal"),
        range(1, 400).map((n) => written(n)),
      );
      writeJournalFile(later, [written(400)]);
      const given: number[] = [];
      for await (const { entries } of journalBacklog({ directory: folder, idents, after: undefined })) {
        if (given.length === 0) {
          change(later);
          if (change !== rmSync)
            writeJournalFile(later, [written(400)], { fileId: "00000000000000000000000000000001" });
        }
        given.push(entries.length);
      }
      expect(given.reduce((sum, n) => sum + n, 0)).to.equal(399);
      expect(openDescriptors()).to.equal(opened);
    }
  });

  it("give only what was linked when they were opened", async () => {
    const folder = temporary.make();
    writeJournalFile(
      join(folder, "a.journal"),
      range(1, 10).map((n) => written(n)),
      { entries: 7 },
    );
    expect(await messages(folder)).to.deep.equal(numbered(1, 8));
  });

  it("are read on where journalctl is too slow", async () => {
    const folder = temporary.make();
    const command = join(folder, "slow");
    writeJournal(remote, join(folder, "a.journal"), sshdEntries(0, 600));
    // Left to journalctl at first.
    writeFileSync(join(folder, "b.journal"), "");
    writeFileSync(
      command,
      [
        "#!/bin/sh",
        `cd ${folder}; echo >> runs; rm -f b.journal`,
        `[ -e out ] && exec journalctl "$@"`,
        "journalctl --directory=. --output=export | head -c 40000 > out",
        "cat out; exec sleep 60",
      ].join("\n"),
      { mode: 0o755 },
    );
    const reading = new Reading(createJournalSource({ ...start(), directory: folder, command }));
    await reading.count(600);
    await reading.settled(50);
    expect([reading.messages, reading.lost]).to.deep.equal([numbered(0, 600), 0]);
    await reading.stop();
    expect(readFileSync(join(folder, "runs"), "utf8")).to.equal("\n\n");
  });

  it("give nothing beyond the last number seen before they were looked up: another file may have one before it", async () => {
    const folder = temporary.make();
    writeJournalFile(
      join(folder, "a.journal"),
      range(1, 10).map((n) => written(n)),
      { last: 5 },
    );
    expect(await messages(folder)).to.deep.equal(numbered(1, 6));
  });

  it("whose lists lead in a ring end the search", async () => {
    const folder = temporary.make();
    writeJournalFile(
      join(folder, "a.journal"),
      range(1, 5).map((n) => written(n)),
      { ring: true, entries: 2 ** 48, last: 100 },
    );
    expect(await messages(folder, writtenCursor(50))).to.deep.equal([]);
  });

  it("that are broken anywhere end the reading, and throw nothing", async function () {
    this.timeout(60_000);
    const folder = temporary.make();
    const whole = journalBytes(range(1, 40).map((n) => written(n, `_PID=${n % 3}`)));
    const sound = new Set(numbered(1, 40));
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.nat(whole.length - 1), fc.constantFrom(0, 1, 3, 6, 8, 0x7f, 0xff)), { maxLength: 4 }),
        fc.option(fc.nat(whole.length), { nil: undefined }),
        async (changes, length) => {
          const bytes = Buffer.from(whole.subarray(0, length));
          for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value;
          writeFileSync(join(folder, "a.journal"), bytes);
          for (const after of [undefined, writtenCursor(20)]) {
            const given = await messages(folder, after);
            expect(given.length).to.be.at.most(39);
            if (changes.length === 0) expect([...sound]).to.include.members(given);
          }
        },
      ),
      { numRuns: 400 },
    );
  });
});
