/**
 * What an end was: phase, outcome and detail from everything that was heard of it.
 * Source: OpenSSH packet.c, serverloop.c, kex.c (which lines say what, by release); pam_unix(8).
 */
import { isIP } from "node:net";
import { type Outcome, outcomes, type Phase, phases } from "../model/connection.ts";
import { amount, flag, object, oneOf, optional, type Shape, text, time, whole } from "../model/saved.ts";

/** What was heard of an end while it is held. */
export interface Ending {
  timeMs: number;
  deadlineMs: number;
  outcome?: Outcome | undefined;
  detail: string;
  phase?: Phase | undefined;
  count: number;
  /** A log line or drop told the end: its outcome stands. */
  logged: boolean;
  received: boolean;
  sent: boolean;
  sessionClosed: boolean;
  crashed: boolean;
  idleMs?: number | undefined;
}

/** What is known of one connection, and saved. */
export interface SavedConnection {
  /** `address port`; empty while the port is not known. */
  key: string;
  /** Undefined while no line has told it. */
  address?: string | undefined;
  pid: number;
  childPid: number;
  /** The last phase that a line proved; undefined when its beginning was not seen. */
  phase?: "banner" | "auth" | "session" | undefined;
  /** Wall time of the tick before it was first heard of. */
  bornMs: number;
  ending?: Ending | undefined;
}

export interface Connection extends SavedConnection {
  /** Where it stands in the latest snapshot. */
  place: number;
}

/** A connection in a snapshot. */
export const connectionShape: Shape<SavedConnection> = object({
  key: connectionKey,
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

function connectionKey(value: unknown, place: string): string {
  const key = text(value, place);
  const [, address = "", port] = /^(\S+) (\d{1,5})$/.exec(key) ?? [];
  if (key !== "" && (isIP(address) === 0 || Number(port) > 65_535))
    throw new Error(`${place}: ${JSON.stringify(key.slice(0, 80))} is no address and port`);
  return key;
}

export function phaseOf(connection: Connection, ending: Ending): Phase {
  if (ending.outcome === "dropped" || ending.outcome === "refused") return ending.phase ?? "connect";
  if (connection.phase === "session") return "session";
  if (ending.phase === "kex" && connection.phase === "auth") return "auth";
  if (ending.phase && ending.phase !== "session") return ending.phase;
  if (connection.phase) return connection.phase;
  if (ending.phase === "session" || ending.sessionClosed || ending.crashed) return "unknown";
  if (!ending.logged) return "connect";
  if (ending.detail === "login_grace") return "auth";
  // 8.3 to 10.2: a banner that never came reads like a session's end; a session's would have been followed by PAM.
  return ending.outcome === "closed" || ending.outcome === "reset" ? "banner" : "unknown";
}

/** `kernelVisible`: had a reset ended it, the kernel would have told. */
export function outcomeOf(connection: Connection, ending: Ending, kernelVisible: boolean): Outcome {
  if (ending.crashed) return "error";
  if (ending.outcome) return ending.outcome;
  if (ending.received || ending.sent) return "reset";
  // Not seen from its start: that it is gone is no evidence of anything abnormal.
  if (!connection.phase) return "closed";
  return kernelVisible ? "closed" : "error";
}

export function detailOf(ending: Ending): string {
  if (ending.crashed) return "crash";
  if (ending.logged) return ending.detail;
  return ending.received || ending.sent ? "kernel" : "session_closed";
}
