/**
 * Scenarios through a real Prometheus rule engine: promtool runs the shipped rules over a scenario's series and is asked
 * at every evaluation which alerts fire. Gives the answers, step by step.
 */
import { spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { stringify } from "yaml";
import type { Tool } from "../../tools/debian.ts";
import type { Scenario } from "./scenarios.ts";
import { SimulatedHost } from "./simulated-host.ts";

export const stepSeconds = 15;
export const host = { job: "ssh", instance: "db1:10922" };
export const rulesFile = resolve("alerts/ssh-reset-exporter.rules.yml");
export const fleetRulesFile = resolve("alerts/fleet.rules.yml");

export interface Run {
  readonly code: number | null;
  readonly output: string;
}

export async function run(tool: Tool, args: readonly string[]): Promise<Run> {
  const child = spawn(tool.path, args, { env: tool.env, stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (chunk: string) => {
      output += chunk;
    });
  const code = await new Promise<number | null>((done, failed) => {
    child.on("error", failed);
    child.on("close", done);
  });
  return { code, output };
}

/**
 * Which alerts fire at each step, as the rules say: one set of alert names for each step of each scenario. All
 * scenarios run side by side, each as one instance, as a fleet does.
 */
export async function firingByPrometheus(
  promtool: Tool,
  scenarios: readonly Pick<Scenario, "changes" | "outages" | "minutes">[],
  rules = rulesFile,
): Promise<readonly (readonly ReadonlySet<string>[])[]> {
  const stepsOf = (minutes: number): number => (minutes * 60) / stepSeconds;
  const steps = stepsOf(Math.max(...scenarios.map(({ minutes }) => minutes)));
  const test = {
    interval: `${stepSeconds}s`,
    input_series: scenarios.flatMap(({ changes, outages, minutes }, index) =>
      new SimulatedHost(changes, outages).inputSeries(stepsOf(minutes), stepSeconds, {
        job: "ssh",
        instance: `${index}`,
      }),
    ),
    // Expected to be wrong at every step: promtool then prints what it got.
    promql_expr_test: Array.from({ length: steps }, (_, step) => ({
      expr: `count by (instance, alertname) (ALERTS{alertstate="firing"}) or vector(0)`,
      eval_time: `${step * stepSeconds}s`,
      exp_samples: [{ labels: '{never="true"}', value: 1 }],
    })),
  };
  const { output } = await runTests(promtool, [test], rules);
  const answers = [...output.matchAll(/exp: .*\n\s*got: (.*)$/gm)].map(([, got]) => got ?? "");
  if (answers.length !== steps)
    throw new Error(`promtool answered ${answers.length} of ${steps} questions:\n${output.slice(0, 2000)}`);
  const fired = answers.map((got) =>
    [...got.matchAll(/alertname="(\w+)", instance="(\d+)"/g)].map(([, alert, instance]) => ({ alert, instance })),
  );
  return scenarios.map(({ minutes }, index) =>
    fired
      .slice(0, stepsOf(minutes))
      .map(
        (alerts) => new Set(alerts.flatMap(({ alert, instance }) => (instance === `${index}` ? [alert ?? ""] : []))),
      ),
  );
}

export async function runTests(
  promtool: Tool,
  tests: readonly unknown[],
  rules: string | readonly string[] = rulesFile,
  interval = `${stepSeconds}s`,
): Promise<Run> {
  const folder = await mkdtemp(join(tmpdir(), "ssh-reset-rules-"));
  try {
    const file = join(folder, "test.yml");
    const text = { rule_files: [rules].flat(), evaluation_interval: interval, tests };
    await writeFile(file, stringify(text, { lineWidth: 0, aliasDuplicateObjects: false }));
    return await run(promtool, ["test", "rules", file]);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
