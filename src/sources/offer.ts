/**
 * What this host offers to read: a journal with a journalctl for it, the kernel's ring buffer, log files by their
 * usual names. For `selectSources`.
 * Sources: journald.conf(5) (Storage=), Documentation/ABI/testing/dev-kmsg, rsyslog's and syslog-ng's packaged rules.
 */
import { accessSync, closeSync, constants, openSync, readdirSync } from "node:fs";
import { delimiter, join } from "node:path";
import { findLogfiles } from "./logfile.ts";
import type { SourceOffer } from "./select.ts";

export function offeredSources(rootfs: string, kmsgPath = "/dev/kmsg"): SourceOffer {
  const journal = journalDirectories(rootfs).find(holdsJournal);
  return {
    journal: journal === undefined || !journalctlIsThere() ? undefined : rootfs === "/" ? {} : { directory: journal },
    kmsg: canRead(kmsgPath),
    logfiles: findLogfiles(rootfs),
  };
}

/** Persistent, then volatile. */
function journalDirectories(rootfs: string): readonly string[] {
  return ["var/log/journal", "run/log/journal"].map((path) => join(rootfs, path));
}

/** Journal files lie one level down, in a folder named by the machine's id. */
function holdsJournal(directory: string): boolean {
  return list(directory).some((machine) => list(join(directory, machine)).some((file) => file.endsWith(".journal")));
}

function list(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function journalctlIsThere(): boolean {
  return (process.env["PATH"] ?? "").split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, "journalctl"), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

function canRead(path: string): boolean {
  try {
    closeSync(openSync(path, constants.O_RDONLY | constants.O_NONBLOCK));
    return true;
  } catch {
    return false;
  }
}
