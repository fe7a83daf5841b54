/**
 * What this host knows of the paths' MTU: entries of the route cache that learned a smaller one (`ip route show cache`,
 * every minute in the background; RFC 1191, RFC 8201), net.ipv4.tcp_mtu_probing (ip-sysctl.rst), and interfaces whose MTU
 * does not fit the bridge, bond, VLAN or tunnel that they carry (/sys/class/net/NAME/{master,lower_*,iflink}).
 * A learned path MTU is healthy: the blackhole is where none is learned.
 */
import { readdirSync, readlinkSync } from "node:fs";
import { basename, join } from "node:path";
import type { Collector, CollectorContext, CollectorModule, Missing } from "../model/collector.ts";
import type { MetricDef, Sample } from "../model/metric.ts";
import { CommandMissing, Repeated, runCommand } from "./background.ts";
import { inTurns, listInterfaces } from "./interfaces.ts";
import { isGone, KernelFile, parseCount, quote, readKernelFile } from "./kernel-file.ts";

const everyMs = 60_000;
const limits = { timeoutMs: 5_000, maxBytes: 16 * 1024 * 1024 };
const maxInterfaces = 1000;

const gauge = (name: string, help: string): MetricDef => ({
  name: `sshreset_${name}`,
  help,
  type: "gauge",
  labels: [],
});

export const pathMtu: CollectorModule = {
  name: "path_mtu",
  summary: "learned path MTUs, MTU probing, and MTUs that differ along a bridge, bond or tunnel",
  enabled: true,
  metrics: [
    gauge(
      "path_mtu_learned_routes",
      "Destinations of the route cache whose path MTU was learned from ICMP, IPv4 and IPv6. Healthy: segments fit the path.",
    ),
    gauge(
      "path_mtu_learned_min_bytes",
      "Smallest learned path MTU of the route cache. Not there when none was learned.",
    ),
    gauge("tcp_mtu_probing", "net.ipv4.tcp_mtu_probing: 0 off, 1 once a blackhole is suspected, 2 always."),
    {
      name: "sshreset_interface_mtu_mismatches",
      help: "Interfaces whose MTU does not fit the one above or below them: members of a bridge or bond with another MTU than its own, and VLANs or tunnels larger than their carrier.",
      type: "gauge",
      labels: [],
    },
  ],
  create: createPathMtu,
};

interface Learned {
  readonly routes: number;
  readonly minBytes?: number;
}

function createPathMtu({ paths, nowMs }: CollectorContext): Collector {
  const probing = new KernelFile(join(paths.procfs, "sys/net/ipv4/tcp_mtu_probing"));
  const routes = new Repeated(everyMs, nowMs, readRouteCache);
  const mismatches = new Repeated(everyMs, nowMs, () => countMismatches(join(paths.sysfs, "class/net")));
  return {
    read() {
      const samples: Sample[] = [];
      const missing: Missing[] = [];
      const errors: string[] = [];
      const mode = probing.read()?.trim();
      if (mode !== undefined) samples.push({ name: "sshreset_tcp_mtu_probing", value: parseCount(mode, probing.path) });
      if (routes.result.state === "ok") samples.push(...learnedSamples(routes.result.value));
      if (routes.result.state === "failed") {
        const { error } = routes.result;
        if (error instanceof CommandMissing) missing.push({ reason: error.message, grant: "install iproute2" });
        else errors.push(error.message);
      }
      if (mismatches.result.state === "failed") errors.push(mismatches.result.error.message);
      if (mismatches.result.state === "ok") {
        samples.push({ name: "sshreset_interface_mtu_mismatches", value: mismatches.result.value });
      }
      return { status: "ok", samples, missing, errors };
    },
    async run(signal) {
      await Promise.all([routes.run(signal), mismatches.run(signal)]);
    },
  };
}

async function readRouteCache(signal: AbortSignal): Promise<Learned> {
  const four = await runCommand("ip", ["-4", "route", "show", "cache"], { ...limits, signal });
  const six = await runCommand("ip", ["-6", "route", "show", "cache"], { ...limits, signal });
  return parseRouteCache(`${four}\n${six}`);
}

/** Destinations with `mtu N` in the line after theirs, each once: the cache has one entry per source and user too. */
export function parseRouteCache(text: string): Learned {
  const mtus = new Map<string, number>();
  let destination = "";
  for (const line of text.split("\n")) {
    if (/^\S/.test(line)) destination = line.split(" ", 1)[0] ?? "";
    const mtu = /\bmtu (?:lock )?(\S+)/.exec(line)?.[1];
    if (mtu === undefined) continue;
    if (!/^\d{2,5}$/.test(mtu))
      throw new Error(`ip route show cache: mtu ${quote(mtu)} of ${quote(destination)} is no size`);
    mtus.set(destination, Math.min(Number(mtu), mtus.get(destination) ?? Number.POSITIVE_INFINITY));
  }
  return mtus.size === 0 ? { routes: 0 } : { routes: mtus.size, minBytes: Math.min(...mtus.values()) };
}

function learnedSamples({ routes, minBytes }: Learned): Sample[] {
  const count = { name: "sshreset_path_mtu_learned_routes", value: routes };
  return minBytes === undefined ? [count] : [count, { name: "sshreset_path_mtu_learned_min_bytes", value: minBytes }];
}

/** One interface: the one it is a member of, and those that carry it. */
export interface Link {
  readonly name: string;
  readonly mtuBytes: number;
  readonly master?: string;
  readonly lowers: readonly string[];
}

/** Links that do not fit. A bridge or bond and its members should agree; what is stacked on a carrier must not be larger. */
export function mismatchedLinks(links: readonly Link[]): string[] {
  const byName = new Map(links.map((link) => [link.name, link]));
  return links
    .filter(({ mtuBytes, master, lowers }) => {
      const above = master === undefined ? undefined : byName.get(master);
      const carriers = lowers.flatMap((name) => byName.get(name) ?? []).filter(({ master: of }) => of === undefined);
      return (
        (above !== undefined && above.mtuBytes !== mtuBytes) || carriers.some((lower) => lower.mtuBytes < mtuBytes)
      );
    })
    .map(({ name }) => name);
}

async function countMismatches(folder: string): Promise<number> {
  const names = (listInterfaces(folder) ?? []).slice(0, maxInterfaces);
  const nameOf = new Map<number | undefined, string>();
  for await (const name of inTurns(names)) nameOf.set(numberIn(folder, name, "ifindex"), name);
  const links: Link[] = [];
  for await (const name of inTurns(names)) {
    const link = readLink(folder, name, nameOf);
    if (link !== undefined) links.push(link);
  }
  return mismatchedLinks(links).length;
}

function readLink(folder: string, name: string, nameOf: ReadonlyMap<number | undefined, string>): Link | undefined {
  const mtuBytes = numberIn(folder, name, "mtu");
  if (mtuBytes === undefined) return undefined;
  const carrier = nameOf.get(numberIn(folder, name, "iflink") ?? -1); // of tunnels, which have no lower_ link
  const lowers = lowersOf(join(folder, name));
  if (carrier !== undefined && carrier !== name && !lowers.includes(carrier)) lowers.push(carrier);
  const link = { name, mtuBytes, lowers };
  const master = masterOf(join(folder, name, "master"));
  return master === undefined ? link : { ...link, master };
}

function numberIn(folder: string, name: string, file: string): number | undefined {
  const path = join(folder, name, file);
  const text = readKernelFile(path)?.trim();
  return text === undefined ? undefined : parseCount(text, path);
}

function lowersOf(folder: string): string[] {
  try {
    return readdirSync(folder).flatMap((file) => (file.startsWith("lower_") ? [file.slice("lower_".length)] : []));
  } catch (error) {
    if (isGone(error)) return [];
    throw error;
  }
}

function masterOf(path: string): string | undefined {
  try {
    return basename(readlinkSync(path));
  } catch (error) {
    if (isGone(error)) return undefined;
    throw error;
  }
}
