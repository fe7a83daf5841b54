/**
 * The `journal` source: reads what is there from the journal's files, and follows what is written by journalctl in
 * export format with matches, so that only records of wanted identifiers are read.
 * Sources: journalctl(1), systemd.journal-fields(7).
 */
import { type ChildProcessByStdio, spawn } from "node:child_process";
import type { Readable } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";
import type { LogRecord } from "../model/record.ts";
import type { Batch, Position, Source, SourceStart, SourceStatus } from "../model/source.ts";
import { journalBacklog } from "./journal-backlog.ts";
import { type EntryNumber, entryNumber, numberBy, sameEntry } from "./journal-cursor.ts";
import { type JournalEntry, JournalExport } from "./journal-export.ts";
import { journalMatches } from "./journal-match.ts";
import { cursorOf, JournalRecords, journalFields, timeUsOf } from "./journal-record.ts";
import { vacuumedBetween } from "./journal-vacuum.ts";

/** Which journal is read: this host's unless told otherwise. */
export interface JournalPlace {
  readonly directory?: string;
  /** May be a pattern: `/fixtures/fix*.journal`. */
  readonly file?: string;
  /** The program, `journalctl` unless told otherwise. */
  readonly command?: string;
}

export interface JournalOptions extends SourceStart, JournalPlace {
  /** The first wait after journalctl ended; doubled up to a minute while it gives nothing. */
  readonly retryMs?: number;
  readonly nowMs?: () => number;
}

const retryLimitMs = 60_000;
const lateMs = 250;
/** So far behind the files are read instead: again at once, or a minute after they gave nothing. */
const behindMs = 2_000;
const catchUpPauseMs = 1_000;
const catchUpAgainMs = 60_000;
/** Entries of one file, at the least. */
const wideGap = 100;
/** sd_journal_get_cursor(3): `s=HEX;i=HEX;b=HEX;m=HEX;t=HEX;x=HEX`. */
const cursorForm = /^(?:[a-z]=[0-9a-f]{1,32};){1,11}[a-z]=[0-9a-f]{1,32}$/;

export function createJournalSource(options: JournalOptions): Source {
  return new JournalSource(options);
}

class JournalSource implements Source {
  readonly name = "journal";
  readonly #options: JournalOptions;
  readonly #records: JournalRecords;
  readonly #nowMs: () => number;
  /** The last entry read; undefined until there is one, then `#sinceMs` is where to start. */
  #cursor: string | undefined;
  readonly #sinceMs: number;
  readonly #unplaced: boolean;
  #status: SourceStatus = { up: false, reason: "journalctl has not started yet" };
  #run: JournalctlRun | undefined;
  #lookedMs = 0;
  /** Whether the entry before was written long before it was read. */
  #late = false;
  /** Not before then is journalctl left for the files again. */
  #catchUpMs = 0;
  /** The entry whose number was read last. */
  #numbered: (EntryNumber & { readonly cursor: string }) | undefined;

  constructor(options: JournalOptions) {
    this.#options = options;
    this.#records = new JournalRecords(options.idents);
    this.#nowMs = options.nowMs ?? Date.now;
    const { cursor, sinceMs } = (options.position ?? {}) as Readonly<Record<string, unknown>>;
    if (typeof cursor === "string" && cursorForm.test(cursor)) this.#cursor = cursor;
    // Where it was is not to be found again: better to lose than to count twice.
    this.#unplaced = cursor !== undefined && this.#cursor === undefined;
    const resumed = !this.#unplaced && typeof sinceMs === "number" && sinceMs >= 0 && sinceMs <= this.#nowMs();
    this.#sinceMs = resumed ? sinceMs : options.fromBeginning && !this.#unplaced ? 0 : this.#nowMs();
  }

  status(): SourceStatus {
    return this.#run?.running() ? this.#run.complaint() : this.#status;
  }

  async *batches(signal: AbortSignal): AsyncGenerator<Batch> {
    if (this.#unplaced)
      this.#options.onWarning("journal: the position in the state makes no sense: entries may be lost");
    yield { records: [], position: this.#position(), lost: this.#unplaced ? 1 : 0 };
    yield* this.#backlog(signal);
    const firstRetryMs = this.#options.retryMs ?? 1000;
    let retryMs = firstRetryMs;
    while (!signal.aborted) {
      const run = new JournalctlRun(this.#options.command ?? "journalctl", this.#arguments(), signal);
      this.#run = run;
      const before = this.#cursor;
      const behind = yield* this.#follow(run, before);
      if (signal.aborted) return;
      if (behind) {
        yield* this.#catchUp(signal);
        continue;
      }
      this.#status = { up: false, ...run.failure() };
      if (this.#cursor !== before) retryMs = firstRetryMs;
      this.#options.onWarning(`${this.#status.reason}; starting it again`, { inMs: retryMs });
      await delay(retryMs, undefined, { signal }).catch(() => {});
      retryMs = Math.min(retryMs * 2, retryLimitMs);
    }
  }

  /** What is there already: journalctl gives what could not be read without it, and what is written from now on. */
  async *#backlog(signal: AbortSignal): AsyncGenerator<Batch> {
    const { directory, file, idents } = this.#options;
    if (file !== undefined || (this.#cursor === undefined && this.#sinceMs > 0)) return;
    for await (const { entries, cursor } of journalBacklog({ directory, idents, after: this.#cursor })) {
      if (signal.aborted) return;
      this.#status = { up: true };
      this.#cursor = cursor;
      this.#late = true;
      const records = entries.flatMap((entry) => this.#records.record(entry) ?? []);
      yield { records, position: this.#position(), lost: 0 };
    }
  }

  async *#catchUp(signal: AbortSignal): AsyncGenerator<Batch> {
    const before = this.#cursor;
    yield* this.#backlog(signal);
    const pauseMs = this.#cursor === before ? catchUpAgainMs : catchUpPauseMs;
    this.#catchUpMs = performance.now() + pauseMs;
  }

  /** Returns whether it ended because journalctl is too slow. */
  async *#follow(run: JournalctlRun, resumedAt: string | undefined): AsyncGenerator<Batch, boolean> {
    const parser = new JournalExport(journalFields);
    let first = true;
    try {
      for await (const chunk of run.output()) {
        const records: LogRecord[] = [];
        let lost = 0;
        for (const entry of parser.read(chunk)) {
          const cursor = cursorOf(entry);
          if (cursor === undefined) continue;
          const again = first && resumedAt !== undefined && sameEntry(cursor, resumedAt);
          if (first && resumedAt !== undefined && !again) {
            lost += Math.max(1, this.#vacuumed(resumedAt, cursor));
            this.#options.onWarning("journal: the entry read last is gone (vacuumed): those after it may be lost");
          } else if (this.#cursor !== undefined && this.#mayBeGone(entry)) lost += this.#vacuumed(this.#cursor, cursor);
          first = false;
          const record = again ? undefined : this.#records.record(entry);
          // --since knows whole seconds only.
          const early =
            this.#cursor === undefined &&
            record !== undefined &&
            record.timeMs < this.#sinceMs &&
            record.timeMs >= wholeSecond(this.#sinceMs);
          if (early) continue;
          this.#cursor = cursor;
          if (record !== undefined) records.push(record);
        }
        yield { records, position: this.#position(), lost };
        if (this.#isBehind(records.at(-1))) return true;
      }
      return false;
    } finally {
      run.end();
    }
  }

  /** The files are read faster: while there is more than journalctl can give, they are. */
  #isBehind(last: LogRecord | undefined): boolean {
    if (last === undefined || this.#options.file !== undefined || performance.now() < this.#catchUpMs) return false;
    return this.#nowMs() - last.timeMs > behindMs;
  }

  /**
   * Whether something may have been vacuumed before this entry. That takes what is old: who has just read what was just
   * written misses nothing. Who was late, and finds something fresh, may have been brought there by what is gone.
   */
  #mayBeGone(entry: JournalEntry): boolean {
    const wasLate = this.#late;
    this.#late = this.#nowMs() - (timeUsOf(entry) ?? Number.NaN) / 1000 > lateMs;
    return wasLate || this.#late;
  }

  /** Entries of any program that were vacuumed between these two. Small gaps are others' entries: seldom looked at. */
  #vacuumed(before: string, cursor: string): number {
    const last = this.#numbered?.cursor === before ? this.#numbered : entryNumber(before);
    const number = last === undefined ? undefined : numberBy(last.by, cursor);
    if (last !== undefined && number === last.number + 1) {
      this.#numbered = { by: last.by, number, cursor };
      return 0;
    }
    const next = entryNumber(cursor);
    this.#numbered = next && { ...next, cursor };
    if (last === undefined || next === undefined || next.number <= last.number + 1) return 0;
    const nowMs = this.#nowMs();
    if (next.number - last.number < wideGap && nowMs - this.#lookedMs < lateMs) return 0;
    this.#lookedMs = nowMs;
    return this.#options.file === undefined ? vacuumedBetween(last, next, this.#options.directory) : 0;
  }

  #position(): Position {
    return this.#cursor === undefined ? { sinceMs: this.#sinceMs } : { cursor: this.#cursor, sinceMs: this.#sinceMs };
  }

  /**
   * Resumes AT the last entry, not after it: if the first one given is another one, the journal was vacuumed beyond it.
   */
  #arguments(): readonly string[] {
    return [
      "--output=export",
      "--follow",
      "--no-tail",
      ...placeArguments(this.#options),
      ...(this.#cursor !== undefined
        ? [`--cursor=${this.#cursor}`]
        : this.#sinceMs > 0
          ? [`--since=@${wholeSecond(this.#sinceMs) / 1000}`]
          : []),
      ...journalMatches(this.#options.idents),
    ];
  }
}

export function placeArguments({ directory, file }: JournalPlace): readonly string[] {
  return [
    ...(directory === undefined ? [] : [`--directory=${directory}`]),
    ...(file === undefined ? [] : [`--file=${file}`]),
  ];
}

function wholeSecond(timeMs: number): number {
  return Math.floor(timeMs / 1000) * 1000;
}

/** One run of journalctl: its output, what it complained about, and how it ended. */
export class JournalctlRun {
  /** The last of what it said on stderr. */
  stderr = "";
  readonly #command: string;
  readonly #child: ChildProcessByStdio<null, Readable, Readable>;
  readonly #ended: Promise<void>;
  readonly #stop: () => void;
  #how = "";

  constructor(command: string, args: readonly string[], signal: AbortSignal) {
    this.#command = command;
    this.#child = spawn(command, args, {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, LC_ALL: "C", SYSTEMD_PAGER: "", SYSTEMD_COLORS: "0" },
    });
    this.#child.stderr.setEncoding("utf8").on("data", (text: string) => {
      this.stderr = (this.stderr + text).slice(-4096);
    });
    this.#stop = () => this.#child.kill();
    signal.addEventListener("abort", this.#stop, { once: true });
    this.#ended = new Promise((resolve) => {
      this.#child.once("error", (error: NodeJS.ErrnoException) => {
        this.#how = error.code === "ENOENT" ? "is not there" : `cannot be started: ${error.message}`;
        resolve();
      });
      this.#child.once("close", (code, killedBy) => {
        this.#how ||= killedBy === null ? `ended with exit code ${code}` : `was killed by ${killedBy}`;
        signal.removeEventListener("abort", this.#stop);
        resolve();
      });
    });
  }

  /** stdout until the end, as fast as it is asked for. */
  async *output(): AsyncGenerator<Buffer> {
    try {
      for await (const chunk of this.#child.stdout) yield chunk as Buffer;
    } catch {
      // The child is gone; why is in `failure`.
    }
    await this.#ended;
  }

  running(): boolean {
    return this.#child.pid !== undefined && this.#how === "";
  }

  end(): void {
    this.#child.kill();
  }

  /** What journalctl says when it runs and yet may not see everything. */
  complaint(): SourceStatus {
    if (/insufficient permissions|not seeing messages from other users/i.test(this.stderr)) {
      return { up: false, reason: `${this.#command} is not allowed to read the system's journal`, grant: journalGrant };
    }
    if (this.stderr.includes("No journal files were found")) {
      return { up: false, reason: `${this.#command} found no journal files` };
    }
    return { up: true };
  }

  failure(): { readonly reason: string; readonly grant?: string } {
    const said = lastLine(this.stderr);
    const reason = `${this.#command} ${this.#how}${said === "" ? "" : `: ${said}`}`;
    const { grant } = this.complaint();
    return grant === undefined ? { reason } : { reason, grant };
  }
}

const journalGrant = "membership in the group systemd-journal";

function lastLine(text: string): string {
  return text.trimEnd().split("\n").at(-1)?.trim() ?? "";
}
