/**
 * `npm run manifests`: writes deploy/kubernetes, the chart without helm. One file for what is needed, one for each thing
 * that needs something else in the cluster; rules and dashboards are written by `npm run kit`. With --check it writes
 * nothing, and names stale files.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { rendered } from "./chart.ts";
import { kubernetesTools } from "./tools.ts";

const folder = "deploy/kubernetes";
/** File to the values that switch on what it holds, and the templates that it is made of. */
const files = {
  "ssh-reset-exporter.yaml": { values: [], templates: ["serviceaccount", "daemonset"] },
  "podmonitor.yaml": { values: ["podMonitor.enabled=true"], templates: ["podmonitor"] },
  "networkpolicy.yaml": { values: ["networkPolicy.enabled=true"], templates: ["networkpolicy"] },
} as const;

/** Path to text. Throws a reason where there is no helm. */
export async function manifests(): Promise<ReadonlyMap<string, string>> {
  const { helm } = await kubernetesTools();
  const head = "# Generated from deploy/helm by `npm run manifests`: change the chart, not this file.\n";
  const made = new Map<string, string>();
  for (const [name, { values, templates }] of Object.entries(files)) {
    const shown = templates.flatMap((template) => ["--show-only", `templates/${template}.yaml`]);
    const text = await rendered(helm, [...values.flatMap((value) => ["--set", value]), ...shown]);
    // No helm looks after these objects; their version is the image's.
    const plain = text.replace(/^ *(app\.kubernetes\.io\/(managed-by|version)|helm\.sh\/chart): .*\n/gm, "");
    made.set(join(folder, name), head + plain.replace(/^# Source: .*\n/gm, ""));
  }
  return made;
}

/** Those that are not as the chart would make them, and those that nothing makes. */
export async function staleManifests(): Promise<readonly string[]> {
  const made = await manifests();
  const others = ["namespace.yaml", "kustomization.yaml", "rules.yaml", "dashboards.yaml"];
  const extra = readdirSync(folder).filter((name) => !(name in files) && !others.includes(name));
  const stale = [...made].filter(([path, text]) => !existsSync(path) || readFileSync(path, "utf8") !== text);
  return [...stale.map(([path]) => path), ...extra.map((name) => join(folder, name))];
}

if (process.argv[1] === import.meta.filename) {
  if (process.argv.includes("--check")) {
    const stale = await staleManifests();
    for (const path of stale) console.log(`${path}: stale; run "npm run manifests" and commit`);
    process.exitCode = stale.length === 0 ? 0 : 1;
  } else {
    for (const [path, text] of await manifests()) writeFileSync(path, text);
  }
}
