/**
 * HOST, HOST:PORT, IPv6 or [IPv6]:PORT, as ssh users write them; and which addresses a probe over HTTP may go to.
 * Sources: RFC 3986 section 3.2.2 (brackets), RFC 1123 section 2.1 (host names), the metadata services' own manuals.
 */
import { BlockList, isIP } from "node:net";

export interface Target {
  /** A host name or an address, without brackets. */
  readonly host: string;
  readonly port: number;
}

/** The text is no target: the message quotes it. */
export class TargetError extends Error {
  override name = "TargetError";
}

export function parseTarget(text: string): Target {
  const quoted = JSON.stringify(text.slice(0, 300));
  const match = /^(?:\[([^\]]*)\]|([^:[\]]+))(?::(.*))?$/s.exec(text);
  const bare = isIP(text) === 6 ? text : undefined;
  if (bare === undefined && match === null) {
    throw new TargetError(`target ${quoted} is not HOST, HOST:PORT, IPV6 or [IPV6]:PORT`);
  }
  const [, bracketed, plain, portText] = bare === undefined ? (match ?? []) : [undefined, bare];
  const host = bracketed ?? plain ?? "";
  const isAddress = bracketed !== undefined || bare !== undefined;
  if (isAddress ? isIP(host) !== 6 : isIP(host) !== 4 && !isHostName(host)) {
    throw new TargetError(
      `${JSON.stringify(host.slice(0, 300))} in target ${quoted} is no ${isAddress ? "IPv6 address" : "host name"}`,
    );
  }
  return { host, port: parsePort(portText ?? "22", quoted) };
}

function parsePort(text: string, quoted: string): number {
  const port = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
  if (!(port >= 1 && port <= 65535)) {
    throw new TargetError(`port ${JSON.stringify(text.slice(0, 20))} in target ${quoted} is not between 1 and 65535`);
  }
  return port;
}

/** Underscores are no host name by the RFC and in every second internal zone. All digits would be an address cut short. */
function isHostName(host: string): boolean {
  if (host.length > 253 || /^[\d.]*$|^0x/i.test(host)) return false;
  return host
    .replace(/\.$/, "")
    .split(".")
    .every((label) => /^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$/i.test(label));
}

export const formatTarget = ({ host, port }: Target): string => `${isIP(host) === 6 ? `[${host}]` : host}:${port}`;

/** Link-local, metadata services, this network, multicast: nobody's sshd, and the usual aim of a forged request. */
const refusedRanges = [
  ["169.254.0.0", 16], // link-local; AWS, Azure, GCP metadata
  ["100.100.100.200", 32], // Alibaba Cloud metadata
  ["168.63.129.16", 32], // Azure platform
  ["192.0.0.192", 32], // Oracle Cloud metadata
  ["0.0.0.0", 8],
  ["224.0.0.0", 4],
  ["255.255.255.255", 32],
  ["fe80::", 10], // link-local
  ["fd00:ec2::254", 128], // AWS metadata
  ["fd20:ce::254", 128], // GCP metadata
  ["::", 128],
  ["ff00::", 8],
] as const;

const family = (address: string): "ipv4" | "ipv6" => (isIP(address) === 6 ? "ipv6" : "ipv4");

function blockList(ranges: readonly (readonly [string, number])[]): BlockList {
  const list = new BlockList();
  for (const [network, bits] of ranges) list.addSubnet(network, bits, family(network));
  return list;
}
const refused = blockList(refusedRanges);

export interface AllowEntry {
  readonly port: number;
  readonly name?: string;
  readonly range?: readonly [address: string, bits: number];
}

/** One entry of the allow-list: a host name, an address or a network, with a port if it is not 22. */
export function parseAllowEntry(text: string): AllowEntry {
  const network = /^\[?([0-9a-fA-F:.]+)\/(\d{1,3})\]?(?::(\d{1,5}))?$/.exec(text);
  if (network === null) {
    const { host, port } = parseTarget(text);
    const version = isIP(host);
    if (version === 0) return { port, name: canonicalName(host) };
    return { port, range: [host, version === 6 ? 128 : 32] };
  }
  const [, address = "", bitsText, portText] = network;
  const version = isIP(address);
  const bits = Number(bitsText);
  if (version === 0 || bits > (version === 6 ? 128 : 32)) {
    throw new TargetError(`${JSON.stringify(text.slice(0, 300))} is no network: ADDRESS/BITS, [IPV6/BITS]:PORT`);
  }
  return { port: parsePort(portText ?? "22", JSON.stringify(text.slice(0, 300))), range: [address, bits] };
}

const canonicalName = (host: string): string => host.toLowerCase().replace(/\.$/, "");

export interface AllowList {
  /** Whether the name may be resolved at all: a listed name, or a name while networks are listed. */
  mayResolve(target: Target): boolean;
  /** Undefined if the address may be probed, else why not. */
  refusal(target: Target, address: string): string | undefined;
}

/**
 * A name's entry admits what it resolves to, but a refused address only where it lies in a listed network that is
 * itself inside the refused range: 0.0.0.0/0 does not list the metadata service.
 */
export function allowList(entries: readonly AllowEntry[]): AllowList {
  const nets = entries.filter((entry) => entry.range !== undefined);
  const inside = (wanted: readonly AllowEntry[], address: string, port: number): boolean => {
    const ranges = wanted.flatMap((entry) => (entry.range !== undefined && entry.port === port ? [entry.range] : []));
    return blockList(ranges).check(address, family(address));
  };
  const named = ({ host, port }: Target): boolean =>
    entries.some((entry) => entry.name === canonicalName(host) && entry.port === port);
  const narrow = nets.filter(({ range = ["", 0] }) =>
    refusedRanges.some(([network, bits]) => {
      return (
        range[1] >= bits &&
        family(range[0]) === family(network) &&
        blockList([[network, bits]]).check(range[0], family(range[0]))
      );
    }),
  );
  return {
    mayResolve: (target) => named(target) || nets.some((entry) => entry.port === target.port),
    refusal: (target, address) => {
      const real = embeddedIpv4(address) ?? address.replace(/%.*$/, "");
      if (refused.check(real, family(real))) {
        return inside(narrow, real, target.port)
          ? undefined
          : `${address} is link-local, a metadata service or no host's address`;
      }
      if (named(target) || inside(nets, real, target.port)) return undefined;
      return `${address} port ${target.port} is not in the allow-list`;
    },
  };
}

/** The IPv4 address inside ::ffff:a.b.c.d (mapped) and 64:ff9b::a.b.c.d (RFC 6052), however it is written. */
export function embeddedIpv4(address: string): string | undefined {
  if (isIP(address) !== 6 || address.includes("%")) return undefined;
  const prefixes = [
    ["::ffff:0:0", 96],
    ["64:ff9b::", 96],
  ] as const;
  if (!blockList(prefixes).check(address, "ipv6")) return undefined;
  const dotted = /(\d+\.\d+\.\d+\.\d+)$/.exec(address)?.[1];
  if (dotted !== undefined) return dotted;
  const hex = new URL(`http://[${address}]`).hostname.slice(1, -1).split(":").slice(-2);
  const words = hex.map((word) => Number.parseInt(word || "0", 16));
  return words.map((word) => `${word >> 8}.${word & 0xff}`).join(".");
}
