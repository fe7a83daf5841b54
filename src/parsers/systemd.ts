/**
 * systemd's PID 1 about sshd's units: starts, stops, crashes, restarts, limits. Gives unit.*, sshd.drop, sshd.start_failed.
 * In the journal UNIT and MESSAGE_ID say it (sd-messages.h), in files only the text does (src/core/unit.c, service.c,
 * socket.c, job.c; v219 words it differently). What concerns other units is noted in index.ts.
 */
import { type Event, type UnitEvent, type UnitResult, type UnitRole, unitResults } from "../model/event.ts";
import type { LogRecord } from "../model/record.ts";
import { canonicalAddress } from "./address.ts";
import { describedRole, unitRole } from "./unit.ts";
import { noted, readCount, says, type WordedPattern } from "./wording.ts";

interface Subject {
  readonly role: UnitRole;
  /** What is said about the unit. */
  readonly text: string;
}

/** `UNIT: TEXT`. Undefined: not that form, or a unit that is not sshd's. */
function subjectOf(message: string, record: LogRecord): Subject | undefined {
  const colon = message.indexOf(": ");
  const space = message.indexOf(" ");
  if (colon === -1 || space < colon) return undefined;
  const role = unitRole(record.journal?.unit ?? message.slice(0, colon));
  return role === "other" ? undefined : { role, text: message.slice(colon + 2) };
}

interface UnitWording {
  readonly id: string;
  readonly versions: string;
  readonly origin: string;
  /** sd-messages.h: with it the journal's fields are enough, whatever the text says. */
  readonly messageId?: string;
  readonly read: (text: string, role: UnitRole, record: LogRecord) => Event | undefined;
}

/** A pattern over `UNIT: TEXT`. */
function unitSays({ id, versions, origin, messageId, read }: UnitWording): WordedPattern {
  return {
    id,
    versions,
    origin,
    starts: ["s"],
    match(message, record) {
      const said = record.journal?.messageId;
      const isMine = messageId !== undefined && said === messageId;
      if (!isMine && said !== undefined && unitMessageIds.has(said)) return undefined;
      const subject = subjectOf(message, record) ?? (isMine ? bareSubject(message, record) : undefined);
      return subject && read(subject.text, subject.role, record);
    },
  };
}

function bareSubject(message: string, record: LogRecord): Subject | undefined {
  const role = unitRole(record.journal?.unit ?? "");
  return role === "other" ? undefined : { role, text: message };
}

type LifeKind =
  | "unit.starting"
  | "unit.started"
  | "unit.stopping"
  | "unit.stopped"
  | "unit.reloading"
  | "unit.reloaded";

interface JobWording {
  readonly id: string;
  readonly messageId: string;
  readonly verbs: readonly string[];
  readonly end: "..." | ".";
  readonly kind: LifeKind | "unit.start_failed";
}

/** A pattern over `VERB DESCRIPTION.`, the unit in the journal's UNIT or in the description. */
function jobSays({ id, messageId, verbs, end, kind }: JobWording): WordedPattern {
  const starts = verbs.map((verb) => `${verb} `);
  return {
    id,
    versions: "v219+",
    origin: `job.c job_emit_start_message, job_emit_done_message; MESSAGE_ID ${messageId}`,
    starts,
    match(message, { journal }) {
      if (journal?.messageId !== undefined && unitMessageIds.has(journal.messageId)) {
        if (journal.messageId !== messageId) return undefined;
        const role = unitRole(journal.unit ?? "");
        if (role === "other") return undefined;
        return kind === "unit.start_failed" && journal.jobType === "reload" ? noted : { kind, role };
      }
      const start = starts.find((words) => message.startsWith(words));
      if (start === undefined || !message.endsWith(end) || (end === "." && message.endsWith(".."))) return undefined;
      const description = message.slice(start.length, -end.length);
      const role = journal?.unit === undefined ? describedRole(description) : unitRole(journal.unit);
      return role === "other" ? undefined : { kind, role };
    },
  };
}

const messageIds = {
  exited: "98e322203f7a4ed290d09fe03c09fe15",
  failed: "d9b373ed55a64feb8242e02dbe79a49c",
  restartScheduled: "5eb03494b6584870a536b337290809b3",
  oomKill: "fe6faa94e7774663a0da52717891d8ef",
  oomdKill: "d989611b15e44c9dbf31e3c81256e4ed",
  startFailed: "be02cf6855d2428ba40df7e9d022f03d",
  starting: "7d4958e842da4a758f6c1cdc7b36dcc5",
  started: "39f53479d3a045ac8e11786248231fbf",
  stopping: "de5b426a63be47a7b6ac3eaac82e2f6f",
  stopped: "9d1aaa27d60140bd96365438aad20286",
  reloading: "d34d037fff1847e6ae669a370e694725",
  reloaded: "7b05ebc668384222baa8881179cfda54",
} as const;
const unitMessageIds: ReadonlySet<string> = new Set(Object.values(messageIds));

export const systemd = [
  jobSays({
    id: "systemd-starting",
    messageId: messageIds.starting,
    verbs: ["Starting"],
    end: "...",
    kind: "unit.starting",
  }),
  jobSays({
    id: "systemd-started",
    messageId: messageIds.started,
    verbs: ["Started", "Listening on"],
    end: ".",
    kind: "unit.started",
  }),
  jobSays({
    id: "systemd-stopping",
    messageId: messageIds.stopping,
    verbs: ["Stopping"],
    end: "...",
    kind: "unit.stopping",
  }),
  jobSays({
    id: "systemd-stopped",
    messageId: messageIds.stopped,
    verbs: ["Stopped", "Closed"],
    end: ".",
    kind: "unit.stopped",
  }),
  jobSays({
    id: "systemd-reloading",
    messageId: messageIds.reloading,
    verbs: ["Reloading"],
    end: "...",
    kind: "unit.reloading",
  }),
  jobSays({
    id: "systemd-reloaded",
    messageId: messageIds.reloaded,
    verbs: ["Reloaded"],
    end: ".",
    kind: "unit.reloaded",
  }),
  jobSays({
    id: "systemd-start-failed",
    messageId: messageIds.startFailed,
    verbs: ["Failed to start", "Failed to listen on"],
    end: ".",
    kind: "unit.start_failed",
  }),
  unitSays({
    id: "systemd-exited",
    versions: "v219+",
    origin: "service.c service_sigchld_event",
    messageId: messageIds.exited,
    read: exited,
  }),
  unitSays({
    id: "systemd-failed",
    versions: "v230+",
    origin: "unit.c unit_log_failure",
    messageId: messageIds.failed,
    read: (text, role, record) => {
      const result = record.journal?.unitResult ?? /^Failed with result '([a-z-]{1,40})'\.$/.exec(text)?.[1];
      return result === undefined ? undefined : { kind: "unit.failed", role, result: unitResult(result) };
    },
  }),
  says({
    id: "systemd-failed-old",
    versions: "<=v229",
    origin: "unit.c unit_notify; `UNIT failed.` follows",
    starts: ["Unit "],
    read({ rest }) {
      const unit = rest.endsWith(" entered failed state.") ? rest.slice(0, -22) : "";
      const role = unitRole(unit);
      return role === "other" ? undefined : { kind: "unit.failed", role, result: "other" };
    },
  }),
  says({
    id: "systemd-failed-old-again",
    versions: "<=v229",
    origin: "unit.c unit_notify; the second line of two",
    starts: ["s"],
    read: ({ record: { message } }) =>
      message.endsWith(" failed.") && unitRole(message.slice(0, -8)) !== "other" ? noted : undefined,
  }),
  unitSays({
    id: "systemd-restart-scheduled",
    versions: "v230+",
    origin: "service.c service_enter_restart",
    messageId: messageIds.restartScheduled,
    read: (text, role, { journal }) =>
      journal?.messageId === messageIds.restartScheduled ||
      /^(?:Service (?:hold-off time over|RestartSec=\S{1,20} expired), scheduling restart\.|Scheduled restart job, restart counter is at \d{1,9}\.)$/.test(
        text,
      )
        ? { kind: "unit.restart_scheduled", role }
        : undefined,
  }),
  says({
    id: "systemd-restart-scheduled-old",
    versions: "<=v229",
    origin: "service.c service_enter_restart",
    starts: ["s"],
    read({ record: { message } }) {
      const unit = message.endsWith(" holdoff time over, scheduling restart.") ? message.slice(0, -39) : "";
      return atUnit(unit, "unit.restart_scheduled");
    },
  }),
  unitSays({
    id: "systemd-start-limit",
    versions: "v230+",
    origin: "unit.c unit_test_start_limit, socket.c",
    read: (text, role) =>
      text === "Start request repeated too quickly." ||
      text.startsWith("Trigger limit hit, refusing further activation")
        ? { kind: "unit.start_limit", role }
        : undefined,
  }),
  says({
    id: "systemd-start-limit-old",
    versions: "<=v229",
    origin: "unit.c unit_start_limit_test",
    starts: ["start request repeated too quickly for "],
    read: ({ rest }) => atUnit(rest, "unit.start_limit"),
  }),
  unitSays({
    id: "systemd-oom-kill",
    versions: "v243+",
    origin: "unit.c unit_notify_cgroup_oom",
    messageId: messageIds.oomKill,
    read: (text, role, { journal }) =>
      journal?.messageId === messageIds.oomKill ||
      text.startsWith("A process of this unit has been killed by the OOM killer")
        ? { kind: "unit.oom_kill", role, by: "kernel" }
        : undefined,
  }),
  unitSays({
    id: "systemd-oomd-kill",
    versions: "v248+",
    origin: "unit.c unit_check_oomd_kill",
    messageId: messageIds.oomdKill,
    read: (text, role, { journal }) =>
      journal?.messageId === messageIds.oomdKill ||
      /^systemd-oomd killed (?:\d{1,9}|some) process\(es\) in this unit\.$/.test(text)
        ? { kind: "unit.oom_kill", role, by: "oomd" }
        : undefined,
  }),
  unitSays({
    id: "systemd-timeout",
    versions: "v230+",
    origin: "service.c service_dispatch_timer, service_dispatch_watchdog",
    read: (text, role) =>
      /^(?:State '[a-z-]{1,30}' timed out\.|[a-z-]{1,30} operation timed out\.|Watchdog timeout \(limit [^)]{1,20}\)!)/.test(
        text,
      )
        ? { kind: "unit.timeout", role }
        : undefined,
  }),
  says({
    id: "systemd-timeout-old",
    versions: "<=v229",
    origin: "service.c service_dispatch_timer",
    starts: ["s"],
    read({ record: { message } }) {
      const found = /^(\S{1,256}) (?:[a-z-]{1,30} timed out\.|watchdog timeout )/.exec(message);
      return atUnit(found?.[1] ?? "", "unit.timeout");
    },
  }),
  unitSays({
    id: "systemd-fork-failed",
    versions: "v219+",
    origin: "service.c service_spawn",
    read: (text, role) =>
      /^Failed to (?:fork|run '[a-z-]{1,20}' task|spawn [a-z' -]{1,40}): /.test(text)
        ? { kind: "unit.fork_failed", role }
        : undefined,
  }),
  unitSays({
    id: "systemd-socket-drops",
    versions: "v235+",
    origin: "socket.c socket_enter_running",
    read: (text) => {
      const found =
        /^Too many incoming connections \(\d{1,9}\)(?: from source (\S{1,80}))?, dropping connection\.$/.exec(text);
      if (found === null) return undefined;
      const address = canonicalAddress(found[1] ?? "");
      return { kind: "sshd.drop", limit: "systemd_socket", ...(address !== undefined && { address }) };
    },
  }),
  unitSays({
    id: "systemd-socket-bind",
    versions: "v219+",
    origin: "socket.c socket_open_fds",
    read: (text) =>
      text.startsWith("Failed to create listening socket (")
        ? { kind: "sshd.start_failed", reason: "bind" }
        : undefined,
  }),
  says({
    id: "systemd-left-over",
    versions: "v240+",
    origin: "cgroup.c unit_warn_leftover_processes; the second line of two, without the unit",
    starts: ["This usually indicates unclean termination of a previous run"],
    read: () => noted,
  }),
  unitSays({
    id: "systemd-unit-detail",
    versions: "v219+",
    origin: "unit.c, service.c; told again by another line, or of no consequence",
    read: (text) =>
      /^(?:Succeeded\.|Deactivated successfully\.|Consumed |Killing process |Found left-over process |Unit process |Unit entered failed state\.|Failed at step |Failed to spawn|Current command vanished|Unit cannot be reloaded|Failed to kill|Skipped due to|Can't convert|Failed to parse|Got notification|Supervising process|Referenced but unset|Changed |Triggering|State '[a-z-]{1,30}' timed out, but)/.test(
        text,
      )
        ? noted
        : undefined,
  }),
];

/** `Main process exited, code=killed, status=9/KILL`; v219 begins with a small letter. The journal has the numbers as fields. */
function exited(text: string, role: UnitRole, { journal }: LogRecord): Event | undefined {
  const found =
    /^(?:Main|main|Control|control) process exited, code=(exited|killed|dumped),? status=(\d{1,3})(?:\/\S{1,30})?$/.exec(
      text,
    );
  const how = asHow(journal?.exitCode ?? found?.[1]);
  const status = readCount(journal?.exitStatus ?? found?.[2] ?? "");
  if (how === undefined || status === undefined) return undefined;
  return { kind: "unit.exited", role, process: /^control/i.test(text) ? "control" : "main", how, status };
}

function asHow(code: string | undefined): "exited" | "killed" | "dumped" | undefined {
  return code === "exited" || code === "killed" || code === "dumped" ? code : undefined;
}

/** Up to v229 the start limit's result was named `start-limit`; sockets have names of their own for it. */
function unitResult(text: string): UnitResult {
  if (text === "start-limit" || text === "service-start-limit-hit" || text === "trigger-limit-hit")
    return "start-limit-hit";
  return unitResults.find((result) => result === text) ?? "other";
}

function atUnit(
  unit: string,
  kind: Extract<UnitEvent["kind"], "unit.restart_scheduled" | "unit.start_limit" | "unit.timeout">,
): UnitEvent | undefined {
  const role = unitRole(unit);
  return role === "other" ? undefined : { kind, role };
}
