/** Part of `npm version`: what CHANGELOG.md has under "Unreleased" becomes the release's, which must have something. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const file = join(import.meta.dirname, "../../CHANGELOG.md");
const heading = "## Unreleased\n";

const { version } = JSON.parse(readFileSync(join(import.meta.dirname, "../../package.json"), "utf8")) as {
  readonly version: string;
};
const text = readFileSync(file, "utf8");
const [before, section] = text.split(heading);
const said = section?.split(/^## /m)[0]?.trim();
if (before === undefined || !said) {
  console.error(`CHANGELOG.md: nothing under "${heading.trim()}": what does ${version} bring?`);
  process.exitCode = 1;
} else {
  const day = new Date().toISOString().slice(0, 10);
  writeFileSync(file, text.replace(heading, `${heading}\n## ${version} (${day})\n`));
}
