/**
 * `npm run package`: the executable, the Debian package and npm's archive into release/, with their checksums. The same
 * source and the same node give the same bytes, whenever and wherever they are built: times are those of the commit.
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { parseArgs } from "node:util";
import { buildDeb } from "./deb.ts";
import { buildExecutable, type Origin } from "./executable.ts";

const root = join(import.meta.dirname, "../..");
const usage = `usage: npm run package -- [--out FOLDER]
  --out FOLDER   where to write (default: release)
SOURCE_DATE_EPOCH, in seconds, is the time of everything in it; default: that of the last commit.
PACKAGE_COMPRESSION=fast makes a larger Debian package in a fifth of the time: for tests.
`;

const { values: flags } = parseArgs({
  options: { out: { type: "string", default: join(root, "release") }, help: { type: "boolean" } },
});
if (flags.help) process.stdout.write(usage);
else await build(flags.out);

async function build(out: string): Promise<void> {
  const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { readonly version: string };
  const fast = process.env["PACKAGE_COMPRESSION"] === "fast";
  const origin: Origin = { root, version, epoch: sourceDate() };
  mkdirSync(out, { recursive: true });
  const work = mkdtempSync(join(tmpdir(), "ssh-reset-exporter-package-"));
  try {
    const executable = await buildExecutable(origin, work);
    const standalone = join(out, `ssh-reset-exporter-${version}-linux-${process.arch}`);
    copyFileSync(executable.path, standalone);
    const deb = await buildDeb(origin, executable, work, fast ? "fast" : "small");
    copyFileSync(deb, join(out, basename(deb)));
    // prepack builds dist anew.
    const packed = execFileSync("npm", ["pack", "--silent", "--json", "--pack-destination", out], { cwd: root });
    const archive = archiveName(packed.toString());
    const files = [basename(standalone), basename(deb), archive];
    const sums = files.map((file) => `${sha256(join(out, file))}  ${file}\n`);
    writeFileSync(join(out, "SHA256SUMS"), sums.join(""));
    for (const file of files)
      console.log(`${(statSync(join(out, file)).size / 1e6).toFixed(1).padStart(6)} MB  ${file}`);
  } finally {
    rmSync(work, { recursive: true });
  }
}

/** https://reproducible-builds.org/docs/source-date-epoch/ */
function sourceDate(): number {
  const given = process.env["SOURCE_DATE_EPOCH"];
  if (given !== undefined && !/^\d+$/.test(given)) throw new Error(`SOURCE_DATE_EPOCH: "${given}" is no number`);
  return Number(given ?? execFileSync("git", ["log", "-1", "--format=%ct"], { cwd: root, encoding: "utf8" }));
}

function archiveName(json: string): string {
  const [{ filename } = { filename: "" }] = JSON.parse(json) as readonly { readonly filename: string }[];
  if (filename === "") throw new Error(`npm pack said: ${json}`);
  return filename;
}

function sha256(path: string): string {
  return createHash("sha256").update(readFileSync(path)).digest("hex");
}
