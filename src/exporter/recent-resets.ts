/** The last few resets that the kernel received, for the collector that compares their TTLs. Bounded. */

import type { ReceivedReset } from "../model/collector.ts";
import type { Event } from "../model/event.ts";
import type { LogRecord } from "../model/record.ts";

const keepMs = 5_000;
const most = 4096;

export class RecentResets {
  readonly #resets: ReceivedReset[] = [];

  add(event: Event, { timeMs }: LogRecord): void {
    if (event.kind !== "tcp.reset_received" || event.address === undefined || event.port === undefined) return;
    this.#resets.push({ address: event.address, port: event.port, timeMs });
    if (this.#resets.length > most) this.#resets.shift();
  }

  list(nowMs: number): readonly ReceivedReset[] {
    while (this.#resets[0] !== undefined && nowMs - this.#resets[0].timeMs > keepMs) this.#resets.shift();
    return this.#resets;
  }
}
