/**
 * What an end was: phase, outcome and detail from everything that was heard of it.
 * Source: OpenSSH packet.c, serverloop.c, kex.c (which lines say what, by release); pam_unix(8).
 */
import type { Outcome, Phase } from "../model/connection.ts";

/** What was heard of an end while it is held. */
export interface EndHeard {
  readonly outcome?: Outcome | undefined;
  readonly detail: string;
  readonly phase?: Phase | undefined;
  /** A log line or drop told the end: its outcome stands. */
  readonly logged: boolean;
  readonly received: boolean;
  readonly sent: boolean;
  readonly sessionClosed: boolean;
  readonly crashed: boolean;
}

/** The last phase that a line proved; undefined when its beginning was not seen. */
export type Proved = "banner" | "auth" | "session" | undefined;

interface Proving {
  readonly phase?: Proved;
}

export function phaseOf(connection: Proving, ending: EndHeard): Phase {
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
export function outcomeOf(connection: Proving, ending: EndHeard, kernelVisible: boolean): Outcome {
  if (ending.crashed) return "error";
  if (ending.outcome) return ending.outcome;
  if (ending.received || ending.sent) return "reset";
  // Not seen from its start: that it is gone is no evidence of anything abnormal.
  if (!connection.phase) return "closed";
  return kernelVisible ? "closed" : "error";
}

export function detailOf(ending: EndHeard): string {
  if (ending.crashed) return "crash";
  if (ending.logged) return ending.detail;
  return ending.received || ending.sent ? "kernel" : "session_closed";
}
