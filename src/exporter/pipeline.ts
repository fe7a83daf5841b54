/**
 * Batches in, tallies out. A batch is handled in one synchronous step, its position stored in the same step: a snapshot
 * taken between two batches has exactly the counts of the records before its positions.
 */
import type { Event } from "../model/event.ts";
import type { Sample } from "../model/metric.ts";
import { type LogRecord, type SourceName, sourceNames } from "../model/record.ts";
import { amount, anything, object, optional, record, type Shape, time } from "../model/saved.ts";
import type { Batch, Position } from "../model/source.ts";

/** What the pipeline needs of src/parsers. */
export interface Reader {
  parse(record: LogRecord): Event | undefined;
  /** False: the record claims to come from a program that did not write it. */
  isTrusted(record: LogRecord): boolean;
}

/** What the pipeline needs of the ledger (src/tallies). */
export interface EventSink {
  handle(event: Event, record: LogRecord): void;
}

interface SourceCounts {
  records: number;
  lost: number;
  unmatched: number;
  untrusted: number;
  /** Time of the last record by its own clock, ms; 0 before the first. */
  lastMs: number;
}

export interface PipelineSnapshot {
  readonly positions: Partial<Record<SourceName, Position>>;
  readonly counts: Partial<Record<SourceName, SourceCounts>>;
}

const pipelineShape = object({
  // What is in a position is its source's.
  positions: object(bySource(optional(record(anything, 100)))),
  counts: object(
    bySource(optional(object({ records: amount, lost: amount, unmatched: amount, untrusted: amount, lastMs: time }))),
  ),
});

function bySource<T>(shape: Shape<T>): Record<SourceName, Shape<T>> {
  return { journal: shape, logfile: shape, kmsg: shape, tcp_trace: shape, flow_log: shape, haproxy: shape };
}

export class Pipeline {
  #positions: Partial<Record<SourceName, Position>> = {};
  #counts = new Map<SourceName, SourceCounts>();
  readonly #reader: Reader;
  readonly #sink: EventSink;
  readonly #onBroken: (error: unknown, record: LogRecord) => void;

  constructor(reader: Reader, sink: EventSink, onBroken: (error: unknown, record: LogRecord) => void) {
    this.#reader = reader;
    this.#sink = sink;
    this.#onBroken = onBroken;
  }

  take(source: SourceName, batch: Batch): void {
    const counts = this.#countsOf(source);
    counts.records += batch.records.length;
    counts.lost += batch.lost;
    for (const record of batch.records) this.#takeRecord(record, counts);
    counts.lastMs = batch.records.at(-1)?.timeMs ?? counts.lastMs;
    this.#positions[source] = batch.position;
  }

  #takeRecord(record: LogRecord, counts: SourceCounts): void {
    try {
      const event = this.#reader.parse(record);
      if (event !== undefined) this.#sink.handle(event, record);
      else if (this.#reader.isTrusted(record)) counts.unmatched++;
      else counts.untrusted++;
    } catch (error) {
      counts.unmatched++;
      this.#onBroken(error, record);
    }
  }

  position(source: SourceName): Position | undefined {
    return this.#positions[source];
  }

  /** `declaredLost`: what the logs themselves say was lost, by source. */
  samples(sources: readonly SourceName[], declaredLost: (source: SourceName) => number): Sample[] {
    return sources.flatMap((source) => {
      const { records, lost, unmatched, untrusted, lastMs } = this.#countsOf(source);
      const labels = { source };
      return [
        { name: "sshreset_source_records_total", labels, value: records },
        { name: "sshreset_source_lost_records_total", labels, value: lost + declaredLost(source) },
        { name: "sshreset_source_unmatched_records_total", labels, value: unmatched },
        { name: "sshreset_source_untrusted_records_total", labels, value: untrusted },
        { name: "sshreset_source_last_record_timestamp_seconds", labels, value: lastMs / 1000 },
      ];
    });
  }

  snapshot(): PipelineSnapshot {
    return {
      positions: { ...this.#positions },
      counts: Object.fromEntries([...this.#counts].map(([source, counts]) => [source, { ...counts }])),
    };
  }

  /** Throws on anything but a snapshot. */
  restore(saved: unknown): void {
    const { positions, counts } = pipelineShape(saved, "pipeline");
    this.#positions = positions;
    for (const source of sourceNames) if (counts[source]) this.#counts.set(source, counts[source]);
  }

  #countsOf(source: SourceName): SourceCounts {
    let counts = this.#counts.get(source);
    if (counts === undefined) {
      counts = { records: 0, lost: 0, unmatched: 0, untrusted: 0, lastMs: 0 };
      this.#counts.set(source, counts);
    }
    return counts;
  }
}
