/** The annotated samples of test/fixtures/messages; their format is src/kit/message-samples.ts. */
import { readdirSync, readFileSync } from "node:fs";
import { readSampleFile, type Sample } from "../../src/kit/message-samples.ts";

const folder = new URL("../fixtures/messages/", import.meta.url);

export function readSamples(): readonly Sample[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith(".txt"))
    .sort()
    .flatMap((name) => readSampleFile(name, readFileSync(new URL(name, folder), "utf8")));
}
