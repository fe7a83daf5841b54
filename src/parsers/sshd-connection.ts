/**
 * sshd: how a connection began and how it was reset, closed, disconnected or timed out.
 * Gives sshd.connection and sshd.ended. Texts: openssh packet.c (sshpkt_fatal, ssh_packet_read_poll_seqnr),
 * serverloop.c, sshd.c; log-level and address forms differ by release.
 */
import type { Outcome } from "../model/connection.ts";
import type { Event } from "../model/event.ts";
import { canonicalAddress, readConnectionId, readConnectionIdBefore, readPeer } from "./address.ts";
import { type End, ended, phaseOf, socketOutcome } from "./ended.ts";
import { isDigits, noted, type Said, sshdSays } from "./wording.ts";

export const sshdConnection = [
  sshdSays({
    id: "sshd-connection-reset",
    versions: "6.9+",
    origin: "packet.c sshpkt_vfatal, SSH_ERR_SYSTEM_ERROR with ECONNRESET",
    starts: ["Connection reset by "],
    read: (said) => endedAtId(said, "reset"),
  }),
  sshdSays({
    id: "sshd-connection-closed",
    versions: "4.9+",
    origin: "packet.c sshpkt_vfatal, SSH_ERR_CONN_CLOSED; serverloop.c process_input",
    starts: ["Connection closed by "],
    read: (said) => endedAtId(said, "closed"),
  }),
  sshdSays({
    id: "sshd-disconnected",
    versions: "6.8+",
    origin: "packet.c sshpkt_vfatal, SSH_ERR_DISCONNECTED",
    starts: ["Disconnected from "],
    read: (said) => endedAtId(said, "disconnect"),
  }),
  sshdSays({
    id: "sshd-received-disconnect",
    versions: "4.9+",
    origin: "packet.c ssh_packet_read_poll_seqnr, SSH2_MSG_DISCONNECT",
    starts: ["Received disconnect from "],
    read: receivedDisconnect,
  }),
  sshdSays({
    id: "sshd-connection-from",
    versions: "4.9+",
    origin: "sshd.c main, LogLevel VERBOSE",
    starts: ["Connection from "],
    read: connectionFrom,
  }),
  sshdSays({
    id: "sshd-connection-timed-out",
    versions: "4.9+",
    origin: "packet.c sshpkt_vfatal, SSH_ERR_CONN_TIMEOUT",
    starts: ["Connection from ", "Connection to "],
    read: connectionTimedOut,
  }),
  sshdSays({
    id: "sshd-client-alive-timeout",
    versions: "4.9+",
    origin: "serverloop.c client_alive_check",
    starts: ["Timeout, client not responding"],
    read: clientAliveTimeout,
  }),
  sshdSays({
    id: "sshd-inactive",
    versions: "9.2+",
    origin: "serverloop.c, UnusedConnectionTimeout",
    starts: ["terminating inactive connection from "],
    read(said) {
      const id = readConnectionId(said.rest, said.length);
      return id && ended({ outcome: "timeout", detail: "inactive", phase: "session" }, id);
    },
  }),
  sshdSays({
    id: "sshd-read-error",
    versions: "4.9+",
    origin: "serverloop.c process_input; VERBOSE before 9.8",
    starts: ["Read error from remote host "],
    read: readError,
  }),
  sshdSays({
    id: "sshd-read-failed-old",
    versions: "<=6.7",
    origin: "packet.c packet_read_seqnr",
    starts: ["Read from socket failed: "],
    read: ({ rest, preauth }) => endedBySocketError(rest, "read", preauth),
  }),
  sshdSays({
    id: "sshd-write-failed-old",
    versions: "<=6.7",
    origin: "packet.c packet_write_poll",
    starts: ["Write failed: "],
    read: ({ rest, preauth }) => endedBySocketError(rest, "write", preauth),
  }),
  sshdSays({
    id: "sshd-dispatch-reset-old",
    versions: "6.8",
    origin: "dispatch.c ssh_dispatch_run_fatal",
    starts: ["ssh_dispatch_run_fatal: "],
    read: ({ rest, preauth }) => endedBySocketError(rest, "read", preauth),
  }),
  sshdSays({
    id: "sshd-write-poll",
    versions: "6.9-7.9, 8.2+",
    origin: "packet.c ssh_packet_write_poll, ssh_packet_write_wait, ssh_packet_disconnect",
    starts: [
      "packet_write_poll: Connection from ",
      "packet_write_wait: Connection from ",
      "packet_write_poll: Connection to ",
      "packet_write_wait: Connection to ",
      "process_output: ssh_packet_write_poll: Connection from ",
      "ssh_packet_write_poll: Connection from ",
      "ssh_packet_write_wait: Connection from ",
      "ssh_packet_disconnect: Connection from ",
    ],
    read: writeError,
  }),
  sshdSays({
    id: "sshd-write-poll-no-address",
    versions: "8.0-8.1",
    origin: "serverloop.c process_output",
    starts: ["process_output: ssh_packet_write_poll: "],
    read: ({ rest, preauth }) => endedBySocketError(rest, "write", preauth),
  }),
  sshdSays({
    id: "sshd-closing-connection",
    versions: "4.9+",
    origin: "serverloop.c server_loop2, LogLevel VERBOSE",
    starts: ["Closing connection to ", "Transferred: sent "],
    read: () => noted,
  }),
];

const idDetails = { reset: "read", closed: "read", disconnect: "disconnect" } as const;

function endedAtId({ rest, preauth, length, record }: Said, outcome: keyof typeof idDetails): Event | undefined {
  const detail = idDetails[outcome];
  const id = readConnectionId(rest, length);
  if (id !== undefined) return ended({ outcome, detail, phase: phaseOf(id, preauth) }, id);
  // Up to 7.1 no port follows. ` [preauth]` behind it, or the journal, proves that the address is whole.
  const address = rest === "UNKNOWN" ? undefined : canonicalAddress(rest);
  if (address === undefined && rest !== "UNKNOWN") return undefined;
  const whole = preauth || record.journal !== undefined;
  const phase = preauth ? "kex" : undefined;
  return ended({ outcome, detail, phase }, whole && address !== undefined ? { address } : {});
}

/** `A port P:CODE: TEXT` (7.2+) or `A: CODE: TEXT`: the address stands before everything that the client wrote. */
function receivedDisconnect({ rest, preauth }: Said): Event | undefined {
  const end = { outcome: "disconnect", detail: "disconnect", phase: preauth ? "kex" : undefined } as const;
  const space = rest.indexOf(" ");
  const host = rest.slice(0, space);
  if (rest.startsWith("port ", space + 1)) {
    const colon = rest.indexOf(":", space);
    const peer = colon === -1 ? undefined : readPeer(rest.slice(0, colon));
    return peer && isCode(rest, colon + 1) ? ended(end, peer) : undefined;
  }
  if (!host.endsWith(":") || !isCode(rest, space + 1)) return undefined;
  const address = canonicalAddress(host.slice(0, -1));
  if (address !== undefined) return ended(end, { address });
  return host === "UNKNOWN:" ? ended(end, {}) : undefined;
}

/** `CODE: ` of RFC 4253, section 11.1. */
function isCode(text: string, from: number): boolean {
  const colon = text.indexOf(":", from);
  return (
    colon !== -1 &&
    colon - from <= 10 &&
    isDigits(text.slice(from, colon)) &&
    /^(?: |$)/.test(text.slice(colon + 1, colon + 2))
  );
}

/** `A port P` (<=6.4), `A port P on LA port LP⟦ rdomain "R"⟧` (6.5+). */
function connectionFrom({ rest }: Said): Event | undefined {
  const on = rest.indexOf(" on ");
  const peer = readPeer(on === -1 ? rest : rest.slice(0, on));
  if (peer === undefined) return undefined;
  if (peer.address === undefined || peer.port === undefined) return noted;
  const { address, port } = peer;
  if (on === -1) return { kind: "sshd.connection", address, port };
  const rdomain = rest.indexOf(' rdomain "', on);
  const local = readPeer(rest.slice(on + 4, rdomain === -1 ? undefined : rdomain));
  if (local === undefined || (rdomain !== -1 && !rest.endsWith('"'))) return undefined;
  if (local.port === undefined) return { kind: "sshd.connection", address, port };
  return { kind: "sshd.connection", address, port, localPort: local.port };
}

function connectionTimedOut(said: Said): Event | undefined {
  const end = { outcome: "timeout", detail: "packet_timeout" } as const;
  for (const tail of [" timed out", " timed out while waiting to read"]) {
    if (!said.rest.endsWith(tail)) continue;
    const text = said.rest.slice(0, -tail.length);
    const id = readConnectionId(text, said.length);
    if (id !== undefined) return ended({ ...end, phase: phaseOf(id, said.preauth) }, id);
    const address = canonicalAddress(text);
    if (address !== undefined) return ended({ ...end, phase: said.preauth ? "kex" : undefined }, { address });
  }
  return undefined;
}

function clientAliveTimeout({ rest, length }: Said): Event | undefined {
  const end = { outcome: "timeout", detail: "client_alive", phase: "session" } as const;
  if (rest === ".") return ended(end, {});
  if (!rest.startsWith(" from ")) return undefined;
  const id = readConnectionId(rest.slice(6), length);
  return id && ended(end, id);
}

/** `A port P: ERR` (7.3+), `A: ERR`. No user is named here. */
function readError({ rest }: Said): Event | undefined {
  const colon = rest.lastIndexOf(": ");
  const outcome = colon === -1 ? undefined : socketOutcome(rest.slice(colon + 2));
  if (outcome === undefined) return undefined;
  const text = rest.slice(0, colon);
  const end: End = { outcome, detail: "read", phase: "session" };
  const address = canonicalAddress(text);
  const peer = address === undefined ? readPeer(text) : { address };
  return peer && ended(end, peer);
}

function writeError({ rest, preauth, length }: Said): Event | undefined {
  const colon = rest.lastIndexOf(": ");
  const outcome = colon === -1 ? undefined : socketOutcome(rest.slice(colon + 2));
  if (outcome === undefined) return undefined;
  const id = readConnectionIdBefore(rest, length);
  if (id !== undefined) return ended({ outcome, detail: "write", phase: phaseOf(id, preauth) }, id);
  const address = canonicalAddress(rest.slice(0, colon));
  return address === undefined
    ? undefined
    : ended({ outcome, detail: "write", phase: preauth ? "kex" : undefined }, { address });
}

function endedBySocketError(errorText: string, detail: "read" | "write", preauth: boolean): Event | undefined {
  const outcome: Outcome | undefined = socketOutcome(errorText);
  return outcome && ended({ outcome, detail, phase: preauth ? "kex" : undefined }, {});
}
