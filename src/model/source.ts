/** What a source is: bytes in, batches of records out, with position and loss accounting. */
import type { LogRecord, SourceName } from "./record.ts";

/** Where a source is in its input: JSON-safe, opaque to everybody else, kept in the snapshot. */
export type Position = Readonly<Record<string, unknown>>;

/**
 * Records cross the boundary in batches. The pipeline handles a batch in one synchronous step and stores its
 * position in the same step: positions and tallies can never disagree.
 */
export interface Batch {
  readonly records: readonly LogRecord[];
  /** Of the whole source, after this batch. */
  readonly position: Position;
  /** Records known to be lost since the batch before. */
  readonly lost: number;
}

export interface SourceStatus {
  readonly up: boolean;
  /** Why it is not up, in a sentence that quotes the path; and the step that would grant access. */
  readonly reason?: string;
  readonly grant?: string;
  /** Bytes (files) not read yet; undefined where the source cannot tell. */
  readonly lagBytes?: number;
}

export interface Source {
  readonly name: SourceName;
  /** Endless until the signal: a source that fails says so in its status, retries, and yields again. Throws only on a programming error. */
  batches(signal: AbortSignal): AsyncIterable<Batch>;
  status(): SourceStatus;
}

/** What every source needs to start. */
export interface SourceStart {
  /** From the snapshot; undefined at the first start ever. */
  readonly position: Position | undefined;
  /** At the first start: read what is already there instead of beginning at the end. */
  readonly fromBeginning: boolean;
  /** The identifiers that parsers read; everything else is skipped as cheaply as the source can. */
  readonly idents: readonly string[];
  readonly onWarning: (message: string, details?: Readonly<Record<string, unknown>>) => void;
}
