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
  /** What the scenario itself did, where the bounds are wider: a lower bound, with the reason. */
  readonly truth?: number;
  readonly why?: string;
}

export interface Scenario {
  readonly name: string;
  /** What happens, in a sentence. */
  readonly title: string;
  /** Only there; default both. */
  readonly releases?: readonly Release[];
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

/** Exactly so many. */
export const exactly = (metric: string, count: number, labels?: Readonly<Record<string, string>>): Evidence => ({
  metric,
  atLeast: count,
  atMost: count,
  truth: count,
  ...(labels && { labels }),
});

/** At least so many, since the host cannot tell more: why. */
export const lowerBound = (
  metric: string,
  count: number,
  {
    truth,
    why,
    ...labels
  }: { readonly truth: number; readonly why: string } & Readonly<Record<string, string | number>>,
): Evidence => ({ metric, atLeast: count, truth, why, labels: labels as Record<string, string> });
