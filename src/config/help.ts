/** --help: what the command does, examples that work, every flag by group with its default. */
import { commands, flagsAndExits } from "./commands.ts";
import { type CollectorSwitch, type Option, optionTable } from "./options.ts";

const intro = `Usage: ssh-reset-exporter [serve] [flags]

Why did SSH say "Connection reset by peer"? Follows sshd's, systemd's and the kernel's
own evidence on this host and serves it as Prometheus metrics.

Examples:
  ssh-reset-exporter
      Serve on port 10922, with the sources that this host offers.
  ssh-reset-exporter --source.logfile=/var/log/auth.log --source.from-beginning
      Read a log file from its beginning, and follow it.
  ssh-reset-exporter --source.journal.directory=/host/journal --path.procfs=/host/proc --path.rootfs=/host
      In a container that mounts the host's folders.
  ssh-reset-exporter --config.file=/etc/ssh-reset-exporter.yml --config.check
      Check a configuration and end: exit code 0 if it is good, 2 if not.
`;

export function helpText(collectors: readonly CollectorSwitch[]): string {
  const groups = new Map<string, string[]>();
  for (const [name, option] of optionTable(collectors)) {
    groups.set(option.group, [...(groups.get(option.group) ?? []), flagLine(name, option)]);
  }
  const sections = [...groups].map(([group, lines]) => `${group}:\n${lines.join("\n")}\n`);
  return [intro, commandSection(), ...sections, flagsAndExits(commands.serve)].join("\n");
}

function commandSection(): string {
  const lines = Object.entries(commands).map(([name, { summary }]) => `  ${name.padEnd(12)}${summary}`);
  return `Commands, each with a --help of its own:\n${lines.join("\n")}\n`;
}

function flagLine(name: string, option: Option): string {
  const flag = option.type === "switch" ? `--[no-]${name}` : `--${name}=${option.placeholder ?? "VALUE"}`;
  const head = `  ${flag}`.padEnd(30);
  const gap = head.endsWith(" ") ? " " : `\n${" ".repeat(31)}`;
  return `${head}${gap}${meaningOf(option)}`;
}

/** Its summary, what it may be and what it is by default. */
export function meaningOf(option: Option): string {
  const choices = option.type === "text" && option.choices ? ` One of ${option.choices.join(", ")}.` : "";
  const stop = option.summary.endsWith(".") ? "" : ".";
  return `${option.summary}${stop}${choices}${defaultNote(option)}`;
}

function defaultNote(option: Option): string {
  const value = option.default;
  if (value === undefined || (Array.isArray(value) && value.length === 0)) return "";
  return ` Default: ${value === true ? "on" : value === false ? "off" : String(value)}.`;
}
