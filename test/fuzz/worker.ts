/** The process of a campaign: changes inputs and checks them. Each input is in a file before it is tried. */
import { ftruncateSync, openSync, writeSync } from "node:fs";
import { longestInput, mutateBytes, mutateJson } from "./mutate.ts";
import { Random } from "./random.ts";
import type { Target } from "./target.ts";
import { targets } from "./targets.ts";

export interface Order {
  readonly targets: readonly string[];
  readonly ms: number;
  readonly seed: number;
  readonly inputFile: string;
}

export interface Outcome {
  readonly target: string;
  readonly inputs: number;
  readonly kept: number;
  readonly slowestMs: number;
  /** What broke, with the input in the file. */
  readonly error?: string;
}

const mostKept = 2000;
const slowMs = 1000;

const order = JSON.parse(process.argv[2] ?? "") as Order;
const file = openSync(order.inputFile, "w");
let slowestMs = 0;

async function tryInput(target: Target, input: Buffer): Promise<string> {
  writeSync(file, input, 0, input.length, 0);
  ftruncateSync(file, input.length);
  const begin = performance.now();
  const told = await target.check(input);
  const tookMs = performance.now() - begin;
  slowestMs = Math.max(slowestMs, tookMs);
  if (tookMs < slowMs) return told;
  // A busy machine may have been slow; an input that is slow is slow again.
  const again = performance.now();
  await target.check(input);
  if (performance.now() - again > slowMs) throw new Error(`it takes ${(performance.now() - again).toFixed(0)} ms`);
  return told;
}

function change(target: Target, random: Random, kept: readonly Buffer[]): Buffer {
  const input = random.pick(kept);
  if (target.json !== true || random.below(8) === 0) return mutateBytes(input, random, kept);
  try {
    const text = JSON.stringify(mutateJson(JSON.parse(input.toString("utf8")), random)) ?? "";
    return Buffer.from(text).subarray(0, longestInput);
  } catch {
    return mutateBytes(input, random, kept);
  }
}

async function work(target: Target): Promise<Outcome> {
  const random = new Random(order.seed);
  const deadline = performance.now() + order.ms;
  const kept: Buffer[] = [...target.seeds()];
  const seen = new Set<string>();
  let inputs = 0;
  let error: string | undefined;
  slowestMs = 0;
  try {
    for (const input of kept) seen.add(await tryInput(target, input));
    for (; inputs === 0 || performance.now() < deadline; inputs++) {
      const input = change(target, random, kept);
      const told = await tryInput(target, input);
      if (seen.has(told) || kept.length >= mostKept) continue;
      seen.add(told);
      kept.push(Buffer.from(input));
    }
  } catch (thrown) {
    error = thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown);
  }
  return { target: target.name, inputs, kept: kept.length, slowestMs, ...(error !== undefined && { error }) };
}

for (const name of order.targets) {
  const target = targets.find((each) => each.name === name);
  if (target === undefined) throw new Error(`no target ${name}`);
  const outcome = await work(target);
  await new Promise((resolve) => process.send?.(outcome, resolve));
  // The input stays in the file.
  if (outcome.error !== undefined) break;
}
process.disconnect();
