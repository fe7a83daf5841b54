/** The manual page ssh-reset-exporter(8), in man(7), from the lists of commands and options. Written by the packages. */
import { type Command, type CommandName, commands } from "../config/commands.ts";
import { commandList, type Flag, ownFlags, sharedFlags } from "./command-flags.ts";

export interface Edition {
  readonly version: string;
  /** YYYY-MM-DD. */
  readonly date: string;
}

const about = [
  "Why did SSH say \"Connection reset by peer\"? \\fBssh-reset-exporter\\fR follows sshd's, systemd's and the kernel's own evidence on this host and serves it as Prometheus metrics on port 10922, beside a page that walks the checklist of causes. Other commands look at one moment, or from the client's side.",
  "Every flag of \\fBserve\\fR below a heading of its own is also a key of the YAML file that \\fB\\-\\-config.file\\fR names. Flags win over the file. A switch is turned off by \\fB\\-\\-no\\-\\fINAME\\fR. Unknown names are refused.",
];

const files: readonly (readonly [string, string])[] = [
  ["/etc/ssh-reset-exporter/config.yaml", "The configuration that the packaged service reads."],
  ["/etc/default/ssh-reset-exporter", "ARGS: flags of the packaged service."],
  ["/var/lib/ssh-reset-exporter", "What survives a restart: positions in the logs, counters, known peers."],
  ["/usr/share/ssh-reset-exporter", "Alert rules, dashboards and drop-ins for the service, to copy."],
  ["/usr/share/doc/ssh-reset-exporter", "Manual, runbooks and the list of metrics."],
];

const signals: readonly (readonly [string, string])[] = [
  ["SIGHUP", "serve reads its configuration again; a bad one is refused and said, and the one before it stays."],
  ["SIGTERM, SIGINT", "serve saves its state and ends."],
];

export function manPage({ version, date }: Edition): string {
  const [serve, ...others] = commandList;
  if (serve === undefined) throw new Error("there is no command");
  const groups = [...new Set(sharedFlags.map(({ group }) => group))];
  return [
    `.TH SSH\\-RESET\\-EXPORTER 8 ${date} "ssh\\-reset\\-exporter ${text(version)}" "System Administration"`,
    ".SH NAME",
    "ssh\\-reset\\-exporter \\- why SSH connections are reset, for Prometheus",
    ".SH SYNOPSIS",
    synopsis(...serve),
    ...others.flatMap((command) => [".br", synopsis(...command)]),
    ".SH DESCRIPTION",
    about.map(wrapped).join("\n.PP\n"),
    ".SH COMMANDS",
    ...commandList.flatMap(([name, { summary }]) => term(`\\fB${text(name)}\\fR`, text(summary))),
    ".PP",
    "Each prints what it takes, with examples, on \\fB\\-\\-help\\fR.",
    ".SH OPTIONS OF SERVE",
    ...ownFlags(commands.serve).flatMap(entry),
    ...groups.flatMap((group) => [
      `.SS ${text(group)}`,
      ...sharedFlags.filter((flag) => flag.group === group).flatMap(entry),
    ]),
    ...others.flatMap(([name, command]) => [
      `.SH OPTIONS OF ${text(name.toUpperCase())}`,
      ...(command.takesOptions ? ["Those of \\fBserve\\fR, and:"] : []),
      ...ownFlags(command).flatMap(entry),
    ]),
    ".SH EXIT STATUS",
    ...commandList.flatMap(([name, { exits }]) => [
      `.SS ${text(name)}`,
      ...Object.entries(exits).flatMap(([code, means]) => term(code, `${text(means)}.`)),
    ]),
    ".SH SIGNALS",
    ...signals.flatMap(([name, means]) => term(`\\fB${name}\\fR`, text(means))),
    ".SH FILES",
    ...files.flatMap(([path, means]) => term(`\\fI${text(path)}\\fR`, text(means))),
    ".SH SEE ALSO",
    ["sshd(8)", "sshd_config(5)", "journalctl(1)", "nft(8)", "prometheus(1)"].map(reference).join(",\n"),
    "",
  ].join("\n");
}

function synopsis(name: CommandName, { operands, takesOptions, flags }: Command): string {
  const command = name === "serve" ? "[\\fBserve\\fR]" : `\\fB${text(name)}\\fR`;
  const options = takesOptions || flags.length > 1 ? " [\\fIoptions\\fR]" : "";
  return `\\fBssh\\-reset\\-exporter\\fR ${command}${options}${operands === undefined ? "" : ` \\fI${text(operands)}\\fR`}`;
}

function entry(flag: Flag): readonly string[] {
  const value = flag.placeholder === undefined ? "" : `=\\fI${text(flag.placeholder)}\\fR`;
  const negation = flag.negation === undefined ? "" : `, \\fB${text(flag.negation)}\\fR`;
  return term(`\\fB${text(flag.flag)}\\fR${value}${negation}`, text(flag.meaning));
}

const term = (head: string, body: string): readonly string[] => [".TP", head, wrapped(body)];

/** sshd(8): the name in bold. */
const reference = (page: string): string => page.replace(/^([^(]+)/, (name) => `\\fB${text(name)}\\fR`);

/** Lines of at most 80 bytes, none of which begins as a request does. */
function wrapped(body: string): string {
  const lines: string[] = [];
  for (const word of body.split(" ")) {
    const longer = `${lines.at(-1)} ${word}`;
    if (lines.length > 0 && longer.length <= 80) lines[lines.length - 1] = longer;
    else lines.push(/^[.']/.test(word) ? `\\&${word}` : word);
  }
  return lines.join("\n");
}

/** groff_char(7): a plain minus. */
function text(plain: string): string {
  return plain.replaceAll("\\", "\\e").replaceAll("-", "\\-");
}
