/**
 * A tracefs of the lab's own, and its end: trace instances are the machine's and outlive an exporter that is killed with
 * its host. What was there before the run is told by a list in the run's folder, so that the next run can clean up too.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { preparedInstance } from "../../src/sources/tcp-trace.ts";

const exporters = /^ssh-reset-exporter-\d+$/;
const list = "instances-before";

/** Gives where it is mounted. */
export function mountTracefs(folder: string): string {
  const tracefs = join(folder, "tracing");
  mkdirSync(tracefs);
  const { status, stderr } = spawnSync("mount", ["-t", "tracefs", "tracefs", tracefs], { encoding: "utf8" });
  if (status !== 0) throw new Error(`no tracefs: ${stderr}`);
  const before = readdirSync(join(tracefs, "instances"));
  writeFileSync(join(folder, list), before.join("\n"));
  // Exporters take it where it is there: the lab's would read what is another's.
  if (before.includes(preparedInstance)) {
    throw new Error(
      `the trace instance ${preparedInstance} is there, a packaged exporter's: \`ssh-reset-exporter observe trace-remove\` first`,
    );
  }
  return tracefs;
}

/** Removes the instances of the run's exporters, which have ended, and the mount. */
export function unmountTracefs(folder: string): void {
  const instances = join(folder, "tracing/instances");
  if (!existsSync(instances) || !existsSync(join(folder, list))) return;
  const before = readFileSync(join(folder, list), "utf8").split("\n");
  const left = (): string[] =>
    readdirSync(instances).filter(
      (name) => exporters.test(name) && !before.includes(name) && !removed(join(instances, name)),
    );
  // One whose reader was killed just now is held for a moment; one that another exporter on this machine made stays.
  for (let tries = 0; left().length > 0 && tries < 10; tries++) spawnSync("sleep", ["0.1"]);
  spawnSync("umount", [join(folder, "tracing")]);
}

function removed(instance: string): boolean {
  try {
    rmdirSync(instance);
    return true;
  } catch {
    return false;
  }
}
