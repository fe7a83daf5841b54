/**
 * Makes a fresh clone ready, and says nothing where nothing is to do: `npm ci` when node_modules does not hold what
 * package-lock.json says; with --build the compiler, when a source file is newer than dist; with --debian a word about
 * programs that tests cannot fetch on this machine. Plain JavaScript without dependencies: it runs before any is there.
 */
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";

const root = join(import.meta.dirname, "..");
const flags = process.argv.slice(2);

const [major, minor] = process.versions.node.split(".").map(Number);
if (major < 20 || (major === 20 && minor < 19)) fail(`Node.js 20.19 or newer is needed, this is ${process.version}`);

if (!installed()) {
  const npm = process.env.npm_execpath;
  if (npm === undefined) run("npm ci", "npm", ["ci", "--no-audit"]);
  else run("npm ci", process.execPath, [npm, "ci", "--no-audit"]);
}
if (flags.includes("--build") && stale()) build();
if (flags.includes("--debian")) checkDebian();

/** Every package of the lock is there in its version; optional ones belong to other platforms. */
function installed() {
  const packages = (file) => JSON.parse(readFileSync(join(root, file), "utf8")).packages;
  if (!existsSync(join(root, "node_modules/.package-lock.json"))) return false;
  const have = packages("node_modules/.package-lock.json");
  return Object.entries(packages("package-lock.json")).every(
    ([path, wanted]) => path === "" || wanted.optional || have[path]?.version === wanted.version,
  );
}

function stale() {
  const entry = join(root, "dist/cli/main.js");
  if (!existsSync(entry)) return true;
  const builtMs = statSync(entry).mtimeMs;
  const inputs = readdirSync(join(root, "src"), { recursive: true, withFileTypes: true })
    .map((file) => join(file.parentPath, file.name))
    .concat(["package.json", "tsconfig.json", "tsconfig.build.json"].map((file) => join(root, file)));
  return inputs.some((file) => statSync(file).mtimeMs > builtMs);
}

/** Into a folder beside it first: a running exporter and a removed source file both see a whole dist. */
function build() {
  run("node tools/bundle.mjs", process.execPath, [join(root, "tools/bundle.mjs")]);
}

function checkDebian() {
  for (const program of ["apt-get", "dpkg-deb"]) {
    if (spawnSync(program, ["--version"]).error === undefined) continue;
    console.error(
      `setup: ${program} is not here: tests that need Debian programs (promtool, sshd, ...) will be skipped`,
    );
  }
}

function run(what, command, args) {
  console.error(`setup: ${what}`);
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: ["ignore", 2, 2] });
  if (status === 0) return;
  rmSync(join(root, `dist.${process.pid}`), { recursive: true, force: true });
  fail(`${what} failed: ${error?.message ?? `exit status ${status}`}`);
}

function fail(reason) {
  console.error(`setup: ${reason}`);
  process.exit(1);
}
