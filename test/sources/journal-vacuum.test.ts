import { chmodSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { createJournalSource } from "../../src/sources/journal.ts";
import { entryNumber } from "../../src/sources/journal-cursor.ts";
import { vacuumedBetween } from "../../src/sources/journal-vacuum.ts";
import { debianOr } from "../../tools/debian.ts";
import { entry, sshdEntries, sshdFields, writeJournal } from "./journal-files.ts";
import { folders, Reading, start } from "./reading.ts";

const by = "391dba53a20545c7adafae95c3c72ad3";
const others = "28c5300b3e034cdc80cda24c825643c5";
const archived = (number: number, journald = by): string =>
  `system@${journald}-${number.toString(16).padStart(16, "0")}-000660e3a9cb48e7.journal`;
const cursorOf = (number: number): string => `s=${by};i=${number.toString(16)};b=${others};m=1;t=1;x=${number}`;
const at = (number: number, journald = by) => ({ by: journald, number });

describe("what was vacuumed unread", () => {
  const temporary = folders();

  /** A folder with files of these names, as journald makes them below /var/log/journal. */
  function journal(...names: string[]): string {
    const folder = temporary.make();
    mkdirSync(join(folder, "3d1219c7c4c5404aaa1f6d2a48adfda4"));
    for (const name of names) writeFileSync(join(folder, "3d1219c7c4c5404aaa1f6d2a48adfda4", name), "");
    return folder;
  }

  it("is what lies before the first entry of the oldest file", () => {
    const folder = journal(archived(500), archived(900), "user-1000.journal", "system.journal");
    expect(vacuumedBetween(at(100), at(500), folder)).to.equal(399);
    expect(vacuumedBetween(at(100), at(700), folder)).to.equal(399);
    expect(vacuumedBetween(at(100), at(300), folder)).to.equal(199);
  });

  it("is nothing while the files have it: the entries between were others'", () => {
    const folder = journal(archived(50), archived(900));
    expect(vacuumedBetween(at(100), at(700), folder)).to.equal(0);
    expect(vacuumedBetween(at(699), at(700), folder)).to.equal(0);
  });

  it("cannot be told for entries that another journald numbered, or without files", () => {
    expect(vacuumedBetween(at(100), at(700, others), journal(archived(500)))).to.equal(0);
    expect(vacuumedBetween(at(100), at(700), journal(archived(500, others)))).to.equal(0);
    expect(vacuumedBetween(at(100), at(700), journal())).to.equal(0);
    expect(vacuumedBetween(at(100), at(700), "/nonexistent")).to.equal(0);
  });

  it("is read from the header of the file that is written to, where no other is left", async function () {
    const remote = await debianOr(this, "systemd-journal-remote");
    const folder = temporary.make();
    const file = join(folder, "system.journal");
    writeJournal(remote, file, sshdEntries(0, 3));
    const reading = new Reading(createJournalSource({ ...start(), file }));
    await reading.count(3);
    const { cursor } = (await reading.stop()) as { cursor: string };
    const last = entryNumber(cursor);
    expect(last?.number).to.equal(3);
    const journald = last?.by ?? "";
    expect(vacuumedBetween(at(0, journald), at(3, journald), folder)).to.equal(0);
    const bytes = readFileSync(file);
    bytes.writeBigUInt64LE(3n, 168);
    writeFileSync(file, bytes);
    expect(vacuumedBetween(at(0, journald), at(3, journald), folder)).to.equal(2);
  });

  it("is counted as lost, running and after a restart", async () => {
    const folder = journal(archived(500));
    const numbered = [1, 2, 500, 501].map((number) =>
      Buffer.concat([Buffer.from(`__CURSOR=${cursorOf(number)}\n`), entry(number, { ...sshdFields, MESSAGE: "x" })]),
    );
    writeFileSync(join(folder, "export"), Buffer.concat(numbered));
    writeFileSync(join(folder, "journalctl"), `#!/bin/sh\ncat ${folder}/export\nexec sleep 60\n`);
    chmodSync(join(folder, "journalctl"), 0o755);
    const options = { ...start(), directory: folder, command: join(folder, "journalctl") };
    const running = new Reading(createJournalSource(options));
    await running.count(4);
    expect(running.lost).to.equal(497);
    await running.stop();
    writeFileSync(join(folder, "export"), Buffer.concat(numbered.slice(2)));
    const restarted = new Reading(createJournalSource({ ...options, position: { cursor: cursorOf(9), sinceMs: 0 } }));
    await restarted.count(2);
    expect(restarted.lost).to.equal(490);
    await restarted.stop();
  });

  it("is counted where the entry behind it was just written", async () => {
    const folder = journal(archived(500));
    const text = (number: number): string =>
      `__CURSOR=${cursorOf(number)}\n${entry(number, { ...sshdFields, MESSAGE: "x" }).toString("latin1")}`;
    const fresh = text(500).replace(/__REALTIME_TIMESTAMP=\d+/, `__REALTIME_TIMESTAMP=${Date.now()}000`);
    writeFileSync(join(folder, "export"), text(1) + text(2) + fresh);
    writeFileSync(join(folder, "journalctl"), `#!/bin/sh\ncat ${folder}/export\nexec sleep 60\n`);
    chmodSync(join(folder, "journalctl"), 0o755);
    const nowMs = (): number => Number(/__REALTIME_TIMESTAMP=(\d+)/.exec(fresh)?.[1]) / 1000;
    const options = { ...start(), nowMs, directory: folder, command: join(folder, "journalctl") };
    const running = new Reading(createJournalSource(options));
    await running.count(3);
    expect(running.lost).to.equal(497);
    await running.stop();
  });

  it("has no number in a cursor that is none", () => {
    expect(entryNumber(cursorOf(20_002))).to.deep.equal(at(20_002));
    for (const cursor of ["", "s=1;i=2;", `s=${by};i=x;`, `s=${by};i=${"f".repeat(16)};`])
      expect(entryNumber(cursor)).to.equal(undefined);
  });
});
