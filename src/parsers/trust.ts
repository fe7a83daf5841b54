/**
 * Who really spoke. journald vouches for the fields that start with `_` (systemd.journal-fields(7)); an identifier alone
 * proves nothing, since any local user may claim one. A plain file cannot tell at all: its records are believed, and
 * docs/messages.md says so.
 */
import type { Event } from "../model/event.ts";
import type { JournalFields, LogRecord } from "../model/record.ts";

const sshdPrograms = ["sshd", "sshd-session", "sshd-auth"];

/** False: the record claims to come from a program that did not write it. It is not parsed, and worth counting apart. */
export function isTrusted(record: LogRecord): boolean {
  const { source, ident, journal } = record;
  const traced = ident.startsWith("tcp_");
  if (source === "tcp_trace" || traced) return source === "tcp_trace" && traced;
  if (source === "flow_log" || ident === "flow_log") return source === ident;
  if (source === "haproxy" || ident === "haproxy")
    return source === ident && (journal === undefined || wroteBy(journal.trusted, ["haproxy"]));
  if (source === "kmsg") return ident === "kernel";
  if (journal === undefined) return true;
  const { trusted } = journal;
  switch (ident) {
    case "kernel":
      return trusted.transport === "kernel" && journal.facility === 0;
    case "systemd":
      return trusted.transport !== "kernel" && (trusted.pid === 1 || wroteBy(trusted, ["systemd", "systemd-executor"]));
    case "systemd-oomd":
    case "systemd-coredump":
    case "systemd-journald":
      return wroteBy(trusted, [ident]);
    case "journal":
    case "rsyslogd":
    case "rsyslogd-2177":
      return trusted.transport !== "kernel" && wroteBy(trusted, ["systemd-journald", "rsyslogd"]);
    default:
      return trusted.transport !== "kernel" && spokeForSshd(trusted);
  }
}

/** A program that died before journald read /proc has no `_EXE`: nobody is taken for it. */
function wroteBy({ exe }: JournalFields["trusted"], programs: readonly string[]): boolean {
  return exe !== undefined && isOneOf(exe, programs);
}

/**
 * A process that died before journald read /proc has no `_EXE`, sometimes not even a name. root is then believed, as it
 * may forge anything; others only where a session's child would be.
 */
function spokeForSshd(trusted: JournalFields["trusted"]): boolean {
  const { exe, comm, uid } = trusted;
  if (exe !== undefined && !isOneOf(exe, sshdPrograms)) return false;
  if (exe === undefined && comm !== undefined && !sshdPrograms.includes(comm)) return false;
  if (uid === 0) return inSshdCgroup(trusted);
  return (exe ?? comm) !== undefined && inLoginScope(trusted);
}

function inSshdCgroup({ unit, cgroup }: JournalFields["trusted"]): boolean {
  const place = cgroup ?? unit;
  if (place === undefined || place === "/system.slice/ssh.service" || place === "/system.slice/sshd.service")
    return true;
  return /(?:^|\/)(?:sshd?(?:@[^/]*)?\.service|session-[^/]+\.scope)(?:\/[^/]*)?$/.test(place);
}

/** The child of a session that logs out is often gone before journald can look: then it has a name, and no place. */
function inLoginScope({ unit, cgroup }: JournalFields["trusted"]): boolean {
  const place = cgroup ?? unit;
  return place === undefined || /(?:^|\/)session-[^/]+\.scope$/.test(place);
}

/**
 * False: the speaker is real, but this is not his to say. A user's own service manager speaks of units of the same names.
 * After login a child of sshd runs as the user and reports the end of that user's session; a user's own sshd has the same
 * program, user and scope: so nothing but the end of a session is taken from there.
 */
export function withinRights(event: Event, { ident, pid, journal }: LogRecord): boolean {
  if (ident === "systemd") return (journal?.trusted.pid ?? pid) <= 1;
  // haproxy gives up root once it listens.
  if (journal === undefined || ident === "kernel" || ident === "haproxy" || journal.trusted.uid === 0) return true;
  return event.kind === "sshd.ended" && (event.phase === undefined || event.phase === "session");
}

/** By the last part of the program's path, less the kernel's mark on a file that an upgrade has replaced. */
function isOneOf(exe: string, programs: readonly string[]): boolean {
  const path = exe.endsWith(" (deleted)") ? exe.slice(0, -10) : exe;
  const begin = path.lastIndexOf("/") + 1;
  return programs.some((program) => path.length === begin + program.length && path.endsWith(program));
}
