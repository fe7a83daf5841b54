/** Runs a program to its end, with a deadline; what it said is in the error where it fails. */
import { spawn } from "node:child_process";

export interface Ended {
  readonly status: number | string;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CommandOptions {
  readonly timeoutMs?: number;
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly input?: string;
  readonly cwd?: string;
  /** Of standard output; what is more is cut off. Default 1 MB. */
  readonly limitBytes?: number;
}

const defaultLimit = 1 << 20;

/** Its standard output. Throws when it does not end with 0. */
export async function run(program: string, args: readonly string[], options: CommandOptions = {}): Promise<string> {
  const { status, stdout, stderr } = await attempt(program, args, options);
  if (status !== 0) {
    const said = `${stderr}${stdout}`.trim().slice(-800);
    throw new Error(`${program} ${args.join(" ").slice(0, 300)} ended with ${status}: ${said}`);
  }
  return stdout;
}

/** However it ends; a deadline ends it with SIGKILL. */
export function attempt(program: string, args: readonly string[], options: CommandOptions = {}): Promise<Ended> {
  const { timeoutMs = 30_000, env = process.env, input, cwd, limitBytes: limit = defaultLimit } = options;
  return new Promise((resolve) => {
    const child = spawn(program, args, { env, cwd, stdio: [input === undefined ? "ignore" : "pipe", "pipe", "pipe"] });
    let stdout = "";
    let stderr = "";
    child.stdout?.on("data", (chunk: Buffer) => {
      if (stdout.length < limit) stdout += chunk.toString();
    });
    child.stderr?.on("data", (chunk: Buffer) => {
      stderr = (stderr + chunk.toString()).slice(-limit);
    });
    const timer = setTimeout(() => child.kill("SIGKILL"), timeoutMs);
    child.on("error", (error) => {
      clearTimeout(timer);
      resolve({ status: error.message, stdout, stderr });
    });
    child.on("close", (code, signal) => {
      clearTimeout(timer);
      resolve({ status: code ?? signal ?? "unknown", stdout, stderr });
    });
    child.stdin?.on("error", () => undefined);
    child.stdin?.end(input);
  });
}

/** Asks again until it is there. Throws what was waited for, and the last answer, after the deadline. */
export async function until<T>(
  what: string,
  ask: () => Promise<T | undefined | false>,
  { deadlineMs = 30_000, everyMs = 200 }: { readonly deadlineMs?: number; readonly everyMs?: number } = {},
): Promise<T> {
  const end = Date.now() + deadlineMs;
  let last = "";
  for (;;) {
    try {
      const answer = await ask();
      if (answer !== undefined && answer !== false) return answer;
      last = "not yet";
    } catch (error) {
      last = error instanceof Error ? error.message : String(error);
    }
    if (Date.now() > end) throw new Error(`${what}: not within ${Math.round(deadlineMs / 1000)} s (${last})`);
    await new Promise((resolve) => setTimeout(resolve, everyMs));
  }
}
