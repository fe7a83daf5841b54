/** `observe`: what only root can set up for the exporter, in tables and trace instances of its own. */
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { commands, flagsAndExits } from "../config/commands.ts";
import { loadRuleset } from "../observe/nft.ts";
import { removalText, rulesetText } from "../observe/ruleset.ts";
import { prepareInstance, removePreparedInstance } from "../sources/tcp-trace.ts";

const usage = `Usage: ssh-reset-exporter observe COMMAND [flags]

install       load the nftables table that notes the TTLs of resets and of segments to sshd; it drops nothing
show          print that table; "observe show | nft -f -" loads it by hand
remove        remove it
trace         prepare the trace instance that an exporter without privileges reads
trace-remove  remove it

${flagsAndExits(commands.observe)}`;

/** As parseArgs takes them. */
export const observeFlags = {
  "sshd.port": { type: "string", multiple: true },
  "path.tracefs": { type: "string", default: "/sys/kernel/tracing" },
  group: { type: "string" },
  help: { type: "boolean", short: "h" },
} as const;

export async function observe(args: readonly string[]): Promise<number> {
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: observeFlags,
    });
    const [command = "", ...others] = positionals;
    if (values.help === true) return say(usage);
    if (others.length > 0) return mistake(`unexpected "${others[0]}"`);
    const ports = (values["sshd.port"] ?? ["22"]).map(portNumber);
    return await run(command, ports, values["path.tracefs"], values.group);
  } catch (error) {
    if (error instanceof Mistake || (error instanceof TypeError && "code" in error)) return mistake(error.message);
    process.stderr.write(`observe: ${error instanceof Error ? error.message : String(error)}\n`);
    return 1;
  }
}

async function run(command: string, ports: readonly number[], tracefs: string, group?: string): Promise<number> {
  if (command === "show") return say(rulesetText(ports));
  if (command === "install") {
    await loadRuleset(rulesetText(ports));
    return 0;
  }
  if (command === "remove") {
    await loadRuleset(removalText);
    return 0;
  }
  if (command === "trace")
    return say(`${prepareInstance(tracefs, ports, group === undefined ? undefined : groupId(group))}\n`);
  if (command === "trace-remove") {
    removePreparedInstance(tracefs);
    return 0;
  }
  return mistake(command === "" ? "no command given" : `unknown command "${command}"`);
}

class Mistake extends Error {}

function portNumber(text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (port < 1 || port > 65_535) throw new Mistake(`--sshd.port: "${text}" is no port: 1 to 65535`);
  return port;
}

/** group(5): NAME:PASSWORD:GID:MEMBERS. */
function groupId(name: string): number {
  if (/^\d+$/.test(name)) return Number(name);
  const line = readFileSync("/etc/group", "utf8")
    .split("\n")
    .find((entry) => entry.startsWith(`${name}:`));
  if (line === undefined) throw new Mistake(`--group: there is no group "${name}" in /etc/group`);
  return Number(line.split(":")[2]);
}

function say(text: string): number {
  process.stdout.write(text);
  return 0;
}

function mistake(message: string): number {
  process.stderr.write(`observe: ${message}\n\n${usage}`);
  return 2;
}
