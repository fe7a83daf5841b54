/**
 * Snapshots in the state directory: load, commit, set aside what is broken. It does not know what it stores.
 * A commit is atomic: it is written beside, and outlives this process from then on, since a whole file beside is the newest
 * one for who loads it. Then fdatasync(2) and rename(2) make it outlive the machine, and nobody waits for the disk.
 * Full tables are some megabytes of text: it is made in short slices, and in memory, since a disk may be slow.
 */
import { accessSync, constants, mkdirSync, readFileSync, renameSync, statSync } from "node:fs";
import { type FileHandle, open, rename } from "node:fs/promises";
import { join } from "node:path";
import { LongList } from "../model/long-list.ts";
import { Turns } from "../model/turns.ts";

/** Raise it when the meaning of what is stored changes: an older exporter's snapshot is then set aside. */
const formatVersion = 1;

/** Full tables of connections and peers make a fifth of that. */
const longestBytes = 64 * 1024 * 1024;

/** The state directory is not usable; the message names it and the step that mends it. */
export class StateError extends Error {
  override name = "StateError";
}

export interface Loaded<T> {
  /** What `restore` made of the last commit; undefined at the first start, or when it had to be set aside. */
  readonly value: T | undefined;
  /** A snapshot that could not be used: where it is kept now, and why. */
  readonly setAside?: { readonly path: string; readonly reason: string };
}

/** `create`: make the directory (0700) when it is missing, for the default place only. Throws StateError. */
export function openStateDirectory(directory: string, create: boolean): void {
  try {
    if (create) mkdirSync(directory, { recursive: true, mode: 0o700 });
    if (!statSync(directory).isDirectory()) throw new StateError(`state directory "${directory}" is no directory`);
    accessSync(directory, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (error) {
    if (error instanceof StateError) throw error;
    const code = (error as NodeJS.ErrnoException).code;
    if (code === "ENOENT") {
      throw new StateError(
        `state directory "${directory}" does not exist; make it with: install -d -m 0700 "${directory}"`,
      );
    }
    throw new StateError(`state directory "${directory}" cannot be read and written: ${(error as Error).message}`);
  }
}

/** `restore` throws if the content is none of its own. Throws StateError if the file cannot be read at all. */
export function loadSnapshot<T>(directory: string, fileName: string, restore: (data: unknown) => T): Loaded<T> {
  const path = join(directory, fileName);
  let text: string;
  try {
    if (isWhole(besideOf(path))) renameSync(besideOf(path), path);
    const { size } = statSync(path);
    if (size > longestBytes) return setAside(path, `it has ${size} bytes, more than any exporter writes`);
    text = readFileSync(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return { value: undefined };
    throw new StateError(`cannot read "${path}": ${(error as Error).message}`);
  }
  try {
    const snapshot = JSON.parse(text) as { version?: unknown; data?: unknown } | null;
    if (snapshot?.version === formatVersion) return { value: restore(snapshot.data) };
    return setAside(path, `it has version ${JSON.stringify(snapshot?.version)}, this exporter writes ${formatVersion}`);
  } catch (error) {
    return setAside(path, `it is damaged: ${(error as Error).message}`);
  }
}

const besideOf = (path: string): string => `${path}.new`;

/** Not if it is missing, or its writer was killed before its end. */
function isWhole(path: string): boolean {
  try {
    if (statSync(path).size > longestBytes) return false;
    JSON.parse(readFileSync(path, "utf8"));
    return true;
  } catch {
    return false;
  }
}

function setAside(path: string, reason: string): Loaded<never> {
  const kept = `${path}.broken`;
  renameSync(path, kept);
  return { value: undefined, setAside: { path: kept, reason: reason.slice(0, 300) } };
}

export interface Written {
  /** Resolves when it would outlive the machine; rejects if it does not. */
  readonly settled: Promise<void>;
}

/** Of a list so many entries become text at once. */
const entriesAtOnce = 200;
const firstPieceBytes = 64 * 1024;
const largestPieceBytes = 1024 * 1024;

/** One file in the state directory, written again and again. */
export class SnapshotFile {
  readonly #path: string;
  /** Memory of the commit before: else each would take some megabytes more, until V8 cares. */
  #spare: readonly Buffer[] = [];
  #settled: Promise<void> = Promise.resolve();

  constructor(directory: string, fileName: string) {
    this.#path = join(directory, fileName);
  }

  /**
   * Resolves when a kill of this process can take it away no more. `data` must not change before `onTaken` is called: from
   * then on its text is held here. Rejects on any write error, and calls `onTaken` before that.
   */
  async commit(data: unknown, onTaken: () => void = () => {}): Promise<Written> {
    const text = new TextInPieces(this.#spare);
    this.#spare = [];
    await serialise({ version: formatVersion, data }, text).finally(onTaken);
    await this.#settled;
    const file = await open(besideOf(this.#path), "w", 0o600);
    try {
      for (const piece of text.pieces()) await file.writeFile(piece);
    } catch (error) {
      await file.close();
      throw error;
    }
    this.#spare = text.memory();
    const settled = this.#settle(file);
    this.#settled = settled.catch(() => {});
    return { settled };
  }

  /** Waits for the disk, if it still has to do something; never rejects. */
  get settled(): Promise<void> {
    return this.#settled;
  }

  async #settle(file: FileHandle): Promise<void> {
    try {
      await file.datasync();
    } finally {
      await file.close();
    }
    await rename(besideOf(this.#path), this.#path);
  }
}

async function serialise(data: unknown, into: TextInPieces): Promise<void> {
  const turns = new Turns();
  for (const text of texts(data)) {
    into.add(text);
    if (turns.over) await turns.next();
  }
}

/** The same text as JSON.stringify gives, bit by bit. */
function* texts(value: unknown): Generator<string> {
  if (value instanceof LongList) yield* listTexts(value);
  else if (Array.isArray(value)) yield* value.some(isLong) ? nestedTexts(value) : listTexts(value);
  else if (typeof value === "object" && value !== null) yield* objectTexts(value);
  else yield JSON.stringify(value) ?? "null";
}

const isLong = (value: unknown): boolean =>
  value instanceof LongList || (Array.isArray(value) && value.length > entriesAtOnce);

function* objectTexts(value: object): Generator<string> {
  let before = "{";
  for (const [name, entry] of Object.entries(value)) {
    if (entry === undefined) continue;
    yield `${before}${JSON.stringify(name)}:`;
    yield* texts(entry);
    before = ",";
  }
  yield before === "{" ? "{}" : "}";
}

function* nestedTexts(list: readonly unknown[]): Generator<string> {
  for (const [index, entry] of list.entries()) {
    yield index === 0 ? "[" : ",";
    yield* texts(entry);
  }
  yield "]";
}

function* listTexts(list: Iterable<unknown>): Generator<string> {
  let before = "[";
  let entries: unknown[] = [];
  for (const entry of list) {
    if (entries.push(entry) < entriesAtOnce) continue;
    yield before + JSON.stringify(entries).slice(1, -1);
    before = ",";
    entries = [];
  }
  if (entries.length > 0) yield before + JSON.stringify(entries).slice(1);
  else yield before === "[" ? "[]" : "]";
}

/** Text as bytes, outside of V8's heap. */
class TextInPieces {
  readonly #spare: Buffer[];
  readonly #full: Buffer[] = [];
  #piece: Buffer;
  #length = 0;

  /** `spare`: memory to use first. */
  constructor(spare: readonly Buffer[]) {
    this.#spare = [...spare];
    this.#piece = this.#spare.shift() ?? Buffer.allocUnsafeSlow(firstPieceBytes);
  }

  add(text: string): void {
    const most = 3 * text.length;
    if (this.#length + most > this.#piece.length) {
      this.#full.push(this.#piece.subarray(0, this.#length));
      this.#piece = this.#next(most);
      this.#length = 0;
    }
    this.#length += this.#piece.write(text, this.#length);
  }

  #next(bytes: number): Buffer {
    const spare = this.#spare.shift();
    if (spare !== undefined && spare.length >= bytes) return spare;
    return Buffer.allocUnsafeSlow(Math.max(Math.min(2 * this.#piece.length, largestPieceBytes), bytes));
  }

  pieces(): readonly Buffer[] {
    return [...this.#full, this.#piece.subarray(0, this.#length)];
  }

  /** What of it was used, for the next text. */
  memory(): readonly Buffer[] {
    return this.pieces().map(({ buffer }) => Buffer.from(buffer));
  }
}
