/**
 * What the journal holds already, read from its files: several times as fast as journalctl gives it. That goes only as
 * far as there is no doubt: one journald numbered all entries, every file is readable and as expected, and the entry
 * read last is found. Where there is doubt it ends, and journalctl goes on after the last entry that was given here; so
 * it does with what is written later.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import { entryNumber, sameEntry } from "./journal-cursor.ts";
import { type JournalEntry, WantedFields } from "./journal-export.ts";
import { type FileHead, JournalFile, readHead, Unsure } from "./journal-file.ts";
import { JournalMatch } from "./journal-match.ts";
import { journalFields, placeOf } from "./journal-record.ts";

const machineId = /^[0-9a-f]{32}$/;
const filesLimit = 256;
/** Files that are read side by side: the system's, and those of users who are logged in. */
const openLimit = 8;
/** Entries looked at before others have their turn. */
const turnEntries = 128;

const realtimePlace = placeOf("__REALTIME_TIMESTAMP");
const bootIdPlace = placeOf("_BOOT_ID");

export interface BacklogOptions {
  /** Undefined: this host's own. */
  readonly directory: string | undefined;
  readonly idents: readonly string[];
  /** The entry read last; undefined: from the first one. */
  readonly after: string | undefined;
}

/** Entries that match, in their order, with all fields that are read but the cursor; and the cursor of the last one. */
export interface BacklogBatch {
  readonly entries: readonly JournalEntry[];
  readonly cursor: string;
}

export async function* journalBacklog(options: BacklogOptions): AsyncGenerator<BacklogBatch> {
  let merged: MergedFiles | undefined;
  try {
    merged = new MergedFiles(options);
    if (options.after !== undefined) merged.skip(options.after);
    for (let batch = merged.read(); batch !== undefined; batch = merged.read()) {
      if (batch.entries.length > 0) yield batch;
      await nextTurn();
    }
  } catch {
    // journalctl reads on, and says what is wrong if it cannot either.
  } finally {
    merged?.close();
  }
}

class MergedFiles {
  readonly #wanted = new WantedFields(journalFields);
  readonly #match: JournalMatch;
  /** Still to be opened, by their first numbers. */
  readonly #waiting: FileHead[];
  readonly #open: JournalFile[] = [];
  readonly #from: number;
  readonly #last: number;
  #number = -1;
  /** What went wrong after the first entries of a batch. */
  #failure: unknown;

  constructor(options: BacklogOptions) {
    this.#match = new JournalMatch(options.idents);
    const after = options.after === undefined ? undefined : entryNumber(options.after);
    if (options.after !== undefined && after === undefined) throw new Unsure("a cursor without a number");
    // Entries are written one after another: up to the last number seen before the files are looked up, these have all.
    this.#last = Math.max(...headsIn(options.directory).map(({ last }) => last));
    const heads = headsIn(options.directory);
    const by = after?.by ?? heads[0]?.by;
    if (heads.some((head) => head.by !== by)) throw new Unsure("several journals");
    this.#from = after?.number ?? 0;
    this.#waiting = heads.filter(({ last }) => last >= this.#from).sort((a, b) => a.first - b.first);
  }

  close(): void {
    for (const file of this.#open.splice(0)) file.close();
  }

  /** The entries of one turn; undefined after the last. */
  read(): BacklogBatch | undefined {
    if (this.#failure !== undefined) throw this.#failure;
    this.#closeRead();
    const entries: JournalEntry[] = [];
    let last: { readonly file: JournalFile; readonly at: number } | undefined;
    let looked = 0;
    try {
      for (; looked < turnEntries; looked++) {
        const file = this.#lowest();
        if (file === undefined) break;
        const entry = file.entry();
        if (entry !== undefined) {
          entries.push(completed(entry, file));
          last = { file, at: file.at };
        }
        file.next();
      }
    } catch (error) {
      this.#failure = error;
    }
    return looked === 0 ? undefined : { entries, cursor: last?.file.cursor(last.at) ?? "" };
  }

  /** To the entry after this one. */
  skip(cursor: string): void {
    const file = this.#lowest();
    if (file === undefined || !sameEntry(file.cursor(file.at), cursor)) throw new Unsure("the entry read last is gone");
    file.next();
  }

  /** The file that has the next entry. */
  #lowest(): JournalFile | undefined {
    let lowest = lowestOf(this.#open);
    for (let head = this.#waiting[0]; head !== undefined; head = this.#waiting[0]) {
      if (lowest?.number !== undefined && lowest.number < head.first) break;
      if (this.#open.length === openLimit) throw new Unsure("too many files side by side");
      const file = new JournalFile(head, this.#wanted, this.#match);
      this.#open.push(file);
      this.#waiting.shift();
      file.seek(this.#from);
      lowest = lowestOf(this.#open);
    }
    if (lowest?.number === undefined || lowest.number > this.#last) return undefined;
    if (lowest.number <= this.#number) throw new Unsure("a number that was given twice");
    this.#number = lowest.number;
    return lowest;
  }

  #closeRead(): void {
    const read = this.#open.filter(({ number }) => number === undefined);
    for (const file of read) {
      file.close();
      this.#open.splice(this.#open.indexOf(file), 1);
    }
  }
}

function lowestOf(files: readonly JournalFile[]): JournalFile | undefined {
  let lowest: JournalFile | undefined;
  for (const file of files) {
    if (file.number !== undefined && file.number < (lowest?.number ?? Number.POSITIVE_INFINITY)) lowest = file;
  }
  return lowest;
}

/** With what is no field of the entry, but its own. */
function completed(entry: (string | undefined)[], file: JournalFile): JournalEntry {
  entry[realtimePlace] = String(file.timeUs());
  entry[bootIdPlace] = file.bootId();
  return entry;
}

/** Journals lie in the folder itself, or one below, named for the machine. */
function headsIn(directory: string | undefined): FileHead[] {
  const folders = directory === undefined ? hostFolders() : [directory, ...below(directory)];
  const paths = folders.flatMap((folder) =>
    namesIn(folder)
      .filter((name) => /\.journal~?$/.test(name))
      .map((name) => join(folder, name)),
  );
  if (paths.length > filesLimit) throw new Unsure("too many files");
  return paths.flatMap((path) => readHead(path) ?? []);
}

function hostFolders(): string[] {
  const id = readFileSync("/etc/machine-id", "latin1").trim();
  return ["/var/log/journal", "/run/log/journal"].map((folder) => join(folder, id));
}

function below(directory: string): string[] {
  return namesIn(directory)
    .filter((name) => machineId.test(name))
    .map((name) => join(directory, name));
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
