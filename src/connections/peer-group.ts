/**
 * Which addresses are one peer: an IPv4 address alone, an IPv6 address by its leading bits, since one host has a whole
 * /64 (RFC 4291, RFC 8981). Input is canonical text as the parsers give it, with or without a zone.
 */
import { BlockList, isIP } from "node:net";

/** The group's text: `192.0.2.7`, `2001:db8:1:2::/64`. A zone is dropped: it names an interface of ours. */
export function peerGroup(address: string, ipv6PrefixLength: number): string {
  if (!address.includes(":")) return address;
  const groups = ipv6Groups(address);
  let left = ipv6PrefixLength;
  const masked = groups.map((group) => {
    const bits = Math.max(0, Math.min(16, left));
    left -= 16;
    return group & (0xffff << (16 - bits)) & 0xffff;
  });
  const kept = Math.ceil(ipv6PrefixLength / 16);
  const text = masked.map((group) => group.toString(16));
  return kept >= 8 ? `${text.join(":")}/${ipv6PrefixLength}` : `${text.slice(0, kept).join(":")}::/${ipv6PrefixLength}`;
}

function ipv6Groups(address: string): number[] {
  const zone = address.indexOf("%");
  const [head = "", tail] = (zone < 0 ? address : address.slice(0, zone)).split("::");
  const before = hexGroups(head);
  const after = hexGroups(tail ?? "");
  return [...before, ...new Array<number>(Math.max(0, 8 - before.length - after.length)).fill(0), ...after];
}

function hexGroups(text: string): number[] {
  if (text === "") return [];
  return text.split(":").flatMap((group) => {
    if (!group.includes(".")) return [Number.parseInt(group, 16)];
    const [a = 0, b = 0, c = 0, d = 0] = group.split(".").map(Number);
    return [(a << 8) | b, (c << 8) | d];
  });
}

/** Addresses and networks (`192.0.2.0/24`) from the configuration. Throws on anything else, quoting it. */
export function addressList(entries: readonly string[]): BlockList {
  const list = new BlockList();
  for (const entry of entries) {
    const [address = "", length] = entry.split("/");
    const version = isIP(address);
    const bits = version === 4 ? 32 : 128;
    const family = version === 4 ? "ipv4" : "ipv6";
    const prefix = length === undefined ? bits : /^\d{1,3}$/.test(length) ? Number(length) : -1;
    if (version === 0 || prefix < 0 || prefix > bits) throw new Error(`"${entry}" is no address or network`);
    if (length === undefined) list.addAddress(address, family);
    else list.addSubnet(address, prefix, family);
  }
  return list;
}

export function listed(list: BlockList, address: string): boolean {
  const zone = address.indexOf("%");
  return list.check(zone < 0 ? address : address.slice(0, zone), address.includes(":") ? "ipv6" : "ipv4");
}
