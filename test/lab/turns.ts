/**
 * Who runs beside whom. Scenarios of several hosts run at once; some need what the machine's kernel has only once, until
 * they are healed. While these wait for their page to resolve, only others of the same kind must not begin.
 */

interface Waiting {
  readonly kind: string | undefined;
  begin(): void;
}

export class Turns {
  /** In the order in which they asked. */
  #waiting: Waiting[] = [];
  #together = 0;
  #alone = false;
  readonly #kinds = new Set<string>();

  /** `kind`: what it needs alone; undefined: it runs beside others. `work` may call `healed` when it needs it no longer. */
  async take<T>(kind: string | undefined, work: (healed: () => void) => Promise<T>): Promise<T> {
    await new Promise<void>((begin) => {
      this.#waiting.push({ kind, begin });
      this.#admit();
    });
    let mine = kind !== undefined;
    const healed = (): void => {
      if (mine) this.#alone = false;
      mine = false;
      this.#admit();
    };
    try {
      return await work(healed);
    } finally {
      if (kind === undefined) this.#together--;
      else this.#kinds.delete(kind);
      healed();
    }
  }

  #admit(): void {
    for (const next of [...this.#waiting]) {
      const { kind } = next;
      const first = this.#waiting.find((each) => each.kind !== undefined);
      const overtakes = first !== undefined && this.#waiting.indexOf(first) < this.#waiting.indexOf(next);
      if (this.#alone || (kind === undefined ? overtakes : this.#together > 0 || this.#kinds.has(kind))) continue;
      this.#waiting = this.#waiting.filter((each) => each !== next);
      if (kind === undefined) this.#together++;
      else {
        this.#alone = true;
        this.#kinds.add(kind);
      }
      next.begin();
    }
  }
}
