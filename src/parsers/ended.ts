/** How the sshd families build the one event that most of their lines make: `sshd.ended`. */
import type { Outcome, Phase } from "../model/connection.ts";
import type { EndDetail, SshdEnded } from "../model/event.ts";
import type { ConnectionId, Peer } from "./address.ts";

export interface End {
  readonly outcome: Outcome;
  readonly detail: EndDetail;
  readonly phase?: Phase | undefined;
  readonly subjectPid?: number;
}

/** Field by field: this is the hottest object, and spreading optional parts costs more than all the parsing. */
export function ended({ outcome, detail, phase, subjectPid }: End, { address, port }: Peer): SshdEnded {
  if (address !== undefined && port !== undefined && subjectPid === undefined)
    return endedAt(outcome, detail, phase, address, port);
  const event: { -readonly [K in keyof SshdEnded]: SshdEnded[K] } = { kind: "sshd.ended", outcome, detail };
  if (phase !== undefined) event.phase = phase;
  if (address !== undefined) event.address = address;
  if (port !== undefined) event.port = port;
  if (subjectPid !== undefined) event.subjectPid = subjectPid;
  return event;
}

/** Of a whole peer: most of them, and so always in one of two shapes. */
export function endedAt(
  outcome: Outcome,
  detail: EndDetail,
  phase: Phase | undefined,
  address: string,
  port: number,
): SshdEnded {
  return phase === undefined
    ? { kind: "sshd.ended", outcome, detail, address, port }
    : { kind: "sshd.ended", outcome, detail, phase, address, port };
}

/**
 * What a connection id and ` [preauth]` tell about the phase. Before 7.5 no user is named, so `kex` there means
 * "before authentication ended": an earlier line of the same process may know better. Since 10.3 it may be `banner` too.
 */
export function phaseOf({ claims }: Pick<ConnectionId, "claims">, preauth: boolean): Phase | undefined {
  if (claims === "authenticating" || claims === "invalid") return "auth";
  if (claims === "user") return "session";
  return preauth ? "kex" : undefined;
}

/** strerror(3) texts of a dead connection, and the outcome that each one is. EPIPE: a reset after the peer's own close (Linux tcp_reset). */
const socketErrors: Readonly<Record<string, Outcome>> = {
  "Connection reset by peer": "reset",
  "Broken pipe": "closed",
  "Connection closed by remote host": "closed",
  "Connection timed out": "timeout",
  "No route to host": "timeout",
  "Network is unreachable": "timeout",
  "Host is down": "timeout",
  "Software caused connection abort": "reset",
  "Connection refused": "error",
  "Operation timed out": "timeout",
};

export function socketOutcome(errorText: string): Outcome | undefined {
  return Object.hasOwn(socketErrors, errorText) ? socketErrors[errorText] : undefined;
}
