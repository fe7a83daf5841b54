/**
 * What is read of a journal entry, and the record that it makes: who speaks is decided by what journald vouches for.
 * Source: systemd.journal-fields(7).
 */
import type { JournalFields, LogRecord } from "../model/record.ts";
import type { JournalEntry } from "./journal-export.ts";

const messageLength = 8 * 1024;

const trustedFields = [
  ["_TRANSPORT", "transport"],
  ["_EXE", "exe"],
  ["_COMM", "comm"],
  ["_SYSTEMD_UNIT", "unit"],
  ["_SYSTEMD_CGROUP", "cgroup"],
  ["_BOOT_ID", "bootId"],
] as const;
const clientFields = [
  ["MESSAGE_ID", "messageId"],
  ["UNIT", "unit"],
  ["EXIT_CODE", "exitCode"],
  ["EXIT_STATUS", "exitStatus"],
  ["UNIT_RESULT", "unitResult"],
  ["JOB_RESULT", "jobResult"],
  ["JOB_TYPE", "jobType"],
  ["COREDUMP_EXE", "coredumpExe"],
  ["COREDUMP_COMM", "coredumpComm"],
  ["COREDUMP_PID", "coredumpPid"],
  ["COREDUMP_SIGNAL", "coredumpSignal"],
  ["COREDUMP_UNIT", "coredumpUnit"],
  ["N_DROPPED", "dropped"],
] as const;
/** Another in each entry. */
const entryFields = ["__CURSOR", "__REALTIME_TIMESTAMP", "MESSAGE", "SYSLOG_IDENTIFIER", "SYSLOG_PID"];
/** The same in most entries of one process. */
const writerFields = ["SYSLOG_FACILITY", "_PID", "_UID", ...[...trustedFields, ...clientFields].map(([name]) => name)];
/**
 * The fields that are read, in the order in which an entry has their values. journalctl gives all: `--output-fields`
 * would make it twice as expensive, and skipping a field here is cheap.
 */
export const journalFields: readonly string[] = [...entryFields, ...writerFields];

/** Where an entry has the value of this field. */
export const placeOf = (name: string): number => journalFields.indexOf(name);
const places = {
  cursor: placeOf("__CURSOR"),
  realtime: placeOf("__REALTIME_TIMESTAMP"),
  message: placeOf("MESSAGE"),
  identifier: placeOf("SYSLOG_IDENTIFIER"),
  syslogPid: placeOf("SYSLOG_PID"),
  facility: placeOf("SYSLOG_FACILITY"),
  pid: placeOf("_PID"),
  uid: placeOf("_UID"),
  comm: placeOf("_COMM"),
  transport: placeOf("_TRANSPORT"),
} as const;
const trustedPlaces = trustedFields.map(([name, key]) => [placeOf(name), key] as const);
const clientPlaces = clientFields.map(([name, key]) => [placeOf(name), key] as const);

export function cursorOf(entry: JournalEntry): string | undefined {
  return entry[places.cursor];
}

/** Wall clock of the writer, microseconds since 1970. */
export function timeUsOf(entry: JournalEntry): number | undefined {
  return number(entry[places.realtime]);
}

/** Entries of one journal to records of the programs named. */
export class JournalRecords {
  readonly #idents: ReadonlySet<string>;
  /** The fields that were made last, and of which entry: records share them, for as long as nothing in them changes. */
  #fields: JournalFields = { trusted: {} };
  #fieldsOf: JournalEntry | undefined;

  constructor(idents: Iterable<string>) {
    this.#idents = new Set(idents);
  }

  /** Undefined if nobody wanted speaks, or somebody only pretends to be systemd or the kernel. */
  record(entry: JournalEntry): LogRecord | undefined {
    const timeUs = timeUsOf(entry);
    if (timeUs === undefined) return undefined;
    const journal = this.#fieldsFor(entry);
    const trustedPid = journal.trusted.pid;
    const ident = speaker(entry, journal, this.#idents);
    if (ident === undefined) return undefined;
    const pid = entry[places.syslogPid];
    return {
      source: "journal",
      timeMs: Math.floor(timeUs / 1000),
      ident,
      pid: number(pid) ?? trustedPid ?? 0,
      message: cut(entry[places.message] ?? ""),
      count: 1,
      journal,
    };
  }

  #fieldsFor(entry: JournalEntry): JournalFields {
    const before = this.#fieldsOf;
    if (before !== undefined && sameWriter(entry, before)) return this.#fields;
    this.#fieldsOf = entry;
    this.#fields = fieldsOf(entry);
    return this.#fields;
  }
}

function sameWriter(entry: JournalEntry, before: JournalEntry): boolean {
  for (let place = entryFields.length; place < journalFields.length; place++) {
    if (entry[place] !== before[place]) return false;
  }
  return true;
}

function speaker(entry: JournalEntry, { trusted, facility }: JournalFields, idents: ReadonlySet<string>) {
  const identifier = entry[places.identifier] ?? "";
  const kernel = entry[places.transport] === "kernel" && facility === 0;
  const ident = kernel ? "kernel" : idents.has(identifier) ? identifier : (entry[places.comm] ?? "");
  if (!idents.has(ident)) return undefined;
  if (ident === "kernel" ? !kernel : ident === "systemd" && trusted.pid !== 1) return undefined;
  return ident;
}

function fieldsOf(entry: JournalEntry): JournalFields {
  const trusted: Record<string, string | number> = {};
  for (const [place, key] of trustedPlaces) copy(entry[place], trusted, key);
  const pid = number(entry[places.pid]);
  if (pid !== undefined) trusted["pid"] = pid;
  const uid = number(entry[places.uid]);
  if (uid !== undefined) trusted["uid"] = uid;
  const journal: Record<string, unknown> = { trusted };
  for (const [place, key] of clientPlaces) copy(entry[place], journal, key);
  const facility = number(entry[places.facility]);
  if (facility !== undefined) journal["facility"] = facility;
  return journal as unknown as JournalFields;
}

function copy(value: string | undefined, target: Record<string, unknown>, key: string): void {
  if (value !== undefined) target[key] = cut(value);
}

function cut(text: string): string {
  return text.length > messageLength ? text.slice(0, messageLength) : text;
}

function number(text: string | undefined): number | undefined {
  if (text === undefined || text === "" || text.length > 16) return undefined;
  let value = 0;
  for (let at = 0; at < text.length; at++) {
    const digit = text.charCodeAt(at) - 48;
    if (digit < 0 || digit > 9) return undefined;
    value = value * 10 + digit;
  }
  return value;
}
