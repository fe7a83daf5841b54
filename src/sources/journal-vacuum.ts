/**
 * What vacuuming took away before it was read. journalctl goes on with the next entry that is there and says nothing.
 * Entries of one journald are numbered without gaps (the cursor's `s` and `i`, systemd.journal-fields(7)); the numbers
 * that are still there begin with those of the oldest file: archived files have them in their names, the one that is
 * written to in its header (https://systemd.io/JOURNAL_FILE_FORMAT: seqnum_id at 72, head_entry_seqnum at 168).
 */
import { closeSync, openSync, readdirSync, readSync } from "node:fs";
import { join } from "node:path";
import type { EntryNumber } from "./journal-cursor.ts";

const defaultFolders = ["/var/log/journal", "/run/log/journal"];
const archivedName = /^system@([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{16}\.journal$/;
const headerBytes = 176;

/**
 * How many entries between these two, of any program, are gone: the lowest number that the folder's files still have is
 * the first that was not vacuumed. 0 where that cannot be told.
 */
export function vacuumedBetween(last: EntryNumber, next: EntryNumber, folder: string | undefined): number {
  if (last.by !== next.by || next.number <= last.number + 1) return 0;
  const oldest = oldestNumber(next.by, folder === undefined ? defaultFolders : [folder]);
  return oldest === undefined ? 0 : Math.max(0, Math.min(oldest, next.number) - last.number - 1);
}

/** Journals lie in the folder itself, or one below, named for the machine. */
function oldestNumber(by: string, folders: readonly string[]): number | undefined {
  const numbers = folders
    .flatMap((folder) => [folder, ...namesIn(folder).map((name) => join(folder, name))])
    .flatMap((folder) => namesIn(folder).flatMap((name) => firstNumber(join(folder, name), name, by) ?? []));
  return numbers.length === 0 ? undefined : Math.min(...numbers);
}

function firstNumber(path: string, name: string, by: string): number | undefined {
  const archived = archivedName.exec(name);
  if (archived !== null) return archived[1] === by ? Number.parseInt(archived[2] as string, 16) : undefined;
  return name === "system.journal" ? headNumber(path, by) : undefined;
}

function headNumber(path: string, by: string): number | undefined {
  const header = Buffer.alloc(headerBytes);
  try {
    const fd = openSync(path, "r");
    try {
      if (readSync(fd, header, 0, headerBytes, 0) < headerBytes) return undefined;
    } finally {
      closeSync(fd);
    }
  } catch {
    return undefined;
  }
  if (header.toString("latin1", 0, 8) !== "LPKSHHRH" || header.toString("hex", 72, 88) !== by) return undefined;
  const number = Number(header.readBigUInt64LE(168));
  return number === 0 ? undefined : number;
}

/** Nothing of what is no folder, or may not be read. */
function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
