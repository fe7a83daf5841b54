/**
 * TCP wrappers: is this sshd linked with libwrap at all (most builds are not, Debian's and Ubuntu's are), and how many rules
 * of /etc/hosts.allow and hosts.deny refuse somebody. Read again only when a file has changed.
 */
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import type { Collector, CollectorContext, CollectorModule, HostPaths, Missing } from "../model/collector.ts";
import type { Sample } from "../model/metric.ts";
import { Repeated } from "./background.ts";
import { readNeeded } from "./elf-needed.ts";
import { concerns, type HostsAccess, type Problem, parseHostsAccess, type Rule } from "./hosts-access.ts";
import { errorCode, isDenied, isGone } from "./kernel-file.ts";
import { findSshdPorts } from "./sshd-process.ts";

const everyMs = 300_000;
const noRules: readonly Rule[] = [];
const maxFileBytes = 16 * 1024 * 1024;
/** Where distributions put sshd, and the program that serves one connection since OpenSSH 9.8. */
const programs = ["usr/sbin/sshd", "usr/bin/sshd", "usr/local/sbin/sshd"];
const sessionPrograms = [
  "usr/lib/openssh/sshd-session",
  "usr/libexec/openssh/sshd-session",
  "usr/lib/ssh/sshd-session",
  "usr/libexec/sshd-session",
];

export const tcpWrappers: CollectorModule = {
  name: "tcp_wrappers",
  summary: "hosts.allow and hosts.deny, and whether this sshd obeys them",
  enabled: true,
  metrics: [
    {
      name: "sshreset_tcp_wrappers_linked",
      help: "1 if sshd or sshd-session is linked with libwrap: only then hosts.allow and hosts.deny have any effect.",
      type: "gauge",
      labels: [],
    },
    {
      name: "sshreset_tcp_wrappers_deny_rules",
      help: "Rules of hosts.allow and hosts.deny that refuse somebody access to sshd.",
      type: "gauge",
      labels: [],
    },
    {
      name: "sshreset_tcp_wrappers_malformed_lines",
      help: "Lines of hosts.allow and hosts.deny that libwrap cannot read. One that is too long or has no newline refuses everybody.",
      type: "gauge",
      labels: [],
    },
  ],
  create: createTcpWrappers,
};

function createTcpWrappers({ paths, nowMs, sshdPorts, onWarning }: CollectorContext): Collector {
  const linked = new Repeated(everyMs, nowMs, async () =>
    isLinked(paths, (await findSshdPorts(paths, sshdPorts())).pid),
  );
  const tables = new HostsFiles(paths.rootfs);
  /** Of the tables as they were read last: a table may have thousands of rules. */
  let counted = { allow: noRules, deny: noRules, rules: 0 };
  let warned = "";
  return {
    read() {
      const missing: Missing[] = [];
      const errors: string[] = [];
      const samples: Sample[] = [];
      const { result } = linked;
      if (result.state === "failed") missing.push(missingOf(result.error));
      if (result.state === "ok") samples.push({ name: "sshreset_tcp_wrappers_linked", value: result.value ? 1 : 0 });
      const { allow, deny, problems, unreadable } = tables.read();
      if (allow !== counted.allow || deny !== counted.deny) counted = { allow, deny, rules: denyRules(allow, deny) };
      errors.push(...unreadable);
      const first = problems.map(placeOf)[0] ?? "";
      if (first !== warned && first !== "") onWarning("hosts.allow or hosts.deny is malformed", { problem: first });
      warned = first;
      samples.push({ name: "sshreset_tcp_wrappers_deny_rules", value: counted.rules });
      samples.push({ name: "sshreset_tcp_wrappers_malformed_lines", value: problems.length });
      return { status: "ok", samples, missing, errors };
    },
    run: (signal) => linked.run(signal),
  };
}

function missingOf(error: Error): Missing {
  const reason = `cannot tell whether sshd is linked with libwrap: ${error.message}`;
  return isDenied(error) ? { reason, grant: "run as root, or with CAP_SYS_PTRACE" } : { reason };
}

function placeOf({ file, line, problem }: Problem): string {
  return `${file}:${line}: ${problem}`;
}

function denyRules(allow: readonly Rule[], deny: readonly Rule[]): number {
  const ends = (rule: Rule, option: RegExp) => rule.options !== undefined && option.test(rule.options);
  const refusing = [
    ...allow.filter((rule) => rule.unreadable !== undefined || ends(rule, /(?:^|:)\s*(?:deny\s*$|twist\b)/i)),
    ...deny.filter((rule) => !ends(rule, /(?:^|:)\s*allow\s*$/i)),
  ];
  return refusing.filter((rule) => concerns(rule, "sshd")).length;
}

/** The two tables of a host, kept until one of the files changes. */
export class HostsFiles {
  readonly #files: readonly HostsFile[];
  readonly #rootfs: string;

  constructor(rootfs: string) {
    this.#rootfs = rootfs;
    this.#files = ["/etc/hosts.allow", "/etc/hosts.deny"].map((path) => new HostsFile(rootfs, path));
  }

  /** A file that does not exist has no rules. `unreadable`: why one may not or cannot be read. */
  read(): HostsAccess & { readonly unreadable: readonly string[] } {
    const [allow, deny] = this.#files.map((file) => file.read());
    return {
      allow: allow?.rules ?? noRules,
      deny: deny?.rules ?? noRules,
      problems: [...(allow?.problems ?? []), ...(deny?.problems ?? [])],
      unreadable: [allow?.unreadable, deny?.unreadable].flatMap((reason) => reason ?? []),
      readPattern: (path) => readPattern(join(this.#rootfs, path)),
    };
  }
}

interface Table {
  readonly rules: readonly Rule[];
  readonly problems: readonly Problem[];
  readonly unreadable?: string;
}

const absent: Table = { rules: noRules, problems: [] };

class HostsFile {
  readonly #path: string;
  readonly #name: string;
  #version = "";
  #table = absent;

  constructor(rootfs: string, name: string) {
    this.#path = join(rootfs, name);
    this.#name = name;
  }

  read(): Table {
    try {
      // Most hosts have neither file, and to throw costs more than all the rest.
      const stat = statSync(this.#path, { throwIfNoEntry: false });
      if (stat === undefined) {
        this.#version = "";
        return absent;
      }
      const { size, mtimeMs, ino } = stat;
      if (size > maxFileBytes) throw new Error(`larger than ${maxFileBytes} bytes`);
      const version = `${ino} ${size} ${mtimeMs}`;
      if (version !== this.#version) this.#table = parseHostsAccess(readFileSync(this.#path, "latin1"), this.#name);
      this.#version = version;
      return this.#table;
    } catch (error) {
      this.#version = "";
      if (isGone(error)) return absent;
      const unreadable = `${this.#name}: ${isDenied(error) ? "may not be read" : (errorCode(error) ?? String(error))}`;
      return { rules: noRules, problems: [], unreadable };
    }
  }
}

function readPattern(path: string): string | undefined {
  try {
    return statSync(path).size > maxFileBytes ? undefined : readFileSync(path, "latin1");
  } catch {
    return undefined;
  }
}

/** Throws when no sshd is found or it may not be read. `pid`: the running listener, whose program may have been replaced since. */
export function isLinked({ procfs, rootfs }: HostPaths, pid: number | undefined): boolean {
  const running = pid === undefined ? [] : [join(procfs, String(pid), "exe")];
  const main = neededOfFirst([...running, ...programs.map((path) => join(rootfs, path))]);
  if (main === undefined) throw new Error(`no sshd in ${programs.map((path) => join(rootfs, path)).join(", ")}`);
  const session = neededOfFirst(sessionPrograms.map((path) => join(rootfs, path))) ?? [];
  return [...main, ...session].some((library) => library.startsWith("libwrap.so"));
}

/** Libraries of the first program that is there and may be read. Throws when one is there and none may be read. */
function neededOfFirst(paths: readonly string[]): string[] | undefined {
  let denied: unknown;
  for (const path of paths) {
    try {
      return readNeeded(path);
    } catch (error) {
      if (isDenied(error)) denied = error;
      else if (!isGone(error)) throw error;
    }
  }
  if (denied !== undefined) throw denied;
  return undefined;
}
