/**
 * sshd: authentication, accepted and refused, and what precedes or explains it.
 * Gives sshd.accepted, sshd.authentication_failed, sshd.user_child, sshd.ended. Texts: openssh auth.c (auth_log,
 * allowed_user), auth2.c, session.c, sshd.c. User names stand before the address, key ids after it: both hostile.
 */
import type { Event } from "../model/event.ts";
import { canonicalAddress, type Peer, readPeerAtEnd } from "./address.ts";
import { ended } from "./ended.ts";
import { noted, readPid, type Said, sshdSays } from "./wording.ts";

export const sshdAuth = [
  sshdSays({
    id: "sshd-accepted",
    versions: "4.9+",
    origin: "auth.c auth_log",
    starts: ["Accepted "],
    read: accepted,
  }),
  sshdSays({
    id: "sshd-failed",
    versions: "4.9+",
    origin: "auth.c auth_log",
    starts: ["Failed "],
    read: failed,
  }),
  sshdSays({
    id: "sshd-accepted-key",
    versions: "4.9+",
    origin: "auth2-pubkey.c, LogLevel VERBOSE; `Accepted METHOD` follows",
    starts: ["Accepted key ", "Accepted certificate "],
    read: () => noted,
  }),
  sshdSays({
    id: "sshd-postponed",
    versions: "4.9+",
    origin: "auth.c auth_log; a method that goes on, or one of several",
    starts: ["Postponed ", "Partial "],
    read: ({ rest }) => (rest.includes(" for ") ? noted : undefined),
  }),
  sshdSays({
    id: "sshd-invalid-user",
    versions: "4.9+",
    origin: "auth.c getpwnamallow, auth2.c input_userauth_request; the attempt itself is told by `Failed`",
    starts: ["Invalid user ", "input_userauth_request: invalid user "],
    read: () => noted,
  }),
  sshdSays({
    id: "sshd-not-allowed",
    versions: "4.9+",
    origin: "auth.c allowed_user; the attempt itself is told by `Failed`",
    starts: ["User "],
    read: ({ rest }) => (/ not allowed because | password has expired \(/.test(rest) ? noted : undefined),
  }),
  sshdSays({
    id: "sshd-root-refused",
    versions: "4.9+",
    origin: "auth.c auth_root_allowed; the attempt itself is told by `Failed`",
    starts: ["ROOT LOGIN REFUSED FROM "],
    read: () => noted,
  }),
  sshdSays({
    id: "sshd-authentication-limit",
    versions: "6.8+",
    origin: "auth.c auth_maxtries_exceeded",
    starts: ["maximum authentication attempts exceeded for "],
    read({ rest, length }) {
      const peer = beforeProtocol(rest, length);
      return peer && ended({ outcome: "disconnect", detail: "authentication_limit", phase: "auth" }, peer);
    },
  }),
  sshdSays({
    id: "sshd-refuse-connection",
    versions: "9.9+",
    origin: "auth.c, RefuseConnection",
    starts: ["administratively prohibited connection for "],
    read({ rest, length }) {
      const peer = readPeerAtEnd(rest, length);
      return peer && ended({ outcome: "refused", detail: "refuse_connection", phase: "auth" }, peer);
    },
  }),
  sshdSays({
    id: "sshd-ip-options",
    versions: "4.9+",
    origin: "sshd.c check_ip_options",
    starts: ["Connection from "],
    read({ rest }) {
      const found = /^(\S{2,64}) port (\d{1,5}) with IP opts?(?:ions)?: [0-9a-fA-F ]+$/.exec(rest);
      const address = found?.[1] === undefined ? undefined : canonicalAddress(found[1]);
      if (address === undefined) return undefined;
      return ended({ outcome: "refused", detail: "other", phase: "connect" }, { address, port: Number(found?.[2]) });
    },
  }),
  sshdSays({
    id: "sshd-pam-account-denied",
    versions: "4.9+",
    origin: "auth2.c, monitor.c; PAM's account stage",
    starts: ["Access denied for user "],
    read: ({ rest }) =>
      rest.endsWith(" by PAM account configuration")
        ? ended({ outcome: "error", detail: "other", phase: "auth" }, {})
        : undefined,
  }),
  sshdSays({
    id: "sshd-user-child",
    versions: "4.9+",
    origin: "sshd.c privsep_postauth, LogLevel VERBOSE",
    starts: ["User child is on pid "],
    read({ rest }) {
      const childPid = readPid(rest);
      return childPid === undefined ? undefined : { kind: "sshd.user_child", childPid };
    },
  }),
];

/** `METHOD⟦/SUB⟧ for U from A port P ssh2⟦: KEYTYPE FP⟦ ID KEYID (serial N) CA ...⟧⟧`. */
function accepted({ rest }: Said): Event | undefined {
  if (rest.startsWith("key ") || rest.startsWith("certificate ")) return undefined;
  const key = rest.indexOf(" ssh2: ");
  const peer = beforeProtocol(rest, key === -1 ? rest.length : key);
  if (peer?.address === undefined) return undefined;
  return peer.port === undefined
    ? { kind: "sshd.accepted", address: peer.address }
    : { kind: "sshd.accepted", address: peer.address, port: peer.port };
}

function failed({ rest, length }: Said): Event | undefined {
  if (!/^[a-z0-9@./-]{1,60} for /.test(rest.slice(0, 66))) return undefined;
  const peer = beforeProtocol(rest, length);
  if (peer === undefined) return undefined;
  // `none` asks which methods there are.
  if (rest.startsWith("none for ")) return noted;
  const { address, port } = peer;
  if (address === undefined || port === undefined) return { kind: "sshd.authentication_failed" };
  return { kind: "sshd.authentication_failed", address, port };
}

/**
 * The peer of `... from A port P ssh2⟦: KEY⟧`. Without a key the address is the last one. With a key, name and key id may
 * both hold a forged `A port P ssh2`: believed only where one stands in the line. An accepted name is a real account.
 */
function beforeProtocol(rest: string, length: number): Peer | undefined {
  const key = rest.indexOf(" ssh2: ");
  if (rest.endsWith(" ssh2") || rest.endsWith(" ssh1")) {
    return key === -1 ? readPeerAtEnd(rest.slice(0, -5), length) : {};
  }
  if (key === -1) return undefined;
  return rest.indexOf(" ssh2: ", key + 1) === -1 ? readPeerAtEnd(rest.slice(0, key), length) : {};
}
