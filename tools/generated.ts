/**
 * Generated files are committed and fresh: a new generation into a temporary folder equals what git tracks. Prints each
 * stale or untracked file; exit 1 if there is one.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const folder = mkdtempSync(join(tmpdir(), "ssh-reset-exporter-generated-"));
try {
  const args = ["--import=tsx", "src/kit/main.ts", "--out", folder];
  const { status } = spawnSync(process.execPath, args, { stdio: ["ignore", "inherit", "inherit"] });
  if (status !== 0) throw new Error(`the kit's generator ended with ${status}`);
  const files = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((file) =>
    statSync(join(folder, file)).isFile(),
  );
  const tracked = new Set(execFileSync("git", ["ls-files"], { encoding: "utf8" }).split("\n"));
  const stale = files.filter(
    (file) => !tracked.has(file) || readFileSync(file, "utf8") !== readFileSync(join(folder, file), "utf8"),
  );
  for (const file of stale) console.log(`${file}: stale or not committed; run "npm run kit" and commit`);
  console.log(`${files.length} generated files, ${stale.length} stale`);
  process.exitCode = stale.length === 0 && files.length > 0 ? 0 : 1;
} finally {
  rmSync(folder, { recursive: true });
}
