/**
 * `npm test`: every check in stages, each with its time, then what was skipped and why, then `N passed, N failed`.
 * With CI=true a skipped check is a failure, and the lab's core runs, too. `npm test -- --only STAGE`, `--list`.
 * `--full`: further hosts of the lab, a fleet of a thousand, fuzzing, and what tools/full.ts adds to tests.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { Counts } from "./reporter.ts";
import type { Skip } from "./skip.ts";

interface Check {
  readonly name: string;
  readonly command: readonly string[];
  /** Where it writes its own counts; else it counts as one check. */
  readonly counted?: true;
  /** Why it cannot run here. */
  readonly impossible?: string;
}

interface Stage {
  readonly name: string;
  readonly limitMinutes: number;
  readonly checks: readonly Check[];
}

const { values: flags } = parseArgs({
  options: { only: { type: "string", multiple: true }, full: { type: "boolean" }, list: { type: "boolean" } },
});
const ci = process.env["CI"] === "true";
const folder = mkdtempSync(join(tmpdir(), "ssh-reset-exporter-test-"));
const skipsFile = join(folder, "skips");
const tsx = (file: string, ...args: string[]): string[] => [process.execPath, "--import=tsx", file, ...args];
const bin = (file: string, ...args: string[]): string[] => [process.execPath, join("node_modules", file), ...args];

const stages = plan();
if (flags.list) {
  for (const stage of stages) console.log(`${stage.name}: ${stage.checks.map((check) => check.name).join(", ")}`);
  process.exit(0);
}

let running: ChildProcess | undefined;
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.on(signal, () => {
    end(running, signal);
    rmSync(folder, { recursive: true, force: true });
    process.exit(130);
  });
}

const total = { passed: 0, failed: 0 };
const skipped: Skip[] = [];
const failures: string[] = [];
for (const stage of stages) {
  const startedMs = Date.now();
  console.log(`== ${stage.name}`);
  for (const check of stage.checks) await perform(check, stage);
  console.log(`== ${stage.name}: ${((Date.now() - startedMs) / 1000).toFixed(1)} s\n`);
}
skipped.push(...recordedSkips());
rmSync(folder, { recursive: true, force: true });
if (skipped.length > 0) {
  console.log(`Skipped, ${skipped.length}:`);
  for (const { title, reason } of skipped) console.log(`  ${title}: ${reason}`);
  if (ci) total.failed += skipped.length;
}
for (const name of failures) console.log(`FAILED: ${name}`);
console.log(`${total.passed} passed, ${total.failed} failed`);
process.exitCode = total.failed === 0 && total.passed > 0 ? 0 : 1;

async function perform(check: Check, stage: Stage): Promise<void> {
  if (check.impossible !== undefined) {
    skipped.push({ title: check.name, reason: check.impossible });
    return;
  }
  const resultFile = join(folder, "result");
  rmSync(resultFile, { force: true });
  const outcome = await run(check.command, resultFile, stage.limitMinutes);
  const counts = check.counted && existsSync(resultFile) ? readCounts(resultFile) : undefined;
  if (counts !== undefined) {
    console.log(`  ${check.name}: ${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`);
    total.passed += counts.passed;
    total.failed += counts.failed;
    if (counts.failed === 0 && outcome === "ok") return;
    failures.push(check.name);
    if (counts.failed === 0) total.failed += 1;
  } else {
    console.log(`  ${check.name}: ${outcome}`);
    if (outcome === "ok") {
      total.passed += 1;
    } else {
      total.failed += 1;
      failures.push(`${check.name} (${outcome})`);
    }
  }
}

function readCounts(file: string): Counts {
  return JSON.parse(readFileSync(file, "utf8")) as Counts;
}

function recordedSkips(): Skip[] {
  if (!existsSync(skipsFile)) return [];
  const lines = readFileSync(skipsFile, "utf8").split("\n").filter(Boolean);
  return lines.map((line) => JSON.parse(line) as Skip);
}

/** Gives "ok" or what went wrong. */
async function run(command: readonly string[], resultFile: string, limitMinutes: number): Promise<string> {
  const [program = "", ...args] = command;
  const full = flags.full ? { FULL: "true" } : {};
  const env = { ...process.env, ...full, RESULT_FILE: resultFile, SKIPS_FILE: skipsFile, FORCE_COLOR: "0" };
  const child = spawn(program, args, { stdio: ["ignore", "inherit", "inherit"], env, detached: true });
  running = child;
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    end(child, "SIGTERM");
    setTimeout(() => end(child, "SIGKILL"), 20_000).unref();
  }, limitMinutes * 60_000);
  const status = await new Promise<string>((resolve) => {
    child.on("error", (error) => resolve(error.message));
    child.on("close", (code, signal) => resolve(code === 0 ? "ok" : `exit ${code ?? signal}`));
  });
  clearTimeout(timer);
  running = undefined;
  return late ? `not done after ${limitMinutes} minutes` : status;
}

/** With all that it started: it leads a process group of its own. */
function end(child: ChildProcess | undefined, signal: NodeJS.Signals): void {
  if (child?.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  process.kill(-child.pid, signal);
}

/** Tests are sorted by what they need: those that import tools/debian.ts, or the lab that does, drive real programs. */
function plan(): Stage[] {
  const files = readdirSync("test", { recursive: true, encoding: "utf8" })
    .map((file) => `test/${file}`)
    .filter((file) => file.endsWith(".test.ts"))
    .sort();
  const daemons = files.filter((file) => /tools\/debian\.ts|\/traced-lab\.ts/.test(readFileSync(file, "utf8")));
  const pages = daemons.filter((file) => /^test\/(alerts|diagnosis|kit)\//.test(file));
  const packaging = files.filter((file) => /^test\/(deploy|image|packaging|dashboards|preview)\//.test(file));
  const live = daemons.filter((file) => !pages.includes(file) && !packaging.includes(file));
  const unit = files.filter((file) => !daemons.includes(file) && !packaging.includes(file));
  const lab = ci || flags.full === true;
  const hosts: Check[] = [
    { ...onHosts("lab core", "test/lab/main.ts", "--core", "--hosts", "2"), counted: true },
    ...(flags.full
      ? [onHosts("package on hosts", "test/lab/package.ts"), onHosts("unit on a host", "test/lab/unit.ts")]
      : []),
  ];
  const scale: Check = { name: "a thousand hosts", command: tsx("test/scale/main.ts") };
  const fuzz: Check = { name: "fuzz", command: tsx("test/fuzz/main.ts", "--minutes", "5") };
  const all: Stage[] = [
    {
      name: "static",
      limitMinutes: 5,
      checks: [
        { name: "types", command: bin("typescript/bin/tsc", "--noEmit") },
        { name: "style and layers", command: bin("@biomejs/biome/bin/biome", "check", "--error-on-warnings", ".") },
        { name: "layers bite", command: tsx("tools/layers.ts") },
        { name: "docs", command: tsx("tools/docs-test.ts") },
        { name: "tracked files", command: tsx("tools/hygiene.ts") },
        ...(existsSync("src/kit/main.ts") ? [{ name: "generated files", command: tsx("tools/generated.ts") }] : []),
      ],
    },
    { name: "unit", limitMinutes: 10, checks: [mocha("unit and property tests", unit)] },
    { name: "daemons", limitMinutes: 20, checks: [mocha("real daemons", live)] },
    { name: "pages", limitMinutes: 20, checks: [mocha("alert chain", pages)] },
    { name: "packaging", limitMinutes: 20, checks: [mocha("image and packaging", packaging)] },
    ...(lab ? [{ name: "lab", limitMinutes: 30, checks: hosts }] : []),
    ...(flags.full ? [{ name: "scale", limitMinutes: 25, checks: [scale] }] : []),
    ...(flags.full ? [{ name: "fuzz", limitMinutes: 15, checks: [fuzz] }] : []),
  ];
  const wanted = flags.only;
  return all
    .filter((stage) => wanted === undefined || wanted.includes(stage.name))
    .filter((stage) => stage.checks.some((check) => check.command.length > 0));
}

function mocha(name: string, files: readonly string[]): Check {
  if (files.length === 0) return { name, command: [] };
  return {
    name,
    command: tsx("node_modules/mocha/lib/cli/cli.js", "--reporter", "./tools/reporter.ts", ...files),
    counted: true,
  };
}

function onHosts(name: string, file: string, ...args: string[]): Check {
  const root = process.getuid?.() === 0;
  return { name, command: tsx(file, ...args), ...(root ? {} : { impossible: "the lab needs root" }) };
}
