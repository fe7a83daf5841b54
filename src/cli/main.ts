#!/usr/bin/env node
/** The command line: picks the command; each lives in a file of its own, and is loaded only when it is asked for. */
import { setFlagsFromString } from "node:v8";
import type { CommandName } from "../config/commands.ts";

// V8 takes memory that an exporter on every host must not: with the first two it needs 95 MB, not 170, while it reads a
// gigabyte of log. The young generation stays at 1 MB, too small to be worth the threads; the old one grows by 30 %.
setFlagsFromString("--semi-space-growth-factor=1");
setFlagsFromString("--heap-growing-percent=30");
setFlagsFromString("--no-parallel-scavenge");

type Command = (args: readonly string[]) => Promise<number>;

/** `serve` is the default: flags alone start the exporter. */
const commands: Readonly<Record<CommandName, () => Promise<Command>>> = {
  serve: async () => (await import("./serve.ts")).serve,
  diagnose: async () => (await import("./diagnose.ts")).diagnose,
  audit: async () => (await import("./audit.ts")).audit,
  check: async () => (await import("./check.ts")).check,
  observe: async () => (await import("./observe.ts")).observe,
  probe: async () => (await import("./probe.ts")).probe,
  completion: async () => (await import("./completion.ts")).completion,
};

/** Exit code 2 for a mistake of the user's. */
async function main(args: readonly string[]): Promise<number> {
  const [first = "", ...rest] = args;
  const named = first !== "" && !first.startsWith("-");
  const load = new Map(Object.entries(commands)).get(named ? first : "serve");
  if (load === undefined) {
    process.stderr.write(`unknown command "${first}"; there are: ${Object.keys(commands).join(", ")}\n`);
    return 2;
  }
  return (await load())(named ? rest : args);
}

// Nobody reads any more, as after `| head`: as a program ends that SIGPIPE ends, in the words of a shell.
process.stdout.on("error", ({ code }: NodeJS.ErrnoException) => process.exit(code === "EPIPE" ? 128 + 13 : 1));

// No await at the top: the executable is made of one CommonJS script, which has none.
void main(process.argv.slice(2)).then((code) => {
  process.exitCode = code;
});
