/**
 * When a probe may connect to an address: never sooner than the minimum interval after the connection before, however
 * many ask at once, and never more than so many at a time. OpenSSH 9.8+ forgives one second of penalty per second.
 */
import { performance } from "node:perf_hooks";
import { setTimeout as delay } from "node:timers/promises";

/** Its turn would come after its own time is over. */
export class TooSoon extends Error {
  override name = "TooSoon";
}

export class Pace {
  readonly #intervalMs: number;
  /** The next free moment per address; past ones are forgotten. */
  readonly #next = new Map<string, number>();
  constructor(intervalMs: number) {
    this.#intervalMs = intervalMs;
  }

  async turn(address: string, deadlineMs = Number.POSITIVE_INFINITY): Promise<void> {
    const now = performance.now();
    for (const [other, next] of this.#next) if (next <= now) this.#next.delete(other);
    const mine = Math.max(now, this.#next.get(address) ?? 0);
    if (mine > deadlineMs)
      throw new TooSoon(`no turn in time: one connection per ${this.#intervalMs / 1000} s and address`);
    this.#next.set(address, mine + this.#intervalMs);
    if (mine > now) await delay(mine - now);
  }
}

/** At most so many at a time; the others wait in line. */
export function limit(count: number): <T>(work: () => Promise<T>) => Promise<T> {
  let free = count;
  const waiting: (() => void)[] = [];
  return async (work) => {
    if (free === 0) await new Promise<void>((go) => waiting.push(go));
    else free -= 1;
    try {
      return await work();
    } finally {
      const next = waiting.shift();
      if (next) next();
      else free += 1;
    }
  };
}
