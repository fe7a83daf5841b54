/** tracefs on a private folder, for the time of a test. Its instances are the kernel's: the same at every mount. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface TracefsMount {
  readonly path: string;
  close(): void;
}

/** Throws where this machine does not permit it. */
export function mountTracefs(): TracefsMount {
  const path = mkdtempSync(join(tmpdir(), "ssh-reset-exporter-tracefs-"));
  const close = (): void => {
    process.removeListener("exit", close);
    spawnSync("umount", ["--lazy", path]);
    rmdirSync(path);
  };
  const { status, stderr } = spawnSync("mount", ["-t", "tracefs", "tracefs", path], { encoding: "utf8" });
  if (status !== 0) {
    rmdirSync(path);
    throw new Error(`no tracefs here: ${stderr}`);
  }
  process.on("exit", close);
  return { path, close };
}
