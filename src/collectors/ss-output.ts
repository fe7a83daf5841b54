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

const field =
  /\s(rtt|mss|pmtu|backoff|retrans|lost|sacked|bytes_received|lastsnd|lastrcv):(\d+(?:\.\d+)?)(?:\/(\d+))?/g;

function readInfo(line: string, socket: Mutable<SshSocket>): void {
  for (const [, name, first, second] of line.matchAll(field)) {
    const value = Number(first);
    if (name === "rtt") socket.rttMs = value;
    else if (name === "mss") socket.mssBytes = value;
    else if (name === "pmtu") socket.pathMtuBytes = value;
    else if (name === "backoff") socket.backoff = value;
    else if (name === "lost") socket.lost = value;
    else if (name === "sacked") socket.sacked = value;
    else if (name === "bytes_received") socket.bytesReceived = value;
    else if (name === "lastsnd") socket.lastSentMs = value;
    else if (name === "lastrcv") socket.lastReceivedMs = value;
    else {
      socket.retransmitsNow = value; // retrans:NOW/TOTAL
      socket.retransmitsTotal = Number(second ?? first);
    }
  }
}
