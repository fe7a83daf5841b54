/**
 * One probe: resolves the name once, connects to that address and goes through the phases to the server's new keys,
 * without credentials. Every connection waits its turn: OpenSSH 9.8+ counts one second of penalty for each that ends
 * without an attempt to authenticate (sshd_config(5), PerSourcePenalties), and none may ever add up.
 */
import type { LookupAddress, LookupAllOptions } from "node:dns";
import { lookup } from "node:dns/promises";
import { performance } from "node:perf_hooks";
import type { Offer } from "./handshake.ts";
import type { Pace } from "./pace.ts";
import { type Failure, type FailureReason, type ProbePhase, Session } from "./session.ts";
import type { Target } from "./target.ts";

export interface ProbeResult {
  readonly target: Target;
  readonly address?: string;
  /** By this machine's clock, when it began to connect, or to ask for the name that it did not get. */
  readonly timeMs: number;
  /** This end of the connection as this machine knows it: what a server's log calls the peer, unless somebody translates. */
  readonly local?: { readonly address: string; readonly port: number };
  readonly result: "ok" | FailureReason;
  /** Undefined when ok. */
  readonly failure?: Failure;
  readonly phaseSeconds: Readonly<Partial<Record<ProbePhase, number>>>;
  /** Sum of the phases: waiting for its turn is no part of it. */
  readonly durationSeconds: number;
  /** The server's identification string, made visible. */
  readonly banner?: string;
  /** What it sent before or instead of it, made visible and cut: `Exceeded MaxStartups`. */
  readonly text: readonly string[];
}

export interface Resolved {
  readonly address: string;
  readonly others: readonly string[];
  readonly seconds: number;
}

export type LookUp = (host: string, options: LookupAllOptions) => Promise<LookupAddress[]>;

/** Reads /etc/hosts and asks as ssh does: getaddrinfo(3), the first address counts. */
export async function resolve(
  target: Target,
  deadlineMs: number,
  family: 0 | 4 | 6 = 0,
  lookUp: LookUp = lookup,
): Promise<Resolved | ProbeResult> {
  const start = performance.now();
  const late = Symbol("late");
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<typeof late>((done) => {
    timer = setTimeout(() => done(late), Math.max(0, deadlineMs - start));
  });
  const answer = await Promise.race([
    lookUp(target.host, { all: true, family }).catch((error: NodeJS.ErrnoException) => error),
    timeout,
  ]);
  clearTimeout(timer);
  const seconds = (performance.now() - start) / 1000;
  if (Array.isArray(answer) && answer[0] !== undefined) {
    return { address: answer[0].address, others: answer.slice(1).map(({ address }) => address), seconds };
  }
  const failure: Failure =
    answer === late
      ? { phase: "dns", reason: "timeout" }
      : {
          phase: "dns",
          reason: "unreachable",
          errno: answer instanceof Error ? (answer.code ?? answer.message) : "ENODATA",
        };
  return {
    target,
    timeMs: Date.now(),
    result: failure.reason,
    failure,
    phaseSeconds: { dns: seconds },
    durationSeconds: seconds,
    text: [],
  };
}

export const isResult = (value: Resolved | ProbeResult): value is ProbeResult => "result" in value;

/** How the probe names itself (RFC 4253 section 4.2): a server's log and its operator see who it was. */
export const identificationFor = (version: string): string =>
  `SSH-2.0-ssh-reset-exporter_${version.replace(/[^\x21-\x7e]|-/g, "_")}`;

export interface ProbeOptions {
  readonly identification: string;
  readonly timeoutMs: number;
  readonly pace: Pace;
  readonly family?: 0 | 4 | 6;
}

/** Throws only when the pace lets it connect too late (TooSoon). */
export async function probeAddress(
  target: Target,
  { address, seconds }: Resolved,
  { identification, timeoutMs, pace }: ProbeOptions,
  deadlineMs = Number.POSITIVE_INFINITY,
): Promise<ProbeResult> {
  const now = performance.now();
  // Half of the time must be left for the probe, else its timeout would be no fault of the target's.
  await pace.turn(address, now + (deadlineMs - now) / 2);
  const session = open(target, address, { identification }, "ssh", false);
  const failure = await session.reach(undefined, Math.min(deadlineMs, performance.now() + timeoutMs));
  await session.close();
  return toResult(target, address, session, failure, seconds);
}

export function open(
  target: Target,
  address: string,
  { identification }: Pick<ProbeOptions, "identification">,
  offer: Offer,
  hold: boolean,
): Session {
  return new Session({ address, port: target.port, identification, offer, hold });
}

export function toResult(
  target: Target,
  address: string,
  { handshake, phaseSeconds, startedMs, local }: Session,
  failure: Failure | undefined,
  dnsSeconds: number,
): ProbeResult {
  const phases = { dns: dnsSeconds, ...phaseSeconds };
  return {
    target,
    address,
    timeMs: startedMs,
    ...(local && { local }),
    result: failure?.reason ?? "ok",
    ...(failure && { failure }),
    phaseSeconds: phases,
    durationSeconds: Object.values(phases).reduce((sum, value) => sum + value, 0),
    ...(handshake.identification !== undefined && { banner: handshake.identification }),
    text: handshake.text,
  };
}
