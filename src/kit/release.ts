/**
 * The list of a release, docs/releases/VERSION.json: what the next changes are held against. It is taken when
 * `npm version` has set the version, and only if the changelog names what changed and the step is large enough for it.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { type Interface, publicInterface } from "./compatibility.ts";
import { changes, isEnough, leastStep, since, stepBetween, unnamed } from "./compatibility-changes.ts";
import { interfaceFile } from "./doc-files.ts";

export interface Release {
  readonly version: string;
  readonly list: Interface;
}

const folder = "docs/releases";

/** Newest first. */
export function releases(): Release[] {
  const versions = existsSync(folder) ? readdirSync(folder).map((file) => file.replace(/\.json$/, "")) : [];
  return versions
    .sort((a, b) => (stepBetween(a, b) === undefined ? -1 : 1))
    .map((version) => ({ version, list: JSON.parse(readFileSync(`${folder}/${version}.json`, "utf8")) as Interface }));
}

/** What is wrong with releasing this as `version` after `last`; empty: nothing. */
export function objections(list: Interface, last: Release, version: string, changelog: string): string[] {
  const all = changes(last.list, list);
  const missing = unnamed(all, since(changelog, last.version)).map(
    ({ name, what }) => `CHANGELOG.md does not name \`${name}\` since ${last.version}: ${what}`,
  );
  const [step, least] = [stepBetween(last.version, version), leastStep(all, last.version)];
  if (step !== undefined && isEnough(step, least)) return missing;
  const why = all.find(({ breaks }) => breaks) ?? all[0];
  const reason = why === undefined ? "" : `: ${why.name} ${why.what}`;
  return [...missing, `${version} is not the ${least} step after ${last.version} that is due${reason}`];
}

/** Throws with every objection. */
export function writeRelease(): void {
  const { version } = JSON.parse(readFileSync("package.json", "utf8")) as { version: string };
  const list = publicInterface();
  const last = releases().find((release) => release.version !== version);
  const found = last === undefined ? [] : objections(list, last, version, readFileSync("CHANGELOG.md", "utf8"));
  if (found.length > 0) throw new Error(`no release:\n  ${found.join("\n  ")}`);
  mkdirSync(folder, { recursive: true });
  writeFileSync(`${folder}/${version}.json`, interfaceFile(list));
}
