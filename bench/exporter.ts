/** The built exporter for benches: over a log, to its end, with what that cost. */
import { mkdirSync, mkdtempSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { type ExporterProcess, startExporter } from "../test/cli/exporter-process.ts";
import { cpuSeconds, memoryMb } from "./process-tree.ts";

export interface ReadThrough {
  readonly cpuSeconds: number;
  readonly peakMb: number;
  readonly values: ReadonlyMap<string, number>;
}

export function freshState(folder: string): string {
  mkdirSync(folder, { recursive: true });
  return mkdtempSync(join(folder, "state-"));
}

/** From start to the last line and its commit, start-up and scrapes included. */
export async function readThrough(
  folder: string,
  args: readonly string[],
  done: (values: ReadonlyMap<string, number>) => boolean,
): Promise<ReadThrough> {
  const exporter = await startExporter([
    `--state.directory=${freshState(folder)}`,
    "--source.from-beginning",
    "--no-source.kmsg",
    "--no-source.tcp-trace",
    ...args,
  ]);
  try {
    const pid = pidOf(exporter);
    for (;;) {
      await delay(500);
      const values = await exporter.values();
      if (!done(values)) continue;
      return { cpuSeconds: cpuSeconds(pid), peakMb: memoryMb(pid).peak, values };
    }
  } finally {
    await exporter.stop();
  }
}

export const pidOf = ({ child }: ExporterProcess): number => child.pid ?? 0;

export const failedOf = (values: ReadonlyMap<string, number>): number =>
  values.get("sshreset_authentication_failures_total") ?? 0;
