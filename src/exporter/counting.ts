/**
 * Everything that is counted and kept: pipeline and ledger, with one snapshot of both. It is restored from the state
 * directory before the first record, and its samples belong to exactly the snapshot taken with them.
 */
import type { Event } from "../model/event.ts";
import type { Sample } from "../model/metric.ts";
import type { LogRecord, SourceName } from "../model/record.ts";
import { anything, flag, object } from "../model/saved.ts";
import type { Batch, Position } from "../model/source.ts";
import { isTrusted, parse } from "../parsers/index.ts";
import { Ledger, type LedgerOptions } from "../tallies/index.ts";
import type { Committable } from "./committer.ts";
import { Pipeline, type PipelineSnapshot } from "./pipeline.ts";
import { RecentResets } from "./recent-resets.ts";

/** After the last record the ledger still changes by itself: it tells ends that it held back, and forgets old connections. */
const ledgerRestMs = 15 * 60_000;

interface CountingSnapshot {
  readonly pipeline: PipelineSnapshot;
  readonly ledger: unknown;
  /** Whether this host's history was searched for known peers. */
  readonly learnt: boolean;
}

export interface CountingOptions {
  readonly ledger: LedgerOptions;
  /** Names of the sources that run here: only these have series. */
  readonly sources: readonly SourceName[];
  /** Every event, before it is counted. */
  readonly onEvent?: (event: Event, record: LogRecord) => void;
  readonly onBrokenRecord: (error: unknown, source: SourceName) => void;
}

export class Counting implements Committable {
  readonly recentResets = new RecentResets();
  readonly #ledger: Ledger;
  readonly #pipeline: Pipeline;
  readonly #sources: readonly SourceName[];
  #learnt = false;
  #changedAtMs = Number.POSITIVE_INFINITY;

  /** `saved` is what `state` gave before; throws if it is not. */
  constructor({ ledger, sources, onEvent, onBrokenRecord }: CountingOptions, saved?: unknown) {
    this.#ledger = new Ledger(ledger);
    this.#sources = sources;
    this.#pipeline = new Pipeline(
      { parse, isTrusted },
      {
        handle: (event, record) => {
          this.recentResets.add(event, record);
          onEvent?.(event, record);
          this.#ledger.handle(event, record);
        },
      },
      (error, { source }) => onBrokenRecord(error, source),
    );
    if (saved === undefined) return;
    const state = object({ pipeline: anything, ledger: anything, learnt: flag })(saved, "counts");
    this.#pipeline.restore(state.pipeline);
    this.#ledger.restore(state.ledger);
    this.#learnt = state.learnt;
  }

  /** Whether known peers were learnt from history, now or in an earlier life. */
  get learnt(): boolean {
    return this.#learnt;
  }

  learn(address: string, timeMs: number): void {
    this.#ledger.learn(address, timeMs);
    this.#changedAtMs = Date.now();
  }

  learntAll(): void {
    this.#learnt = true;
    this.#changedAtMs = Date.now();
  }

  isKnown(address: string): boolean {
    return this.#ledger.classify(address, Date.now()) === "known";
  }

  take(source: SourceName, batch: Batch): void {
    this.#pipeline.take(source, batch);
    this.#changedAtMs = Date.now();
  }

  tick(nowMs: number): void {
    this.#ledger.tick(nowMs);
  }

  position(source: SourceName): Position | undefined {
    return this.#pipeline.position(source);
  }

  samples(): readonly Sample[] {
    return [...this.samplesInParts()].flat();
  }

  *samplesInParts(): Generator<readonly Sample[]> {
    yield this.#pipeline.samples(this.#sources, (source) => this.#ledger.lostRecords(source));
    yield* this.#ledger.samplesInParts(Date.now());
  }

  /** For a while after the last record there may be evidence that waits for its other half. */
  dirty(): boolean {
    return this.#changedAtMs !== Number.POSITIVE_INFINITY;
  }

  state(): CountingSnapshot {
    if (Date.now() - this.#changedAtMs > ledgerRestMs) this.#changedAtMs = Number.POSITIVE_INFINITY;
    return { pipeline: this.#pipeline.snapshot(), ledger: this.#ledger.snapshot(), learnt: this.#learnt };
  }
}
