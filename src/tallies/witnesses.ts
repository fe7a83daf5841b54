/**
 * One happening that several witnesses tell, each once, in any order and from different sources: a start that sshd and
 * systemd both announce, a crash that the kernel, sshd and systemd-coredump report. A witness joins the oldest happening
 * of the window that it has not told yet; otherwise it tells a new one.
 */
import { list, object, text, time } from "../model/saved.ts";

interface Happening {
  timeMs: number;
  witnesses: string[];
}

const capacity = 256;

export class Witnesses {
  readonly #windowMs: number;
  #happenings: Happening[] = [];

  constructor(windowMs: number) {
    this.#windowMs = windowMs;
  }

  /** True if this is the first that is heard of the happening. */
  tell(witness: string, timeMs: number): boolean {
    this.#happenings = this.#happenings.filter((happening) => timeMs - happening.timeMs <= 10 * this.#windowMs);
    const told = this.#happenings.find(
      (happening) => Math.abs(timeMs - happening.timeMs) <= this.#windowMs && !happening.witnesses.includes(witness),
    );
    if (told) {
      told.witnesses.push(witness);
      return false;
    }
    this.#happenings.push({ timeMs, witnesses: [witness] });
    if (this.#happenings.length > capacity) this.#happenings.shift();
    return true;
  }

  snapshot(): unknown {
    return this.#happenings;
  }

  restore(saved: unknown): void {
    this.#happenings = list(object({ timeMs: time, witnesses: list(text, 16) }), capacity)(saved, "witnesses");
  }
}
