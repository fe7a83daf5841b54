/**
 * haproxy's own log: how each session in TCP mode ended, as the proxy saw it, and what its health checks say of servers.
 * Gives proxy.ended and proxy.server. Texts: haproxy doc/configuration.txt, 8.2.2 "TCP log format" (`option tcplog`) and
 * 8.5 "Session state at disconnection"; src/server.c, src/proxy.c for servers. Lines of HTTP mode are noted.
 */
import type { Event, ProxyEvent } from "../model/event.ts";
import { canonicalAddress, readPort } from "./address.ts";
import { noted, says } from "./wording.ts";

type Ender = Extract<ProxyEvent, { kind: "proxy.ended" }>["endedBy"];

/** The first letter of the termination state; P, L, K, U and I are the proxy's own doing. */
const enders: Readonly<Record<string, Ender>> = {
  "-": "nobody",
  C: "client",
  S: "server",
  c: "client_timeout",
  s: "server_timeout",
  D: "server_down",
  R: "resource",
  P: "proxy",
  L: "proxy",
  K: "proxy",
  U: "proxy",
  I: "proxy",
};

/** `CLIENT:PORT [DATE] FRONTEND BACKEND/SERVER Tw/Tc/Tt BYTES STATE a/f/b/s/r q/q`, the whole line. */
const tcpSession =
  /^(\S{2,64}):(\d{1,5}) \[\d\d\/[A-Z][a-z]{2}\/\d{4}:\d\d:\d\d:\d\d\.\d{3}\] \S{1,256} \S{1,512} -?\d{1,12}\/(-?\d{1,12})\/\+?\d{1,12} \+?\d{1,18} ([-CSPLRIDUKcs])[-RQCHDLT](?: \d{1,9}\/\d{1,9}\/\d{1,9}\/\d{1,9}\/\+?\d{1,9} \d{1,9}\/\d{1,9})$/;
/** The same beginning, and then anything: HTTP mode, failed handshakes, formats of one's own. */
const otherSession = /^\S{2,64}:\d{1,5} \[\d\d\/[A-Z][a-z]{2}\/\d{4}:\d\d:\d\d:\d\d\.\d{3}\] /;

export const haproxy = [
  says({
    id: "haproxy-tcp-session",
    versions: "haproxy 1.4+",
    origin: "haproxy doc/configuration.txt, 8.2.2 and 8.5",
    starts: [""],
    read: ({ record }) => tcpSessionEnd(record.message),
  }),
  says({
    id: "haproxy-other-session",
    versions: "haproxy 1.4+",
    origin: "haproxy doc/configuration.txt, 8.2.3 and 8.2.5",
    starts: [""],
    read: ({ record: { message } }) =>
      otherSession.test(message) && tcpSessionEnd(message) === undefined ? noted : undefined,
  }),
  says({
    id: "haproxy-server-state",
    versions: "haproxy 1.4+",
    origin: "haproxy src/server.c",
    starts: ["Server ", "Backup Server "],
    read({ rest }) {
      const state = /^\S{1,512} is (UP|DOWN)\b/.exec(rest)?.[1];
      return state === undefined ? noted : { kind: "proxy.server", up: state === "UP" };
    },
  }),
  says({
    id: "haproxy-notice",
    versions: "haproxy 1.4+",
    origin: "haproxy src/proxy.c, src/log.c (`Connect from` without option tcplog)",
    starts: [
      "Proxy ",
      "proxy ",
      "backend ",
      "Connect from ",
      "Connect() failed ",
      "Health check for ",
      "Stopping ",
      "Pausing ",
    ],
    read: () => noted,
  }),
];

/** Undefined for every other line, and for clients of unix sockets, which have no address. */
function tcpSessionEnd(message: string): Event | undefined {
  const [, host = "", portText = "", connectMs, letter = ""] = tcpSession.exec(message) ?? [];
  const endedBy = enders[letter];
  const address = canonicalAddress(host);
  const port = readPort(portText);
  if (endedBy === undefined || address === undefined || port === undefined) return undefined;
  // Tc is -1 until the server has answered.
  return { kind: "proxy.ended", endedBy, stage: connectMs === "-1" ? "setup" : "data", address, port };
}
