/**
 * The rotated siblings of a log file (`auth.log.1`, `auth.log-20260101`, `auth.log.2.gz`), oldest first, and the one
 * in which reading stopped, recognised by its inode and the hash of the bytes before the offset.
 * Source: logrotate(8) (start, dateext, compress, copytruncate).
 */
import { readdirSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { type FilePosition, GzipFile, HeldFile, type LogReader } from "./held-file.ts";

export interface Sibling {
  readonly path: string;
  readonly device: number;
  readonly inode: number;
  readonly compressed: boolean;
  readonly modifiedNs: bigint;
}

/** Regular files only, without `path` itself under whatever name; empty if the folder may not be read. Throws where it cannot. */
export function siblings(path: string): readonly Sibling[] {
  const found: Sibling[] = [];
  const name = basename(path);
  const entries = list(dirname(path));
  for (const entry of entries) {
    // .xz, .bz2 and .zst need programs that a host may lack: to a position in them there is no match.
    if (!(entry.startsWith(`${name}.`) || entry.startsWith(`${name}-`)) || /\.(?:xz|bz2|zst)$/.test(entry)) continue;
    // Still being compressed: gzip removes the original only when it is done.
    if (entry.endsWith(".gz") && entries.includes(entry.slice(0, -3))) continue;
    const sibling = join(dirname(path), entry);
    const stats = statSync(sibling, { bigint: true, throwIfNoEntry: false });
    if (stats?.isFile() !== true) continue;
    found.push({
      path: sibling,
      device: Number(stats.dev),
      inode: Number(stats.ino),
      compressed: entry.endsWith(".gz"),
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

/** Oldest first. Numbers are sure; times are not, where a daemon still writes to a file that was rotated. */
function byAge(a: Sibling, b: Sibling): number {
  const numbers = [a, b].map(({ path }) => /\.(\d{1,5})(?:\.gz)?$/.exec(path)?.[1]);
  if (numbers[0] !== undefined && numbers[1] !== undefined) return Number(numbers[1]) - Number(numbers[0]);
  return a.modifiedNs === b.modifiedNs ? a.path.localeCompare(b.path) : a.modifiedNs < b.modifiedNs ? -1 : 1;
}

/** Opens a sibling at its start, or undefined if it is gone or cannot be read. */
export function openSibling(sibling: Sibling): HeldFile | GzipFile | undefined {
  if (sibling.compressed) return new GzipFile(sibling.path, { dev: sibling.device, ino: sibling.inode });
  try {
    return new HeldFile(sibling.path);
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

/** The sibling that holds the position's content, opened where reading stopped, and its index. */
export async function findPosition(
  candidates: readonly Sibling[],
  position: FilePosition,
): Promise<{ readonly index: number; readonly reader: LogReader } | undefined> {
  const sameFile = (s: Sibling) => s.device === position.device && s.inode === position.inode;
  // A file of which nothing was read has no content to recognise it by.
  const eligible = position.offset > 0 ? candidates : candidates.filter(sameFile);
  for (const sibling of eligible.toSorted((a, b) => Number(sameFile(b)) - Number(sameFile(a)))) {
    const reader = openSibling(sibling);
    if (reader === undefined) continue;
    try {
      if (await reader.resume(position.offset, position.hash)) return { index: candidates.indexOf(sibling), reader };
    } catch {
      // Not gzip, or unreadable: no match.
    }
    reader.close();
  }
  return undefined;
}
