/** The key of --peers.hash: made once, kept in the state directory so that a peer keeps its name over a restart. */
import { randomBytes } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { StateError } from "../state/snapshot.ts";

export function peersHashKey(directory: string): string {
  const path = join(directory, "peers-hash.key");
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") {
      throw new StateError(`cannot read "${path}": ${(error as Error).message}`);
    }
  }
  const key = randomBytes(32).toString("hex");
  writeFileSync(path, key, { mode: 0o600 });
  return key;
}
