/**
 * Generated files are committed and fresh: the generator is run in a temporary folder with copies of what it writes,
 * and must change nothing there. Prints each stale or untracked file; exit 1 if there is one.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Folders that the generator writes to; of all others it sees this tree's own. */
const written = ["alerts", "dashboards", "deploy/helm", "deploy/kubernetes", "docs"];

const folder = mkdtempSync(join(tmpdir(), "ssh-reset-exporter-generated-"));
try {
  for (const name of written) cpSync(name, join(folder, name), { recursive: true });
  for (const name of ["src", "test", "node_modules", "package.json", "tsconfig.json"]) {
    symlinkSync(join(process.cwd(), name), join(folder, name));
  }
  const args = ["--preserve-symlinks", "--preserve-symlinks-main", "--import=tsx", "src/kit/main.ts"];
  const { status } = spawnSync(process.execPath, args, { cwd: folder, stdio: ["ignore", "inherit", "inherit"] });
  if (status !== 0) throw new Error(`the kit's generator ended with ${status}`);
  const tracked = new Set(execFileSync("git", ["ls-files"], { encoding: "utf8" }).split("\n"));
  const files = written.flatMap((top) =>
    readdirSync(join(folder, top), { recursive: true, encoding: "utf8" }).map((file) => join(top, file)),
  );
  const fresh = files.filter((file) => statSync(join(folder, file)).isFile());
  const stale = fresh.filter((file) => !tracked.has(file) || !same(file, join(folder, file)));
  for (const file of stale) console.log(`${file}: stale or not committed; run "npm run kit" and commit`);
  console.log(`${fresh.length} files in ${written.join(", ")}, ${stale.length} stale`);
  process.exitCode = stale.length === 0 ? 0 : 1;
} finally {
  rmSync(folder, { recursive: true });
}

function same(a: string, b: string): boolean {
  return readFileSync(a).equals(readFileSync(b));
}
