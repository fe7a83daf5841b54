/** What a cause is: an entry of the catalogue, as data. Everything that on-call sees is derived from it. */
import type { Outcome, Phase } from "../model/connection.ts";
import type { Condition, Thresholds } from "./condition.ts";

export const causeIds = [
  "sshd_crash",
  "sshd_down",
  "sshd_restart",
  "oom_kill",
  "memory_pressure",
  "cpu_pressure",
  "process_limit",
  "tcp_wrappers",
  "mtu_blackhole",
  "conntrack_full",
  "idle_timeout",
  "middlebox_reset",
  "proxy_protocol",
  "cloud_limit",
  "connection_throttling",
  "balancer_throttled",
  "login_timeout",
  "network_path",
] as const;
export type CauseId = (typeof causeIds)[number];

/** The checklist's step that a cause belongs to; `beyond`: what the checklist forgets. */
export type Step = 1 | 2 | 3 | 4 | 5 | 6 | "beyond";
/** critical wakes somebody; warning waits for the day; info goes nowhere but to dashboards and inhibition. */
export type Severity = "critical" | "warning" | "info";

/** Ends of known peers that a cause can produce. */
export interface Scope {
  readonly phases: readonly Phase[];
  readonly outcomes: readonly Outcome[];
}

/** A command of the checklist, as it works on a Debian or RHEL host. */
export interface Command {
  readonly run: string;
  /** What to look for in its output. */
  readonly shows: string;
}

export interface Cause {
  readonly id: CauseId;
  readonly alert: string;
  readonly step: Step;
  readonly title: string;
  /** One fixed sentence: what is the matter. */
  readonly summary: string;
  /** How the resets come about, in two or three sentences. */
  readonly explanation: string;
  readonly severity: Severity;
  readonly evidence: Condition;
  /** Hysteresis: once the cause is active this is enough to stay so. */
  readonly stay?: Condition;
  /** Further numbers that a page tells when they hold; they decide nothing. */
  readonly facts?: Condition;
  readonly thresholds: Thresholds;
  /** How long the evidence must last. */
  readonly forSeconds: number;
  /** How long the cause stays active after its evidence, so that the page does not flap and the fix can be proven. */
  readonly keepSeconds: number;
  /** Ends that it can produce. While it could have, the symptom stays silent. */
  readonly explains: readonly Scope[];
  /** What must hold for that, where the evidence is only a warning of what is to come. */
  readonly explainsWhen?: Condition;
  /** Causes that follow from this one: they page only without it. */
  readonly inhibits: readonly CauseId[];
  /** What must be readable for the cause to be judged at all, and how to grant it. */
  readonly observable: Condition;
  readonly grant: string;
  /** At least three, the first ones first. */
  readonly next: readonly Command[];
  readonly references: readonly string[];
}
