/**
 * The one list of commands: their flags beside those in options.ts, and what their exit codes mean. --help, man page,
 * completions and docs/compatibility.md derive from it.
 */

export interface CommandFlag {
  /** As it is typed: `--since`, `-4`. */
  readonly flag: string;
  /** How the value is shown; none: a switch. */
  readonly placeholder?: string;
  readonly summary: string;
}

export interface Command {
  /** One sentence for a list of commands. */
  readonly summary: string;
  /** What follows the flags. */
  readonly operands?: string;
  /** It takes the flags of serve, too. */
  readonly takesOptions: boolean;
  readonly flags: readonly CommandFlag[];
  /** Exit code to what it says. */
  readonly exits: Readonly<Record<number, string>>;
}

const help: CommandFlag = { flag: "--help", summary: "Print this and end." };
const json: CommandFlag = { flag: "--json", summary: "One JSON object." };

export const commands = {
  serve: {
    summary: "Follow the logs and serve metrics; the default.",
    takesOptions: true,
    flags: [
      {
        flag: "--config.file",
        placeholder: "PATH",
        summary: "YAML file with the same keys as the flags. Flags win. Read again on SIGHUP.",
      },
      { flag: "--config.check", summary: "Check the configuration and end." },
      { flag: "--version", summary: "Print the version and end." },
      help,
    ],
    exits: {
      0: "ended by SIGTERM or SIGINT, or the configuration is good",
      2: "a mistake in a flag or file, or nothing could be started",
    },
  },
  diagnose: {
    summary: "What happened here: walk the checklist over a past window.",
    takesOptions: true,
    flags: [
      {
        flag: "--since",
        placeholder: "TIME",
        summary: "90m, 24h, 7d, 16:30, 2026-11-22T16:30 (this host's time), @1795354598. Default: 1h.",
      },
      { flag: "--until", placeholder: "TIME", summary: "The same. Default: now." },
      { flag: "--peer", placeholder: "ADDRESS", summary: "Only connections of this peer, which counts as known." },
      {
        flag: "--probe",
        placeholder: "FILE",
        summary: "What probe --json printed at a client: do both sides see it, or one?",
      },
      json,
      { flag: "--bundle", placeholder: "FILE", summary: "Save what was read, too." },
      {
        flag: "--bundle.plain",
        summary: "Leave addresses, the host's name and the decisive log lines (with user names) in the bundle.",
      },
      { flag: "--from-bundle", placeholder: "FILE", summary: "Read a bundle instead of this host." },
      help,
    ],
    exits: {
      0: "no cause was found on this host",
      1: "a cause was found",
      2: "it could not look, or a mistake on the command line",
    },
  },
  check: {
    summary: "What can be seen here, as this user, and what would grant the rest.",
    takesOptions: true,
    flags: [help],
    exits: { 0: "everything can be seen", 1: "something is missing", 2: "it could not look" },
  },
  probe: {
    summary: "From the client's side: at which phase does a connection die?",
    operands: "HOST[:PORT]...",
    takesOptions: false,
    flags: [
      { flag: "--repeat", placeholder: "N", summary: "Probe N times. Default: 1." },
      { flag: "--mtu", summary: "Packets of growing size, in both directions." },
      {
        flag: "--idle",
        placeholder: "SECONDS",
        summary: "Hold the connection in silence, at most 110 s: sshd ends it at LoginGraceTime (120 s).",
      },
      { flag: "--timeout", placeholder: "SECONDS", summary: "For one connection, without --idle. Default: 10." },
      {
        flag: "--interval",
        placeholder: "SECONDS",
        summary: "Between two connections to one address, at least 1. Default: 2.",
      },
      { flag: "-4", summary: "Only IPv4; also --ipv4." },
      { flag: "-6", summary: "Only IPv6; also --ipv6." },
      { flag: "--json", summary: "One JSON object a line." },
      help,
    ],
    exits: { 0: "all is well", 1: "a probe failed", 2: "a mistake on the command line" },
  },
  audit: {
    summary: "Would these firewall rules, of cloud or host, let this peer in?",
    operands: "FILE...",
    takesOptions: false,
    flags: [
      {
        flag: "--peer",
        placeholder: "ADDRESS",
        summary: "The client's address as the rules see it: its public one before the cloud, or a balancer's.",
      },
      { flag: "--port", placeholder: "PORT", summary: "sshd's port. Default: 22." },
      { flag: "--local", placeholder: "ADDRESS", summary: "This host's own address, where rules ask for it." },
      {
        flag: "--interface",
        placeholder: "NAME",
        summary: "The interface that the peer's packets come in by, where rules ask for it.",
      },
      {
        flag: "--tag",
        placeholder: "NAME",
        summary: "A network tag of the instance (Google Cloud); repeatable.",
      },
      json,
      help,
    ],
    exits: {
      0: "it may",
      1: "it may not, or only with some of its ports",
      2: "a mistake on the command line or a broken file",
      3: "the files cannot tell; what would is said",
    },
  },
  observe: {
    summary: "What only root can set up: TTLs of resets in nftables, the trace instance.",
    operands: "install|show|remove|trace|trace-remove",
    takesOptions: false,
    flags: [
      { flag: "--sshd.port", placeholder: "PORT", summary: "Port that sshd listens on. Repeatable. Default: 22." },
      {
        flag: "--path.tracefs",
        placeholder: "PATH",
        summary: "For trace and trace-remove: where tracefs is mounted. Default: /sys/kernel/tracing.",
      },
      { flag: "--group", placeholder: "GROUP", summary: "For trace: the group that may read the instance." },
      help,
    ],
    exits: { 0: "done", 1: "the kernel or nft(8) refused", 2: "a mistake on the command line" },
  },
  completion: {
    summary: "Print the completion script of a shell.",
    operands: "bash|zsh|fish",
    takesOptions: false,
    flags: [help],
    exits: { 0: "done", 2: "a mistake on the command line" },
  },
} as const satisfies Record<string, Command>;

export type CommandName = keyof typeof commands;

/** The sections "Flags" and "Exit code" of a command's --help. */
export function flagsAndExits({ flags, exits }: Command): string {
  const heads = flags.map(({ flag, placeholder }) => (placeholder === undefined ? flag : `${flag}=${placeholder}`));
  const width = Math.max(...heads.map(({ length }) => length)) + 2;
  const lines = flags.map(({ summary }, index) => `  ${(heads[index] ?? "").padEnd(width)}${summary}`);
  const codes = Object.entries(exits).map(([code, means]) => `  ${code}  ${means}`);
  return ["Flags:", ...lines, "", "Exit code:", ...codes, ""].join("\n");
}
