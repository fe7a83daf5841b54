/** Who runs beside whom: scenarios of several hosts at once, and some with the machine's kernel to themselves. */
export class Turns {
  readonly #running = new Set<Promise<unknown>>();
  /** Resolves when the one that asked last may run. */
  #admitted: Promise<void> = Promise.resolve();

  /** In the order in which they ask: one that runs alone begins when all before it have ended, and none begins meanwhile. */
  async take<T>(alone: boolean, work: () => Promise<T>): Promise<T> {
    const admitted = this.#admitted.then(async () => {
      if (alone) await Promise.allSettled(this.#running);
    });
    const running = admitted.then(() => {
      const done = work();
      this.#running.add(done);
      const forget = (): void => void this.#running.delete(done);
      done.then(forget, forget);
      return done;
    });
    this.#admitted = alone
      ? running.then(
          () => undefined,
          () => undefined,
        )
      : admitted;
    return running;
  }
}
