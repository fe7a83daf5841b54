/**
 * Peers inside messages: addresses checked and made canonical, ports, and the two grammars that sshd uses around a
 * user's own text: the connection id at the end of a line, or before `: TEXT` (openssh packet.c, sshpkt_fmt_connection_id).
 * User names precede the address and reasons follow it, both verbatim: so the address is taken from the right end,
 * or from the left end, and where both sides are free only if it is the only one.
 */
import { isIP, SocketAddress } from "node:net";

/** Empty: sshd did not know its peer (`UNKNOWN port 65535`), or the text cannot be believed that far right. */
export interface Peer {
  readonly address?: string;
  readonly port?: number;
}

export interface ConnectionId extends Peer {
  /** What sshd prints before the address since 7.5: who the peer claims to be. */
  readonly claims: "authenticating" | "invalid" | "user" | "nobody";
}

const nobodyKnown: Peer = {};

/**
 * sshd cuts a message to 500 bytes after escaping (log.c, do_log). A name padded with escapes and spaces can bring the
 * cut, or the end that a trimming syslog daemon leaves, right behind a forged `A port P`. That needs more than
 * 330 characters; honest messages are shorter.
 */
export const longestHonestTail = 320;

/** The canonical text of an address: IPv4, IPv4-mapped as IPv4, IPv6 in lower case without zone; undefined for anything else. */
export function canonicalAddress(text: string): string | undefined {
  if (text.length < 2 || text.length > 64) return undefined;
  const v4 = canonicalV4(text);
  if (v4 !== undefined) return v4;
  if (!text.includes(":")) return undefined;
  if (isCanonicalV6(text)) return text;
  const zone = text.indexOf("%");
  const bare = zone === -1 ? text : text.slice(0, zone);
  if (isIP(bare) !== 6 || (zone !== -1 && !/^[\w.-]{1,16}$/.test(text.slice(zone + 1)))) return undefined;
  const { address } = new SocketAddress({ address: bare, family: "ipv6" });
  return address.startsWith("::ffff:") && address.includes(".") ? canonicalV4(address.slice(7)) : address;
}

/** By hand: most lines carry an IPv4 address. What has no leading zeros is canonical as it stands. */
function canonicalV4(text: string): string | undefined {
  let dots = 0;
  let value = -1;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === 46) {
      if (value < 0 || dots === 3) return undefined;
      dots++;
      value = -1;
    } else if (code >= 48 && code <= 57) {
      if (value === 0) return undefined;
      value = (value < 0 ? 0 : value * 10) + code - 48;
      if (value > 255) return undefined;
    } else return undefined;
  }
  return dots === 3 && value >= 0 ? text : undefined;
}

/**
 * Surely as SocketAddress would write it, which costs thirty times this: lower case, no zero at the start of a group, not one
 * group of zero outside of `::`, and that not at the start. Few addresses are written otherwise; of those it says nothing.
 */
function isCanonicalV6(text: string): boolean {
  let groups = 0;
  let digits = 0;
  let gaps = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === 58) {
      if (digits > 0) groups++;
      else if (groups === 0 || ++gaps > 1) return false;
      digits = 0;
    } else {
      if (!((code > 48 && code < 58) || (code > 96 && code < 103) || (code === 48 && digits > 0))) return false;
      if (++digits > 4) return false;
    }
  }
  if (digits > 0) groups++;
  else if (gaps === 0 || text.charCodeAt(text.length - 2) !== 58) return false;
  return gaps === 0 ? groups === 8 : groups <= 6;
}

/** A port from 1 to 65535; undefined for anything else. */
export function readPort(text: string): number | undefined {
  if (text.length > 5) return undefined;
  let port = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code < 48 || code > 57 || (port === 0 && code === 48)) return undefined;
    port = port * 10 + code - 48;
  }
  return port >= 1 && port <= 65535 ? port : undefined;
}

/** `A port P` and nothing else, also `UNKNOWN port 65535`. Undefined: not that grammar. */
export function readPeer(text: string): Peer | undefined {
  const at = text.indexOf(" port ");
  if (at === -1) return undefined;
  return checkedPeer(text.slice(0, at), text.slice(at + 6));
}

function checkedPeer(host: string, portText: string): Peer | undefined {
  const port = readPort(portText);
  if (port === undefined) return undefined;
  if (host === "UNKNOWN") return nobodyKnown;
  const address = canonicalAddress(host);
  return address === undefined ? undefined : { address, port };
}

/** `[A]:P`, as in `drop connection`. */
export function readBracketedPeer(text: string): Peer | undefined {
  const end = text.indexOf("]:");
  if (end === -1 || text.charCodeAt(0) !== 91) return undefined;
  return checkedPeer(text.slice(1, end), text.slice(end + 2));
}

/**
 * An address that ends the line, in releases that print no port. The line of a file may be cut anywhere, and half an
 * address is another address: only the journal, which keeps messages whole, is believed. Undefined: no address at all.
 */
export function readLastAddress(text: string, wholeLine: boolean): Peer | undefined {
  const address = canonicalAddress(text);
  if (address === undefined) return text === "UNKNOWN" ? nobodyKnown : undefined;
  return wholeLine ? { address } : nobodyKnown;
}

/** The last `A port P` of a text that may say anything before it, after a space. */
export function readPeerAtEnd(text: string, messageLength: number): Peer | undefined {
  if (messageLength > longestHonestTail) return nobodyKnown;
  const at = text.lastIndexOf(" port ");
  if (at === -1) return undefined;
  const space = text.lastIndexOf(" ", at - 1);
  return checkedPeer(text.slice(space + 1, at), text.slice(at + 6));
}

/** `⟦authenticating user U |invalid user U |user U ⟧A port P`, the whole text. Since 7.5; before, `A port P`. */
export function readConnectionId(text: string, messageLength: number): ConnectionId | undefined {
  const claims = readClaims(text);
  const peer = claims === "nobody" ? readPeer(text) : readPeerAtEnd(text, messageLength);
  return peer && withClaims(peer, claims);
}

function withClaims({ address, port }: Peer, claims: ConnectionId["claims"]): ConnectionId {
  if (address === undefined) return { claims };
  return port === undefined ? { address, claims } : { address, port, claims };
}

/** The connection id before `: TEXT`, where the text may be anything. */
export function readConnectionIdBefore(text: string, messageLength: number): ConnectionId | undefined {
  const claims = readClaims(text);
  if (claims !== "nobody") return withClaims(onlyPeer(text, messageLength), claims);
  const at = text.indexOf(" port ");
  const colon = text.indexOf(":", at);
  const peer = at === -1 || colon === -1 ? undefined : checkedPeer(text.slice(0, at), text.slice(at + 6, colon));
  return peer && withClaims(peer, claims);
}

function readClaims(text: string): ConnectionId["claims"] {
  const first = text.charCodeAt(0);
  if (first >= 48 && first <= 57) return "nobody";
  // monitor.c forgets the space after `authenticating` (7.5 to 10.5).
  if (text.startsWith("authenticating user ") || text.startsWith("authenticatinguser ")) return "authenticating";
  if (text.startsWith("invalid user ")) return "invalid";
  return text.startsWith("user ") ? "user" : "nobody";
}

/** A name on the left, a text on the right, both free: believed only where a single ` A port P:` stands in the line. */
function onlyPeer(text: string, messageLength: number): Peer {
  if (messageLength > longestHonestTail) return nobodyKnown;
  let found: Peer | undefined;
  for (let at = text.indexOf(" port "); at !== -1; at = text.indexOf(" port ", at + 1)) {
    const colon = text.indexOf(":", at);
    if (colon === -1) break;
    const peer = checkedPeer(text.slice(text.lastIndexOf(" ", at - 1) + 1, at), text.slice(at + 6, colon));
    if (peer === undefined) continue;
    if (found !== undefined) return nobodyKnown;
    found = peer;
  }
  return found ?? nobodyKnown;
}
