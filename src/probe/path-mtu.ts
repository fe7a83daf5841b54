/**
 * Finds the size at which a path eats packets. Outwards: SSH_MSG_IGNORE packets of growing size, each until the peer's
 * kernel has acknowledged it (tx_queue in /proc/net/tcp is 0: Documentation/networking/proc_net_tcp.rst). Inwards: the
 * smallest and the largest reply of the key exchange that this server can give. Two connections.
 */
import { readFile } from "node:fs/promises";
import { isIP } from "node:net";
import { performance } from "node:perf_hooks";
import { setTimeout as delay } from "node:timers/promises";
import type { Offer } from "./handshake.ts";
import { open, type ProbeOptions, type ProbeResult, type Resolved, toResult } from "./probe.ts";
import type { Session } from "./session.ts";
import { ignorePacket } from "./ssh-packet.ts";
import type { Target } from "./target.ts";

/** SSH packets on the wire: through everything from a tunnel's MTU to Ethernet's in steps of 24, then jumbo frames. */
const packetSizes = [...Array.from({ length: 41 }, (_, i) => 504 + 24 * i), 1968, 4000, 8952];
/** IPv4 or IPv6 header, TCP header, and its timestamps option (RFC 7323), which Linux always sends. */
const headerBytes = (address: string): number => (isIP(address) === 6 ? 40 : 20) + 20 + 12;
/** Linux repeats a lost segment after 0.2 s and doubles that: four repeats fit in. */
const acknowledgeTimeoutMs = 4000;
const pollMs = 10;

export interface MtuResult {
  readonly probe: ProbeResult;
  /** IP packets, in bytes. `stalled` undefined: all passed. `passed` undefined: the handshake itself failed before. */
  readonly outwards: { readonly passed?: number; readonly stalled?: number };
  /** Largest SSH packets of the server that came, in bytes without TCP and IP; `stalled`: the larger reply never came. */
  readonly inwards: { readonly passed?: number; readonly stalled: boolean };
}

export async function probeMtu(
  target: Target,
  { address, seconds }: Resolved,
  options: ProbeOptions,
): Promise<MtuResult> {
  const start = async (offer: Offer): Promise<Session> => {
    await options.pace.turn(address);
    return open(target, address, options, offer, offer === "small");
  };
  const small = await start("small");
  const deadline = (): number => performance.now() + options.timeoutMs;
  let failure = await small.reach("kex_init", deadline());
  const outwards: { passed?: number; stalled?: number } = {};
  for (const size of failure === undefined ? packetSizes : []) {
    small.socket.write(ignorePacket(size));
    const acknowledged = await isAcknowledged(small);
    const packetBytes = size + headerBytes(address);
    if (acknowledged) outwards.passed = packetBytes;
    else if (small.failure === undefined) outwards.stalled = packetBytes;
    if (acknowledged) continue;
    failure ??= small.failure ?? {
      phase: "kex_reply",
      reason: "timeout",
      detail: `${packetBytes} bytes never acknowledged`,
    };
    break;
  }
  if (failure === undefined) {
    small.proceed();
    failure = await small.reach(undefined, deadline());
  }
  if (outwards.stalled === undefined) await small.close();
  else small.abort();
  const probe = toResult(target, address, small, failure, seconds);
  if (failure !== undefined) return { probe, outwards, inwards: { stalled: false } };

  const large = await start("large");
  const stall = await large.reach(undefined, deadline());
  await large.close();
  const passed = Math.max(small.handshake.largestPacketBytes, large.handshake.largestPacketBytes);
  const result = toResult(target, address, large, stall, seconds);
  return { probe: result, outwards, inwards: { passed, stalled: stall?.reason === "timeout" } };
}

async function isAcknowledged(session: Session): Promise<boolean> {
  const deadline = performance.now() + acknowledgeTimeoutMs;
  const { localPort = 0, remotePort = 0, remoteFamily } = session.socket;
  const path = remoteFamily === "IPv6" ? "/proc/self/net/tcp6" : "/proc/self/net/tcp";
  while (performance.now() < deadline && session.failure === undefined) {
    await delay(pollMs);
    const queue = parseSendQueue(await readFile(path, "latin1"), localPort, remotePort);
    if (queue === 0 && session.socket.writableLength === 0) return true;
  }
  return false;
}

/** Bytes sent and not acknowledged of the connection between two ports; undefined if there is none. */
export function parseSendQueue(text: string, localPort: number, remotePort: number): number | undefined {
  const hex = (port: number): string => port.toString(16).toUpperCase().padStart(4, "0");
  const line = new RegExp(
    `^ *\\d+: [0-9A-F]+:${hex(localPort)} [0-9A-F]+:${hex(remotePort)} [0-9A-F]{2} ([0-9A-F]+):`,
    "m",
  );
  const found = line.exec(text)?.[1];
  return found === undefined ? undefined : Number.parseInt(found, 16);
}
