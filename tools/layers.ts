/**
 * Proves that the linter enforces the layers of src: for each folder one import that it may not make is held against
 * biome.json, and one that it may. A rule that stops firing fails the build.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

/** What each folder may import from src; everything else is forbidden. `cli` may import all. */
const layers: Readonly<Record<string, readonly string[]>> = {
  model: [],
  config: ["model"],
  sources: ["model", "flow-logs"],
  parsers: ["model"],
  connections: ["model"],
  collectors: ["model"],
  diagnosis: ["model"],
  state: ["model"],
  metrics: ["model"],
  probe: ["model"],
  observe: ["model", "collectors"],
  audit: ["model"],
  "flow-logs": ["model"],
  tallies: ["model", "connections"],
  web: ["model", "config", "metrics", "probe"],
  kit: ["model", "config", "metrics", "collectors", "tallies", "parsers", "probe", "diagnosis", "web"],
};
const folders = [...Object.keys(layers), "exporter", "cli"];

interface Trial {
  readonly file: string;
  readonly module: string;
  readonly allowed: boolean;
}

const trials: Trial[] = [
  ...Object.entries(layers).flatMap(([folder, may]) =>
    folders
      .filter((target) => target !== folder)
      .map((target) => ({
        file: `src/${folder}/trial.ts`,
        module: `../${target}/x.ts`,
        allowed: may.includes(target),
      })),
  ),
  { file: "src/exporter/x.ts", module: "../cli/x.ts", allowed: false },
  { file: "src/cli/x.ts", module: "../web/x.ts", allowed: true },
  { file: "src/model/x.ts", module: "node:fs", allowed: false },
  { file: "src/parsers/x.ts", module: "node:fs", allowed: false },
  { file: "src/connections/x.ts", module: "node:fs/promises", allowed: false },
  { file: "src/parsers/x.ts", module: "node:net", allowed: true },
  { file: "src/collectors/x.ts", module: "prom-client", allowed: false },
  { file: "src/metrics/x.ts", module: "prom-client", allowed: true },
  { file: "src/collectors/x.ts", module: "node:child_process", allowed: false },
  { file: "src/sources/journal.ts", module: "node:child_process", allowed: true },
  { file: "src/sources/journal.ts", module: "../metrics/x.ts", allowed: false },
  { file: "src/web/x.ts", module: "node:child_process", allowed: false },
  { file: "src/audit/x.ts", module: "node:fs", allowed: false },
  { file: "src/flow-logs/x.ts", module: "node:fs", allowed: false },
  { file: "src/cli/x.ts", module: "node:child_process", allowed: false },
];

const refused = lint(trials);
const wrong = trials.filter((trial, index) => refused.has(index) === trial.allowed);
for (const { file, module, allowed } of wrong) {
  console.log(
    `${file}: import of "${module}" is ${allowed ? "refused but allowed" : "allowed but forbidden"} by the layers`,
  );
}
console.log(`${trials.length} trials, ${wrong.length} wrong`);
process.exitCode = wrong.length === 0 ? 0 : 1;

/** One file per trial in a folder of its own below a copy of biome.json. Gives the indexes of the refused ones. */
function lint(all: readonly Trial[]): ReadonlySet<number> {
  const folder = mkdtempSync(join(tmpdir(), "ssh-reset-exporter-layers-"));
  try {
    const { $schema, vcs, ...config } = JSON.parse(readFileSync("biome.json", "utf8")) as Record<string, unknown>;
    writeFileSync(join(folder, "biome.json"), JSON.stringify(config));
    for (const [index, { file, module }] of all.entries()) {
      mkdirSync(join(folder, dirname(file)), { recursive: true });
      writeFileSync(join(folder, file.replace(".ts", `-trial-${index}.ts`)), `export * from "${module}";\n`);
    }
    const biome = join(process.cwd(), "node_modules/@biomejs/biome/bin/biome");
    const args = [
      biome,
      "lint",
      "--only=style/noRestrictedImports",
      "--reporter=github",
      "--max-diagnostics=none",
      ".",
    ];
    const { stdout, stderr } = spawnSync(process.execPath, args, { cwd: folder, encoding: "utf8" });
    const places = `${stdout}${stderr}`.matchAll(/noRestrictedImports,file=[^,]*trial-(\d+)\.ts/g);
    return new Set([...places].map((place) => Number(place[1])));
  } finally {
    rmSync(folder, { recursive: true });
  }
}
