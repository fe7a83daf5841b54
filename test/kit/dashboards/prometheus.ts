/**
 * A real Prometheus for queries: it scrapes the targets given, and has a recorded past if there is one, made with
 * `promtool tsdb create-blocks-from openmetrics` (prometheus.io, "Backfilling from OpenMetrics format").
 */
import { type ChildProcess, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { createWriteStream, existsSync, readdirSync, readFileSync } from "node:fs";
import { cp, mkdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { stringify } from "yaml";
import type { Sample } from "../../../src/model/metric.ts";
import { cacheFolder, debian, locked } from "../../../tools/debian.ts";
import { run } from "../../alerts/promtool.ts";
import { waitFor } from "../../cli/exporter-process.ts";
import { counted, fleet, hours, probed, recorded } from "./incidents.ts";

/** The fleet's past is kept at this resolution: enough for minutes, small enough to be made in seconds. */
export const keptSeconds = 30;

export interface Target {
  readonly job: string;
  readonly instance: string;
  /** `127.0.0.1:1234`. */
  readonly address: string;
}

export interface Answer {
  readonly metric: Readonly<Record<string, string>>;
  readonly values: readonly (readonly [number, string])[];
}

export interface Prometheus {
  readonly url: string;
  /** Over time, or at `end` alone; times in seconds. Throws what Prometheus says about a wrong query. */
  query(
    expr: string,
    at: { readonly start: number; readonly end: number; readonly step: number },
  ): Promise<readonly Answer[]>;
  stop(): Promise<void>;
}

export async function startPrometheus(folder: string, targets: readonly Target[]): Promise<Prometheus> {
  const { path, env } = await debian("prometheus");
  const jobs = [...new Set(targets.map(({ job }) => job))].map((job) => ({
    job_name: job,
    static_configs: targets
      .filter((target) => target.job === job)
      .map(({ instance, address }) => ({ targets: [address], labels: { instance } })),
  }));
  const config = join(folder, "prometheus.yml");
  await writeFile(config, stringify({ global: { scrape_interval: "1s" }, scrape_configs: jobs }));
  const child = spawn(
    path,
    [
      `--config.file=${config}`,
      `--storage.tsdb.path=${join(folder, "tsdb")}`,
      "--storage.tsdb.retention.time=10y",
      "--web.listen-address=127.0.0.1:0",
    ],
    { env, stdio: ["ignore", "ignore", "pipe"] },
  );
  // However this process ends, an exception included.
  const kill = (): void => void child.kill("SIGKILL");
  process.prependOnceListener("exit", kill);
  child.once("exit", () => process.off("exit", kill));
  let said = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    said = (said + text).slice(-20_000);
  });
  const address = await waitFor("Prometheus to listen", 60_000, async () => {
    if (child.exitCode !== null) throw new Error(`Prometheus ended with ${child.exitCode}: ${said}`);
    return /msg="Listening on" address=(127\.0\.0\.1:\d+)/.exec(said)?.[1];
  });
  const url = `http://${address}`;
  await waitFor("Prometheus to be ready", 60_000, async () => ((await fetch(`${url}/-/ready`)).ok ? true : undefined));
  return { url, query: (expr, at) => query(url, expr, at), stop: () => stop(child) };
}

async function query(url: string, expr: string, { start, end, step }: { start: number; end: number; step: number }) {
  const body = new URLSearchParams({ query: expr, start: String(start), end: String(end), step: String(step) });
  const answer = (await (await fetch(`${url}/api/v1/query_range`, { method: "POST", body })).json()) as {
    status: string;
    error?: string;
    data: { result: Answer[] };
  };
  if (answer.status !== "success") throw new Error(`${answer.error}: ${expr}`);
  return answer.data.result;
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return;
  const gone = once(child, "exit");
  child.kill("SIGTERM");
  const guard = setTimeout(() => child.kill("SIGKILL"), 10_000);
  await gone;
  clearTimeout(guard);
}

/** The fleet's past ends here: on the edge of Prometheus' blocks of two hours, and the same at every run. */
export const pastEndSeconds = Date.UTC(2026, 0, 15, 16) / 1000 - 60;

/** Gives a Prometheus in this folder the fleet's three hours. Made once for these sources, kept in the tests' cache. */
export async function backfill(folder: string): Promise<void> {
  const sources = ["src/diagnosis", "src/diagnosis/causes", "test/kit/dashboards", "test/alerts"].flatMap((path) =>
    readdirSync(path)
      .filter((file) => file.endsWith(".ts") && !file.endsWith(".test.ts"))
      .map((file) => readFileSync(join(path, file))),
  );
  const hash = createHash("sha256").update(Buffer.concat(sources)).digest("hex").slice(0, 16);
  const kept = join(cacheFolder, "dashboards-past", hash);
  await locked(join(cacheFolder, "dashboards-past"), async () => {
    if (existsSync(kept)) return;
    for (const old of readdirSync(join(kept, "..")))
      if (old !== "lock") await rm(join(kept, "..", old), { recursive: true });
    await writeBlocks(`${kept}.new`);
    await rename(`${kept}.new`, kept);
  });
  await cp(kept, join(folder, "tsdb"), { recursive: true });
}

async function writeBlocks(folder: string): Promise<void> {
  const promtool = await debian("promtool");
  await mkdir(folder);
  const text = join(folder, "fleet.openmetrics");
  const out = createWriteStream(text);
  const begin = pastEndSeconds - hours * 3600;
  const hosts = fleet.map((incident) => [`job="ssh",instance="${incident.instance}"`, recorded(incident)] as const);
  const probe = ['job="ssh-probe",instance="vpn1:22"', probed()] as const;
  for (const [host, scrapes] of [...hosts, probe, ["", counted()] as const]) {
    for (const { seconds, samples } of scrapes) {
      if (seconds % keptSeconds !== 0) continue;
      const lines = samples.map((sample) => line(sample, host, begin + seconds)).join("");
      if (!out.write(lines)) await once(out, "drain");
    }
  }
  out.end("# EOF\n");
  await once(out, "finish");
  const { code, output } = await run(promtool, ["tsdb", "create-blocks-from", "openmetrics", "--quiet", text, folder]);
  if (code !== 0) throw new Error(`promtool: ${output}`);
  await rm(text);
}

function line({ name, labels = {}, value }: Sample, host: string, seconds: number): string {
  const own = Object.entries(labels).map(([label, text]) => `${label}="${text}"`);
  const info = name === "sshreset_build_info" ? ['version="0.1.0"', 'node="v20.19.0"'] : own;
  const shown = name === "sshreset_source_last_record_timestamp_seconds" ? seconds - 20 : value;
  return `${name}{${[...(host === "" ? [] : [host]), ...info].join(",")}} ${shown} ${seconds}\n`;
}
