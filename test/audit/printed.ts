/** What nft and iptables-save printed of each rule set, with the addresses that the network of the tests has here. */
import { join } from "node:path";

export const printedFile = join(import.meta.dirname, "../fixtures/audit/packet-filters.json");

export interface Addresses {
  readonly PEER: string;
  readonly OTHER: string;
  readonly PEER6: string;
  readonly SERVER: string;
}

export const printedAddresses: Addresses = {
  PEER: "10.77.1.2",
  OTHER: "10.77.1.3",
  PEER6: "fd77:77:1::2",
  SERVER: "10.77.2.2",
};

/** Words of a case's rules to addresses; an address with a prefix to its network is what the programs accept. */
export function withAddresses(rules: string, addresses: Addresses): string {
  return rules.replace(/\b(PEER6|PEER|OTHER|SERVER)\b/g, (word) => addresses[word as keyof Addresses]);
}
