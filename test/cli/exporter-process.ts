/** Runs the built exporter as users do: a process of its own, asked over HTTP, ended by the pid that was started. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";

const program = new URL("../../dist/cli/main.js", import.meta.url).pathname;

export interface ExporterProcess {
  readonly url: string;
  readonly child: ChildProcess;
  /** All that it has written to stderr so far. */
  stderr(): string;
  get(path: string, headers?: Record<string, string>): Promise<Response>;
  /** Metric text, comments and blank lines left out: `name{labels}` to value. */
  values(): Promise<ReadonlyMap<string, number>>;
  /** Scrapes until the condition holds; fails with the last values after the deadline. */
  until(
    what: string,
    holds: (values: ReadonlyMap<string, number>) => boolean,
    deadlineMs?: number,
  ): Promise<ReadonlyMap<string, number>>;
  stop(signal?: NodeJS.Signals): Promise<number | null>;
}

/** Ends with its exit code and what it wrote: for mistakes, --help and the like. */
export async function runExporter(...args: string[]): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const child = spawn(process.execPath, [built(), ...args], { stdio: ["ignore", "pipe", "pipe"] });
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (chunk) => (stdout += chunk));
  child.stderr.on("data", (chunk) => (stderr += chunk));
  const guard = setTimeout(() => child.kill("SIGKILL"), 20_000);
  const [code] = (await once(child, "close")) as [number | null];
  clearTimeout(guard);
  return { code, stdout, stderr };
}

/** Starts on a port that the system picks, and waits until it listens. */
export async function startExporter(
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): Promise<ExporterProcess> {
  const child = spawn(process.execPath, [built(), "--web.listen-address=127.0.0.1:0", ...args], {
    stdio: ["ignore", "ignore", "pipe"],
    env: { ...process.env, ...environment },
  });
  let stderr = "";
  child.stderr.on("data", (chunk) => (stderr += chunk));
  const port = await waitFor("the exporter to listen", 20_000, async () => {
    if (child.exitCode !== null) throw new Error(`the exporter ended with ${child.exitCode}: ${stderr}`);
    return /address=127\.0\.0\.1:(\d+)/.exec(stderr)?.[1];
  });
  const url = `http://127.0.0.1:${port}`;
  const get = (path: string, headers: Record<string, string> = {}) => fetch(url + path, { headers });
  const values = async () => parseValues(await (await get("/metrics")).text());
  return {
    url,
    child,
    stderr: () => stderr,
    get,
    values,
    async until(what, holds, deadlineMs = 10_000) {
      let last: ReadonlyMap<string, number> = new Map();
      return waitFor(
        what,
        deadlineMs,
        async () => {
          last = await values();
          return holds(last) ? last : undefined;
        },
        () =>
          [...last]
            .filter(([name, value]) => name.startsWith("sshreset_") && value !== 0)
            .map((pair) => pair.join(" "))
            .join("\n"),
      );
    },
    async stop(signal = "SIGTERM") {
      if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
      child.kill(signal);
      const [code] = (await once(child, "exit")) as [number | null];
      return code;
    },
  };
}

export function parseValues(text: string): ReadonlyMap<string, number> {
  const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return new Map(
    lines.map((line) => [line.slice(0, line.lastIndexOf(" ")), Number(line.slice(line.lastIndexOf(" ") + 1))]),
  );
}

/** Polls until a value comes; fails after the deadline with what was waited for. */
export async function waitFor<T>(
  what: string,
  deadlineMs: number,
  poll: () => Promise<T | undefined>,
  detail = () => "",
): Promise<T> {
  const deadline = Date.now() + deadlineMs;
  for (;;) {
    const value = await poll();
    if (value !== undefined) return value;
    if (Date.now() > deadline) throw new Error(`waited ${deadlineMs} ms for ${what} in vain\n${detail()}`);
    await delay(50);
  }
}

function built(): string {
  if (!existsSync(program)) throw new Error("dist/ is missing: npm run build");
  return program;
}
