/** `check`: what an exporter started like this could see here, which causes it could judge, and what would grant the rest. */
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir, userInfo } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import pino from "pino";
import { collectorModules } from "../collectors/index.ts";
import { commands, flagsAndExits } from "../config/commands.ts";
import { ConfigError } from "../config/error.ts";
import { loadConfig } from "../config/load.ts";
import type { Config } from "../config/options.ts";
import { catalogue } from "../diagnosis/catalogue.ts";
import { Exporter } from "../exporter/exporter.ts";
import { stateDirectory } from "../exporter/state-directory.ts";
import { notReadYet } from "../model/collector.ts";
import { openStateDirectory, StateError } from "../state/snapshot.ts";
import type { Part } from "../web/status-page.ts";
import { version } from "./version.ts";

const usage = `Usage: ssh-reset-exporter check [the flags of serve]

What can an exporter started with these flags, as this user, see on this host? One line each for
sources, collectors and causes; what is missing comes with the step that would grant it.

Examples:
  sudo -u ssh-reset-exporter ssh-reset-exporter check
  ssh-reset-exporter check --path.rootfs=/host --path.procfs=/host/proc

${flagsAndExits(commands.check)}`;

/** Sources open and collectors' background work is done within this time, or they are reported as they are. */
const patienceMs = 5_000;

export async function check(args: readonly string[]): Promise<number> {
  if (args.includes("--help") || args.includes("-h")) {
    process.stdout.write(usage);
    return 0;
  }
  try {
    const { config } = loadConfig(args, collectorModules);
    const state = folderToThrowAway(config["state.directory"]);
    try {
      return await look({ ...config, "state.directory": state }, statePart(config["state.directory"]));
    } finally {
      rmSync(state, { recursive: true });
    }
  } catch (error) {
    if (!(error instanceof ConfigError || error instanceof StateError)) throw error;
    process.stderr.write(`ssh-reset-exporter: ${error.message}\n`);
    return 2;
  }
}

/** In a container with a read-only root there is no folder for temporary files: then in the exporter's own. */
function folderToThrowAway(named: string | undefined): string {
  const name = "ssh-reset-exporter-check-";
  try {
    return mkdtempSync(join(tmpdir(), name));
  } catch {
    return mkdtempSync(join(stateDirectory(named).path, name));
  }
}

/** A container's user may have no name. */
function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return `${process.getuid?.()}`;
  }
}

/** Where this exporter would keep its state; it looks with another one, which it throws away. */
function statePart(named: string | undefined): Part {
  const { path, create } = stateDirectory(named);
  const place = create && !existsSync(path) ? nearestFolder(path) : path;
  try {
    openStateDirectory(place, false);
    return { name: "state directory", state: "ok", note: place === path ? path : `${path}, made at the first start` };
  } catch (error) {
    const grant = `install -d -m 0700 -o ${userName()} ${path}`;
    return { name: "state directory", state: "failed", note: (error as Error).message, grant };
  }
}

function nearestFolder(path: string): string {
  const above = dirname(path);
  return existsSync(above) || above === path ? above : nearestFolder(above);
}

async function look(config: Config, state: Part): Promise<number> {
  const exporter = new Exporter(config, { log: pino({ level: "silent" }), version });
  exporter.start();
  const deadline = Date.now() + patienceMs;
  while (Date.now() < deadline && !(await settled(exporter))) await delay(100);
  await exporter.judge();
  const { sources, collectors } = exporter.status();
  const causes = exporter.verdicts().map(
    ({ cause, observable }): Part => ({
      name: cause,
      state: observable ? "ok" : "absent",
      ...grantOf(cause, observable),
    }),
  );
  await exporter.stop();
  process.stdout.write(`As user ${userName()} (uid ${process.getuid?.()}) on this host:\n`);
  print("Sources: what is read", sources);
  print("Collectors: what is measured at a scrape", collectors);
  print("Causes: what can be judged", causes);
  print("State: what survives a restart", [state]);
  const missing = [...sources, ...collectors, ...causes, state].filter(({ state }) => state !== "ok").length;
  process.stdout.write(missing === 0 ? "\nEverything can be seen.\n" : `\n${missing} of these cannot be seen.\n`);
  return missing === 0 ? 0 : 1;
}

/** Every source reads, and no collector waits for its first background reading. */
async function settled(exporter: Exporter): Promise<boolean> {
  await exporter.expose("text", undefined);
  const { collectors } = exporter.status();
  return exporter.notReady() === undefined && collectors.every(({ note = "" }) => !note.includes(notReadYet));
}

function grantOf(id: string, observable: boolean): Pick<Part, "note" | "grant"> {
  const cause = catalogue.find((each) => each.id === id);
  if (cause === undefined) return {};
  return observable ? { note: cause.title } : { note: cause.title, grant: cause.grant };
}

function print(title: string, parts: readonly Part[]): void {
  process.stdout.write(`\n${title}\n`);
  const width = Math.max(...parts.map(({ name }) => name.length));
  const marks = { ok: "yes", absent: "no", failed: "FAILED" } as const;
  for (const { name, state, note, grant } of parts) {
    const line = `  ${name.padEnd(width)}  ${paint(marks[state].padEnd(6), state)}  ${note ?? ""}`.trimEnd();
    const step = grant === undefined || state === "ok" ? "" : `\n  ${" ".repeat(width)}          to see it: ${grant}`;
    process.stdout.write(`${line}${step}\n`);
  }
}

function paint(text: string, state: Part["state"]): string {
  if (!process.stdout.isTTY || process.env["NO_COLOR"]) return text;
  return `\x1b[${{ ok: 32, absent: 33, failed: 31 }[state]}m${text}\x1b[0m`;
}
