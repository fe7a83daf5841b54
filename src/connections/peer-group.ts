/**
 * Which addresses are one peer: an IPv4 address alone, an IPv6 address by its leading bits, since one host has a whole
 * /64 (RFC 4291, RFC 8981). Input is canonical text as the parsers give it, with or without a zone.
 */
import { BlockList, isIP } from "node:net";

/** The group's text: `192.0.2.7`, `2001:db8:1:2::/64`. A zone is dropped: it names an interface of ours. */
export function peerGroup(address: string, ipv6PrefixLength: number): string {
  if (!address.includes(":")) return address;
  const whole = ipv6PrefixLength % 16 === 0 ? leadingGroups(address, ipv6PrefixLength / 16) : undefined;
  if (whole !== undefined) return `${whole}::/${ipv6PrefixLength}`;
  const groups = ipv6Groups(address);
  const kept = Math.ceil(ipv6PrefixLength / 16);
  let text = "";
  for (let i = 0; i < kept; i++) {
    const bits = Math.min(16, ipv6PrefixLength - 16 * i);
    const masked = (groups[i] ?? 0) & (0xffff << (16 - bits));
    text += i === 0 ? masked.toString(16) : `:${masked.toString(16)}`;
  }
  return `${text}${kept < 8 ? "::" : ""}/${ipv6PrefixLength}`;
}

/** The first groups as they stand, in a tenth of the time; undefined where `::` stands for one of them. */
function leadingGroups(address: string, kept: number): string | undefined {
  let end = -1;
  for (let i = 0; i < kept; i++) {
    const colon = address.indexOf(":", end + 1);
    if (colon <= end + 1) return undefined;
    end = colon;
  }
  return address.slice(0, end);
}

function ipv6Groups(address: string): readonly number[] {
  const zone = address.indexOf("%");
  const groups: number[] = [];
  let elided = -1;
  for (const text of (zone < 0 ? address : address.slice(0, zone)).split(":")) {
    if (text === "") elided = groups.length;
    else if (text.includes(".")) groups.push(...ipv4Groups(text));
    else groups.push(Number.parseInt(text, 16));
  }
  if (elided >= 0) while (groups.length < 8) groups.splice(elided, 0, 0);
  return groups;
}

function ipv4Groups(text: string): readonly [number, number] {
  const [a = 0, b = 0, c = 0, d = 0] = text.split(".").map(Number);
  return [(a << 8) | b, (c << 8) | d];
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
