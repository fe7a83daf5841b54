/**
 * Flags and the YAML file to one checked Config. Flags win over the file, the file over the defaults.
 * Every mistake is a ConfigError that names the flag or the file's key, quotes the value and suggests the nearest name.
 */
import { readFileSync } from "node:fs";
import { isIP } from "node:net";
import { parseArgs } from "node:util";
import { ConfigError } from "./error.ts";
import { parseListenAddress } from "./listen-address.ts";
import { nearest } from "./nearest.ts";
import {
  type CollectorSwitch,
  type Config,
  type Option,
  type OptionValue,
  optionTable,
  type Settings,
} from "./options.ts";
import { parseYaml } from "./yaml.ts";

type Values = Map<string, OptionValue>;

/** Flags that steer the command itself and have no place in the file. */
export const commandFlags = ["config.file", "config.check", "help", "version"] as const;

export interface CommandLine {
  readonly config: Config;
  /** --config.check: say whether the configuration is good, and end. */
  readonly checkOnly: boolean;
}

/** Throws ConfigError. `--help` and `--version` are the caller's: they need no valid configuration. */
export function loadConfig(args: readonly string[], collectors: readonly CollectorSwitch[]): CommandLine {
  const table = optionTable(collectors);
  const flags = readFlags(args, table);
  const file = flags.get("config.file");
  const values: Values = new Map([...table].map(([name, option]) => [name, option.default]));
  if (typeof file === "string") for (const [name, value] of readConfigFile(file, table)) values.set(name, value);
  for (const [name, value] of flags) values.set(name, value);
  const settings = Object.fromEntries(values) as unknown as Settings;
  checkTogether(settings);
  const on = collectors.filter(({ name }) => values.get(`collector.${name}`) === true).map(({ name }) => name);
  return { config: { ...settings, collectors: on }, checkOnly: flags.get("config.check") === true };
}

function readFlags(args: readonly string[], table: ReadonlyMap<string, Option>): Values {
  const isSwitch = (name: string) => table.get(name)?.type === "switch";
  const known = [...table.keys(), ...commandFlags];
  const shapes = Object.fromEntries(
    known.map((name) => [
      name,
      { type: isSwitch(name) || (name !== "config.file" && !table.has(name)) ? "boolean" : "string" } as const,
    ]),
  );
  const { tokens } = parseArgs({
    args: [...args],
    options: shapes,
    strict: false,
    tokens: true,
    allowPositionals: true,
  });
  const values: Values = new Map();
  for (const token of tokens) {
    if (token.kind === "positional") {
      throw new ConfigError(`unexpected argument "${token.value}"; flags start with --, see --help`);
    }
    if (token.kind === "option-terminator") continue;
    const negated = token.name.startsWith("no-") && isSwitch(token.name.slice(3)) ? token.name.slice(3) : undefined;
    const name = negated ?? token.name;
    if (!known.includes(name)) throw unknownName(`unknown flag ${token.rawName}`, token.name, known, "--");
    if (negated !== undefined && token.value !== undefined) {
      throw new ConfigError(`${token.rawName} takes no value, got "${token.value}"`);
    }
    if (negated !== undefined) values.set(name, false);
    else addFlag(values, name, token.value, table.get(name));
  }
  return values;
}

function addFlag(values: Values, name: string, text: string | undefined, option: Option | undefined): void {
  const place = `--${name}`;
  if (option === undefined || option.type === "switch") {
    if (name === "config.file") {
      if (!text) throw new ConfigError(`${place} needs a value: the path of a YAML file`);
      values.set(name, text);
    } else {
      values.set(name, text === undefined ? true : parseSwitch(text, place));
    }
    return;
  }
  if (text === undefined || text === "")
    throw new ConfigError(`${place} needs a value: ${option.placeholder ?? option.type}`);
  const value = checkValue(
    option.type === "integer" || option.type === "integers" ? toNumber(text) : text,
    option,
    place,
  );
  const before = values.get(name);
  values.set(name, Array.isArray(before) ? [...before, ...(value as readonly never[])] : value);
}

function readConfigFile(path: string, table: ReadonlyMap<string, Option>): Values {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    throw new ConfigError(`--config.file: cannot read "${path}": ${(error as Error).message}`);
  }
  const root = parseYaml(text, path);
  if (root === null || root === undefined) return new Map();
  if (typeof root !== "object" || Array.isArray(root)) {
    throw new ConfigError(
      `${path}: expected keys such as "web.listen-address", got ${JSON.stringify(root).slice(0, 80)}`,
    );
  }
  const values: Values = new Map();
  flatten(root, "", table, path, values);
  return values;
}

/** `web: {listen-address: x}` and `web.listen-address: x` are the same key. */
function flatten(node: object, prefix: string, table: ReadonlyMap<string, Option>, path: string, into: Values): void {
  for (const [key, value] of Object.entries(node)) {
    const name = prefix + key;
    const option = table.get(name);
    if (option) {
      if (into.has(name)) throw new ConfigError(`${path}: key "${name}" is given twice`);
      into.set(name, checkValue(value, option, `${path}: ${name}`));
    } else if (isBranch(name, table) && typeof value === "object" && value !== null && !Array.isArray(value)) {
      flatten(value, `${name}.`, table, path, into);
    } else {
      throw unknownName(`${path}: unknown key "${name}"`, name, table.keys(), "");
    }
  }
}

function isBranch(name: string, table: ReadonlyMap<string, Option>): boolean {
  for (const known of table.keys()) if (known.startsWith(`${name}.`)) return true;
  return false;
}

function unknownName(message: string, name: string, known: Iterable<string>, dash: string): ConfigError {
  const near = nearest(name.replace(/^no-/, ""), known);
  return new ConfigError(near === undefined ? message : `${message}; did you mean ${dash}${near}?`);
}

function toNumber(text: string): number | string {
  return /^-?\d+$/.test(text) ? Number(text) : text;
}

function parseSwitch(text: string, place: string): boolean {
  if (text === "true") return true;
  if (text === "false") return false;
  throw new ConfigError(`${place}: "${text}" is neither true nor false`);
}

function checkValue(value: unknown, option: Option, place: string): OptionValue {
  switch (option.type) {
    case "switch":
      if (typeof value === "boolean") return value;
      throw new ConfigError(`${place}: ${quote(value)} is neither true nor false`);
    case "integer":
      return checkInteger(value, option.min, option.max, place);
    case "integers":
      return asList(value).map((item) => checkInteger(item, option.min, option.max, place));
    case "texts":
      return asList(value).map((item) => checkText(item, place));
    case "text": {
      const text = checkText(value, place);
      if (option.choices && !option.choices.includes(text)) {
        throw new ConfigError(`${place}: "${text}" is not one of ${option.choices.join(", ")}`);
      }
      return text;
    }
  }
}

function asList(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [value];
}

function checkText(value: unknown, place: string): string {
  if (typeof value === "string" && value !== "") return value;
  throw new ConfigError(`${place}: ${quote(value)} is not a text`);
}

function checkInteger(value: unknown, min: number, max: number, place: string): number {
  if (typeof value === "number" && Number.isInteger(value) && value >= min && value <= max) return value;
  throw new ConfigError(`${place}: ${quote(value)} is not a whole number between ${min} and ${max}`);
}

function quote(value: unknown): string {
  return JSON.stringify(value)?.slice(0, 80) ?? String(value);
}

/** Of the status page, its assets and its JSON, of health and of the probe. */
const takenPaths = /^\/(?:|-\/.*|style\.css|refresh\.js|api\/.*|probe)$/;

/** Rules that one option alone cannot tell. */
function checkTogether(settings: Settings): void {
  for (const address of settings["web.listen-address"]) parseListenAddress(address);
  const path = settings["web.telemetry-path"];
  if (!/^\/[\w./-]*$/.test(path) || takenPaths.test(path)) {
    throw new ConfigError(`--web.telemetry-path: "${path}" is not a path of its own such as /metrics`);
  }
  const base = settings["web.runbook-base"];
  if (base !== undefined && !/^https?:\/\/[^\s"<>]+$/.test(base)) {
    throw new ConfigError(`--web.runbook-base: "${base}" is no URL such as https://runbooks.example.org/ssh`);
  }
  if (settings["web.show-evidence"] && settings["web.config.file"] === undefined) {
    throw new ConfigError(
      "--web.show-evidence shows log lines: it needs --web.config.file with users or client certificates",
    );
  }
  if (settings["web.show-evidence"] && settings["peers.hash"]) {
    throw new ConfigError("--web.show-evidence shows addresses and --peers.hash hides them: give one of them");
  }
  for (const name of ["peers.proxy", "peers.health-check"] as const) {
    for (const address of settings[name]) {
      if (isIP(address) === 0) throw new ConfigError(`--${name}: "${address}" is no IP address`);
    }
  }
  const proxyLogs = settings["source.haproxy-log"];
  if (proxyLogs.includes("journal") && proxyLogs.length > 1)
    throw new ConfigError("--source.haproxy-log=journal and a file of it would be counted twice: give one of them");
  if (settings["source.journal.directory"] !== undefined && settings["source.journal.file"] !== undefined) {
    throw new ConfigError("--source.journal.directory and --source.journal.file exclude each other");
  }
}
