/** Long work in short slices: a scrape, or a source, has its turn of the event loop in between. */
import { setImmediate as nextTurn } from "node:timers/promises";

/** Of wall time, which is no less than what the thread used of a CPU. */
const sliceMs = 4;

export class Turns {
  #beganMs = performance.now();

  /** To be asked between steps of the work, and waited for. */
  async next(): Promise<void> {
    await nextTurn();
    this.#beganMs = performance.now();
  }

  /** Whether this slice was long enough. */
  get over(): boolean {
    return performance.now() - this.#beganMs >= sliceMs;
  }
}
