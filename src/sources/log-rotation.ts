/**
 * The rotated siblings of a log file (`auth.log.1`, `auth.log-20260101`, `auth.log.2.gz`), oldest first; the one in
 * which reading stopped, recognised by its inode and the hash of the bytes before the offset; and the one that follows
 * a file that is held, whatever became of that file's name.
 * Source: logrotate(8) (start, dateext, dateformat, compress, copytruncate).
 */
import { readdirSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { type FilePosition, GzipFile, HeldFile, identifyingBytes, type LogReader } from "./held-file.ts";

interface FileIdentity {
  readonly device: number;
  readonly inode: number;
}

export interface Sibling extends FileIdentity {
  readonly path: string;
  readonly compressed: boolean;
  readonly modifiedNs: bigint;
}

/** A sibling as the folder has it: also one that cannot be read here. */
interface Entry extends Sibling {
  /** .xz, .bz2 and .zst need programs that a host may lack. */
  readonly readable: boolean;
  /** The number or date in its name; undefined for one that no rotation made (`auth.log.bak`). */
  readonly rotation: string | undefined;
}

/** Regular files only, without `path` itself under whatever name; empty if the folder may not be read. Throws where it cannot. */
export function siblings(path: string): readonly Sibling[] {
  let seen: readonly Entry[] | undefined;
  for (let looks = 0; looks < 10 && seen === undefined; looks++) seen = lookTwice(path);
  return (seen ?? look(path)).filter(({ readable }) => readable);
}

/** Two looks agree: while a rotation renames one file after the other, a look may miss one. Undefined if they do not. */
function lookTwice(path: string): readonly Entry[] | undefined {
  const [one, other] = [look(path), look(path)];
  const same = one.length === other.length && one.every((entry, n) => isSameName(entry, other[n]));
  return same ? other : undefined;
}

const isSameName = (a: Entry, b: Entry | undefined): boolean => b !== undefined && a.path === b.path && isSame(a, b);

function look(path: string): readonly Entry[] {
  const found: Entry[] = [];
  const name = basename(path);
  const names = list(dirname(path));
  for (const entry of names) {
    if (!(entry.startsWith(`${name}.`) || entry.startsWith(`${name}-`))) continue;
    const [, rotation, compression] =
      /^(?:[.-](\d[\dT_-]*)(?=\.(?:gz|xz|bz2|zst)$|$))?.*?(\.(?:gz|xz|bz2|zst))?$/.exec(entry.slice(name.length)) ?? [];
    // Still being compressed: the original is removed only when it is done.
    if (compression !== undefined && names.includes(entry.slice(0, -compression.length))) continue;
    const sibling = join(dirname(path), entry);
    const stats = statSync(sibling, { bigint: true, throwIfNoEntry: false });
    if (stats?.isFile() !== true) continue;
    found.push({
      path: sibling,
      device: Number(stats.dev),
      inode: Number(stats.ino),
      compressed: compression === ".gz",
      readable: compression === undefined || compression === ".gz",
      rotation,
      modifiedNs: stats.mtimeNs,
    });
  }
  return found.sort(byAge);
}

function list(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch (error) {
    if (!["ENOENT", "ENOTDIR", "EACCES", "EPERM"].includes(codeOf(error))) throw error;
    return [];
  }
}

/** Oldest first. Numbers and dates in names are sure; times are not, where a daemon still writes to a file that was rotated. */
function byAge(a: Entry, b: Entry): number {
  if (a.rotation !== undefined && b.rotation !== undefined && a.rotation !== b.rotation) {
    if (isNumber(a.rotation) && isNumber(b.rotation)) return Number(b.rotation) - Number(a.rotation);
    // As logrotate sorts them.
    if (a.rotation.length === b.rotation.length) return a.rotation < b.rotation ? -1 : 1;
  }
  return a.modifiedNs === b.modifiedNs ? a.path.localeCompare(b.path) : a.modifiedNs < b.modifiedNs ? -1 : 1;
}

const isNumber = (rotation: string): boolean => /^\d{1,5}$/.test(rotation);

/** Opens a sibling at its start, or undefined if it is gone or cannot be read. */
export function openSibling({ path, compressed }: Sibling): HeldFile | GzipFile | undefined {
  try {
    return compressed ? new GzipFile(path) : new HeldFile(path);
  } catch (error) {
    if (isPassing(error)) throw error;
    return undefined;
  }
}

/** It says nothing of the file: the next look finds it. */
function isPassing(error: unknown): boolean {
  return ["EMFILE", "ENFILE", "ENOMEM"].includes(codeOf(error));
}

const codeOf = (error: unknown): string => (error as NodeJS.ErrnoException).code ?? "";

const isSame = (a: FileIdentity, b: FileIdentity): boolean => a.device === b.device && a.inode === b.inode;

/** A rotation renames one file after the other: what is where can be told when it is done. */
export type Moving = "moving";

const looksInARow = 10;

/** The sibling that holds the position's content, opened where reading stopped. Of copies, none is the file itself. */
export async function findPosition(
  path: string,
  position: FilePosition,
  options: { readonly copiesOnly?: boolean } = {},
): Promise<LogReader | Moving | undefined> {
  let found: LogReader | Moving | undefined = "moving";
  for (let looks = 0; looks < looksInARow && found === "moving"; looks++)
    found = await lookForPosition(path, position, options.copiesOnly === true);
  return found;
}

async function lookForPosition(
  path: string,
  position: FilePosition,
  copiesOnly: boolean,
): Promise<LogReader | Moving | undefined> {
  const all = lookTwice(path);
  if (all === undefined) return "moving";
  // A file of which nothing was read has no content to recognise it by.
  const eligible = all.filter(
    (sibling) => sibling.readable && (isSame(sibling, position) ? !copiesOnly : position.offset > 0),
  );
  let moved = false;
  for (const sibling of eligible.toSorted((a, b) => Number(isSame(b, position)) - Number(isSame(a, position)))) {
    const reader = openSibling(sibling);
    if (reader === undefined || !isSame(reader, sibling)) {
      reader?.close();
      moved ||= hasMoved(sibling);
      continue;
    }
    try {
      if (await reader.resume(position.offset, position.hash)) return reader;
    } catch {
      // Not gzip, or unreadable: no match.
    }
    reader.close();
  }
  return moved ? "moving" : undefined;
}

/** False for one that may not be read. */
function hasMoved(sibling: Sibling): boolean {
  const now = statSync(sibling.path, { throwIfNoEntry: false });
  return now === undefined || !isSame(sibling, { device: now.dev, inode: now.ino });
}

export interface Successor {
  readonly reader: LogReader;
  /** Why lines before it may be lost; each is one loss at least. */
  readonly losses: readonly string[];
}

/**
 * The file that took the path's name after `newest`, a reader that is held: opened at its start. Undefined while nothing
 * has, or while the names move too fast. Throws the system's error where the path cannot be opened.
 */
export async function successor(path: string, newest: LogReader): Promise<Successor | undefined> {
  const { dev, ino } = statSync(path);
  if (isSame(newest, { device: dev, inode: ino })) return undefined;
  // Opened before the folder is looked at: had it lost its name by then, it is found there.
  const named = new HeldFile(path);
  let found: Successor | undefined;
  try {
    found = await oldestAfterInPeace(path, newest, named);
  } finally {
    if (found?.reader !== named) named.close();
  }
  return found;
}

/**
 * The first copy that copytruncate made between `before`, which was read, and the file itself, of which nothing was read
 * yet: a file that was empty at each look may have been filled, copied and cut since. Opened at its start; undefined if
 * there is none, or the file has lost its name.
 */
export async function overlooked(
  path: string,
  before: LogReader,
  named: HeldFile,
): Promise<Successor | Moving | undefined> {
  if (!hasName(path, named)) return undefined;
  const found = await oldestAfterInPeace(path, before, named);
  if (found === undefined) return "moving";
  if (found.reader === named) return undefined;
  // Once the file has lost its name, what is found may have come after it.
  if (isSame(found.reader, named) || !hasName(path, named)) {
    found.reader.close();
    return undefined;
  }
  if (!(await isCopyOf(found.reader, named))) return found;
  // An empty one may be one that is being begun; but not if the next is there.
  const next = await oldestAfterInPeace(path, found.reader, named);
  if (next !== undefined && next.reader !== named) {
    next.reader.close();
    if (hasName(path, named)) return found;
  }
  found.reader.close();
  return next === undefined ? "moving" : undefined;
}

function hasName(path: string, file: FileIdentity): boolean {
  const stats = statSync(path, { throwIfNoEntry: false });
  return stats !== undefined && isSame(file, { device: stats.dev, inode: stats.ino });
}

/** Undefined while the names move too fast. */
async function oldestAfterInPeace(path: string, newest: LogReader, named: HeldFile): Promise<Successor | undefined> {
  let found: Successor | undefined;
  for (let looks = 0; looks < looksInARow && found === undefined; looks++)
    found = await oldestAfter(path, newest, named);
  return found;
}

/** Of what the file holds now: it is being copied, and was not cut yet. Leaves the reader at its start. */
export async function isCopyOf(copy: LogReader, file: HeldFile): Promise<boolean> {
  if (copy instanceof HeldFile) copy.restart();
  const start = (await copy.read())?.subarray(0, identifyingBytes);
  if (copy instanceof HeldFile) copy.restart();
  return start === undefined || file.holds(start, 0);
}

/** Undefined if names moved meanwhile. */
async function oldestAfter(path: string, newest: LogReader, named: HeldFile): Promise<Successor | undefined> {
  if (isSame(newest, named)) return undefined;
  const all = lookTwice(path);
  if (all === undefined) return undefined;
  const place = await placeOf(newest, all);
  const after =
    place === undefined ? all.filter(({ modifiedNs }) => modifiedNs > newest.modifiedNs()) : all.slice(place + 1);
  const between = after.filter(({ rotation }) => rotation !== undefined);
  const losses: string[] = [];
  // Deleted by hand it has no successors but the named one. Rotated away it has, and nobody knows how many went with it.
  if (place === undefined && between.length > 0)
    losses.push("the file that was read is gone, and with it files that followed, if there were more than are kept");
  for (const sibling of between) {
    const reader = sibling.readable ? openSibling(sibling) : undefined;
    if (reader !== undefined && isSame(reader, sibling)) return { reader, losses };
    reader?.close();
    if (hasMoved(sibling)) return undefined;
    losses.push(`cannot read ${sibling.path}`);
  }
  return { reader: named, losses };
}

/** Where a file that is held is among the siblings: itself, or its compressed copy, which has another inode. */
async function placeOf(held: LogReader, all: readonly Entry[]): Promise<number | undefined> {
  const itself = all.findIndex((sibling) => isSame(sibling, held));
  if (itself !== -1) return itself;
  if (held instanceof HeldFile)
    for (const [place, sibling] of all.entries()) if (await isCompressedCopy(sibling, held)) return place;
  return undefined;
}

/** What the compressed file holds, the other begins with: all that it has, but for late writes. */
async function isCompressedCopy(sibling: Entry, held: HeldFile): Promise<boolean> {
  // Compressing keeps the time; bzip2 to the second.
  const sameTime = [held.modifiedNs(), held.modifiedNs() - (held.modifiedNs() % 1_000_000_000n)].includes(
    sibling.modifiedNs,
  );
  if (!sibling.readable) return sameTime;
  if (!sibling.compressed) return false;
  const copy = openSibling(sibling);
  if (copy === undefined) return false;
  try {
    for (let block = await copy.read(); block !== undefined; block = await copy.read()) {
      if (!held.holds(block, copy.offset)) return false;
      copy.consume(block.length);
    }
    return copy.offset > 0 || (held.size() === 0 && sameTime);
  } catch {
    return false;
  } finally {
    copy.close();
  }
}
