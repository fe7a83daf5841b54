/**
 * The observing nftables table: a chain that accepts everything and notes the TTLs (IPv6: hop limits) of segments and
 * resets to sshd's ports in bounded sets. It drops, marks and changes nothing, and touches no other table.
 * Source: nft(8). Needs nftables 0.9.4 (typeof) and Linux 4.18.
 */
import { observerSets, observerTable } from "../collectors/reset-ttl.ts";

const families = [
  { version: 4, address: "ip saddr", ttl: "ip ttl" },
  { version: 6, address: "ip6 saddr", ttl: "ip6 hoplimit" },
] as const;

/**
 * Replaces the table in one transaction: loading it twice is the same as once. Hook input, so only what is meant for
 * this host; before all other input chains, so that what they drop is seen too.
 */
export function rulesetText(ports: readonly number[]): string {
  return `# Observes TCP resets to sshd: drops nothing. Made by ssh-reset-exporter.
table inet ${observerTable}
delete table inet ${observerTable}
table inet ${observerTable} {
${families.map(setsText).join("")}	chain input {
		type filter hook input priority -350; policy accept;
		tcp dport != { ${ports.join(", ")} } return
${families.map(rulesText).join("")}	}
}
`;
}

/** Adds the table before it is deleted, so that a missing one is no error. */
export const removalText = `table inet ${observerTable}\ndelete table inet ${observerTable}\n`;

type FamilyText = (typeof families)[number];

const keyText = ({ address, ttl }: FamilyText): string => `${address} . tcp sport . ${ttl}`;

function setsText(family: FamilyText): string {
  return Object.values(observerSets)
    .map(
      ({ name, size, timeoutSeconds }) => `	set ${name}${family.version} {
		typeof ${keyText(family)}
		size ${size}
		flags dynamic,timeout
		timeout ${timeoutSeconds}s
	}
`,
    )
    .join("");
}

function rulesText(family: FamilyText): string {
  const { segments, own, odd } = observerSets;
  const key = keyText(family);
  const update = (set: { name: string }): string => `update @${set.name}${family.version} { ${key} }`;
  return `		tcp flags & rst == rst ${key} @${segments.name}${family.version} ${update(own)} return
		tcp flags & rst == rst ${update(odd)}
		tcp flags & (syn | rst) == 0 ${update(segments)}
`;
}
