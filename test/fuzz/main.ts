/**
 * `npm run fuzz`: mutation fuzzing of everything that reads what others wrote. The time is shared by the targets; the
 * same seed gives the same inputs. What is found is written to test/fixtures/fuzz/TARGET/, where the tests try it again.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { fuzz } from "./campaign.ts";
import { findingsFolder } from "./findings.ts";
import { targets } from "./targets.ts";

const usage = `usage: npm run fuzz -- [options]
  --minutes N      in total, default 1
  --target NAME    this one; repeatable
  --seed N         default 1
  --keep FOLDER    for what is found, default test/fixtures/fuzz
  --list           the targets
`;
const { values: flags } = parseArgs({
  options: {
    minutes: { type: "string", default: "1" },
    target: { type: "string", multiple: true },
    seed: { type: "string", default: "1" },
    keep: { type: "string", default: findingsFolder.pathname },
    list: { type: "boolean" },
    help: { type: "boolean", short: "h" },
  },
});
const names = targets.map(({ name }) => name);
const unknown = flags.target?.find((name) => !names.includes(name));
const minutes = Number(flags.minutes);
const seed = Number(flags.seed);

if (flags.help) process.stdout.write(usage);
else if (flags.list) console.log(names.join("\n"));
else if (unknown !== undefined) mistake(`no target ${JSON.stringify(unknown)}; --list names them`);
else if (!(minutes > 0)) mistake(`--minutes ${JSON.stringify(flags.minutes)} is no number above 0`);
else if (!Number.isInteger(seed)) mistake(`--seed ${JSON.stringify(flags.seed)} is no whole number`);
else process.exitCode = await main(flags.target ?? names);

async function main(wanted: readonly string[]): Promise<number> {
  let inputs = 0;
  let findings = 0;
  for await (const result of fuzz(wanted, (minutes * 60_000) / wanted.length, seed)) {
    const { target, error, input, id } = result;
    inputs += result.inputs;
    console.log(
      `${target.padEnd(18)} ${result.inputs} inputs, ${result.kept} kept, slowest ${result.slowestMs.toFixed(0)} ms`,
    );
    if (error === undefined || input === undefined || id === undefined) continue;
    findings++;
    const folder = join(flags.keep, target);
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, id), input);
    console.log(`  FOUND ${id}: ${error}`);
  }
  console.log(`${inputs} inputs, ${findings} findings`);
  return findings === 0 ? 0 : 1;
}

function mistake(text: string): void {
  process.stderr.write(`fuzz: ${text}\n\n${usage}`);
  process.exitCode = 2;
}
