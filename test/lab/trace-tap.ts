/**
 * The kernel's reset events of the whole run, for the recordings: the exporter's own source, on a tracefs of the lab's
 * own. One for all hosts, since its instance is named by this process; each host takes what belongs to its address.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, rmdirSync } from "node:fs";
import { join } from "node:path";
import type { LogRecord } from "../../src/model/record.ts";
import { createTcpTraceSource, localEnd } from "../../src/sources/tcp-trace.ts";
import { run } from "./command.ts";
import type { Stage } from "./stage.ts";

const exportersInstance = /^ssh-reset-exporter-\d+$/;

/** A tracefs of the lab's own; at the end instances go that exporters left which the lab ended with their hosts. */
export async function mountTracefs(stage: Stage): Promise<string> {
  const tracefs = join(stage.folder, "tracing");
  mkdirSync(tracefs);
  await run("mount", ["-t", "tracefs", "tracefs", tracefs]);
  const instances = join(tracefs, "instances");
  const before = new Set(readdirSync(instances));
  stage.onClose(() => {
    for (const name of readdirSync(instances)) {
      if (exportersInstance.test(name) && !before.has(name)) removeInstance(join(instances, name));
    }
    spawnSync("umount", [tracefs]);
  });
  return tracefs;
}

function removeInstance(path: string): void {
  try {
    rmdirSync(path);
  } catch {
    // Another exporter on this machine holds it.
  }
}

/** More than any scenario makes; the oldest go. */
const kept = 20_000;

export class TraceTap {
  readonly #addresses = new Set<string>();
  #records: LogRecord[] = [];

  static open(stage: Stage, tracefs: string): TraceTap {
    const tap = new TraceTap();
    const source = createTcpTraceSource({
      ...{ tracefs, procfs: "/proc", position: undefined, fromBeginning: false, idents: [] },
      ports: () => [22],
      localAddresses: () => tap.#addresses,
      onWarning: (message) => process.stderr.write(`lab: recording: ${message}\n`),
    });
    const abort = new AbortController();
    stage.onClose(() => abort.abort());
    void tap.#take(source.batches(abort.signal));
    return tap;
  }

  async #take(batches: AsyncIterable<{ readonly records: readonly LogRecord[] }>): Promise<void> {
    for await (const { records } of batches) this.#records = [...this.#records, ...records].slice(-kept);
  }

  /** From now on events at this local address are kept. */
  follow(address: string): void {
    this.#addresses.add(address);
  }

  since(address: string, startMs: number): readonly LogRecord[] {
    return this.#records.filter(({ message, timeMs }) => timeMs >= startMs && localEnd(message)?.address === address);
  }
}
