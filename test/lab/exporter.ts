/**
 * The exporter on the lab's host: the built program as a transient systemd unit inside, with a state folder of its own
 * per scenario, asked over the monitoring link.
 */
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { until } from "./command.ts";
import type { Host } from "./host.ts";
import type { Monitoring } from "./monitoring.ts";

const unit = "ssh-reset-exporter.service";

/**
 * The program that is run: built from src for this run, so that a build meanwhile changes nothing. What it remembers for 10 minutes
 * (`known_peers_reset`) is divided by the time scale like every window of the rules; nothing else in it is changed.
 */
export function copyProgram(folder: string, timeScale: number): string {
  const project = join(folder, "project");
  mkdirSync(join(project, "node_modules"), { recursive: true });
  // Not the bundle: file by file, so that the one constant is found.
  const compiler = ["node_modules/typescript/bin/tsc", "-p", "tsconfig.build.json", "--outDir", join(project, "dist")];
  execFileSync(process.execPath, compiler, { stdio: "inherit" });
  cpSync("package.json", join(project, "package.json"));
  const file = join(project, "dist/connections/known-peers.js");
  const text = readFileSync(file, "utf8");
  const scaled = text.replace(/resetForMs = 10 \* 60_000\b/, `resetForMs = ${Math.round(600_000 / timeScale)}`);
  if (scaled === text) throw new Error(`${file} has no resetForMs of 10 minutes to scale`);
  writeFileSync(file, scaled);
  return project;
}

export type Values = ReadonlyMap<string, number>;

export class LabExporter {
  readonly #host: Host;
  readonly #monitoring: Monitoring;
  #state = "";
  #flags: readonly string[] = [];

  constructor(host: Host, monitoring: Monitoring) {
    this.#host = host;
    this.#monitoring = monitoring;
  }

  /** Afresh: counters at 0, known peers learnt from the journal. */
  async start(name: string, flags: readonly string[] = []): Promise<void> {
    this.#state = `/var/lib/exporter-${name}`;
    await this.stop();
    await this.resume(flags);
  }

  /** With the state that it has. */
  async resume(flags: readonly string[] = []): Promise<void> {
    this.#flags = flags;
    const words = [
      ...["systemd-run", "--quiet", `--unit=${unit}`, "--property=KillMode=process", "--collect", "--"],
      ...["/opt/node", "/opt/project/dist/cli/main.js", "--web.listen-address=:10922"],
      ...[
        `--state.directory=${this.#state}`,
        "--path.tracefs=/sys/kernel/tracing",
        "--path.sysfs=/run/sysfs",
        "--collector.reset_ttl",
        ...flags,
      ],
    ];
    await this.#host.run(`mkdir -p ${this.#state} && chmod 700 ${this.#state} && exec ${words.join(" ")}`);
    try {
      await until(
        "the exporter is ready",
        async () => (await this.#monitoring.get("exporter", "/-/ready")).status === 200,
        {
          deadlineMs: 45_000,
        },
      );
    } catch (error) {
      const log = await this.#host.attempt(`journalctl --no-pager -o cat -u ${unit} | tail -n 20`);
      throw new Error(`${error instanceof Error ? error.message : error}\n${log.stdout}`);
    }
  }

  /** That it was last started with, beside those of every scenario. */
  get flags(): readonly string[] {
    return this.#flags;
  }

  async stop(): Promise<void> {
    await this.#host.attempt(`systemctl stop ${unit}; systemctl reset-failed ${unit}`);
  }

  /** SIGKILL, as the OOM killer would. */
  async kill(): Promise<void> {
    await this.#host.run(`systemctl kill --signal=KILL ${unit}`);
    await until(
      "the exporter has ended",
      async () => (await this.#host.attempt(`systemctl is-active --quiet ${unit}`)).status !== 0,
    );
    await this.#host.attempt(`systemctl reset-failed ${unit}`);
  }

  /** `name{labels}` to value, as /metrics has them now. */
  async values(): Promise<Values> {
    const { status, body } = await this.#monitoring.get("exporter", "/metrics");
    if (status !== 200) throw new Error(`/metrics answered ${status}`);
    const lines = body.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
    return new Map(
      lines.map((line) => [line.slice(0, line.lastIndexOf(" ")), Number(line.slice(line.lastIndexOf(" ") + 1))]),
    );
  }

  log(): Promise<string> {
    return this.#host.run(`journalctl --no-pager -o cat -u ${unit} | tail -n 40`);
  }
}

/** The sum over all series of a metric (without its prefix) that bear these labels. */
export function sum(values: Values, metric: string, labels: Readonly<Record<string, string>> = {}): number {
  let total = 0;
  for (const [series, value] of values) {
    const [name = "", rest = ""] = series.split("{");
    if (name !== `sshreset_${metric}`) continue;
    if (Object.entries(labels).every(([key, wanted]) => rest.includes(`${key}="${wanted}"`))) total += value;
  }
  return total;
}
