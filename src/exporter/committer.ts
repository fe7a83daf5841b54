/**
 * Counters are shown as they were committed: what /metrics shows is never beyond what the state directory holds, so
 * after a kill -9 the log is read again from there and no counter steps back. At most one commit a second. Whether the
 * disk has it too is not waited for: that is for the day on which the machine itself stops.
 *
 * When a commit fails (disk full) the counters go on in memory, and `sshreset_state_commit_success` says 0: an exporter
 * that froze when the disk fills would be blind just when it is needed. After a restart the log is read again from the
 * older position, so nothing is lost or counted twice even then.
 *
 * Samples and state are taken in turns of the event loop, so that this holds up nobody, and the state is not copied first:
 * whoever changes it waits until its text is made.
 */
import { setImmediate as nextTurn } from "node:timers/promises";
import type { Sample } from "../model/metric.ts";
import { Turns } from "../model/turns.ts";
import type { Written } from "../state/snapshot.ts";

const shortestIntervalMs = 1000;

export interface Committable {
  /** True if the state has changed since it was last taken. */
  dirty(): boolean;
  /** JSON-safe; of the same moment as the samples that belong to it. Parts may be made only as they are written. */
  state(): unknown;
  /** In parts, made as they are asked for. */
  samplesInParts(): Iterable<readonly Sample[]>;
}

/** Calls `onTaken` once the state may change again, and resolves when a kill of this process cannot undo it. */
export type WriteState = (state: unknown, onTaken: () => void) => Promise<Written>;

export class Committer {
  #shown: readonly Sample[] = [];
  #committedAtMs = Number.NEGATIVE_INFINITY;
  #running: Promise<void> | undefined;
  /** While the state is taken. */
  #taking: Promise<void> | undefined;
  #failing = false;
  #commits = { success: 0, error: 0 };
  readonly #subject: Committable;
  readonly #write: WriteState;
  readonly #onError: (error: unknown) => void;
  readonly #nowMs: () => number;

  constructor(
    subject: Committable,
    write: WriteState,
    onError: (error: unknown) => void,
    nowMs: () => number = () => performance.now(),
  ) {
    this.#subject = subject;
    this.#write = write;
    this.#onError = onError;
    this.#nowMs = nowMs;
  }

  /** The samples of the last commit, after a new one if it is due. Scrapes at the same time share it. */
  async samples(): Promise<readonly Sample[]> {
    if (this.#nowMs() - this.#committedAtMs >= shortestIntervalMs) await this.commit();
    else await this.#running;
    return [...this.#shown, ...this.#ownSamples()];
  }

  #ownSamples(): readonly Sample[] {
    const { success, error } = this.#commits;
    return [
      { name: "sshreset_state_commit_success", value: this.#failing ? 0 : 1 },
      { name: "sshreset_state_commits_total", labels: { result: "success" }, value: success },
      { name: "sshreset_state_commits_total", labels: { result: "error" }, value: error },
    ];
  }

  /** The samples of now, committed or not: for whoever neither shows nor saves them. */
  async uncommitted(): Promise<readonly Sample[]> {
    const taken = await this.#take();
    try {
      return [...(await inTurns(this.#subject.samplesInParts())), ...this.#ownSamples()];
    } finally {
      taken();
    }
  }

  /** The only way to change the state: at once, or when it was taken. */
  async change(change: () => void): Promise<void> {
    while (this.#taking !== undefined) await this.#taking;
    change();
  }

  /** Never rejects: a failure is counted, shown and told to `onError` when it begins. */
  commit(): Promise<void> {
    this.#running ??= this.#commitOnce().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  async #commitOnce(): Promise<void> {
    this.#committedAtMs = this.#nowMs();
    const taken = await this.#take();
    try {
      const needed = this.#subject.dirty() || this.#failing || this.#shown.length === 0;
      const samples = await inTurns(this.#subject.samplesInParts());
      await nextTurn();
      if (needed) await this.#save(taken);
      this.#shown = samples;
    } finally {
      taken();
    }
  }

  /** Who would change the state waits until the function that this gives is called. */
  async #take(): Promise<() => void> {
    while (this.#taking !== undefined) await this.#taking;
    let taken = (): void => {};
    this.#taking = new Promise((resolve) => {
      taken = () => {
        this.#taking = undefined;
        resolve();
      };
    });
    return taken;
  }

  async #save(onTaken: () => void): Promise<void> {
    try {
      const { settled } = await this.#write(this.#subject.state(), onTaken);
      this.#commits.success++;
      // Nobody who scrapes waits for the disk.
      settled.then(
        () => {
          this.#failing = false;
        },
        (error: unknown) => this.#fail(error),
      );
    } catch (error) {
      this.#fail(error);
    }
  }

  #fail(error: unknown): void {
    this.#commits.error++;
    if (!this.#failing) this.#onError(error);
    this.#failing = true;
  }
}

async function inTurns(parts: Iterable<readonly Sample[]>): Promise<readonly Sample[]> {
  const samples: Sample[] = [];
  const turns = new Turns();
  for (const part of parts) {
    samples.push(...part);
    if (turns.over) await turns.next();
  }
  return samples;
}
