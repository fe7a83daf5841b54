import { renameSync, rmSync, writeFileSync } from "node:fs";
import { expect } from "chai";
import { HeldFile } from "../../src/sources/held-file.ts";
import { overlooked } from "../../src/sources/log-rotation.ts";
import { folders, lines } from "./reading.ts";

describe("a copy that was overlooked", () => {
  const temporary = folders();

  /** Held like any; its first question for the time is when `meanwhile` happens. */
  function heldWhile(path: string, meanwhile: () => void): HeldFile {
    const file = new HeldFile(path);
    const modifiedNs = file.modifiedNs.bind(file);
    let asked = false;
    file.modifiedNs = () => {
      if (!asked) meanwhile();
      asked = true;
      return modifiedNs();
    };
    return file;
  }

  it("is one that stands between the file read before and the one with the name", async () => {
    const path = `${temporary.make()}/auth.log`;
    writeFileSync(path, lines(0, 1));
    const before = new HeldFile(path);
    rmSync(path);
    writeFileSync(`${path}.1`, lines(1, 2));
    writeFileSync(path, "");
    const named = new HeldFile(path);
    const found = await overlooked(path, before, named);
    expect(found).to.have.nested.property("reader.path", `${path}.1`);
    for (const file of [before, named]) file.close();
  });

  it("is none that came after the file with the name, which was rotated away while it was looked for", async () => {
    const path = `${temporary.make()}/auth.log`;
    writeFileSync(path, lines(0, 1));
    const before = heldWhile(path, () => {
      // All that there was is rotated away, and two more files came.
      for (const file of [path, `${path}.1`]) rmSync(file);
      writeFileSync(`${path}.2`, lines(3, 4));
      writeFileSync(path, lines(4, 5));
      renameSync(`${path}.2`, `${path}.1`);
    });
    rmSync(path);
    writeFileSync(`${path}.1`, lines(1, 2));
    writeFileSync(path, lines(2, 3));
    const named = new HeldFile(path);
    expect(await overlooked(path, before, named)).to.equal(undefined);
    for (const file of [before, named]) file.close();
  });
});
