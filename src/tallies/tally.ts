/** One subject's counts: from events and ends to samples, with all its state in the snapshot. */
import type { EndEvidence } from "../connections/connections.ts";
import type { ConnectionEnd } from "../model/connection.ts";
import type { Event, EventKind } from "../model/event.ts";
import type { Sample } from "../model/metric.ts";
import type { LogRecord } from "../model/record.ts";

export interface Tally {
  /** The events that it is handed; others only cost time. */
  readonly kinds: readonly EventKind[];
  handle?(event: Event, record: LogRecord): void;
  ended?(end: ConnectionEnd, evidence: EndEvidence): void;
  /** `awakeMs`: a clock of this exporter's own running time, for deadlines only. */
  tick?(awakeMs: number): void;
  samples(nowMs: number): Sample[];
  /** JSON-safe and deterministic. */
  snapshot(): unknown;
  /** Into a new instance only; throws on anything but its own snapshot. */
  restore(saved: unknown): void;
}

/** What comes from a source that few hosts have: not read is not 0. What was counted in an earlier life stays. */
export function whereRead(isRead: boolean, samples: Sample[]): Sample[] {
  return isRead || samples.some(({ value }) => value !== 0) ? samples : [];
}

/** Snapshots of several parts under their names. */
export function snapshotAll(parts: Readonly<Record<string, { snapshot(): unknown }>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(parts).map(([name, part]) => [name, part.snapshot()]));
}

/** A part missing from the snapshot stays as it is new: an older release did not have it. */
export function restoreAll(parts: Readonly<Record<string, { restore(saved: unknown): void }>>, saved: unknown): void {
  if (typeof saved !== "object" || saved === null) throw new Error(`"${String(saved)}" is no snapshot of tallies`);
  for (const [name, part] of Object.entries(parts)) {
    const own = (saved as Record<string, unknown>)[name];
    if (own !== undefined) part.restore(own);
  }
}
