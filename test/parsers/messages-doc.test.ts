/** docs/messages.md is what the parsers and their samples say today. */
import { readFileSync } from "node:fs";
import { expect } from "chai";
import { messagesDoc } from "../../src/kit/messages-doc.ts";
import { parsers } from "../../src/parsers/index.ts";
import { readSamples } from "./samples.ts";

describe("docs/messages.md", () => {
  it("is fresh: `npm run kit` writes it", () => {
    expect(readFileSync(new URL("../../docs/messages.md", import.meta.url), "utf8")).to.equal(
      messagesDoc(readSamples()),
    );
  });

  it("has a row with a sample for every pattern", () => {
    const rows = messagesDoc(readSamples()).split("\n");
    for (const { id } of parsers.flatMap(({ patterns }) => patterns)) {
      expect(rows.filter((row) => row.startsWith(`| \`${id}\` |`)).length, id).to.equal(1);
    }
  });
});
