/**
 * `npm run lab`: hosts, network, alert chain, scenarios, matrix. Needs root on a Debian-like machine; touches nothing
 * outside its own namespaces, cgroups and temporary folder. See docs/lab.md.
 */

import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { Clients } from "./clients.ts";
import { run } from "./command.ts";
import { copyProgram, LabExporter } from "./exporter.ts";
import { Host } from "./host.ts";
import { type Results, resultsPage } from "./matrix.ts";
import { Monitoring } from "./monitoring.ts";
import { Network } from "./network.ts";
import { type Release, releases, rootfs } from "./roots.ts";
import { type Row, runScenario } from "./runner.ts";
import type { Bench, Scenario } from "./scenario.ts";
import { scenarios } from "./scenarios/index.ts";
import { openStage, type Stage } from "./stage.ts";

const usage = `usage: npm run lab -- [options]      (as root)
  --list             the scenarios
  --only NAME        this scenario; repeatable
  --release 12|13    on this Debian only; default both
  --core             what CI runs: the core scenarios on Debian 12
  --keep             leave everything up afterwards and print where to look; ends with Ctrl-C
  --write            put the results into docs/lab-results.md and .json
  --no-build         run dist as it is
  --record FOLDER    save each scenario's journal, metrics and sockets there
`;
/** Every window and waiting time of the rules divided by this. */
const timeScale = 20;

const { values: flags } = parseArgs({
  options: {
    list: { type: "boolean" },
    only: { type: "string", multiple: true },
    release: { type: "string", multiple: true },
    core: { type: "boolean" },
    keep: { type: "boolean" },
    write: { type: "boolean" },
    record: { type: "string" },
    "no-build": { type: "boolean" },
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
  const plan = chosen.map((release) => ({ release, scenarios: scenarios.filter((each) => wanted(each, release)) }));
  const stage = openStage();
  if (typeof stage === "string") {
    console.error(`lab: ${stage}`);
    return 1;
  }
  try {
    const rows: Row[] = [];
    const versions: Record<string, string> = {};
    if (!flags["no-build"]) await run(process.execPath, ["tools/setup.mjs", "--build"], { timeoutMs: 300_000 });
    const project = copyProgram(stage.folder, timeScale);
    const templates = new Map<Release, string>();
    for (const release of chosen) templates.set(release, await rootfs(release, say));
    const network = await Network.open(stage);
    const clients = await Clients.create(stage, network);
    const monitoring = await Monitoring.start(stage, network, timeScale);
    Object.assign(versions, monitoring.versions, { kernel: (await run("uname", ["-r"])).trim() });
    for (const { release, scenarios: todo } of plan) {
      if (todo.length === 0) continue;
      say(`booting Debian ${release}`);
      const host = await Host.boot(stage, {
        release,
        template: templates.get(release) ?? "",
        networkNamespace: network.namespaces.server.name,
        publicKey: clients.publicKey,
        project,
        nodeModules: join(process.cwd(), "node_modules"),
      });
      versions[`OpenSSH (Debian ${release})`] = await sshdVersion(host);
      const bench = await prepare(host, network, clients, monitoring, release);
      for (const scenario of todo) {
        say(`${scenario.name} (Debian ${release}): ${scenario.title}`);
        const row = await runScenario(scenario, bench, flags.record);
        rows.push(row);
        report(row);
      }
      if (flags.keep && release === plan.at(-1)?.release) await keep(stage, monitoring);
      host.halt();
    }
    finish(rows, versions);
    return rows.every(({ problems }) => problems.length === 0) ? 0 : 1;
  } catch (error) {
    console.error(`lab: ${error instanceof Error ? error.stack : error}`);
    return 1;
  } finally {
    stage.close();
  }
}

function wanted(scenario: Scenario, release: Release): boolean {
  if (scenario.releases && !scenario.releases.includes(release)) return false;
  if (flags.only) return flags.only.includes(scenario.name);
  return !flags.core || scenario.core === true;
}

async function prepare(
  host: Host,
  network: Network,
  clients: Clients,
  monitoring: Monitoring,
  release: Release,
): Promise<Bench> {
  const knownPeers = [0, 1, 2, 3, 4].map((n) => network.peer(n));
  const strangers = Array.from({ length: 500 }, (_, n) => network.peer(300 + n));
  await clients.login(knownPeers);
  await host.run("/opt/node /opt/project/dist/cli/main.js observe install");
  return {
    ...{ host, network, clients, monitoring, release, timeScale, knownPeers, strangers },
    exporter: new LabExporter(host, monitoring),
    say: (text) => say(`  ${text}`),
    scaledSeconds: (seconds) => seconds / timeScale,
  };
}

async function sshdVersion(host: Host): Promise<string> {
  const { stdout, stderr } = await host.attempt("ssh -V");
  return /OpenSSH_(\S+)/.exec(`${stdout}${stderr}`)?.[1]?.replace(/,$/, "") ?? "unknown";
}

function report(row: Row): void {
  for (const { what, wanted: bound, seen } of row.evidence) say(`  ${what}: ${seen} (wanted ${bound})`);
  const latency =
    row.evidenceToPageSeconds === undefined ? "" : `, ${row.evidenceToPageSeconds.toFixed(1)} s after the evidence`;
  say(`  expected ${row.expected}, paged ${row.paged.join(", ") || "none"}${latency}`);
  if (row.recovery !== undefined) say(`  resolved: ${row.recovery.slice(0, 200)}`);
  for (const problem of row.problems) say(`  NOT AS EXPECTED: ${problem.slice(0, 600)}`);
}

function finish(rows: readonly Row[], versions: Readonly<Record<string, string>>): void {
  const date = new Date().toISOString().slice(0, 10);
  console.log(`\n${resultsPage({ rows, versions, timeScale, date })}`);
  if (flags.write) write({ rows, versions, timeScale, date });
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

async function keep(stage: Stage, monitoring: Monitoring): Promise<void> {
  for (const service of ["prometheus", "alertmanager", "exporter"] as const) {
    console.log(`${service}: http://127.0.0.1:${await monitoring.publish(stage, service)}`);
  }
  console.log("Ctrl-C ends it");
  await new Promise(() => setInterval(() => undefined, 60_000));
}

function mistake(text: string): number {
  process.stderr.write(`lab: ${text}\n\n${usage}`);
  return 2;
}
