/**
 * Output of `ss -tinH`: one line per socket, a second one that starts with white space with what tcp_info holds
 * (iproute2 misc/ss.c, tcp_stats_print; include/uapi/linux/tcp.h). Fields that are zero are mostly left out.
 */
import { isIP } from "node:net";
import type { SshSocket } from "../model/collector.ts";
import { quote } from "./kernel-file.ts";

const longestLine = 8192;

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** Keeps the first `maxSockets` sockets, counts the rest. Feed it chunks, then take `sockets`. */
export class SsOutput {
  readonly sockets: SshSocket[] = [];
  leftOut = 0;
  readonly #maxSockets: number;
  #rest = "";
  #current: Mutable<SshSocket> | undefined;

  constructor(maxSockets: number) {
    this.#maxSockets = maxSockets;
  }

  /** Throws on a line that is none of ss. */
  feed(text: string): void {
    const lines = (this.#rest + text).split("\n");
    this.#rest = lines.pop() ?? "";
    for (const line of [...lines, this.#rest]) {
      if (line.length > longestLine) throw new Error(`ss: ${quote(line)} is a line without end`);
    }
    for (const line of lines) this.#line(line);
  }

  #line(line: string): void {
    if (line === "") return;
    if (line.startsWith(" ") || line.startsWith("\t")) {
      if (this.#current !== undefined) readInfo(line, this.#current);
      this.#current = undefined;
    } else if (this.sockets.length >= this.#maxSockets) {
      this.leftOut++;
      this.#current = undefined;
    } else {
      this.#current = parseSocketLine(line);
      this.sockets.push(this.#current);
    }
  }
}

/** `ESTAB 0 1564 10.77.2.2:22 10.77.1.2:42664`. */
function parseSocketLine(line: string): Mutable<SshSocket> {
  const [state = "", receiveQueue = "", sendQueue = "", local = "", peer = ""] = line.split(/\s+/);
  const here = endpoint(local);
  const there = endpoint(peer);
  if (here === undefined || there === undefined || !/^\d+$/.test(receiveQueue) || !/^\d+$/.test(sendQueue)) {
    throw new Error(`ss: ${quote(line)} is no socket`);
  }
  return {
    state: stateOf(state),
    localAddress: here.address,
    localPort: here.port,
    address: there.address,
    port: there.port,
    sendQueueBytes: Number(sendQueue),
    retransmitsNow: 0,
    retransmitsTotal: 0,
    lost: 0,
    sacked: 0,
    backoff: 0,
    bytesReceived: 0,
  };
}

/** `10.0.0.1:22`, `[2001:db8::1]:22`, `[fe80::1%eth0]:22`, `[::ffff:10.0.0.1]:22`; a mapped address becomes the IPv4 one. */
export function endpoint(text: string): { address: string; port: number } | undefined {
  const parts = /^\[?(?:::ffff:(?=\d+\.))?([0-9a-fA-F.:]+)(?:%[^\]:]+)?\]?:(\d{1,5})$/.exec(text);
  const address = parts?.[1] ?? "";
  return isIP(address) === 0 ? undefined : { address, port: Number(parts?.[2]) };
}

const states: Readonly<Record<string, string>> = {
  ESTAB: "established",
  "SYN-SENT": "syn_sent",
  "SYN-RECV": "syn_recv",
  "FIN-WAIT-1": "fin_wait_1",
  "FIN-WAIT-2": "fin_wait_2",
  "TIME-WAIT": "time_wait",
  "CLOSE-WAIT": "close_wait",
  "LAST-ACK": "last_ack",
  CLOSING: "closing",
};

export const socketStates = [...Object.values(states), "other"];

function stateOf(name: string): string {
  return states[name] ?? "other";
}

const numbers = [
  [" rtt:", "rttMs"],
  [" mss:", "mssBytes"],
  [" pmtu:", "pathMtuBytes"],
  [" backoff:", "backoff"],
  [" lost:", "lost"],
  [" sacked:", "sacked"],
  [" bytes_received:", "bytesReceived"],
  [" lastsnd:", "lastSentMs"],
  [" lastrcv:", "lastReceivedMs"],
] as const;
const longestNumber = 20;

/** Each name is searched by itself: one expression that looks at every field of the line takes twice as long. */
function readInfo(line: string, socket: Mutable<SshSocket>): void {
  for (const [name, key] of numbers) {
    const value = numberAfter(line, name);
    if (value !== undefined) socket[key] = value;
  }
  // NOW/TOTAL
  const now = numberAfter(line, " retrans:");
  if (now === undefined) return;
  socket.retransmitsNow = now;
  socket.retransmitsTotal = numberAfter(line, ` retrans:${now}/`) ?? now;
}

/** Of ` rtt:1.5/0.75` the 1.5; undefined where the name is not there or no digit follows it. */
function numberAfter(line: string, name: string): number | undefined {
  const found = line.indexOf(name);
  if (found === -1) return undefined;
  const from = found + name.length;
  if (!isDigit(line.charCodeAt(from))) return undefined;
  return Number.parseFloat(line.slice(from, from + longestNumber));
}

const isDigit = (code: number): boolean => code >= 48 && code <= 57;
