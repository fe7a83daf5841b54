/**
 * `npm run lab`: hosts, network, alert chain, scenarios, matrix. Needs root on a Debian-like machine; touches nothing
 * outside its own namespaces, cgroups and temporary folder. See docs/lab.md.
 */

import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { attempt, run } from "./command.ts";
import { copyProgram } from "./exporter.ts";
import { mountTracefs } from "./instances.ts";
import { Lane, timeScale } from "./lane.ts";
import { type Results, resultsPage } from "./matrix.ts";
import { type Release, releases, rootfs } from "./roots.ts";
import type { Row } from "./runner.ts";
import type { Scenario } from "./scenario.ts";
import { scenarios } from "./scenarios/index.ts";
import { openStage, type Stage } from "./stage.ts";
import { TraceTap } from "./trace-tap.ts";
import { Turns } from "./turns.ts";

const usage = `usage: npm run lab -- [options]      (as root)
  --list             the scenarios
  --only NAME        this scenario; repeatable
  --release 12|13    on this Debian only; default both, beside each other
  --hosts N          so many hosts of each release beside each other, default 1; they share the scenarios
  --core             what CI runs: the core scenarios on Debian 12
  --keep             leave everything up afterwards and print where to look; ends with Ctrl-C
  --write            put each result into docs/lab-results.md and .json, in place of that scenario's last one
  --record FOLDER    save each scenario's journal, metrics and sockets there
`;
const { values: flags } = parseArgs({
  options: {
    list: { type: "boolean" },
    only: { type: "string", multiple: true },
    release: { type: "string", multiple: true },
    core: { type: "boolean" },
    hosts: { type: "string" },
    keep: { type: "boolean" },
    write: { type: "boolean" },
    record: { type: "string" },
    help: { type: "boolean", short: "h" },
  },
});
const startedMs = Date.now();
const say = (text: string): void =>
  console.log(`${((Date.now() - startedMs) / 1000).toFixed(0).padStart(5)} s  ${text}`);

if (flags.help) process.stdout.write(usage);
else if (flags.list) list();
else process.exit(await main());

function list(): void {
  for (const { name, title, page, releases: only, core } of scenarios) {
    console.log(
      `${name.padEnd(24)} ${(only ?? ["12", "13"]).join(",").padEnd(6)} ${core ? "core " : "     "} ${page ?? "no page"}: ${title}`,
    );
  }
}

async function main(): Promise<number> {
  if (process.getuid?.() !== 0) return mistake("the lab needs root: namespaces, cgroups, systemd-nspawn");
  const unknown = flags.only?.find((name) => !scenarios.some((scenario) => scenario.name === name));
  if (unknown !== undefined) return mistake(`no scenario ${JSON.stringify(unknown)}; --list names them`);
  const badRelease = flags.release?.find((name) => !Object.hasOwn(releases, name));
  if (badRelease !== undefined) return mistake(`no release ${JSON.stringify(badRelease)}; there are 12 and 13`);
  const chosen = (flags.release ?? (flags.core ? ["12"] : ["12", "13"])) as Release[];
  const plan = chosen
    .map((release) => ({ release, todo: scenarios.filter((each) => wanted(each, release)).sort(byWaiting) }))
    .filter(({ todo }) => todo.length > 0);
  const hosts = Number(flags.hosts ?? "1");
  if (!Number.isInteger(hosts) || hosts < 1 || hosts * plan.length > 8)
    return mistake(`--hosts ${flags.hosts}: 1 to ${8 / plan.length} of each release`);
  const stage = openStage();
  if (typeof stage === "string") {
    console.error(`lab: ${stage}`);
    return 1;
  }
  try {
    const rows: Row[] = [];
    const commit = await commitOf();
    const versions: Record<string, string> = { kernel: (await run("uname", ["-r"])).trim() };
    const project = copyProgram(stage.folder, timeScale);
    const turns = new Turns();
    const tracefs = mountTracefs(stage.folder);
    const recordings =
      flags.record === undefined ? undefined : { folder: flags.record, tap: TraceTap.open(stage, tracefs) };
    const results = (some: readonly Row[]): Results => ({ rows: some, versions, timeScale, date: today() });
    const runLane = async ({ release, todo }: (typeof plan)[number], number: number): Promise<Lane> => {
      const sayHere = (text: string): void => say(`${release}/${number}  ${text}`);
      const lane = await Lane.open(stage, {
        ...{ release, number, project, commit, recordings, say: sayHere },
        template: await rootfs(release, sayHere),
      });
      Object.assign(versions, lane.versions);
      await lane.run(todo, turns, (row) => {
        rows.push(row);
        // At once: what has been measured outlives a run that is ended.
        if (flags.write) write(results([row]));
      });
      return lane;
    };
    const lanes = await Promise.all(
      plan.flatMap((part) => Array.from({ length: Math.min(hosts, part.todo.length) }, () => part)).map(runLane),
    );
    if (flags.keep) await keep(stage, lanes);
    for (const lane of lanes) lane.close();
    finish(results(rows));
    return rows.every(({ problems }) => problems.length === 0) ? 0 : 1;
  } catch (error) {
    console.error(`lab: ${error instanceof Error ? error.stack : error}`);
    return 1;
  } finally {
    stage.close();
  }
}

/**
 * What takes long first, and last what runs alone and makes the other hosts wait; of these one of each kind in turn, since
 * the next kind begins while the one before is only waited for.
 */
function byWaiting(a: Scenario, b: Scenario): number {
  const rank = ({ name, alone, takesMinutes = 1 }: Scenario): number => {
    if (alone === undefined) return -takesMinutes;
    return scenarios.filter((each) => each.alone?.kind === alone.kind).findIndex((each) => each.name === name);
  };
  return rank(a) - rank(b);
}

function today(): string {
  return new Date().toISOString().slice(0, 10);
}

/** Of the tree that is measured; "+" where it has changes of its own; "unknown" without git. */
async function commitOf(): Promise<string> {
  const git = (...words: readonly string[]) => attempt("git", words);
  const { status, stdout } = await git("rev-parse", "--short", "HEAD");
  if (status !== 0) return "unknown";
  const changes = (await git("status", "--porcelain", "--", "src", "test/lab", "test/netns.ts")).stdout;
  return `${stdout.trim()}${changes === "" ? "" : "+"}`;
}

function wanted(scenario: Scenario, release: Release): boolean {
  if (scenario.releases && !scenario.releases.includes(release)) return false;
  if (flags.only) return flags.only.includes(scenario.name);
  return !flags.core || scenario.core === true;
}

function finish(results: Results): void {
  const { rows } = results;
  console.log(`\n${resultsPage(results)}`);
  const failed = rows.filter(({ problems }) => problems.length > 0).length;
  const counts = { passed: rows.length - failed, failed, skipped: 0 };
  const file = process.env["RESULT_FILE"];
  if (file !== undefined) writeFileSync(file, JSON.stringify(counts));
  console.log(`${counts.passed} passed, ${failed} failed`);
}

/** Scenarios that ran replace their rows of before; the others stay. */
function write(now: Results): void {
  const file = "docs/lab-results.json";
  const before = existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as Results) : now;
  const key = ({ scenario, release }: Row): string => `${release} ${scenario}`;
  const byKey = new Map([...before.rows, ...now.rows].map((row) => [key(row), row]));
  const order = (["12", "13"] as const).flatMap((release) => scenarios.map(({ name }) => `${release} ${name}`));
  const rows = order.flatMap((each) => byKey.get(each) ?? []);
  const results = { ...now, rows, versions: { ...before.versions, ...now.versions } };
  writeFileSync(file, `${JSON.stringify(results, undefined, 1)}\n`);
  writeFileSync("docs/lab-results.md", resultsPage(results));
}

async function keep(stage: Stage, lanes: readonly Lane[]): Promise<void> {
  for (const { monitoring, release } of lanes) {
    for (const service of ["prometheus", "alertmanager", "exporter"] as const) {
      console.log(`Debian ${release}, ${service}: http://127.0.0.1:${await monitoring.publish(stage, service)}`);
    }
  }
  console.log("Ctrl-C ends it");
  await new Promise(() => setInterval(() => undefined, 60_000));
}

function mistake(text: string): number {
  process.stderr.write(`lab: ${text}\n\n${usage}`);
  return 2;
}
