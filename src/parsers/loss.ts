/**
 * What the log itself says that it lost. Gives log.lost.
 * Texts: rsyslog plugins/imuxsock, imjournal; systemd src/journal/journald-manager.c, journald-syslog.c, journald-kmsg.c.
 */
import type { Event } from "../model/event.ts";
import type { LogRecord } from "../model/record.ts";
import { unitRole } from "./unit.ts";
import { noted, readCount, says } from "./wording.ts";

export const rsyslogLoss = [
  says({
    id: "rsyslog-imuxsock-lost",
    versions: "rsyslog 5+",
    origin: "plugins/imuxsock/imuxsock.c",
    starts: ["imuxsock"],
    read: ({ rest }) =>
      lost(
        /^(?:\[pid: \d{1,7}\]|\S{0,20})? ?lost (\d{1,9}) messages from pid \d{1,7} due to rate-limiting/.exec(
          rest,
        )?.[1],
      ),
  }),
  says({
    id: "rsyslog-imjournal-lost",
    versions: "rsyslog 8+",
    origin: "plugins/imjournal/imjournal.c",
    starts: ["imjournal: "],
    read: ({ rest }) => lost(/^(\d{1,9}) messages lost due to rate-limiting/.exec(rest)?.[1]),
  }),
];

export const journaldLoss = [
  says({
    id: "journald-suppressed",
    versions: "v219+",
    origin: "journald-manager.c; MESSAGE_ID a596d6fe7bfa4994828e72309e95d61e",
    starts: ["Suppressed "],
    read({ rest, record }) {
      const found = /^(\d{1,9}) messages from (\S{1,256})$/.exec(rest);
      if (found === null) return undefined;
      return concernsSshd(found[2] ?? "") ? lost(record.journal?.dropped ?? found[1]) : noted;
    },
  }),
  says({
    id: "journald-forwarding-missed",
    versions: "v209+",
    origin: "journald-syslog.c server_maybe_warn_forward_syslog_missed; the journal itself has them",
    starts: ["Forwarding to syslog missed "],
    read: ({ rest, record }) => lostIn("logfile", record, /^(\d{1,9}) messages\.?$/.exec(rest)?.[1]),
  }),
  says({
    id: "journald-kernel-missed",
    versions: "v219+",
    origin: "journald-kmsg.c; MESSAGE_ID e9bf28e6e834481bb6f48f548ad13606",
    starts: ["Missed "],
    read: ({ rest, record }) => lostIn("journal", record, /^(\d{1,9}) kernel messages\.?$/.exec(rest)?.[1]),
  }),
];

function lost(countText: string | undefined): Event | undefined {
  const count = readCount(countText ?? "");
  return count === undefined ? undefined : { kind: "log.lost", count };
}

/** Lost to one kind of source only. */
function lostIn(source: LogRecord["source"], record: LogRecord, countText: string | undefined): Event | undefined {
  const event = lost(countText);
  return event === undefined || record.source === source ? event : noted;
}

/** A unit's name, or its control group's path (v219): sshd's units and logins, where sshd's lines are written. */
function concernsSshd(place: string): boolean {
  return unitRole(place.slice(place.lastIndexOf("/") + 1)) !== "other";
}
