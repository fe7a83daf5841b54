#!/usr/bin/env node
/** The command line: picks the command; each lives in a file of its own. Exit code 2 for a mistake of the user's. */
import { observe } from "./observe.ts";
import { probe } from "./probe.ts";
import { serve } from "./serve.ts";

/** `serve` is the default: flags alone start the exporter. */
const commands = { serve, observe, probe } as const satisfies Record<
  string,
  (args: readonly string[]) => Promise<number>
>;

async function main(args: readonly string[]): Promise<number> {
  const [first = "", ...rest] = args;
  if (Object.hasOwn(commands, first)) return commands[first as keyof typeof commands](rest);
  if (first !== "" && !first.startsWith("-")) {
    process.stderr.write(`unknown command "${first}"; there are: ${Object.keys(commands).join(", ")}\n`);
    return 2;
  }
  return serve(args);
}

process.exitCode = await main(process.argv.slice(2));
