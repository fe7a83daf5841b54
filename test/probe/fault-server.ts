/**
 * A TCP server on loopback that follows the SSH protocol up to a phase and then does one wrong thing: resets, closes,
 * stalls, talks HTTP, floods or drips.
 */

import type { AddressInfo } from "node:net";
import { createServer, type Server, type Socket } from "node:net";
import type { HandshakePhase } from "../../src/probe/handshake.ts";
import { kexInitPacket, sshOffer } from "../../src/probe/key-exchange.ts";
import { decodePacket, encodePacket, message, string } from "../../src/probe/ssh-packet.ts";

export type Fault = "reset" | "close" | "stall" | "http" | "garbage" | "disconnect";

export interface FaultServer {
  readonly port: number;
  /** How many connections came. */
  readonly connections: () => number;
  readonly close: () => Promise<void>;
}

export const identification = "SSH-2.0-FaultServer_1.0\r\n";
export const http = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n400 Bad Request";

const reply = encodePacket(
  Buffer.concat([
    Buffer.from([message.kexEcdhReply]),
    ...["host key", "public key", "signature"].map((f) => string(f)),
  ]),
);
const newKeys = encodePacket(Buffer.from([message.newKeys]));
const said: Readonly<Record<HandshakePhase, Buffer>> = {
  banner: Buffer.from(identification),
  kex_init: kexInitPacket(sshOffer),
  kex_reply: reply,
  new_keys: newKeys,
};

interface Place {
  readonly host?: string;
  readonly port?: number;
  /** A fault instead of the banner comes at once; else after the client's own, so that no text can be lost. */
  readonly hasty?: boolean;
}

/** Does what the phases before want, like sshd it speaks first, and the fault instead of `phase`; `none`: all phases are good. */
export const faultServer = (phase: HandshakePhase | "none", fault: Fault, place: Place = {}): Promise<FaultServer> =>
  serve((socket) => {
    let bytes: Buffer = Buffer.alloc(0);
    let identified = false;
    const go = (at: HandshakePhase): void => {
      if (at === phase) commit(socket, fault);
      else socket.write(said[at], () => at === "kex_reply" && go("new_keys"));
    };
    const waits = phase === "banner" && place.hasty !== true;
    if (!waits) go("banner");
    socket.on("data", (chunk) => {
      bytes = Buffer.concat([bytes, chunk]);
      if (!identified) {
        const end = bytes.indexOf("\n");
        if (end === -1) return;
        bytes = bytes.subarray(end + 1);
        identified = true;
        if (waits) go("banner");
      }
      for (let packet = decodePacket(bytes); packet !== undefined; packet = decodePacket(bytes)) {
        bytes = packet.rest;
        if (packet.payload[0] === message.kexInit) go("kex_init");
        if (packet.payload[0] === message.kexEcdhInit) go("kex_reply");
      }
    });
  }, place);

function commit(socket: Socket, fault: Fault): void {
  if (fault === "reset") socket.resetAndDestroy();
  if (fault === "close") socket.end();
  if (fault === "http") socket.end(http);
  if (fault === "garbage")
    socket.write(
      Buffer.concat([Buffer.from([0xff, 0xff, 0xff, 0xff, 0x41]), Buffer.alloc(64, 0x41), Buffer.from("\n")]),
    );
  if (fault === "disconnect") {
    const payload = Buffer.concat([
      Buffer.from([message.disconnect, 0, 0, 0, 2]),
      string("bad \x1b[31mthing"),
      string(""),
    ]);
    socket.end(encodePacket(payload));
  }
}

/** Any behaviour, per connection. */
export async function serve(
  behave: (socket: Socket) => void,
  { host = "127.0.0.1", port = 0 }: Place = {},
): Promise<FaultServer> {
  const sockets = new Set<Socket>();
  let connections = 0;
  const server: Server = createServer((socket) => {
    connections += 1;
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => {});
    behave(socket);
  });
  await new Promise<void>((done) => server.listen(port, host, done));
  return {
    port: (server.address() as AddressInfo).port,
    connections: () => connections,
    close: async () => {
      const closed = new Promise<void>((done) => server.close(() => done()));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

if (process.argv[1] === import.meta.filename) {
  for (const [i, argument] of process.argv.slice(2).entries()) {
    const [phase, fault] = argument.split(":") as [HandshakePhase, Fault];
    await faultServer(phase, fault, { host: "0.0.0.0", port: 4000 + i, hasty: true });
  }
  process.stdout.write("listening\n");
}
