/**
 * `npm run docs:test`: what the docs say is true. Every command in a block `sh` or `console` is run in a sandbox, and prints
 * what the page shows; one that cannot run here says so and why (`# not run here: REASON` as the block's first line, or
 * `> Not run here: REASON` for a page). Of all: the shell reads them, flags and npm's scripts exist. Links, anchors,
 * metrics, files and flags named in the text exist. `-- PAGE...`: only these; `-- --no-run`: nothing is run.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { appendFileSync, existsSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { parseArgs } from "node:util";
import { parse } from "yaml";
import { type Command as Cli, commands as cli } from "../src/config/commands.ts";
import { commandProblems, spanProblems } from "./docs-test/names.ts";
import {
  type Block,
  type Command,
  commandsOf,
  missingLine,
  notRunReason,
  type Page,
  parsePage,
} from "./docs-test/page.ts";
import { isServer, quoted, Sandbox, whyNoSandbox } from "./docs-test/sandbox.ts";
import { simpleCommands } from "./docs-test/shell.ts";

/** From which every page can be found. */
const index = "docs/README.md";
const languages = ["sh", "console", "text", "yaml", "json", "promql", "ini"];
const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: { "no-run": { type: "boolean" } },
});

const readers = new Set(
  "awk cat curl free getent grep head ip journalctl nproc ps sort ss sysctl tail uniq uptime".split(" "),
);

const wrong: string[] = [];
const unrun = new Map<string, number>();
const pages = new Map(pageFiles().map((file) => [file, readPage(file)]));
const chosen = [...pages].filter(([file]) => positionals.length === 0 || positionals.includes(file));
for (const name of positionals) if (!pages.has(name)) wrong.push(`${name}: no such page`);
for (const [file, page] of chosen) check(file, page);
const linked = new Set(pages.get(index)?.links.map(({ target }) => join("docs", target)));
for (const [file] of chosen) {
  if (file.startsWith("docs/") && file !== index && !linked.has(file)) wrong.push(`${index}: no link to ${file}`);
}
const ran = flags["no-run"] ? 0 : await runAll();
for (const [reason, count] of unrun) console.log(`not run here, ${count}: ${reason}`);
for (const line of wrong) console.log(line);
console.log(`${chosen.length} pages, ${ran} commands run, ${wrong.length} things wrong`);
process.exitCode = wrong.length === 0 ? 0 : 1;

function pageFiles(): string[] {
  const args = ["ls-files", "--cached", "--others", "--exclude-standard", "*.md"];
  const files = execFileSync("git", args, { encoding: "utf8" }).split("\n").filter(Boolean);
  return files.filter((file) => !file.startsWith("test/fixtures/") && existsSync(file));
}

function readPage(file: string): Page {
  try {
    return parsePage(readFileSync(file, "utf8"));
  } catch (error) {
    throw new Error(`${file}: ${(error as Error).message}`);
  }
}

/** All that needs no run. */
function check(file: string, page: Page): void {
  const say = (line: number, what: string): void => void wrong.push(`${file}:${line}: ${what}`);
  for (const { line, target } of page.links) {
    const problem = linkProblem(file, target);
    if (problem !== undefined) say(line, problem);
  }
  for (const { line, code } of page.spans) for (const problem of spanProblems(code)) say(line, problem);
  for (const block of page.blocks) {
    if (!languages.includes(block.language))
      say(block.line, `a block of "${block.language}", not of ${languages.join(", ")}`);
    if (block.language === "yaml" || block.language === "json") dataProblem(block, say);
    for (const [, text = ""] of block.text.matchAll(/^\d\. (ssh-reset-exporter .+)$/gm)) {
      for (const problem of simpleCommands(text).flatMap(commandProblems)) say(block.line, problem);
    }
    if (!isShell(block)) continue;
    for (const { line, text } of commandsOf(block)) {
      const { status, stderr } = spawnSync("bash", ["-n"], { input: text, encoding: "utf8" });
      if (status !== 0) say(line, `bash cannot read it: ${stderr.trim()}`);
      for (const words of simpleCommands(text)) for (const problem of commandProblems(words)) say(line, problem);
    }
  }
}

function isShell({ language }: Block): boolean {
  return language === "sh" || language === "console";
}

function dataProblem({ line, language, text }: Block, say: (line: number, what: string) => void): void {
  try {
    if (language === "json") JSON.parse(text);
    else parse(text, { logLevel: "silent" });
  } catch (error) {
    say(line, `no ${language}: ${(error as Error).message.split("\n")[0]}`);
  }
}

/** Own pages only: nobody else is asked. */
function linkProblem(file: string, target: string): string | undefined {
  if (/^(https?:|mailto:)/.test(target)) return URL.canParse(target) ? undefined : `no address: ${target}`;
  const [path = "", anchor] = target.split("#");
  const aim = path === "" ? file : normalize(join(dirname(file), decodeURI(path)));
  if (!existsSync(aim)) return `link to ${target}: there is no ${aim}`;
  if (anchor === undefined || !aim.endsWith(".md")) return undefined;
  return pages.get(aim)?.anchors.has(anchor) ? undefined : `link to ${target}: no heading of ${aim} has that anchor`;
}

async function runAll(): Promise<number> {
  const reason = whyNoSandbox();
  if (reason !== undefined) {
    skipAll(reason);
    return 0;
  }
  const sandbox = new Sandbox();
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.once(signal, () => {
      sandbox.remove();
      process.exit(130);
    });
  }
  let count = 0;
  const tries: Try[] = [];
  try {
    for (const [file, page] of chosen) {
      for (const block of page.blocks.filter(isShell)) {
        const commands = commandsOf(block);
        const why = notRunReason(block) ?? page.notRun;
        if (why !== undefined) unrun.set(why, (unrun.get(why) ?? 0) + commands.length);
        else count += await run(file, commands, sandbox);
        if (page.notRun !== undefined)
          tries.push(...commands.filter(({ text }) => isReading(text)).map((command) => ({ file, command })));
      }
    }
    await tryAll(tries, sandbox);
  } finally {
    sandbox.remove();
  }
  return count;
}

interface Try {
  readonly file: string;
  readonly command: Command;
}

/** Of pages that are not run: what only reads is tried on the sandbox's host, whatever it finds there. Its options must be known. */
async function tryAll(tries: readonly Try[], sandbox: Sandbox): Promise<void> {
  const commands = tries.map(({ command }) => ({
    ...command,
    shown: [],
    text: `timeout 3 bash -c ${quoted(command.text)}`,
  }));
  const ran = await sandbox.run([{ line: 0, text: "ssh-reset-exporter", shown: [] }, ...commands]);
  for (const [index, { status, printed }] of ran.slice(1).entries()) {
    const { file, command } = tries[index] as Try;
    const refused =
      /(?:invalid|unrecognized|unknown|illegal|bad|wrong) (?:\S+ ){0,2}(?:option|argument|command|verb|filter|state|specifier)|syntax error/i.test(
        printed,
      );
    if (refused || Number.isNaN(status))
      wrong.push(`${file}:${command.line}: ${command.text.split("\n")[0]}\n${indented(printed)}`);
  }
  if (tries.length > 0) console.log(`of those, ${tries.length} that only read were tried`);
}

/** Programs that change nothing and are here. */
function isReading(text: string): boolean {
  return simpleCommands(text).every(
    ([program = "", ...args]) =>
      (readers.has(program) || (program === "systemctl" && args[0] === "show")) &&
      !args.includes("-w") &&
      spawnSync("sh", ["-c", `command -v ${program}`]).status === 0,
  );
}

async function run(file: string, all: readonly Command[], sandbox: Sandbox): Promise<number> {
  const commands = all.filter(({ text }) => !isStage(text));
  for (const { command, status, printed } of await sandbox.run(commands)) {
    const place = `${file}:${command.line}: ${command.text.split("\n")[0]}`;
    const missing = missingLine(command.shown, printed);
    if (!isGood(command, status)) wrong.push(`${place}\n  ended with ${status}:\n${indented(printed)}`);
    else if (missing !== undefined) wrong.push(`${place}\n  did not print "${missing}", but:\n${indented(printed)}`);
  }
  return commands.length;
}

/** A stage or part of `npm test` itself: the script exists, and is run there. */
function isStage(text: string): boolean {
  return /^npm (?:test|run (?:unit|check|coverage|demo|lab|full|bench|fuzz))\b/.test(text);
}

/** Any exit code of ours that answers a question; 2 says that the question was wrong. */
function isGood({ text }: Command, status: number): boolean {
  // npm ends by the signal that it hands on.
  if (isServer(text)) return status === 0 || (text.startsWith("npm") && status === 143);
  const [program, name = ""] = simpleCommands(text).at(-1) ?? [];
  const exits = program === "ssh-reset-exporter" ? (cli as Readonly<Record<string, Cli>>)[name]?.exits : undefined;
  return status === 0 || (exits !== undefined && status !== 2 && status in exits);
}

function indented(text: string): string {
  return text.replace(/^/gm, "    ").trimEnd();
}

/** As tools/skip.ts does for tests. */
function skipAll(reason: string): void {
  const file = process.env["SKIPS_FILE"];
  if (process.env["CI"] === "true") wrong.push(`CI may not skip: ${reason}`);
  else if (file !== undefined) appendFileSync(file, `${JSON.stringify({ title: "commands of the docs", reason })}\n`);
  console.log(`commands are not run: ${reason}`);
}
