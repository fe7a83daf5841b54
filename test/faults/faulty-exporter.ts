/** The built exporter on a small host of its own, with test/faults/inject.mjs in it. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { appendFileSync, cpSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseValues, waitFor } from "../cli/exporter-process.ts";

const program = new URL("../../dist/cli/main.js", import.meta.url).pathname;
const preload = new URL("inject.mjs", import.meta.url).pathname;
const fixtureHost = new URL("../fixtures/hosts/healthy", import.meta.url).pathname;

export interface Fault {
  readonly operation: string;
  readonly path: string;
  readonly code: string;
}

/** A copy of the fixture's host with a log, a configuration and a state directory. */
export class SmallHost {
  readonly root = mkdtempSync(join(tmpdir(), "faults-"));
  readonly state = join(this.root, "state");
  readonly log = join(this.root, "host/var/log/auth.log");
  lines = 0;

  constructor() {
    cpSync(fixtureHost, join(this.root, "host"), { recursive: true, verbatimSymlinks: true });
    mkdirSync(join(this.root, "host/var/log"), { recursive: true });
    mkdirSync(this.state, { mode: 0o700 });
    writeFileSync(join(this.root, "config.yml"), "log.level: info\n");
    this.write();
  }

  write(): void {
    this.lines++;
    const time = new Date().toISOString();
    appendFileSync(
      this.log,
      `${time} host sshd[${1000 + this.lines}]: Accepted publickey for a from 192.0.2.7 port ${1024 + this.lines} ssh2\n`,
    );
  }

  rotate(): void {
    renameSync(this.log, `${this.log}.1`);
    this.write();
  }

  readonly flags = (): string[] => [
    `--config.file=${join(this.root, "config.yml")}`,
    `--state.directory=${this.state}`,
    `--path.procfs=${join(this.root, "host/proc")}`,
    `--path.sysfs=${join(this.root, "host/sys")}`,
    `--path.rootfs=${join(this.root, "host")}`,
    "--path.tracefs=/nonexistent",
    `--source.logfile=${this.log}`,
    "--source.from-beginning",
    "--no-source.kmsg",
    "--web.listen-address=127.0.0.1:0",
  ];

  remove(): void {
    rmSync(this.root, { recursive: true, force: true });
  }
}

export class FaultyExporter {
  readonly #child: ChildProcess;
  #stderr = "";
  #url = "";
  #hits = new Set<string>();
  #seen: Readonly<Record<string, number>> = {};

  /** `faults`: armed from the start. */
  constructor(host: SmallHost, faults: readonly Fault[] = []) {
    const env = { ...process.env, FAULT_ROOTS: host.root, FAULTS: JSON.stringify(faults) };
    this.#child = spawn(process.execPath, [`--import=${preload}`, program, ...host.flags()], {
      stdio: ["ignore", "ignore", "pipe", "ipc"],
      env,
    });
    this.#child.stderr?.on("data", (chunk: Buffer) => (this.#stderr += chunk.toString()));
    this.#child.on("message", (message: { hit?: string; seen?: Readonly<Record<string, number>> }) => {
      if (message.hit !== undefined) this.#hits.add(message.hit);
      if (message.seen !== undefined) this.#seen = message.seen;
    });
  }

  get stderr(): string {
    return this.#stderr;
  }

  get exitCode(): number | string | null {
    return this.#child.exitCode ?? this.#child.signalCode;
  }

  /** Listening, or ended. */
  async started(): Promise<"listening" | "ended"> {
    return waitFor(
      "the exporter to start or end",
      30_000,
      async () => {
        if (this.exitCode !== null) return "ended";
        const port = /address=127\.0\.0\.1:(\d+)/.exec(this.#stderr)?.[1];
        if (port === undefined) return undefined;
        this.#url = `http://127.0.0.1:${port}`;
        return "listening";
      },
      () => this.#stderr,
    );
  }

  async values(): Promise<ReadonlyMap<string, number>> {
    const response = await fetch(`${this.#url}/metrics`);
    if (response.status !== 200) throw new Error(`/metrics answered ${response.status}: ${this.#stderr.slice(-1500)}`);
    return parseValues(await response.text());
  }

  arm(fault: Fault): void {
    this.#hits.clear();
    this.#child.send([fault]);
  }

  disarm(): void {
    this.#child.send([]);
  }

  wasHit({ operation, path }: Fault): boolean {
    return this.#hits.has(`${operation} ${path}`);
  }

  /** Every `operation path` met so far, with how often. */
  async seen(): Promise<Readonly<Record<string, number>>> {
    this.#seen = {};
    this.#child.send("seen");
    return waitFor("the list of operations", 5_000, async () =>
      Object.keys(this.#seen).length > 0 ? this.#seen : undefined,
    );
  }

  async stop(): Promise<number | string | null> {
    if (this.exitCode === null) {
      this.#child.kill("SIGTERM");
      await once(this.#child, "exit");
    }
    return this.exitCode;
  }

  kill(): void {
    this.#child.kill("SIGKILL");
  }
}
