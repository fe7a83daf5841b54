/**
 * One log file, written and rotated in a given way, and three that follow it in the same run: the exporter, GNU
 * `tail -F` and mtail. Every line is one refused login, so what each has counted can be held against what was written.
 */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import {
  closeSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";
import type { Tool } from "../../tools/debian.ts";
import { type ExporterProcess, startExporter, waitFor } from "../cli/exporter-process.ts";

const run = promisify(execFile);

export interface Outcome {
  readonly written: number;
  readonly exporter: number;
  /** `source_lost_records_total`: what the exporter itself says was lost. */
  readonly exporterLost: number;
  readonly tail: number;
  readonly mtail: number;
}

/** The log as its writer has it. */
export class Log {
  readonly path: string;
  written = 0;
  #rotations = 0;
  #fd: number;
  readonly #kept: number;
  #clockMs: () => number = Date.now;

  /** By default so many rotated files are kept that none is gone before a slow reader comes to it. */
  constructor(path: string, kept = Number.POSITIVE_INFINITY) {
    this.path = path;
    this.#kept = kept;
    this.#fd = openSync(path, "a");
  }

  write(lines: number, fd = this.#fd): void {
    let text = "";
    for (let i = 0; i < lines; i++) {
      const port = 1024 + (this.written++ % 60_000);
      text += `${new Date(this.#clockMs()).toISOString()} host sshd[${port}]: Failed password for root from 192.0.2.1 port ${port} ssh2\n`;
    }
    writeSync(fd, text);
  }

  /** As logrotate without copytruncate. Gives the old file's descriptor, for late writes; to be closed. */
  rename(): number {
    this.#shift();
    renameSync(this.path, `${this.path}.1`);
    const old = this.#fd;
    this.#fd = openSync(this.path, "a");
    return old;
  }

  /** `between`: lines that are written when the copy is made, and gone with the cut. */
  copyTruncate(between = 0): void {
    this.#shift();
    copyFileSync(this.path, `${this.path}.1`);
    if (between > 0) this.write(between);
    truncateSync(this.path);
  }

  async compress(): Promise<void> {
    await run("gzip", ["-1", "-f", `${this.path}.1`]);
  }

  stepClock(ms: number): void {
    this.#clockMs = () => Date.now() + ms;
  }

  close(): void {
    closeSync(this.#fd);
  }

  #shift(): void {
    for (let n = this.#rotations++; n >= 1; n--) {
      for (const end of ["", ".gz"]) {
        const path = `${this.path}.${n}${end}`;
        if (!existsSync(path)) continue;
        if (n >= this.#kept) rmSync(path);
        else renameSync(path, `${this.path}.${n + 1}${end}`);
      }
    }
  }
}

/** What happens to the log beside the writing; called about every 20 ms with the time since the start. */
export type Disturb = (log: Log, elapsedMs: number) => Promise<void> | void;

export const disturbances: Readonly<Record<string, () => Disturb>> = {
  "renamed every 0.5 s": () => everyMs(500, (log) => closeSync(log.rename())),
  "renamed every 0.5 s, late writes to the old file": () =>
    everyMs(500, async (log) => {
      const old = log.rename();
      for (let i = 0; i < 5; i++) {
        log.write(200, old);
        await delay(20);
      }
      closeSync(old);
    }),
  "renamed twice inside one poll": () =>
    everyMs(1_000, async (log) => {
      closeSync(log.rename());
      log.write(500);
      await delay(30);
      closeSync(log.rename());
    }),
  "renamed, and compressed at once": () =>
    everyMs(1_000, async (log) => {
      closeSync(log.rename());
      await log.compress();
    }),
  "copied and truncated": () => everyMs(1_000, (log) => log.copyTruncate()),
  "copied and truncated, five lines written between": () => everyMs(1_000, (log) => log.copyTruncate(5)),
  "clock stepped back a day": () => {
    let stepped = false;
    return (log, elapsedMs) => {
      if (!stepped && elapsedMs > 1_000) log.stepClock(-86_400_000);
      stepped ||= elapsedMs > 1_000;
    };
  },
};

function everyMs(interval: number, work: (log: Log) => Promise<void> | void): Disturb {
  let doneMs = 0;
  return async (log, elapsedMs) => {
    if (elapsedMs - doneMs < interval) return;
    doneMs = elapsedMs;
    await work(log);
  };
}

export interface FollowOptions {
  readonly disturb: Disturb;
  readonly linesPerSecond: number;
  readonly seconds: number;
  readonly mtail: Tool;
  /** All three stand still for four seconds of every six, and five old files are kept. */
  readonly starved?: boolean;
}

export async function follow({
  disturb,
  linesPerSecond,
  seconds,
  mtail,
  starved = false,
}: FollowOptions): Promise<Outcome> {
  const folder = mkdtempSync(join(tmpdir(), "lossless-"));
  mkdirSync(join(folder, "logs"));
  const log = new Log(join(folder, "logs", "auth.log"), starved ? 5 : undefined);
  const ends: (() => unknown)[] = [() => rmSync(folder, { recursive: true })];
  try {
    const exporter = await startFollowing(folder, log.path);
    ends.push(() => exporter.stop("SIGKILL"));
    const tail = startTail(log.path);
    ends.push(() => tail.child.kill());
    const reference = await startMtail(mtail, folder, log.path);
    ends.push(() => reference.child.kill());
    // Everybody is there before the first rotation.
    log.write(1);
    await exporter.until("the first line", (values) => counted(values) === 1);
    await waitFor("tail's first line", 10_000, async () => (tail.lines() === 1 ? true : undefined));
    // mtail begins at the end of the file: what was written before is not its loss.
    await waitFor("mtail's first line", 10_000, async () => {
      log.write(1);
      await delay(300);
      return (await reference.lines()) > 0 ? true : undefined;
    });
    const beforeMtail = log.written - (await reference.lines());

    const readers = [exporter.child, tail.child, reference.child];
    let standing = false;
    const stand = (still: boolean): void => {
      if (still !== standing) for (const child of readers) child.kill(still ? "SIGSTOP" : "SIGCONT");
      standing = still;
    };
    ends.push(() => stand(false));
    const startMs = Date.now();
    let due = 0;
    for (let elapsedMs = 0; elapsedMs < seconds * 1000; elapsedMs = Date.now() - startMs) {
      const wanted = Math.floor((elapsedMs / 1000) * linesPerSecond);
      log.write(Math.min(wanted - due, linesPerSecond));
      due = wanted;
      if (starved) stand(elapsedMs % 6_000 > 2_000);
      await disturb(log, elapsedMs);
      await delay(20);
    }
    stand(false);
    const values = await settled(exporter);
    return {
      written: log.written,
      exporter: counted(values),
      exporterLost: values.get('sshreset_source_lost_records_total{source="logfile"}') ?? Number.NaN,
      tail: tail.lines(),
      mtail: (await reference.lines()) + beforeMtail,
    };
  } finally {
    log.close();
    for (const end of ends.reverse()) await end();
  }
}

export const counted = (values: ReadonlyMap<string, number>): number =>
  values.get("sshreset_authentication_failures_total") ?? Number.NaN;

export function startFollowing(folder: string, path: string): Promise<ExporterProcess> {
  mkdirSync(join(folder, "state"), { recursive: true });
  return startExporter([
    `--state.directory=${join(folder, "state")}`,
    `--source.logfile=${path}`,
    "--source.from-beginning",
    "--no-source.kmsg",
    "--no-source.tcp-trace",
  ]);
}

/** Values once they have stood still for 2 s: all that is to come has come. */
export async function settled(exporter: ExporterProcess): Promise<ReadonlyMap<string, number>> {
  let last = Number.NaN;
  let sinceMs = Date.now();
  return exporter.until(
    "the end of the log",
    (values) => {
      if (counted(values) !== last) sinceMs = Date.now();
      last = counted(values);
      return Date.now() - sinceMs > 2_000;
    },
    60_000,
  );
}

function startTail(path: string): { readonly child: ChildProcess; lines(): number } {
  // Its poll as ours: without inotify it looks every 0.25 s.
  const child = spawn("tail", ["-n", "+1", "-s", "0.25", "-F", path], { stdio: ["ignore", "pipe", "ignore"] });
  let lines = 0;
  child.stdout.on("data", (chunk: Buffer) => {
    for (let at = chunk.indexOf(10); at !== -1; at = chunk.indexOf(10, at + 1)) lines++;
  });
  return { child, lines: () => lines };
}

async function startMtail(mtail: Tool, folder: string, path: string) {
  const programs = join(folder, "mtail");
  mkdirSync(programs);
  writeFileSync(
    join(programs, "failed.mtail"),
    "counter failed\n/sshd\\[\\d+\\]: Failed \\S+ for / {\n  failed++\n}\n",
  );
  const port = await freePort();
  const child = spawn(
    mtail.path,
    ["-progs", programs, "-logs", path, "-address", "127.0.0.1", "-port", String(port), "-log_dir", folder],
    { env: mtail.env as NodeJS.ProcessEnv, stdio: "ignore" },
  );
  const lines = async (): Promise<number> => {
    const text = await fetch(`http://127.0.0.1:${port}/metrics`).then(
      (answer) => answer.text(),
      () => "",
    );
    return Number(/^failed\{[^}]*\} (\S+)$/m.exec(text)?.[1] ?? 0);
  };
  return { child, lines };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === "object" && address !== null ? address.port : 0;
}
