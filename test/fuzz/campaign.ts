/** Fuzzes targets in a process with bounded memory; an input that hangs or ends the process is found like any other. */
import { type ChildProcess, fork } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Order, Outcome } from "./worker.ts";

export interface Result extends Outcome {
  /** The input that did it, and a name for it. */
  readonly input?: Buffer;
  readonly id?: string;
}

/** An input that takes longer hangs. */
const hangMs = 20_000;
const megabytes = 384;

/** `ms`: for each target. */
export async function* fuzz(targets: readonly string[], ms: number, seed: number): AsyncGenerator<Result> {
  const folder = mkdtempSync(join(tmpdir(), "fuzz-"));
  const inputFile = join(folder, "input");
  try {
    let left = targets;
    while (left.length > 0) {
      writeFileSync(inputFile, "");
      for await (const outcome of work({ targets: left, ms, seed, inputFile })) {
        left = left.slice(1);
        if (outcome.error === undefined) yield outcome;
        else {
          const input = readFileSync(inputFile);
          yield { ...outcome, input, id: createHash("sha256").update(input).digest("hex").slice(0, 12) };
        }
      }
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Outcomes in the order of the targets; when the process ends early or is ended, the last one says so. */
async function* work(order: Order): AsyncGenerator<Outcome> {
  const child = fork(new URL("./worker.ts", import.meta.url), [JSON.stringify(order)], {
    execArgv: ["--import=tsx", `--max-old-space-size=${megabytes}`],
    stdio: ["ignore", "ignore", "pipe", "ipc"],
  });
  const told: Outcome[] = [];
  let said = "";
  let hung = false;
  let wake = () => {};
  child.stderr?.on("data", (chunk: Buffer) => {
    said = (said + chunk.toString()).slice(-2000);
  });
  child.on("message", (outcome: Outcome) => {
    told.push(outcome);
    wake();
  });
  const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
  const watch = setInterval(() => {
    if (Date.now() - statSync(order.inputFile).mtimeMs < hangMs) return;
    hung = true;
    child.kill("SIGKILL");
  }, 1000);
  try {
    for (const target of order.targets) {
      while (told.length === 0 && running(child)) {
        await Promise.race([ended, new Promise<void>((resolve) => (wake = resolve))]);
      }
      const outcome = told.shift();
      if (outcome !== undefined) {
        yield outcome;
        if (outcome.error !== undefined) return;
      } else {
        const error = hung ? `it hangs: not done after ${hangMs} ms` : `the process ended: ${said}`;
        yield { target, inputs: 0, kept: 0, slowestMs: 0, error };
        return;
      }
    }
  } finally {
    clearInterval(watch);
    if (running(child)) child.kill("SIGKILL");
    await ended;
  }
}

const running = (child: ChildProcess): boolean => child.exitCode === null && child.signalCode === null;
