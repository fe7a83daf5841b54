/**
 * `npm run bench`: every figure of docs/benchmarks.md, measured beside what one would use instead. `--only NAME`, as often
 * as wanted, measures some of them anew; the others stay as bench/results.json has them. Needs the built exporter.
 * CPU seconds (user and system, with children) and ratios count: wall times on a busy machine do not.
 */
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { cpus, release } from "node:os";
import { parseArgs } from "node:util";
import { debian } from "../tools/debian.ts";
import { bounded } from "./bounded.ts";
import { lossless } from "./lossless.ts";
import { readAuthLog, readJournal, readManyPeers } from "./reading.ts";
import { type Bench, inFolder, type Row } from "./rows.ts";
import { followLog, scrape, seen, startAndIdle } from "./running.ts";
import { soakBench } from "./soak.ts";

const benches: Readonly<Record<string, Bench>> = {
  read: readAuthLog,
  peers: readManyPeers,
  journal: readJournal,
  follow: followLog,
  scrape,
  start: startAndIdle,
  seen,
  lossless,
  bounded,
  soak: soakBench,
};

interface Results {
  [name: string]: { readonly measured: string; readonly rows: readonly Row[] };
}

const resultsFile = new URL("results.json", import.meta.url).pathname;
const page = new URL("../docs/benchmarks.md", import.meta.url).pathname;

const { values } = parseArgs({ options: { only: { type: "string", multiple: true } } });
const unknown = values.only?.find((name) => !Object.hasOwn(benches, name));
if (unknown !== undefined) {
  process.stderr.write(`no bench "${unknown}"; there are: ${Object.keys(benches).join(", ")}\n`);
  process.exit(2);
}

const results: Results = existsSync(resultsFile) ? (JSON.parse(readFileSync(resultsFile, "utf8")) as Results) : {};
for (const [name, bench] of Object.entries(benches)) {
  if (values.only !== undefined && !values.only.includes(name)) continue;
  process.stdout.write(`${name}\n`);
  const rows = await inFolder((folder) => bench(folder, (text) => process.stdout.write(`  ${text}\n`)));
  for (const row of rows) process.stdout.write(`  ${row.work}: ${row.measured} (must ${row.must}, aim ${row.aim})\n`);
  results[name] = { measured: new Date().toISOString().slice(0, 10), rows };
  writeFileSync(resultsFile, `${JSON.stringify(results, null, 2)}\n`);
  writeFileSync(page, await document(results));
}

async function document(results: Results): Promise<string> {
  const mtail = await debian("mtail", "trixie");
  const nodeExporter = await debian("prometheus-node-exporter");
  const firstLine = (file: string, ...args: string[]): string =>
    execFileSync(file, args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] }).split("\n")[0] ?? "";
  const version = (text: string): string => /\d+\.\d+[\w.~-]*/.exec(text)?.[0] ?? text;
  const lines = Object.keys(benches).flatMap((name) => {
    const result = results[name];
    return (result?.rows ?? []).map(
      (row) => `| ${name} | ${row.work} | ${row.must} | ${row.aim} | ${row.measured} | ${result?.measured} |`,
    );
  });
  return `# Benchmarks

Written by \`npm run bench\`; \`npm run bench -- --only NAME\` measures one row anew. Corpora are seeded, competitors run in
the same run and take turns with the exporter, figures are medians. CPU is user and system time of the whole process tree:
on a busy machine it is what can be compared. The last table's texts and what was tried are in bench/.

Measured with Linux ${release()}, ${cpus().length} CPUs (${cpus()[0]?.model.trim()}), Node ${process.versions.node}, mtail ${version(firstLine(mtail.path, "-version"))}, node_exporter ${version(firstLine(nodeExporter.path, "--version"))}, ${firstLine("grep", "--version")}, ${firstLine("tail", "--version")}.

| bench | work | must | aim | measured | on |
|---|---|---|---|---|---|
${lines.join("\n")}
`;
}
