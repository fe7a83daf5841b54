/** `npm run kit`: writes the generated files. All else in src/kit but release.ts is pure. */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { parseArgs } from "node:util";
import { parse } from "yaml";
import { alertFiles } from "./alert-files.ts";
import { chartFiles } from "./chart-files.ts";
import { dashboardFiles } from "./dashboards/dashboard-files.ts";
import { docFiles } from "./doc-files.ts";
import { readSampleFile, type Sample } from "./message-samples.ts";
import { writeRelease } from "./release.ts";
import { runbookHeads, withHead } from "./runbooks.ts";
import { defaultSettings, withThresholds } from "./settings.ts";

const usage = `usage: npm run kit -- [options]
  --out DIR            where to write alerts/ and dashboards/ (default: this project, with its docs)
  --selector MATCHERS  label matchers for every series: 'job="ssh"'
  --probe-selector MATCHERS  the same for the series of /probe: 'job="ssh-probe"'
  --thresholds FILE    YAML: cause, name, number (see alerts/thresholds.yml)
  --runbook-base URL   where the runbooks are served
  --dashboard-base URL where Grafana is
  --time-scale N       windows and waiting times divided by N: for tests only
  --release            take the public interface as that of package.json's version: docs/releases/
`;

try {
  const { values } = parseArgs({
    options: {
      out: { type: "string", default: "." },
      selector: { type: "string", default: defaultSettings.matchers },
      "probe-selector": { type: "string", default: defaultSettings.probeMatchers },
      thresholds: { type: "string" },
      "runbook-base": { type: "string", default: defaultSettings.runbookBase },
      "dashboard-base": { type: "string", default: defaultSettings.dashboardBase },
      "time-scale": { type: "string", default: "1" },
      release: { type: "boolean" },
      help: { type: "boolean" },
    },
  });
  if (values.help) process.stdout.write(usage);
  else if (values.release) writeRelease();
  else {
    const timeScale = Number(values["time-scale"]);
    if (!(timeScale >= 1)) throw new Error(`--time-scale: "${values["time-scale"]}" is not a number of 1 or more`);
    const plain = {
      ...defaultSettings,
      matchers: values.selector,
      probeMatchers: values["probe-selector"],
      timeScale,
      runbookBase: values["runbook-base"],
      dashboardBase: values["dashboard-base"],
    };
    const settings =
      values.thresholds === undefined ? plain : withThresholds(plain, parse(readFileSync(values.thresholds, "utf8")));
    const copied = [...alertFiles(settings), ...dashboardFiles(settings)];
    const files = values.out === "." ? [...copied, ...chartFiles(copied), ...docFiles(readSamples())] : copied;
    for (const [path, text] of files) write(join(values.out, path), text);
    if (values.out === ".") writeRunbooks();
  }
} catch (error) {
  process.stderr.write(`kit: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 2;
}

/** The annotated samples of this project's own tests: docs/messages.md shows them. */
function readSamples(): readonly Sample[] {
  const folder = "test/fixtures/messages";
  const names = readdirSync(folder).filter((name) => name.endsWith(".txt"));
  return names.sort().flatMap((name) => readSampleFile(name, readFileSync(join(folder, name), "utf8")));
}

/** Only the project's own: their bodies are there. */
function writeRunbooks(): void {
  for (const [alert, head] of runbookHeads()) {
    const path = join("docs/runbooks", `${alert}.md`);
    write(path, withHead(readFileSync(path, "utf8"), head, path));
  }
}

function write(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
}
