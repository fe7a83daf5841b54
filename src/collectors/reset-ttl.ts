/**
 * Who really sent the resets that the kernel accepted: compares a reset's TTL (IPv6: hop limit) with those of the same
 * (address, port)'s own segments, which the table of `ssh-reset-exporter observe install` keeps in bounded sets.
 * Read with `nft -j list set`, only after the kernel has accepted a reset: spoofed ones out of the window cost nothing
 * and change nothing. Sources: nft(8), libnftables-json(5), RFC 5961 section 3.
 */
import { isIPv6 } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { type CollectorModule, notReadYet, type ReceivedReset } from "../model/collector.ts";
import { CommandMissing, runCommand } from "./background.ts";

/** The table and its sets, as src/observe/ruleset.ts makes them; each set exists with 4 and 6 behind its name. */
export const observerTable = "ssh_reset_exporter";
export const observerSets = {
  /** TTLs of segments other than SYN and RST. */
  segments: { name: "segments", size: 65_536, timeoutSeconds: 3600 },
  /** Resets whose TTL one of the peer's own segments had. */
  own: { name: "resets_own", size: 8192, timeoutSeconds: 30 },
  /** All other resets. */
  odd: { name: "resets_odd", size: 8192, timeoutSeconds: 30 },
} as const;
type ObserverSet = (typeof observerSets)[keyof typeof observerSets];
type Family = 4 | 6;

/** A NAT or a changed route moves the TTL by one or two. */
const leastDifference = 3;
const matchMs = 2_000;
const checkEveryMs = 2_000;
const presenceEveryMs = 60_000;
const retryEveryMs = 10_000;
const limits = { timeoutMs: 5_000, maxBytes: 16 * 1024 * 1024 };

export const resetTtl: CollectorModule = {
  name: "reset_ttl",
  summary: "TTLs of resets against those of the peer's own segments, from the table of `observe install`.",
  enabled: false,
  metrics: [
    {
      name: "sshreset_middlebox_resets_total",
      help: "Resets that the kernel accepted and whose TTL (IPv6: hop limit) differs by 3 or more from every TTL that the same address and port's own segments had: something between us and the peer sent them.",
      type: "counter",
      labels: [],
    },
    {
      name: "sshreset_resets_ttl_compared_total",
      help: "Resets that the kernel accepted and whose TTL was compared with that of the peer's own segments.",
      type: "counter",
      labels: [],
    },
    {
      name: "sshreset_resets_ttl_unknown_total",
      help: "Resets that the kernel accepted and whose TTL could not be compared: none of the peer's segments was seen, or the observing table was full or not there.",
      type: "counter",
      labels: [],
    },
  ],
  create(context) {
    let middlebox = 0;
    let compared = 0;
    let unknown = 0;
    const judged = new Set<string>();
    let presentAtMs = 0;
    let failure: Error | undefined;
    let pending = true;

    const unjudged = (): readonly ReceivedReset[] => {
      const recent = context.recentResets?.() ?? [];
      const keys = new Set(recent.map(keyOf));
      for (const key of judged) if (!keys.has(key)) judged.delete(key);
      return recent.filter((reset) => !judged.has(keyOf(reset)));
    };

    const check = async (signal: AbortSignal): Promise<void> => {
      const resets = unjudged();
      for (const family of [4, 6] as const) {
        const ofFamily = resets.filter(({ address }) => isIPv6(address) === (family === 6));
        if (ofFamily.length === 0 && !(family === 4 && context.nowMs() - presentAtMs > presenceEveryMs)) continue;
        const odd = await listSet(observerSets.odd, family, context.nowMs, signal);
        presentAtMs = context.nowMs();
        if (ofFamily.length === 0) continue;
        const own = await listSet(observerSets.own, family, context.nowMs, signal);
        const suspected = ofFamily.some(
          (reset) => matching(odd, reset).length > 0 && matching(own, reset).length === 0,
        );
        const segments = suspected
          ? await listSet(observerSets.segments, family, context.nowMs, signal)
          : new Map<string, never>();
        for (const reset of ofFamily) {
          const verdict = judge(reset, { own, odd, segments });
          if (verdict === "middlebox") middlebox += 1;
          if (verdict === "unknown") unknown += 1;
          else compared += 1;
          judged.add(keyOf(reset));
        }
      }
    };

    return {
      async run(signal) {
        while (!signal.aborted) {
          try {
            if (context.recentResets !== undefined) await check(signal);
            failure = undefined;
          } catch (error) {
            failure = error instanceof Error ? error : new Error(String(error));
          }
          pending = false;
          await delay(failure === undefined ? checkEveryMs : retryEveryMs, undefined, { signal, ref: false }).catch(
            () => undefined,
          );
        }
      },
      read() {
        if (context.recentResets === undefined)
          return { status: "absent", reason: "needs the kernel's TCP reset events, which are not read" };
        if (pending) return { status: "absent", reason: notReadYet };
        if (failure instanceof CommandMissing)
          return { status: "absent", reason: failure.message, grant: "install nftables 0.9.4 or newer" };
        if (failure !== undefined && /No such file or directory/.test(failure.message))
          return {
            status: "absent",
            reason: `there is no nftables table inet ${observerTable}`,
            grant: "as root: ssh-reset-exporter observe install",
          };
        if (failure !== undefined && /Operation not permitted|you must be root/.test(failure.message))
          return {
            status: "absent",
            reason: failure.message,
            grant: "CAP_NET_ADMIN: AmbientCapabilities= in the unit",
          };
        if (failure !== undefined) throw failure;
        return {
          status: "ok",
          samples: [
            { name: "sshreset_middlebox_resets_total", value: middlebox },
            { name: "sshreset_resets_ttl_compared_total", value: compared },
            { name: "sshreset_resets_ttl_unknown_total", value: unknown },
          ],
        };
      },
    };
  },
};

/** A TTL that the table has seen, last within `[lastMs, lastMs + 1000)`. */
export interface SeenTtl {
  readonly ttl: number;
  readonly lastMs: number;
}

/** The TTLs of each peer, by `peerKey`. */
export type TtlSet = ReadonlyMap<string, readonly SeenTtl[]>;

export interface TtlSets {
  readonly own: TtlSet;
  readonly odd: TtlSet;
  readonly segments: TtlSet;
}

/** `unknown`: nothing to compare with. A reset with the peer's own TTL at the same time speaks for the peer. */
export function judge(reset: ReceivedReset, sets: TtlSets): "peer" | "middlebox" | "unknown" {
  if (matching(sets.own, reset).length > 0) return "peer";
  const odd = matching(sets.odd, reset);
  const own = sets.segments.get(peerKey(reset.address, reset.port)) ?? [];
  if (odd.length === 0 || own.length === 0) return "unknown";
  const far = odd.every(({ ttl }) => own.every((segment) => Math.abs(segment.ttl - ttl) >= leastDifference));
  return far ? "middlebox" : "peer";
}

const matching = (set: TtlSet, { address, port, timeMs }: ReceivedReset): readonly SeenTtl[] =>
  (set.get(peerKey(address, port)) ?? []).filter(
    ({ lastMs }) => timeMs >= lastMs - matchMs && timeMs < lastMs + 1000 + matchMs,
  );

export const peerKey = (address: string, port: number): string => `${address} ${port}`;
const keyOf = ({ timeMs, address, port }: ReceivedReset): string => `${timeMs} ${peerKey(address, port)}`;

async function listSet(set: ObserverSet, family: Family, nowMs: () => number, signal: AbortSignal): Promise<TtlSet> {
  const text = await runCommand("nft", ["-j", "list", "set", "inet", observerTable, `${set.name}${family}`], {
    ...limits,
    signal,
  });
  return parseSet(text, set.timeoutSeconds, nowMs());
}

/** The elements in the output of `nft -j list set`. Throws where it has another form. */
export function parseSet(text: string, timeoutSeconds: number, nowMs: number): TtlSet {
  const peers = new Map<string, SeenTtl[]>();
  for (const element of elementsIn(text)) {
    const { address, port, ttl, expires } = parseElement(element);
    const seen = { ttl, lastMs: nowMs - (timeoutSeconds - expires) * 1000 };
    const key = peerKey(address, port);
    const others = peers.get(key);
    if (others === undefined) peers.set(key, [seen]);
    else others.push(seen);
  }
  return peers;
}

/** Text that is no JSON, or of another form, has no set. */
function elementsIn(text: string): readonly unknown[] {
  const unknown = () => new Error(`nft: no set in its answer: ${JSON.stringify(text.slice(0, 80))}`);
  let answer: { nftables?: unknown } | null;
  try {
    answer = JSON.parse(text) as typeof answer;
  } catch {
    throw unknown();
  }
  const objects: readonly unknown[] = Array.isArray(answer?.nftables) ? answer.nftables : [];
  const { set } = (objects.find((each) => Object.hasOwn(Object(each), "set")) ?? {}) as {
    set?: { elem?: unknown } | null;
  };
  const elements = set?.elem ?? [];
  if (!set || !Array.isArray(elements)) throw unknown();
  return elements;
}

/** `{"elem": {"val": {"concat": [ADDRESS, PORT, TTL]}, "expires": SECONDS}}`. */
function parseElement(element: unknown): { address: string; port: number; ttl: number; expires: number } {
  const { elem } = Object(element) as { elem?: { val?: { concat?: unknown }; expires?: unknown } };
  const concat = elem?.val?.concat;
  const [address, port, ttl]: readonly unknown[] = Array.isArray(concat) ? concat : [];
  const expires = elem?.expires;
  if (typeof address !== "string" || typeof port !== "number" || typeof ttl !== "number" || typeof expires !== "number")
    throw new Error(`nft: unknown form of an element: ${JSON.stringify(element).slice(0, 80)}`);
  return { address, port, ttl, expires };
}
