/**
 * A connection and its end while they are held, and as they are saved. Both are used again by the next one (see Pool),
 * so they have all their fields from the start, and no reference to them may outlive them.
 */
import { type Outcome, outcomes, type Phase, phases } from "../model/connection.ts";
import { amount, flag, object, oneOf, optional, type Shape, text, time, whole } from "../model/saved.ts";
import { keyOf, type PeerEntry } from "./peer-table.ts";
import type { Queue, Queued } from "./queue.ts";
import type { EndHeard, Proved } from "./verdict.ts";

export class Connection implements PeerEntry<Connection>, Queued<Connection> {
  /** Undefined while no line has told it. */
  address: string | undefined = undefined;
  /** 0 while no line has told it. With a port it can be found by its peer. */
  port = 0;
  pid = 0;
  childPid = 0;
  phase: Proved = undefined;
  /** Wall time of the tick before it was first heard of. */
  bornMs = 0;
  ending: Ending | undefined = undefined;
  /** Where it stands in the latest snapshot. */
  place = -1;
  hash = 0;
  nextInBucket: Connection | undefined = undefined;
  /** Undefined: it is gone. */
  queue: Queue<Connection> | undefined = undefined;
  before: Connection | undefined = undefined;
  after: Connection | undefined = undefined;

  /** As one that nothing is known of. */
  begin(bornMs: number): void {
    this.address = undefined;
    this.port = 0;
    this.pid = 0;
    this.childPid = 0;
    this.phase = undefined;
    this.bornMs = bornMs;
    this.ending = undefined;
    this.place = -1;
  }
}

const nobody = new Connection();

interface EndFields extends EndHeard {
  readonly timeMs: number;
  readonly deadlineMs: number;
  readonly count: number;
  readonly idleMs?: number | undefined;
}

export class Ending implements EndFields, Queued<Ending> {
  connection: Connection = nobody;
  timeMs = 0;
  deadlineMs = 0;
  outcome: Outcome | undefined = undefined;
  detail = "other";
  phase: Phase | undefined = undefined;
  count = 1;
  logged = false;
  received = false;
  sent = false;
  sessionClosed = false;
  crashed = false;
  idleMs: number | undefined = undefined;
  queue: Queue<Ending> | undefined = undefined;
  before: Ending | undefined = undefined;
  after: Ending | undefined = undefined;

  /** As one that nothing was heard of yet. */
  begin(timeMs: number, deadlineMs: number, count: number): void {
    this.timeMs = timeMs;
    this.deadlineMs = deadlineMs;
    this.outcome = undefined;
    this.detail = "other";
    this.phase = undefined;
    this.count = count;
    this.logged = false;
    this.received = false;
    this.sent = false;
    this.sessionClosed = false;
    this.crashed = false;
    this.idleMs = undefined;
  }

  /** All that was heard of the other. */
  hear(other: EndFields): void {
    this.timeMs = other.timeMs;
    this.deadlineMs = other.deadlineMs;
    this.outcome = other.outcome;
    this.detail = other.detail;
    this.phase = other.phase;
    this.count = other.count;
    this.logged = other.logged;
    this.received = other.received;
    this.sent = other.sent;
    this.sessionClosed = other.sessionClosed;
    this.crashed = other.crashed;
    this.idleMs = other.idleMs;
  }
}

/** A connection in a snapshot. */
export interface SavedConnection {
  /** `address port`; empty while the port is not known. */
  readonly key: string;
  readonly address?: string | undefined;
  readonly pid: number;
  readonly childPid: number;
  readonly phase?: Proved;
  readonly bornMs: number;
  readonly ending?: EndFields | undefined;
}

export const connectionShape: Shape<SavedConnection> = object({
  key: text,
  address: optional(text),
  pid: whole,
  childPid: whole,
  phase: optional(oneOf(["banner", "auth", "session"])),
  bornMs: time,
  ending: optional(
    object({
      timeMs: time,
      deadlineMs: time,
      outcome: optional(oneOf(outcomes)),
      detail: text,
      phase: optional(oneOf(phases)),
      count: amount,
      logged: flag,
      received: flag,
      sent: flag,
      sessionClosed: flag,
      crashed: flag,
      idleMs: optional(amount),
    }),
  ),
});
/** As it is saved; good until the next change. */
export function saved({ address, port, pid, childPid, phase, bornMs, ending }: Connection): SavedConnection {
  return {
    key: port === 0 ? "" : keyOf(address ?? "", port),
    // The key has it.
    address: port === 0 ? address : undefined,
    pid,
    childPid,
    phase,
    bornMs,
    ending: ending && savedEnding(ending),
  };
}

function savedEnding(ending: Ending): EndFields {
  const { timeMs, deadlineMs, outcome, detail, phase, count, logged, received, sent } = ending;
  const { sessionClosed, crashed, idleMs } = ending;
  return {
    timeMs,
    deadlineMs,
    outcome,
    detail,
    phase,
    count,
    logged,
    received,
    sent,
    sessionClosed,
    crashed,
    idleMs,
  };
}
