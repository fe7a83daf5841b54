/**
 * The kernel's reset events of the whole run, for the recordings: the exporter's own source on a tracefs of the lab's.
 * One for all hosts; each host takes what belongs to its address.
 */
import { spawn } from "node:child_process";
import { join } from "node:path";
import type { LogRecord } from "../../src/model/record.ts";
import { localEnd } from "../../src/sources/tcp-trace.ts";
import type { Stage } from "./stage.ts";

/** More than any scenario makes; the oldest go. */
const kept = 20_000;

export class TraceTap {
  #records: LogRecord[] = [];

  static open(stage: Stage, tracefs: string): TraceTap {
    const tap = new TraceTap();
    const reader = spawn(
      process.execPath,
      ["--import=tsx", join(import.meta.dirname, "trace-reader.ts"), tracefs, "/proc"],
      { stdio: ["pipe", "pipe", "inherit"] },
    );
    stage.onClose(() => reader.kill("SIGKILL"));
    let rest = "";
    reader.stdout.setEncoding("utf8").on("data", (chunk: string) => {
      const lines = (rest + chunk).split("\n");
      rest = lines.pop() ?? "";
      const records = lines.map((line) => JSON.parse(line) as LogRecord);
      tap.#records = [...tap.#records, ...records].slice(-kept);
    });
    return tap;
  }

  since(address: string, startMs: number): readonly LogRecord[] {
    return this.#records.filter(({ message, timeMs }) => timeMs >= startMs && localEnd(message)?.address === address);
  }
}
