/**
 * TCP resets that the kernel sent and received: the trace events tcp_send_reset and tcp_receive_reset.
 * Gives tcp.reset_sent, tcp.reset_received. Source: include/trace/events/tcp.h (print formats differ by release: `src=A:P
 * dest=A:P` since 6.10, before `sport= dport= saddr= daddr= saddrv6= daddrv6=`), include/net/rstreason.h. In both
 * events the source side is the local one.
 */
import { type Event, type ResetReason, resetReasons } from "../model/event.ts";
import { canonicalAddress, readPort } from "./address.ts";
import { says } from "./wording.ts";

const known: ReadonlySet<string> = new Set(resetReasons);

export const tcpSendReset = [
  says({
    id: "tcp-send-reset",
    versions: "4.15+",
    origin: "include/trace/events/tcp.h tcp_send_reset; reason since 6.10",
    starts: [""],
    read: ({ record }) => resetEvent("tcp.reset_sent", record.message),
  }),
];

export const tcpReceiveReset = [
  says({
    id: "tcp-receive-reset",
    versions: "4.15+",
    origin: "include/trace/events/tcp.h tcp_receive_reset",
    starts: [""],
    read: ({ record }) => resetEvent("tcp.reset_received", record.message),
  }),
];

function resetEvent(kind: "tcp.reset_sent" | "tcp.reset_received", message: string): Event | undefined {
  const fields = fieldsOf(message);
  const local = endpoint(fields.get("src")) ?? splitEndpoint(fields, "saddr", "sport");
  const remote = endpoint(fields.get("dest")) ?? splitEndpoint(fields, "daddr", "dport");
  if (local === undefined || remote === undefined || local.port === 0) return undefined;
  return {
    kind,
    localAddress: local.address,
    localPort: local.port,
    ...(remote.port !== 0 && { address: remote.address, port: remote.port }),
    ...(kind === "tcp.reset_sent" && { reason: resetReason(fields.get("reason")) }),
  };
}

function fieldsOf(message: string): ReadonlyMap<string, string> {
  const fields = new Map<string, string>();
  for (const word of message.slice(0, 1024).split(" ")) {
    const equals = word.indexOf("=");
    if (equals > 0) fields.set(word.slice(0, equals), word.slice(equals + 1));
  }
  return fields;
}

function resetReason(text: string | undefined): ResetReason {
  const reason = text?.toLowerCase().replace(/^sk_rst_reason_/, "") ?? "not_specified";
  return known.has(reason) ? (reason as ResetReason) : "other";
}

interface Endpoint {
  readonly address: string;
  /** 0 where the event has no peer: a listener's reset. */
  readonly port: number;
}

/** `10.0.0.1:22`, `[2001:db8::1]:22` (%pISpc). */
function endpoint(text: string | undefined): Endpoint | undefined {
  const found = /^(?:\[([0-9a-fA-F:.]{2,45})\]|([\d.]{7,15})):(\d{1,5})$/.exec(text ?? "");
  return found === null ? undefined : checked(found[1] ?? found[2], found[3]);
}

function splitEndpoint(fields: ReadonlyMap<string, string>, address: string, port: string): Endpoint | undefined {
  const v6 = fields.get(`${address}v6`);
  const useV4 = v6 === undefined || v6 === "::" || v6.startsWith("::ffff:");
  return checked(useV4 ? fields.get(address) : v6, fields.get(port));
}

function checked(addressText: string | undefined, portText: string | undefined): Endpoint | undefined {
  const address = canonicalAddress(addressText ?? "");
  const port = portText === "0" ? 0 : readPort(portText ?? "");
  return address === undefined || port === undefined ? undefined : { address, port };
}
