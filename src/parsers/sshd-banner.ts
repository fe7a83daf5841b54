/**
 * sshd: ends before and in the exchange of identification strings, and the grace time for logging in.
 * Gives sshd.ended. Texts: openssh kex.c (kex_exchange_identification), sshd.c (sshd_exchange_identification up to 7.9,
 * grace_alarm_handler, 9.8+ child_reap). Since 8.0 the reason line has no address; the line after it has, since 8.3.
 */
import type { Event } from "../model/event.ts";
import { canonicalAddress, readLastAddress, readPeer, readPeerAtEnd } from "./address.ts";
import { ended, socketOutcome } from "./ended.ts";
import { readPid, type Said, sshdSays } from "./wording.ts";

/** Version 1 of the PROXY protocol, which sshd does not speak. */
const proxyHeader = /^PROXY (?:TCP[46] |UNKNOWN)/;
const protocolError = { outcome: "error", detail: "protocol", phase: "banner" } as const;

export const sshdBanner = [
  sshdSays({
    id: "sshd-kex-exchange-closed",
    versions: "8.0+",
    origin: "kex.c kex_exchange_identification; VERBOSE since 9.5",
    starts: ["kex_exchange_identification: Connection closed by remote host"],
    read: ({ rest }) => (rest === "" ? ended({ outcome: "closed", detail: "banner", phase: "banner" }, {}) : undefined),
  }),
  sshdSays({
    id: "sshd-kex-exchange-read",
    versions: "8.0+",
    origin: "kex.c kex_exchange_identification",
    starts: ["kex_exchange_identification: read: ", "kex_exchange_identification: write: "],
    read({ rest }) {
      const outcome = socketOutcome(rest);
      return outcome && ended({ outcome, detail: "banner", phase: "banner" }, {});
    },
  }),
  sshdSays({
    id: "sshd-proxy-header",
    versions: "8.0+",
    origin: "kex.c kex_exchange_identification; VERBOSE since 9.5. haproxy doc/proxy-protocol.txt, 2.1",
    starts: ['kex_exchange_identification: client sent invalid protocol identifier "'],
    read: ({ rest }) => (proxyHeader.test(rest) ? ended({ ...protocolError, detail: "proxy_header" }, {}) : undefined),
  }),
  sshdSays({
    id: "sshd-empty-identification",
    versions: "8.0+",
    // Version 2 of the PROXY protocol begins with CR LF: this is all that sshd shows of it.
    origin: "kex.c kex_exchange_identification; VERBOSE since 9.5. haproxy doc/proxy-protocol.txt, 2.2",
    starts: ['kex_exchange_identification: client sent invalid protocol identifier ""'],
    read: ({ rest }) => (rest === "" ? ended({ ...protocolError, detail: "empty_identification" }, {}) : undefined),
  }),
  sshdSays({
    id: "sshd-kex-exchange-invalid",
    versions: "8.0+",
    origin: "kex.c kex_exchange_identification; VERBOSE since 9.5",
    starts: [
      'kex_exchange_identification: client sent invalid protocol identifier "',
      "kex_exchange_identification: banner line contains invalid characters",
      "kex_exchange_identification: banner line too long",
      "kex_exchange_identification: No SSH identification string received.",
      "Bad remote protocol version identification: '",
      "Protocol major versions differ: ",
    ],
    read: ({ rest }) => (rest === '"' || proxyHeader.test(rest) ? undefined : ended(protocolError, {})),
  }),
  sshdSays({
    id: "sshd-banner-exchange",
    versions: "8.3+",
    origin: "sshd.c main, sshpkt_fatal after kex_exchange_identification",
    starts: ["banner exchange: Connection from "],
    read: bannerExchange,
  }),
  sshdSays({
    id: "sshd-no-identification",
    versions: "<=7.9",
    origin: "sshd.c sshd_exchange_identification",
    starts: ["Did not receive identification string from "],
    read({ rest, record }) {
      const peer = readPeer(rest) ?? readLastAddress(rest, record.journal !== undefined);
      return peer && ended({ outcome: "closed", detail: "banner", phase: "banner" }, peer);
    },
  }),
  sshdSays({
    id: "sshd-bad-identification",
    versions: "<=7.9",
    origin: "sshd.c sshd_exchange_identification",
    starts: ["Bad protocol version identification '"],
    read: badIdentification,
  }),
  sshdSays({
    id: "sshd-protocol-major-differs",
    versions: "<=7.9",
    origin: "sshd.c sshd_exchange_identification",
    starts: ["Protocol major versions differ for "],
    read({ rest }) {
      const colon = rest.lastIndexOf(": ", rest.length);
      const at = rest.indexOf(": ");
      if (colon === -1) return undefined;
      const peer = readPeer(rest.slice(0, at)) ?? addressOnly(rest.slice(0, at));
      return peer && ended(protocolError, peer);
    },
  }),
  sshdSays({
    id: "sshd-probed",
    versions: "4.9+",
    origin: "sshd.c, compat.c SSH_BUG_PROBE, SSH_BUG_SCANNER",
    starts: ["probed from ", "scanned from "],
    read({ rest }) {
      const end = rest.indexOf(" with ");
      if (end === -1 || !rest.endsWith(".  Don't panic.")) return undefined;
      const peer = readPeer(rest.slice(0, end)) ?? addressOnly(rest.slice(0, end));
      return peer && ended({ ...protocolError, outcome: "closed" }, peer);
    },
  }),
  sshdSays({
    id: "sshd-login-grace",
    versions: "<=9.7",
    origin: "sshd.c grace_alarm_handler",
    starts: ["Timeout before authentication for "],
    read({ rest, record }) {
      const peer = readPeer(rest) ?? readLastAddress(rest, record.journal !== undefined);
      return peer && ended({ outcome: "timeout", detail: "login_grace" }, peer);
    },
  }),
  sshdSays({
    id: "sshd-login-grace-listener",
    versions: "9.8+",
    origin: "sshd.c child_reap",
    starts: ["Timeout before authentication for connection from "],
    read: graceTimeoutOfChild,
  }),
];

function addressOnly(text: string): { readonly address: string } | undefined {
  const address = canonicalAddress(text);
  return address === undefined ? undefined : { address };
}

/** `A port P: TEXT`, the text sshd's own. */
function bannerExchange({ rest }: Said): Event | undefined {
  const at = rest.indexOf(": ");
  const peer = at === -1 ? undefined : readPeer(rest.slice(0, at));
  if (peer === undefined) return undefined;
  const outcome = socketOutcome(rest.slice(at + 2));
  return outcome === undefined
    ? ended(protocolError, peer)
    : ended({ outcome, detail: "banner", phase: "banner" }, peer);
}

/** `TEXT' from A⟦ port P⟧`: the text is the client's, quotes included, so the address is the last one. */
function badIdentification({ rest, length, record }: Said): Event | undefined {
  const from = rest.lastIndexOf("' from ");
  if (from === -1) return length >= 320 ? ended(protocolError, {}) : undefined;
  const tail = rest.slice(from + 7);
  const peer = tail.includes(" ") ? readPeerAtEnd(tail, length) : readLastAddress(tail, record.journal !== undefined);
  const said = rest.slice(0, from);
  const detail = said === "" ? "empty_identification" : proxyHeader.test(said) ? "proxy_header" : protocolError.detail;
  return peer && ended({ ...protocolError, detail }, peer);
}

/** `A to LA, pid = N⟦ (early)⟧`: the line is the listener's, the connection is process N's. */
function graceTimeoutOfChild({ rest }: Said): Event | undefined {
  const to = rest.indexOf(" to ");
  const at = rest.indexOf(", pid = ", to);
  if (to === -1 || at === -1) return undefined;
  const address = canonicalAddress(rest.slice(0, to));
  const pidText = rest.slice(at + 8).replace(/ \((?:early|sending config|sending keys)\)$/, "");
  const subjectPid = readPid(pidText);
  if (subjectPid === undefined || (address === undefined && rest.slice(0, to) !== "UNKNOWN")) return undefined;
  return ended({ outcome: "timeout", detail: "login_grace", subjectPid }, address === undefined ? {} : { address });
}
