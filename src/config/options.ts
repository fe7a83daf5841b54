/**
 * The one list of options. Flags, keys of the configuration file, --help, docs and shell completion derive from it.
 * Names follow node_exporter where it has one; a flag `--web.listen-address` is the YAML key `web.listen-address`.
 */

interface Described {
  /** One sentence for --help. */
  readonly summary: string;
  /** Heading in --help. */
  readonly group: string;
  /** How the value is shown in --help: `PATH`, `ADDRESS`. */
  readonly placeholder?: string;
}
interface TextOption extends Described {
  readonly type: "text";
  readonly default: string | undefined;
  readonly choices?: readonly string[];
}
interface TextsOption extends Described {
  readonly type: "texts";
  readonly default: readonly string[];
}
interface IntegerOption extends Described {
  readonly type: "integer";
  readonly default: number;
  readonly min: number;
  readonly max: number;
}
interface IntegersOption extends Described {
  readonly type: "integers";
  readonly default: readonly number[];
  readonly min: number;
  readonly max: number;
}
/** `undefined` as default: decided by what the host offers. */
interface SwitchOption extends Described {
  readonly type: "switch";
  readonly default: boolean | undefined;
}
export type Option = TextOption | TextsOption | IntegerOption | IntegersOption | SwitchOption;
export type OptionValue = string | number | boolean | readonly string[] | readonly number[] | undefined;

export const options = {
  "web.listen-address": {
    type: "texts",
    default: [":10922"],
    placeholder: "ADDRESS",
    group: "Web",
    summary: "Address to serve on: :PORT, HOST:PORT or [IPV6]:PORT. Repeatable.",
  },
  "web.telemetry-path": {
    type: "text",
    default: "/metrics",
    placeholder: "PATH",
    group: "Web",
    summary: "Path under which the metrics are served.",
  },
  "web.config.file": {
    type: "text",
    default: undefined,
    placeholder: "PATH",
    group: "Web",
    summary: "YAML file for TLS and basic authentication, in the format of Prometheus' exporter-toolkit.",
  },
  "web.runbook-base": {
    type: "text",
    default: undefined,
    placeholder: "URL",
    group: "Web",
    summary: "Where the runbooks are served: the status page links to URL/ALERT.md. Default: it names the file.",
  },
  "web.show-evidence": {
    type: "switch",
    default: false,
    group: "Web",
    summary:
      "Show the decisive log lines, with user names and addresses, on the status page and in /api/v1/diagnosis. Needs --web.config.file with users or client certificates.",
  },
  "source.logfile": {
    type: "texts",
    default: [],
    placeholder: "PATH",
    group: "Sources",
    summary: "Follow this log file instead of the journal. Repeatable. Found by itself on hosts without journal.",
  },
  "source.flow-log": {
    type: "texts",
    default: [],
    placeholder: "PATH",
    group: "Sources",
    summary: "Read the cloud's flow logs in this file or folder, which your own sync fills. Repeatable.",
  },
  "source.haproxy-log": {
    type: "texts",
    default: [],
    placeholder: "PATH",
    group: "Sources",
    summary:
      "Follow haproxy's own log (option tcplog), as /var/log/haproxy.log, or the word journal: who ended the sessions. Repeatable.",
  },
  "source.haproxy-backend": {
    type: "texts",
    default: [],
    placeholder: "NAME",
    group: "Sources",
    summary: "Backend of haproxy that leads to sshd. Repeatable. Default: every session in TCP mode counts.",
  },
  "source.journal": {
    type: "switch",
    default: undefined,
    group: "Sources",
    summary: "Read sshd and systemd from the journal. Default: on where there is a journal and no log file is named.",
  },
  "source.journal.directory": {
    type: "text",
    default: undefined,
    placeholder: "PATH",
    group: "Sources",
    summary: "Read the journal files in this folder, as in a container that mounts the host's /var/log/journal.",
  },
  "source.journal.file": {
    type: "text",
    default: undefined,
    placeholder: "PATH",
    group: "Sources",
    summary: "Read this journal file, or glob of files.",
  },
  "source.kmsg": {
    type: "switch",
    default: undefined,
    group: "Sources",
    summary: "Read the kernel's messages from /dev/kmsg. Default: on where it can be read, else journal or kern.log.",
  },
  "source.tcp-trace": {
    type: "switch",
    default: undefined,
    group: "Sources",
    summary: "Read the kernel's TCP reset events from tracefs. Default: on where it can be read.",
  },
  "source.from-beginning": {
    type: "switch",
    default: false,
    group: "Sources",
    summary: "At the very first start read what is already in the logs, instead of beginning at their end.",
  },
  "sshd.port": {
    type: "integers",
    default: [],
    min: 1,
    max: 65535,
    placeholder: "PORT",
    group: "sshd",
    summary: "Port that sshd listens on. Repeatable. Default: found from the listening sockets.",
  },
  "peers.show": {
    type: "text",
    default: "known",
    choices: ["known", "all", "none"],
    group: "Peers",
    summary: "Which peers get a series of their own: those that have logged in here, all, or none.",
  },
  "peers.prefix-length": {
    type: "integer",
    default: 64,
    min: 32,
    max: 128,
    placeholder: "BITS",
    group: "Peers",
    summary: "IPv6 peers are told apart by this many leading bits of their address.",
  },
  "peers.hash": {
    type: "switch",
    default: false,
    group: "Peers",
    summary:
      "Show a keyed hash instead of a peer's address. The key lives in the state directory. An obfuscation only.",
  },
  "peers.proxy": {
    type: "texts",
    default: [],
    placeholder: "ADDRESS",
    group: "Peers",
    summary: "Address of a load balancer or proxy that everybody comes from: never a known peer. Repeatable.",
  },
  "peers.health-check": {
    type: "texts",
    default: [],
    placeholder: "ADDRESS",
    group: "Peers",
    summary:
      "Address that probes sshd and never logs in. Repeatable. Regular probes are also recognised by themselves.",
  },
  "probe.allow": {
    type: "texts",
    default: [],
    placeholder: "TARGET",
    group: "Probe",
    summary: "Host, address or network (with :PORT if not 22) that /probe may connect to. Repeatable. Default: none.",
  },
  "path.procfs": {
    type: "text",
    default: "/proc",
    placeholder: "PATH",
    group: "Paths",
    summary: "Where the host's procfs is mounted.",
  },
  "path.sysfs": {
    type: "text",
    default: "/sys",
    placeholder: "PATH",
    group: "Paths",
    summary: "Where the host's sysfs is mounted.",
  },
  "path.rootfs": {
    type: "text",
    default: "/",
    placeholder: "PATH",
    group: "Paths",
    summary:
      "Where the host's root filesystem is mounted: log files, sshd's configuration, hosts.allow and hosts.deny.",
  },
  "path.tracefs": {
    type: "text",
    default: "/sys/kernel/tracing",
    placeholder: "PATH",
    group: "Paths",
    summary: "Where the host's tracefs is mounted.",
  },
  "state.directory": {
    type: "text",
    default: undefined,
    placeholder: "PATH",
    group: "State",
    summary:
      "Where positions and counters are kept over a restart. Default: $STATE_DIRECTORY, as root /var/lib/ssh-reset-exporter, else ~/.local/state/ssh-reset-exporter.",
  },
  "log.level": {
    type: "text",
    default: "info",
    choices: ["debug", "info", "warn", "error"],
    group: "Logging",
    summary: "Least severe messages to log.",
  },
  "log.format": {
    type: "text",
    default: "logfmt",
    choices: ["logfmt", "json"],
    group: "Logging",
    summary: "How messages are written to stderr.",
  },
} as const satisfies Record<string, Option>;

type ValueOf<O> = O extends { type: "texts" }
  ? readonly string[]
  : O extends { type: "integers" }
    ? readonly number[]
    : O extends { type: "integer" }
      ? number
      : O extends { type: "switch"; default: boolean }
        ? boolean
        : O extends { type: "switch" }
          ? boolean | undefined
          : O extends { default: string; choices: readonly (infer C)[] }
            ? C
            : O extends { default: string }
              ? string
              : string | undefined;

export type Settings = { readonly [K in keyof typeof options]: ValueOf<(typeof options)[K]> };

/** What may be switched with `--[no-]collector.NAME`. */
export interface CollectorSwitch {
  readonly name: string;
  readonly summary: string;
  readonly enabled: boolean;
}

export interface Config extends Settings {
  /** Names of the collectors that are on. */
  readonly collectors: readonly string[];
}

/** All options by name, collectors included. */
export function optionTable(collectors: readonly CollectorSwitch[]): ReadonlyMap<string, Option> {
  const switches = collectors.map(
    ({ name, summary, enabled }) =>
      [`collector.${name}`, { type: "switch", default: enabled, group: "Collectors", summary }] as const,
  );
  return new Map<string, Option>([...Object.entries(options), ...switches]);
}
