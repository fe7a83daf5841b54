/**
 * The last readings of SSH's sockets by (address, port), for those who join them with events: how long a connection
 * was idle when it ended, and which ones hang in the key exchange. A socket stays for a minute after it was last seen,
 * since the event of its end comes after it is gone. Bounded by the bound of one reading, times the readings in a minute.
 */
import type { SocketReading, SshSocket } from "../model/collector.ts";

const keepMs = 60_000;
/** RFC 4253 4.2: an identification string has at most 255 bytes, so what follows it has not come. */
const maxBannerBytes = 255;
const kexPatienceMs = 5_000;

/** One reading: when each connection had last carried data. */
interface Seen {
  readonly timeMs: number;
  readonly lastDataMs: ReadonlyMap<string, number>;
}

export class SocketTable {
  /** Newest first. */
  #readings: readonly Seen[] = [];
  #stuck: readonly SshSocket[] = [];

  update({ timeMs, sockets }: SocketReading): void {
    this.#stuck = sockets.filter(isStuckInKex);
    const lastDataMs = new Map<string, number>();
    for (const { address, port, lastReceivedMs, lastSentMs } of sockets) {
      if (lastReceivedMs === undefined) continue;
      lastDataMs.set(keyOf(address, port), timeMs - Math.min(lastReceivedMs, lastSentMs ?? lastReceivedMs));
    }
    const kept = this.#readings.filter((reading) => timeMs - reading.timeMs <= keepMs);
    this.#readings = [{ timeMs, lastDataMs }, ...kept];
  }

  /**
   * How long the connection had carried no data at `atMs`; undefined for one that was never seen. An upper bound: what
   * was carried after the last reading is not known.
   */
  idleMsOf(address: string, port: number, atMs: number): number | undefined {
    const key = keyOf(address, port);
    for (const { timeMs, lastDataMs } of this.#readings) {
      const sinceMs = lastDataMs.get(key);
      if (sinceMs !== undefined) return Math.max(atMs, timeMs) - sinceMs;
    }
    return undefined;
  }

  /** Connections of the last reading that sent their banner and then nothing more. */
  stuckInKex(): readonly SshSocket[] {
    return this.#stuck;
  }
}

/** The banner came, and for five seconds nothing else: a key exchange packet too large for the path looks like this. */
export function isStuckInKex({ state, bytesReceived, lastReceivedMs }: SshSocket): boolean {
  return (
    state === "established" &&
    bytesReceived > 0 &&
    bytesReceived <= maxBannerBytes &&
    (lastReceivedMs ?? 0) >= kexPatienceMs
  );
}

function keyOf(address: string, port: number): string {
  return `${address} ${port}`;
}
