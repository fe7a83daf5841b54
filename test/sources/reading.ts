/** Runs a source in the background and collects what it gives; tests wait for conditions, each with a deadline. */
import { existsSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { LogRecord } from "../../src/model/record.ts";
import type { Position, Source, SourceStart } from "../../src/model/source.ts";

const running = new Set<Reading>();

export class Reading {
  readonly records: LogRecord[] = [];
  lost = 0;
  position: Position | undefined;
  readonly #source: Source;
  readonly #abort = new AbortController();
  readonly #done: Promise<void>;

  constructor(source: Source) {
    this.#source = source;
    this.#done = this.#run();
    running.add(this);
  }

  async #run(): Promise<void> {
    for await (const batch of this.#source.batches(this.#abort.signal)) {
      this.records.push(...batch.records);
      this.lost += batch.lost;
      // As the snapshot does: a position has to survive JSON.
      this.position = JSON.parse(JSON.stringify(batch.position)) as Position;
    }
  }

  get messages(): readonly string[] {
    return this.records.map(({ message }) => message);
  }

  async until(condition: (reading: Reading) => boolean, withinMs = 8000): Promise<void> {
    const deadline = Date.now() + withinMs;
    while (!condition(this)) {
      if (Date.now() > deadline) {
        const last = JSON.stringify(this.messages.slice(-3));
        throw new Error(
          `not within ${withinMs} ms: ${condition}; ${this.records.length} records, lost ${this.lost}, last ${last}`,
        );
      }
      await delay(10);
    }
  }

  count(records: number): Promise<void> {
    return this.until((reading) => reading.records.length >= records);
  }

  /** So that a change made from now on is seen by a later look: the file has been looked at again, twice. */
  async settled(pollMs: number): Promise<void> {
    const before = this.records.length;
    await delay(pollMs * 4);
    if (this.records.length !== before) throw new Error("records came while none should");
  }

  async stop(): Promise<Position | undefined> {
    running.delete(this);
    this.#abort.abort();
    await this.#done;
    return this.position;
  }
}

export const pollMs = 25;

/** What every source starts with in a test: `sshd` lines from the beginning, warnings kept. */
export function start(overrides: Partial<SourceStart> = {}): SourceStart & { readonly warnings: string[] } {
  const warnings: string[] = [];
  return {
    position: undefined,
    fromBeginning: true,
    idents: ["sshd", "sshd-session", "systemd", "kernel"],
    onWarning: (message) => warnings.push(message),
    ...overrides,
    warnings,
  };
}

export function line(message: string | number): string {
  return `2026-11-22T13:28:59.000000+00:00 host sshd[1]: line ${message}\n`;
}

export function lines(from: number, to: number): string {
  return Array.from({ length: to - from }, (_, n) => line(from + n)).join("");
}

export function numbered(from: number, to: number): readonly string[] {
  return Array.from({ length: to - from }, (_, n) => `line ${from + n}`);
}

/** As logrotate does it with `create`: .2 to .3, .1 to .2, the file to .1, a new file. */
export function rotate(path: string): void {
  for (let n = 8; n >= 1; n--) if (existsSync(`${path}.${n}`)) renameSync(`${path}.${n}`, `${path}.${n + 1}`);
  renameSync(path, `${path}.1`);
  writeFileSync(path, "");
}

/** A temporary folder for one test; `afterEach` stops what a failed test left running and removes the folder. */
export function folders(): { make(): string } {
  const made: string[] = [];
  afterEach(async () => {
    for (const reading of running) await reading.stop();
    for (const folder of made.splice(0)) rmSync(folder, { recursive: true, force: true });
  });
  return {
    make() {
      const folder = mkdtempSync(join(tmpdir(), "ssh-reset-exporter-"));
      made.push(folder);
      return folder;
    },
  };
}
