/**
 * Part of `npm version`, once package.json has the new one: CHANGELOG.md's "Unreleased" becomes the release's, and must
 * have something; files that people read or install from name the version. What is generated follows by itself.
 */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const root = join(import.meta.dirname, "../..");
const read = (file: string): string => readFileSync(join(root, file), "utf8");
const { version } = JSON.parse(read("package.json")) as { readonly version: string };

/** The version is what follows the first group. */
const places: Readonly<Record<string, RegExp>> = {
  Dockerfile: /^(ARG VERSION=).+$/gm,
  "deploy/helm/ssh-reset-exporter/Chart.yaml": /^((?:appV|v)ersion: ).+$/gm,
  "deploy/kubernetes/kustomization.yaml": /^( *newTag: ).+$/gm,
  "deploy/compose.yaml": /(ssh-reset-exporter:)\d[\w.-]*/g,
};
/** Of the image, of files in release/. */
const namedInDocs = /(\bssh-reset-exporter[-_:])\d+\.\d+\.\d+(?:-[a-z]+\.\d+)?/g;

try {
  dateChangelog();
  for (const [file, pattern] of Object.entries(places)) {
    if (!rename(file, pattern)) throw new Error(`${file}: nothing is like ${pattern}`);
  }
  const docs = readdirSync(join(root, "docs")).map((file) => `docs/${file}`);
  for (const file of [...docs, "README.md"].filter((each) => each.endsWith(".md"))) rename(file, namedInDocs);
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}

function dateChangelog(): void {
  const heading = "## Unreleased\n";
  const text = read("CHANGELOG.md");
  const said = text.split(heading)[1]?.split(/^## /m)[0]?.trim();
  if (!said) throw new Error(`CHANGELOG.md: nothing under "${heading.trim()}": what does ${version} bring?`);
  const day = new Date().toISOString().slice(0, 10);
  writeFileSync(join(root, "CHANGELOG.md"), text.replace(heading, `${heading}\n## ${version} (${day})\n`));
}

/** False: the file names none. */
function rename(file: string, pattern: RegExp): boolean {
  const text = read(file);
  writeFileSync(join(root, file), text.replace(pattern, `$1${version}`));
  return text.search(pattern) >= 0;
}
