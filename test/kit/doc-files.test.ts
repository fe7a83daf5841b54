import { readFileSync } from "node:fs";
import { expect } from "chai";
import { docFiles } from "../../src/kit/doc-files.ts";
import { readSamples } from "../parsers/samples.ts";

describe("kit/doc-files", () => {
  for (const [path, text] of docFiles(readSamples())) {
    it(`${path} is fresh: npm run kit writes it`, () => {
      expect(readFileSync(new URL(`../../${path}`, import.meta.url), "utf8")).to.equal(text);
    });
  }
});
