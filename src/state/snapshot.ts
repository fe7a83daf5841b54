/**
 * Snapshots in the state directory: load, commit, set aside what is broken. It does not know what it stores.
 * A commit is atomic (write beside, fdatasync, rename(2)): a reader sees the old or the new one, never half of it.
 */
import { randomUUID } from "node:crypto";
import { accessSync, constants, mkdirSync, readFileSync, renameSync, statSync } from "node:fs";
import { open, rename } from "node:fs/promises";
import { join } from "node:path";

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

function setAside(path: string, reason: string): Loaded<never> {
  const kept = `${path}.broken`;
  renameSync(path, kept);
  return { value: undefined, setAside: { path: kept, reason: reason.slice(0, 300) } };
}

/** Longer lists are serialised in pieces of so many entries, one a turn of the event loop. */
const piece = 1_000;

/**
 * `data` may change once this has returned its promise, but for the entries of long lists: those must be copies, since
 * they are serialised while the rest of the program goes on. Rejects on any write error.
 */
export async function commitSnapshot(directory: string, fileName: string, data: unknown): Promise<void> {
  const pieces = serialise({ version: formatVersion, data });
  const path = join(directory, fileName);
  const temporary = `${path}.new`;
  const file = await open(temporary, "w", 0o600);
  try {
    for (const text of pieces) await file.writeFile(text);
    await file.datasync();
  } finally {
    await file.close();
  }
  await rename(temporary, path);
}

/** All but the long lists at once, those as they are asked for. */
function serialise(data: unknown): Iterable<string> {
  const long: unknown[][] = [];
  const placeholder = randomUUID();
  const text = JSON.stringify(data, (_key, value: unknown) => {
    if (!Array.isArray(value) || value.length <= piece) return value;
    long.push(value);
    return placeholder;
  });
  return long.length === 0 ? [text] : withLists(text.split(`"${placeholder}"`), long);
}

function* withLists(texts: readonly string[], lists: readonly unknown[][]): Generator<string> {
  for (const [index, text] of texts.entries()) {
    yield text;
    const list = lists[index] ?? [];
    for (let from = 0; from < list.length; from += piece) {
      const entries = JSON.stringify(list.slice(from, from + piece)).slice(1, -1);
      yield `${from === 0 ? "[" : ","}${entries}${from + piece >= list.length ? "]" : ""}`;
    }
  }
}
