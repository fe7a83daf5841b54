/** What a collector is: one reading of the host at scrape time. */
import type { MetricDef, Sample } from "./metric.ts";

export interface HostPaths {
  readonly procfs: string;
  readonly sysfs: string;
  readonly rootfs: string;
  readonly tracefs: string;
}

/** Broken = throws; absent = the subsystem is not there or not granted, which is no failure. */
export type Reading =
  | { readonly status: "ok"; readonly samples: readonly Sample[] }
  | { readonly status: "absent"; readonly reason: string; readonly grant?: string };

export interface CollectorContext {
  readonly paths: HostPaths;
  readonly nowMs: () => number;
  /** Ports that sshd listens on, as last seen. */
  readonly sshdPorts: () => readonly number[];
  readonly onWarning: (message: string, details?: Readonly<Record<string, unknown>>) => void;
}

export interface Collector {
  /** Bounded work, no subprocess: it runs on the scrape path. */
  read(): Reading | Promise<Reading>;
  /** Slow or forking work of its own, in the background, until the signal; `read` then gives the last good result. */
  run?(signal: AbortSignal): Promise<void>;
}

export interface CollectorModule {
  readonly name: string;
  /** One sentence for --help: what it reads. */
  readonly summary: string;
  readonly enabled: boolean;
  readonly metrics: readonly MetricDef[];
  create(context: CollectorContext): Collector;
}
