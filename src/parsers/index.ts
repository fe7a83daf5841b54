/**
 * All parsers, and the one function that turns a record into an event. A record's identifier and the first character of
 * its message choose the few patterns that are tried; nothing is searched in a line before that.
 */
import type { Event } from "../model/event.ts";
import type { Parser } from "../model/parser.ts";
import type { LogRecord } from "../model/record.ts";
import { flowLog } from "./flow-log.ts";
import { haproxy } from "./haproxy.ts";
import { kernelNetwork } from "./kernel-network.ts";
import { kernelOom } from "./kernel-oom.ts";
import { kernelProcess } from "./kernel-process.ts";
import { libwrap } from "./libwrap.ts";
import { journaldLoss, rsyslogLoss } from "./loss.ts";
import { pam, pamOld } from "./pam.ts";
import { sshdAdmission } from "./sshd-admission.ts";
import { sshdAuth } from "./sshd-auth.ts";
import { sshdBanner } from "./sshd-banner.ts";
import { sshdConnection } from "./sshd-connection.ts";
import { sshdLife } from "./sshd-life.ts";
import { sshdProtocol } from "./sshd-protocol.ts";
import { systemd } from "./systemd.ts";
import { systemdCoredump, systemdOomd } from "./systemd-oomd.ts";
import { tcpReceiveReset, tcpSendReset } from "./tcp-trace.ts";
import { isTrusted, withinRights } from "./trust.ts";
import { unitRole } from "./unit.ts";
import { levelEnd, noted, type WordedPattern } from "./wording.ts";

export { isTrusted } from "./trust.ts";

interface WordedParser extends Parser {
  readonly patterns: readonly WordedPattern[];
}

/** sshd speaks under three names since 9.8 and 10.0; some loggers put its path or PAM service there. */
const sshdIdents = ["sshd", "sshd-session", "sshd-auth", "/usr/sbin/sshd"];

export const parsers: readonly WordedParser[] = [
  { name: "sshd-connection", idents: sshdIdents, patterns: sshdConnection },
  { name: "sshd-banner", idents: sshdIdents, patterns: sshdBanner },
  { name: "sshd-protocol", idents: sshdIdents, patterns: sshdProtocol },
  { name: "sshd-auth", idents: sshdIdents, patterns: sshdAuth },
  { name: "sshd-admission", idents: sshdIdents, patterns: sshdAdmission },
  { name: "sshd-life", idents: sshdIdents, patterns: sshdLife },
  { name: "libwrap", idents: sshdIdents, patterns: libwrap },
  { name: "pam", idents: sshdIdents, patterns: pam },
  { name: "pam-old", idents: ["sshd(pam_unix)"], patterns: pamOld },
  { name: "systemd", idents: ["systemd"], patterns: systemd },
  { name: "systemd-oomd", idents: ["systemd-oomd"], patterns: systemdOomd },
  { name: "systemd-coredump", idents: ["systemd-coredump"], patterns: systemdCoredump },
  { name: "kernel-oom", idents: ["kernel"], patterns: kernelOom },
  { name: "kernel-network", idents: ["kernel"], patterns: kernelNetwork },
  { name: "kernel-process", idents: ["kernel"], patterns: kernelProcess },
  { name: "tcp-send-reset", idents: ["tcp_send_reset"], patterns: tcpSendReset },
  { name: "tcp-receive-reset", idents: ["tcp_receive_reset"], patterns: tcpReceiveReset },
  { name: "flow-log", idents: ["flow_log"], patterns: flowLog },
  { name: "haproxy", idents: ["haproxy"], patterns: haproxy },
  { name: "rsyslog-loss", idents: ["rsyslogd", "rsyslogd-2177"], patterns: rsyslogLoss },
  { name: "journald-loss", idents: ["systemd-journald", "journal"], patterns: journaldLoss },
];

/** Every identifier that some parser reads: a source may skip all others. */
export const idents: readonly string[] = [...new Set(parsers.flatMap((parser) => parser.idents))];

/** Patterns by identifier, then by the message's first character code; at 0 all of them. */
type Dispatch = ReadonlyMap<string, readonly (readonly WordedPattern[])[]>;
const dispatch: Dispatch = new Map(idents.map((ident) => [ident, byFirstCharacter(ident)]));

function byFirstCharacter(ident: string): readonly (readonly WordedPattern[])[] {
  const patterns = parsers.filter((parser) => parser.idents.includes(ident)).flatMap((parser) => parser.patterns);
  return Array.from({ length: 128 }, (_, code) =>
    code === 0
      ? patterns
      : patterns.filter(({ starts }) => starts.some((start) => start === "" || start.charCodeAt(0) === code)),
  );
}

/** What a record means. Undefined: no pattern knows it, or `isTrusted` says that it is not who it claims to be. */
export function parse(record: LogRecord): Event | undefined {
  if (record.event !== undefined) return record.event;
  const byCode = dispatch.get(record.ident);
  if (byCode === undefined || !isTrusted(record)) return undefined;
  const event = firstMatch(byCode, record, record.message) ?? secondLook(byCode, record);
  return event === undefined || withinRights(event, record) ? event : noted;
}

/** Decorated messages, and what is of no concern: rare, so only after the plain reading. */
function secondLook(byCode: readonly (readonly WordedPattern[])[], record: LogRecord): Event | undefined {
  const bare = bareMessage(record);
  const event = bare === record.message ? undefined : firstMatch(byCode, record, bare);
  return event ?? (record.ident.includes("sshd") ? undefined : elsewhere(record));
}

/** The message without what a logger or a debugging option put in front of it. */
export function bareMessage({ ident, message }: LogRecord): string {
  const decoration = (ident === "kernel" ? kernelTimestamp : logVerbosePrefix).exec(message.slice(0, 200));
  return decoration === null ? message : message.slice(decoration[0].length);
}

/** sshd_config LogVerbose (8.5+): `packet.c:ssh_packet_read():12 (bin=sshd-session, pid=4711): `. */
const logVerbosePrefix = /^[a-z0-9_-]{1,40}\.c:[a-z0-9_]{1,60}\(\):\d{1,6} \((?:bin=[a-z-]{1,20}, )?pid=\d{1,7}\): /;
/** syslog files keep the kernel's own time in front: `[ 5864.708440] `. */
const kernelTimestamp = /^\[ *\d{1,12}\.\d{1,9}\] /;

function firstMatch(
  byCode: readonly (readonly WordedPattern[])[],
  record: LogRecord,
  message: string,
): Event | undefined {
  // With a MESSAGE_ID the text may begin with anything.
  const candidates =
    record.journal?.messageId === undefined ? byCode[message.charCodeAt(levelEnd(message))] : byCode[0];
  if (candidates === undefined) return undefined;
  for (const pattern of candidates) {
    const event = pattern.match(message, record);
    if (event !== undefined) return event;
  }
  return undefined;
}

/**
 * The kernel, PID 1 and the loggers talk about everything. What no pattern knows is of no concern, unless it speaks of
 * what we watch: then a release words it in a way that we do not know yet.
 */
function elsewhere({ ident, message, journal }: LogRecord): Event | undefined {
  if (ident === "kernel") return kernelWatchwords.test(message.slice(0, 64)) ? undefined : noted;
  if (ident !== "systemd")
    return ident.startsWith("tcp_") || ident === "flow_log" || ident === "haproxy" ? undefined : noted;
  const unit = journal?.unit ?? /^(?:Unit )?([^ :]{1,256}\.(?:service|socket))\b/.exec(message)?.[1] ?? "";
  const role = unitRole(unit);
  return role === "daemon" || role === "socket" ? undefined : noted;
}

const kernelWatchwords =
  /^(?:nf_conntrack: .*(?:table|drop)|oom-kill:|Out of memory|Memory cgroup out of memory: Kill|Killed process|cgroup: fork|VFS: file-max)/;
