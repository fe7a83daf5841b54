/**
 * What the docs name exists: flags and commands of ours, npm's scripts, files of this tree, metrics with their labels, long
 * flags of some programs of others. Each gives what is wrong, in words.
 */
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { collectorModules } from "../../src/collectors/index.ts";
import { type Command as Cli, commands as cli } from "../../src/config/commands.ts";
import { optionTable } from "../../src/config/options.ts";
import { publicInterface } from "../../src/kit/compatibility.ts";
import { simpleCommands } from "./shell.ts";

const { scripts } = JSON.parse(readFileSync("package.json", "utf8")) as { scripts: Record<string, string> };
const list = publicInterface();
const known = new Set([...Object.keys(list.metrics), ...Object.keys(list.records)]);
const options = optionTable(collectorModules);
/** Programs of others whose --help names every long flag, and how it is asked for. */
const helps: Readonly<Record<string, (words: readonly string[]) => readonly string[]>> = {
  curl: () => ["--help", "all"],
  docker: ([, command = "", ...rest]) => {
    const part = command === "compose" ? rest.filter((word) => /^[a-z]+$/.test(word)).slice(0, 1) : [];
    return [command, ...part, "--help"];
  },
  helm: ([, command = ""]) => [command, "--help"],
  journalctl: () => ["--help"],
  kubectl: ([, command = ""]) => [command, "--help"],
  systemctl: () => ["--help"],
};

const helpTexts = new Map<string, string>();

/** Code in the text: commands, metrics, files. What has a placeholder in it is left out, and Prometheus' own switches. */
export function spanProblems(code: string): string[] {
  const problems: string[] = [];
  if (/^(?:sudo )?(?:ssh-reset-exporter|npm) .*[^.]$/.test(code))
    problems.push(...simpleCommands(code).flatMap(commandProblems));
  const flag = /^--(?:no-|\[no-\])?([a-z_]+\.[\w.-]+)/.exec(code)?.[1];
  if (flag !== undefined && !/[A-Z]$|^web\.enable-/.test(flag) && !flagNames().has(`--${flag}`))
    problems.push(`there is no flag --${flag}`);
  for (const [, name = "", labels = ""] of code.matchAll(
    /\b((?:\w+:)?sshreset_[a-z0-9_]+(?::\w+)?)(?:\{([^{}]*)\})?/g,
  )) {
    const promised = Object.keys(list.metrics[name]?.labels ?? {});
    const given = [...labels.matchAll(/(?:^|,)\s*(\w+)/g)].map(([, label = ""]) => label);
    const foreign = promised.length === 0 ? [] : given.filter((label) => !promised.includes(label));
    problems.push(...foreign.map((label) => `${name} has no label ${label}`));
    if (known.has(name) || name.endsWith("_") || known.has(name.replace(/_(bucket|sum|count)$/, ""))) continue;
    problems.push(`there is no metric ${name}`);
  }
  if (/^(?:src|docs|alerts|dashboards|deploy|tools|bench|test)\/[\w./-]*$/.test(code) && !existsSync(code))
    problems.push(`there is no ${code}`);
  return problems;
}

/** Flags that any of our commands takes. */
function flagNames(): Set<string> {
  return new Set([
    ...[...options.keys()].map((name) => `--${name}`),
    ...Object.values<Cli>(cli).flatMap(({ flags }) => flags.map(({ flag }) => flag)),
  ]);
}

/** Flags of our program, scripts of npm, files of this tree. */
export function commandProblems(all: readonly string[]): string[] {
  // What follows our image's name are our flags.
  const image =
    all[0] === "docker" ? all.findLastIndex((word) => /^(?:\S+\/)?ssh-reset-exporter(?::\S+)?$/.test(word)) : -1;
  const words = image < 0 ? all : all.slice(0, image);
  const [program = "", first = ""] = words;
  const files = words.filter(
    (word) => /^(?:\.\/)?(?:docs|alerts|dashboards|deploy|tools|bench)\/[\w./-]+$/.test(word) && !existsSync(word),
  );
  const problems = files.map((file) => `there is no ${file}`);
  if (image >= 0) problems.push(...flagProblems(all.slice(image + 1)));
  if (program === "npm") {
    const run = first === "run" ? words.slice(2).find((word) => !word.startsWith("-")) : undefined;
    const script = run ?? (["test", "start"].includes(first) ? first : undefined);
    if (script !== undefined && scripts[script] === undefined) problems.push(`npm has no script "${script}"`);
  }
  if (program === "ssh-reset-exporter") problems.push(...flagProblems(words.slice(1)));
  const helpOf = helps[program];
  if (helpOf !== undefined) problems.push(...helpProblems([program, ...helpOf(words)], words));
  return problems;
}

/** Where the program is not here, nothing is known. */
function helpProblems(ask: readonly string[], words: readonly string[]): string[] {
  const asked = ask.join(" ");
  const text = helpTexts.get(asked) ?? helpText(ask);
  helpTexts.set(asked, text);
  if (text === "") return [];
  const end = words.indexOf("--");
  const given = words.slice(0, end < 0 ? undefined : end).filter((word) => word.startsWith("--"));
  return given
    .map((word) => word.split("=", 1)[0] ?? "")
    .filter((flag) => !new RegExp(`${flag}\\b`).test(text))
    .map((flag) => `${asked} names no ${flag}`);
}

function helpText([program = "", ...args]: readonly string[]): string {
  const { stdout, status } = spawnSync(program, args, { encoding: "utf8", timeout: 10_000 });
  // Docker without a plugin shows its own help for it.
  return status === 0 && (args[0] !== "compose" || stdout.includes("docker compose")) ? stdout : "";
}

function flagProblems(args: readonly string[]): string[] {
  const [name = "", ...rest] = args;
  const named = name !== "" && !name.startsWith("-") && !/^[A-Z.]/.test(name);
  const command: Cli | undefined = (cli as Readonly<Record<string, Cli>>)[named ? name : "serve"];
  if (command === undefined) return [`there is no command "${name}"`];
  const accepted = new Set(command.flags.map(({ flag }) => flag));
  for (const [option, { type }] of command.takesOptions ? options : []) {
    accepted.add(`--${option}`);
    if (type === "switch") accepted.add(`--no-${option}`);
  }
  const given = (named ? rest : args).filter((word) => /^-[-\w]/.test(word)).map((word) => word.split("=", 1)[0] ?? "");
  return given.filter((flag) => !accepted.has(flag)).map((flag) => `${named ? name : "serve"} has no flag ${flag}`);
}
