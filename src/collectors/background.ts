/**
 * The one place where collectors start programs: never on the scrape path, always with a time limit, a bound on output
 * and a fixed locale. A result that could not be renewed is dropped, not shown for ever.
 */
import { spawn } from "node:child_process";
import { setTimeout as delay } from "node:timers/promises";
import { errorCode } from "./kernel-file.ts";

export interface CommandLimits {
  readonly timeoutMs: number;
  readonly maxBytes: number;
  readonly signal?: AbortSignal;
  /** Takes the output piece by piece instead of the result, for output too large to hold. What it throws ends the program. */
  readonly onOutput?: (chunk: Buffer) => void;
}

/** The program is not in PATH. */
export class CommandMissing extends Error {}

/** Standard output of a program that ended with 0. Throws CommandMissing, or an Error with the program's own words. */
export function runCommand(file: string, args: readonly string[], limits: CommandLimits): Promise<string> {
  const { timeoutMs, maxBytes, signal, onOutput } = limits;
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, {
      env: { ...process.env, LC_ALL: "C" },
      stdio: ["ignore", "pipe", "pipe"],
      detached: true, // its own process group: what it started in turn ends with it
    });
    const output: Buffer[] = [];
    let size = 0;
    let complaint = "";
    let closed = false;
    const end = (error: Error | undefined) => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
      child.stdout.destroy();
      child.stderr.destroy();
      if (error === undefined) return resolve(Buffer.concat(output).toString("latin1"));
      if (!closed) killGroup(child.pid);
      reject(error);
    };
    const timer = setTimeout(() => end(new Error(`${file}: no answer within ${timeoutMs / 1000} s, ended`)), timeoutMs);
    const onAbort = () => end(new Error(`${file}: ended with the exporter`));
    signal?.addEventListener("abort", onAbort, { once: true });
    child.stdout.on("data", (chunk: Buffer) => {
      size += chunk.length;
      if (size > maxBytes) return end(new Error(`${file}: more than ${maxBytes} bytes of output, ended`));
      if (onOutput === undefined) return output.push(chunk);
      // One piece a turn of the event loop, else a program that is faster than we are holds up a scrape.
      child.stdout.pause();
      setImmediate(() => child.stdout.resume());
      try {
        onOutput(chunk);
      } catch (error) {
        end(error instanceof Error ? error : new Error(String(error)));
      }
    });
    child.stderr.on("data", (chunk: Buffer) => {
      if (complaint.length < 300) complaint += chunk.toString("latin1", 0, 300);
    });
    child.on("error", (error) =>
      end(
        errorCode(error) === "ENOENT"
          ? new CommandMissing(`${file}: not found`)
          : new Error(`${file}: ${error.message}`),
      ),
    );
    child.on("close", (code, killedBy) => {
      closed = true;
      if (code === 0) return end(undefined);
      const how = code === null ? `ended by ${killedBy}` : `exit code ${code}`;
      end(new Error(`${file}: ${how}${complaint === "" ? "" : `: ${firstLine(complaint)}`}`));
    });
  });
}

export type Result<T> =
  | { readonly state: "pending" }
  | { readonly state: "ok"; readonly value: T; readonly timeMs: number }
  | { readonly state: "failed"; readonly error: Error };

/** Work done again and again in the background; `result` is the last try's, good or bad. */
export class Repeated<T> {
  result: Result<T> = { state: "pending" };
  readonly #work: (signal: AbortSignal) => Promise<T>;
  readonly #everyMs: number;
  readonly #nowMs: () => number;

  constructor(everyMs: number, nowMs: () => number, work: (signal: AbortSignal) => Promise<T>) {
    this.#everyMs = everyMs;
    this.#nowMs = nowMs;
    this.#work = work;
  }

  /** One try now. */
  async once(signal: AbortSignal = new AbortController().signal): Promise<void> {
    try {
      const value = await this.#work(signal);
      this.result = { state: "ok", value, timeMs: this.#nowMs() };
    } catch (error) {
      this.result = { state: "failed", error: error instanceof Error ? error : new Error(String(error)) };
    }
  }

  /** A try now and one `everyMs` after each end, until the signal. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.once(signal);
      await delay(this.#everyMs, undefined, { signal, ref: false }).catch(() => undefined);
    }
  }
}

function killGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // it has ended by itself
  }
}

function firstLine(text: string): string {
  return (text.trim().split("\n", 1)[0] ?? "").slice(0, 200);
}
