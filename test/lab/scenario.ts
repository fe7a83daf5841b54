/**
 * What a scenario is: a fault with its ground truth, what the exporter must have counted of it, the page that it earns,
 * and how it heals. One file each in scenarios/.
 */
import type { Clients } from "./clients.ts";
import type { LabExporter } from "./exporter.ts";
import type { Host } from "./host.ts";
import type { Monitoring } from "./monitoring.ts";
import type { Network } from "./network.ts";
import type { Release } from "./roots.ts";

/** All that a scenario may use. */
export interface Bench {
  readonly host: Host;
  readonly network: Network;
  readonly clients: Clients;
  readonly exporter: LabExporter;
  readonly monitoring: Monitoring;
  readonly release: Release;
  readonly timeScale: number;
  /** Five addresses that have logged in on this host before. */
  readonly knownPeers: readonly string[];
  /** 500 addresses that never have. */
  readonly strangers: readonly string[];
  /** Prints a line of what happens. */
  say(text: string): void;
  /** So many seconds of shipped time, divided by the time scale. */
  scaledSeconds(seconds: number): number;
}

/** What the exporter must show, as a sum over the series with these labels, counted from the scenario's start. */
export interface Evidence {
  readonly metric: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly atLeast?: number;
  readonly atMost?: number;
  /** A gauge: its value, not its growth. */
  readonly gauge?: true;
  /** What the scenario itself did. */
  readonly truth?: number;
  /** The same, counted by somebody else than scenario and exporter. */
  readonly witness?: SecondWitness;
  /** Where the bounds are not exact: the reason. The run fails without it. */
  readonly why?: string;
}

export interface SecondWitness {
  readonly count: number;
  /** Who counted: systemd, nftables, the clients. */
  readonly by: string;
}

export interface Scenario {
  readonly name: string;
  /** What happens, in a sentence. */
  readonly title: string;
  /** Only there; default both. */
  readonly releases?: readonly Release[];
  /** Reads or writes what all hosts of this machine share: until it is healed nothing runs beside it. */
  readonly alone?: { readonly kind: string; readonly why: string };
  /** About, where it is more than one. */
  readonly takesMinutes?: number;
  /** Part of CI's core. */
  readonly core?: true;
  /** The alert that must page; undefined: no page at all. */
  readonly page: string | undefined;
  /** Other alerts that may fire beside it, with the reason. */
  readonly alsoFine?: Readonly<Record<string, string>>;
  /** Flags of the exporter. */
  readonly flags?: readonly string[];
  /** How long a scenario without a page must stay silent, in shipped seconds; default 300. */
  readonly quietSeconds?: number;
  /** How long until the page, in seconds of the lab; default 45. */
  readonly pageDeadlineSeconds?: number;
  /** How long until it is resolved, in seconds of the lab; default 120. */
  readonly resolvedDeadlineSeconds?: number;
  /** Makes the fault, and tells what must be seen of it. */
  inject(bench: Bench): Promise<readonly Evidence[]>;
  /** Ends the fault. Known peers log in afterwards. */
  heal?(bench: Bench): Promise<void>;
  /** What the resolved notification must say; default: that the recovery is proven. */
  readonly recovery?: RegExp;
}

type Labels = Readonly<Record<string, string>>;

/** Exactly so many, and so says the second witness where there is one. */
export const exactly = (metric: string, count: number, labels?: Labels, witness?: SecondWitness): Evidence => ({
  metric,
  ...{ atLeast: count, atMost: count, truth: count },
  ...(labels && { labels }),
  ...(witness && { witness }),
});

/** A gauge that has this value. */
export const stands = (metric: string, value: number, witness?: SecondWitness): Evidence => ({
  ...exactly(metric, value, undefined, witness),
  gauge: true,
});
