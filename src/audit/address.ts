/** Addresses, prefixes and ranges of rule sets; an IPv4 rule never holds for an IPv6 peer. */
import { BlockList, isIP } from "node:net";
import { AuditError } from "./shape.ts";

/** `198.51.100.7`, `198.51.100.0/24`, `2001:db8::/32`, `198.51.100.0/255.255.255.0`, `A-B`. Throws on anything else. */
export function contains(prefix: string, address: string): boolean {
  const [first = "", last] = prefix.split("-");
  if (last !== undefined) return inRange(first.trim(), last.trim(), address);
  const [network = "", mask] = prefix.split("/");
  const family = isIP(network);
  const length = mask === undefined ? maximum(family) : prefixLength(mask);
  if (family === 0 || length === undefined || length > maximum(family))
    throw new AuditError(`${JSON.stringify(prefix.slice(0, 80))} is no address, prefix or range`);
  if (isIP(address) !== family) return false;
  if (length === 0) return true;
  const list = new BlockList();
  list.addSubnet(network, length, family === 4 ? "ipv4" : "ipv6");
  return list.check(address, family === 4 ? "ipv4" : "ipv6");
}

function inRange(first: string, last: string, address: string): boolean {
  const family = isIP(first);
  if (family === 0 || isIP(last) !== family)
    throw new AuditError(`${JSON.stringify(`${first}-${last}`.slice(0, 80))} is no range of addresses`);
  if (isIP(address) !== family) return false;
  const list = new BlockList();
  list.addRange(first, last, family === 4 ? "ipv4" : "ipv6");
  return list.check(address, family === 4 ? "ipv4" : "ipv6");
}

const maximum = (family: number): number => (family === 4 ? 32 : 128);

/** `24`, or a netmask without holes. */
function prefixLength(mask: string): number | undefined {
  if (/^\d{1,3}$/.test(mask)) return Number(mask);
  if (isIP(mask) !== 4) return undefined;
  const bits = mask
    .split(".")
    .map((octet) => Number(octet).toString(2).padStart(8, "0"))
    .join("");
  return /^1*0*$/.test(bits) ? bits.replaceAll("0", "").length : undefined;
}

/** Inclusive. */
export interface Ports {
  readonly first: number;
  readonly last: number;
}

/** `22`, `20-25`, `20:25`; `*` for all. Throws on anything else. */
export function parsePorts(text: string): Ports {
  if (text === "*") return { first: 0, last: 65_535 };
  const [, first, last] = /^(\d{1,5})(?:[-:](\d{1,5}))?$/.exec(text) ?? [];
  const ports = { first: Number(first), last: Number(last ?? first) };
  if (first === undefined || ports.last > 65_535 || ports.first > ports.last)
    throw new AuditError(`${JSON.stringify(text.slice(0, 80))} is no port or range of ports`);
  return ports;
}

export const within = (port: number, { first, last }: Ports): boolean => first <= port && port <= last;
