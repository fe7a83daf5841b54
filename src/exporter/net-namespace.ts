/**
 * Which network namespace this process is in: the inode that the kernel's messages name it by. Undefined where /proc
 * does not say. Source: namespaces(7), /proc/PID/ns.
 */
import { readlinkSync } from "node:fs";
import { join } from "node:path";

export function ownNetNamespace(procfs: string): number | undefined {
  try {
    const inode = /^net:\[(\d{1,10})\]$/.exec(readlinkSync(join(procfs, "self/ns/net")))?.[1];
    return inode === undefined ? undefined : Number(inode);
  } catch {
    return undefined;
  }
}
