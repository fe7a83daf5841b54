/**
 * Holds a connection in the middle of the key exchange without a byte, and finds out when it is cut. If it is, a second
 * connection that talks all the while (SSH_MSG_IGNORE) tells an idle timeout on the way, which spares it, from sshd's
 * LoginGraceTime, which ends both at the same age. sshd_config(5): 120 s unless set; and 9.8+ has a penalty for it.
 */
import { performance } from "node:perf_hooks";
import { open, type ProbeOptions, type ProbeResult, type Resolved, toResult } from "./probe.ts";
import type { Session } from "./session.ts";
import { ignorePacket } from "./ssh-packet.ts";
import type { Target } from "./target.ts";

/** Below sshd's default LoginGraceTime of 120 s, so that a probe never meets it there. */
export const maximumIdleSeconds = 110;
/** How much longer than the cut one the talking connection must live: OpenSSH 9.8+ adds up to 4 s at random to LoginGraceTime. */
const marginSeconds = 6;

export interface IdleResult {
  readonly probe: ProbeResult;
  /** When the silent connection was cut; undefined: it was not. */
  readonly cutAfterSeconds?: number;
  /** It was not cut in silence, but was dead when it was used again. */
  readonly deadAfterSeconds?: number;
  /** Who cuts: `idle`: the talking connection lived on; `age`: it was cut at the same age. */
  readonly cutBy?: "idle" | "age";
}

export async function probeIdle(
  target: Target,
  { address, seconds }: Resolved,
  options: ProbeOptions,
  idleSeconds: number,
): Promise<IdleResult> {
  const start = async (): Promise<Session> => {
    await options.pace.turn(address);
    const session = open(target, address, options, "ssh", true);
    await session.reach("kex_init", performance.now() + options.timeoutMs);
    return session;
  };
  const silent = await start();
  const heldMs = performance.now();
  if (silent.failure !== undefined) return { probe: toResult(target, address, silent, silent.failure, seconds) };
  await silent.idle(heldMs + idleSeconds * 1000);
  const heldSeconds = (performance.now() - heldMs) / 1000;
  const wasCut = silent.failure !== undefined;
  if (!wasCut) {
    silent.proceed();
    await silent.reach(undefined, performance.now() + options.timeoutMs);
  }
  await silent.close();
  const probe = toResult(target, address, silent, silent.failure, seconds);
  if (!wasCut) return { probe, ...(silent.failure !== undefined && { deadAfterSeconds: heldSeconds }) };

  const talking = await start();
  const lived = talking.failure === undefined && (await talksUntil(talking, heldSeconds));
  await talking.close();
  return { probe, cutAfterSeconds: heldSeconds, cutBy: lived ? "idle" : "age" };
}

async function talksUntil(session: Session, seconds: number): Promise<boolean> {
  const end = performance.now() + (seconds + marginSeconds) * 1000;
  const everyMs = Math.min(5000, (seconds * 1000) / 4);
  while (session.failure === undefined && performance.now() < end) {
    session.socket.write(ignorePacket(32));
    await session.idle(performance.now() + everyMs);
  }
  return session.failure === undefined;
}
