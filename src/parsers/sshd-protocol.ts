/**
 * sshd: ends for reasons of protocol: no common algorithm, damaged packets, what sshd itself disconnects for.
 * Gives sshd.ended. Texts: openssh packet.c, kex.c, dispatch.c, auth2.c. The texts behind the address hold what the
 * client offered; the names before it what it called itself.
 */
import type { Event } from "../model/event.ts";
import { canonicalAddress, readConnectionIdBefore } from "./address.ts";
import { type End, ended, phaseOf, socketOutcome } from "./ended.ts";
import { noted, type Said, sshdSays } from "./wording.ts";

const integrity = { outcome: "error", detail: "integrity" } as const;
const protocol = { outcome: "error", detail: "protocol" } as const;
const negotiation = { outcome: "error", detail: "negotiation" } as const;

export const sshdProtocol = [
  sshdSays({
    id: "sshd-unable-to-negotiate",
    versions: "7.0+",
    origin: "packet.c sshpkt_vfatal, SSH_ERR_NO_*_ALG_MATCH",
    starts: ["Unable to negotiate with "],
    read(said) {
      const id = idBefore(said.rest, said.length);
      return id && said.rest.includes(": no matching ")
        ? ended({ ...negotiation, phase: phaseOf(id, said.preauth) }, id)
        : undefined;
    },
  }),
  sshdSays({
    id: "sshd-no-matching-old",
    versions: "<=6.8",
    origin: "kex.c choose_kex, choose_enc, choose_mac",
    starts: ["Unable to negotiate a ", "no matching "],
    read: ({ rest, preauth }) =>
      / found(?::|$)|^key exchange method$/.test(rest)
        ? ended({ ...negotiation, phase: preauth ? "kex" : undefined }, {})
        : undefined,
  }),
  sshdSays({
    id: "sshd-dispatch-fatal",
    versions: "6.9+",
    origin: "dispatch.c ssh_dispatch_run_fatal",
    starts: ["ssh_dispatch_run_fatal: Connection from ", "ssh_dispatch_run_fatal: Connection to "],
    read: dispatchFatal,
  }),
  sshdSays({
    id: "sshd-disconnecting",
    versions: "4.9+",
    origin: "packet.c ssh_packet_disconnect",
    starts: ["Disconnecting"],
    read: disconnecting,
  }),
  sshdSays({
    id: "sshd-bad-packet",
    versions: "4.9+",
    origin: "packet.c ssh_packet_read_poll2",
    starts: ["Bad packet length ", "padding error: need ", "Corrupted MAC on input", "Corrupted check bytes on input"],
    read: ({ preauth }) => ended({ ...integrity, phase: preauth ? "kex" : undefined }, {}),
  }),
  sshdSays({
    id: "sshd-finished-discarding",
    versions: "4.9+",
    origin: "packet.c ssh_packet_stop_discard; the end is told by the lines around it",
    starts: ["Finished discarding for ", "Packet corrupt"],
    read: () => noted,
  }),
  sshdSays({
    id: "sshd-protocol-error",
    versions: "4.9+",
    origin: "dispatch.c dispatch_protocol_error, kex.c kex_protocol_error; the connection may go on",
    starts: ["dispatch_protocol_error: type ", "kex_protocol_error: type "],
    read: () => noted,
  }),
  sshdSays({
    id: "sshd-key-exchange-message",
    versions: "9.6+",
    origin: "packet.c, kex.c",
    starts: ["non-transport message ", "RekeyLimit exceeded before authentication completed"],
    read: ({ preauth }) => ended({ ...protocol, phase: preauth ? "kex" : undefined }, {}),
  }),
  sshdSays({
    id: "sshd-forward-refused",
    versions: "4.9+",
    origin: "channels.c, serverloop.c; one forwarding, not the session",
    starts: [
      "refused local port forward: ",
      "refused streamlocal port forward: ",
      "Received request from ",
      "connect_to ",
    ],
    read: () => noted,
  }),
];

/** The connection id before `: TEXT`, also without a port (up to 7.1). */
function idBefore(rest: string, length: number): ReturnType<typeof readConnectionIdBefore> {
  const id = readConnectionIdBefore(rest, length);
  if (id !== undefined) return id;
  const end = rest.indexOf(": ");
  const address = end === -1 ? undefined : canonicalAddress(rest.slice(0, end));
  return address === undefined ? undefined : { address, claims: "nobody" };
}

function dispatchFatal({ rest, preauth, length }: Said): Event | undefined {
  const id = idBefore(rest, length);
  if (id === undefined) return undefined;
  const text = rest.slice(rest.lastIndexOf(": ") + 2);
  const phase = phaseOf(id, preauth);
  const outcome = socketOutcome(text);
  if (outcome !== undefined) return ended({ outcome, detail: "read", phase }, id);
  return ended({ ...(isDamage(text) ? integrity : protocol), phase }, id);
}

function isDamage(text: string): boolean {
  return (
    text === "message authentication code incorrect" || text === "Connection corrupted" || text === "incomplete message"
  );
}

/** `⟦ID⟧: TEXT`: sshd ends the connection and says why. TEXT may quote the user's name. */
function disconnecting({ rest, preauth, length }: Said): Event | undefined {
  if (rest.startsWith(": "))
    return ended({ ...disconnectReason(rest.slice(2)), phase: preauth ? "kex" : undefined }, {});
  if (!rest.startsWith(" ")) return undefined;
  const text = rest.slice(1);
  const id = idBefore(text, length);
  if (id === undefined) return undefined;
  return ended(
    {
      ...disconnectReason(text.slice(text.indexOf(": ", text.lastIndexOf(" port ")) + 2)),
      phase: phaseOf(id, preauth),
    },
    id,
  );
}

function disconnectReason(reason: string): Pick<End, "outcome" | "detail"> {
  if (reason.startsWith("Too many authentication failures"))
    return { outcome: "disconnect", detail: "authentication_limit" };
  if (/^(?:Packet corrupt|Packet integrity error|Corrupted |Bad packet length )/.test(reason)) return integrity;
  if (
    /^(?:protocol error|strict KEX violation|multiple KEXINIT|Possible attack|bad service request|Change of username)/.test(
      reason,
    )
  ) {
    return protocol;
  }
  return { outcome: "disconnect", detail: "other" };
}
