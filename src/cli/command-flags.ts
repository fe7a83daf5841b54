/**
 * What may follow each command: its own flags from the list of commands, those of serve from the list of options, in
 * one shape for completions and man page.
 */
import { collectorModules } from "../collectors/index.ts";
import { type Command, type CommandName, commands } from "../config/commands.ts";
import { meaningOf } from "../config/help.ts";
import { optionTable } from "../config/options.ts";

export interface Flag {
  /** As it is typed: `--since`, `-4`. */
  readonly flag: string;
  /** A switch that may be turned off: `--no-source.kmsg`. */
  readonly negation?: string;
  /** How the value is shown; none: a switch. */
  readonly placeholder?: string;
  readonly choices?: readonly string[];
  readonly repeatable: boolean;
  readonly group: string;
  /** For one line of a menu. */
  readonly summary: string;
  /** With its choices and default. */
  readonly meaning: string;
}

/** Widened from the literal list: not every command has operands. */
export const commandList = Object.entries(commands) as readonly (readonly [CommandName, Command])[];

/** In the order of --help. */
export function ownFlags(command: Command): readonly Flag[] {
  return command.flags.map((flag) => ({
    ...flag,
    repeatable: /repeatable/i.test(flag.summary),
    group: "Command",
    meaning: flag.summary,
  }));
}

/** The flags of serve that are keys of the configuration file, too. */
export const sharedFlags: readonly Flag[] = [...optionTable(collectorModules)].map(([name, option]) => ({
  flag: `--${name}`,
  ...(option.type === "switch" ? { negation: `--no-${name}` } : { placeholder: option.placeholder ?? "VALUE" }),
  ...(option.type === "text" && option.choices !== undefined && { choices: option.choices }),
  repeatable: option.type === "texts" || option.type === "integers",
  group: option.group,
  summary: option.summary,
  meaning: meaningOf(option),
}));

export function flagsOf(command: Command): readonly Flag[] {
  const own = ownFlags(command);
  if (!command.takesOptions) return own;
  const file = ownFlags(commands.serve).filter(({ flag }) => flag === "--config.file");
  return [...own, ...file.filter(({ flag }) => !own.some((each) => each.flag === flag)), ...sharedFlags];
}

/** What a shell can offer for a value or an operand. */
export type Offer = { readonly words: readonly string[] } | "files" | "hosts" | "groups" | "nothing";

export function offerOf(flag: Flag): Offer {
  return flag.choices === undefined ? offerFor(flag.placeholder) : { words: flag.choices };
}

/** `FILE...`, `HOST[:PORT]...`, `bash|zsh|fish`. */
export function offerFor(placeholder = ""): Offer {
  if (/^(FILE|PATH)\b/.test(placeholder)) return "files";
  if (placeholder.startsWith("HOST")) return "hosts";
  if (placeholder === "GROUP") return "groups";
  return placeholder.includes("|") ? { words: placeholder.split("|") } : "nothing";
}
