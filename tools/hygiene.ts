/**
 * What no tracked file may hold: a package registry's or mirror's address, a path of the machine it was written on,
 * a forgotten `.only`, a private key outside fixtures. Prints each place; exit 1 if there is one.
 */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";

const rules: readonly { readonly what: string; readonly pattern: RegExp; readonly except?: RegExp }[] = [
  { what: "package registry", pattern: /registry\.(npmjs|yarnpkg)\.\w+|["'](https?:\/\/[^"']*\.tgz)["']/ },
  { what: "Debian mirror", pattern: /(deb|security|archive|snapshot)\.debian\.org|\/debian-security\b|\/dists\/\w+/ },
  {
    what: "path of one machine",
    pattern: /(^|[\s"'`(=:])\/(work|root|home\/\w+)\/[\w.-]/,
    except: /\/home\/(alice|bob|user|deploy)\/|\/root\/\.ssh\//,
  },
  { what: "test left alone", pattern: /^\s*(describe|it)\.only\(/ },
];
/** Evidence as it was recorded, and this file's own patterns. */
const exempt = /^test\/fixtures\/|^tools\/hygiene\.ts$|^LICENSE$/;

let found = 0;
const tracked = execFileSync("git", ["ls-files", "-z", "--cached"], { encoding: "utf8" }).split("\0").filter(Boolean);
for (const file of tracked.filter((name) => !exempt.test(name))) {
  const text = readIfText(file);
  for (const [index, line] of text.split("\n").entries()) {
    for (const { what, pattern, except } of rules) {
      if (!pattern.test(line) || except?.test(line)) continue;
      found += 1;
      console.log(`${file}:${index + 1}: ${what}: ${line.trim().slice(0, 120)}`);
    }
  }
}
console.log(`${tracked.length} tracked files, ${found} places that must not be there`);
process.exitCode = found === 0 ? 0 : 1;

/** Empty for binary files and files removed from the working tree. */
function readIfText(file: string): string {
  try {
    const bytes = readFileSync(file);
    return bytes.includes(0) ? "" : bytes.toString("utf8");
  } catch {
    return "";
  }
}
