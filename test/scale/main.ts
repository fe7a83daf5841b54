/**
 * Many hosts, one real Prometheus with the shipped rules, one real Alertmanager: what a fleet costs and what it pages.
 * One process shows the pages of all hosts (simulated-fleet.ts). A twentieth of the hosts have an incident of their own;
 * one network loses its peers, one balancer cuts its sessions, one kernel crashes sshd, one network's exporters are gone.
 * Each must earn one page, and nothing else may page.
 * `npm run scale [-- --hosts 1000 --scrape 15 --time-scale 1 --write]`: prints figures; `--write` keeps them for docs/fleet.md.
 */
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs } from "node:util";
import { parse, stringify } from "yaml";
import { fleetLabels } from "../../src/kit/fleet-labels.ts";
import { AlertStack, type Notification } from "../../tools/alert-stack.ts";
import { debian, type Suite } from "../../tools/debian.ts";
import { FixtureHost } from "../alerts/exporter-faults.ts";
import { parseValues } from "../cli/exporter-process.ts";
import { type Results, withFigures } from "./figures.ts";
import { type Due, planFleet, SimulatedFleet } from "./simulated-fleet.ts";

const { values: flags } = parseArgs({
  options: {
    hosts: { type: "string", default: "1000" },
    scrape: { type: "string", default: "15" },
    "time-scale": { type: "string", default: "1" },
    suite: { type: "string", default: "machine" },
    write: { type: "boolean", default: false },
  },
});
const count = Number(flags.hosts);
const scrapeSeconds = Number(flags.scrape);
const timeScale = Number(flags["time-scale"]);
const suite = flags.suite as Suite;

interface Page {
  readonly timeMs: number;
  /** `cause place` of each alert that it tells. */
  readonly tells: readonly string[];
}
type Metrics = ReadonlyMap<string, number>;

const pages: Page[] = [];
const folder = await mkdtemp(join(tmpdir(), "ssh-reset-scale-"));
let stack: AlertStack | undefined;
let server: Server | undefined;
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => void end().then(() => process.exit(130)));
try {
  process.exitCode = (await runScale()) ? 0 : 1;
} finally {
  await end();
}

async function runScale(): Promise<boolean> {
  const tools = {
    prometheus: await debian("prometheus", suite),
    alertmanager: await debian("prometheus-alertmanager", suite),
  };
  const page = await realPage();
  const plan = planFleet(count);
  const fleet = new SimulatedFleet(page, plan.hosts);
  let startedMs = Number.POSITIVE_INFINITY;
  const scenarioSeconds = (): number => Math.max(0, ((Date.now() - startedMs) / 1000) * timeScale);
  server = await serve((index) => fleet.page(index, scenarioSeconds()));
  const address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  stack = await AlertStack.start({
    ...{ folder, ...tools, scrapeSeconds },
    settings: { timeScale },
    targets: plan.hosts.map(({ instance, labels }, index) => ({ instance, labels, address, path: `/host/${index}` })),
    flags: ["--web.enable-admin-api", "--web.enable-lifecycle"],
    onNotification: (notification) => receive(notification),
  });
  await everyHostSeen(stack);
  startedMs = Date.now();
  const seconds = Math.round(plan.until / timeScale);
  console.log(
    `${count} hosts, scraped every ${scrapeSeconds} s, time scale ${timeScale}: ${seconds} s, load ${load()} at the start`,
  );
  const watched = await watch(stack, () => scenarioSeconds() >= plan.until);
  const pagedWell = reportPages(plan.due, startedMs);
  const results = { ...(await measure(stack, watched, page)), pages: pageFigures(plan.due, startedMs) };
  console.log(JSON.stringify(results, undefined, 2));
  if (flags.write) {
    await writeFile("test/scale/results.json", `${JSON.stringify(results, undefined, 2)}\n`);
    await writeFile("docs/fleet.md", withFigures(await readFile("docs/fleet.md", "utf8"), results));
  }
  console.log(pagedWell ? "scale: ok" : "scale: wrong pages");
  return pagedWell;
}

/** The scenario begins when Prometheus has each host's first sample. */
async function everyHostSeen(running: AlertStack): Promise<void> {
  const deadline = Date.now() + (120 + 2 * scrapeSeconds) * 1000;
  while ((await running.query("count(up == 1)")) !== count) {
    if (Date.now() > deadline) throw new Error("Prometheus has not scraped every host");
    await delay(200);
  }
}

/** From the built exporter on a fixture host where people log in and are reset, so that peers have their series. */
async function realPage(): Promise<string> {
  const own = join(folder, "exporter");
  await mkdir(join(own, "state"), { recursive: true, mode: 0o700 });
  const host = new FixtureHost(own);
  const exporter = await host.start(own);
  try {
    host.everybodyLogsIn();
    await exporter.until("logins", (values) => (values.get("sshreset_known_peers") ?? 0) >= 4);
    host.sessionsReset(4);
    await exporter.until("resets", (values) => (values.get("sshreset_known_peers_reset") ?? 0) >= 4);
    return await (await exporter.get("/metrics")).text();
  } finally {
    await exporter.stop();
  }
}

async function serve(pageOf: (index: number) => string | undefined): Promise<Server> {
  const own = createServer((request, response) => {
    const [, index] = /^\/host\/(\d+)$/.exec(request.url ?? "") ?? [];
    const text = index === undefined ? undefined : pageOf(Number(index));
    if (text === undefined) response.writeHead(503).end();
    else response.setHeader("Content-Type", "text/plain; version=0.0.4").end(text);
  });
  own.keepAliveTimeout = 60_000;
  await new Promise<void>((done) => own.listen(0, "127.0.0.1", done));
  return own;
}

function receive({ status, alerts }: Notification): void {
  if (status !== "firing") return;
  const tells = alerts
    .filter((alert) => alert.status === "firing")
    .map(({ labels }) => {
      const place = ["instance", "version", fleetLabels.loadBalancer, fleetLabels.network].map(
        (label) => labels[label],
      );
      return `${labels["cause"]} ${place.find((value) => value !== undefined)}`;
    });
  pages.push({ timeMs: Date.now(), tells });
}

interface Watched {
  readonly seconds: number;
  readonly first: Metrics;
  readonly last: Metrics;
  readonly most: Metrics;
  /** Each rule group's evaluations, in seconds. */
  readonly evaluations: ReadonlyMap<string, readonly number[]>;
  readonly load: readonly number[];
}

/** Reads Prometheus' own metrics while it works; the first minute (or tenth) is its start and does not count. */
async function watch(running: AlertStack, done: () => boolean): Promise<Watched> {
  await delay(Math.min(60, 4 * scrapeSeconds) * 1000);
  const first = await ownMetrics(running);
  const startedMs = Date.now();
  const most = new Map(first);
  const evaluations = new Map<string, number[]>();
  const loads: number[] = [];
  let last = first;
  while (!done()) {
    await delay(Math.min(15, scrapeSeconds) * 1000);
    last = await ownMetrics(running);
    loads.push(loadavg()[0] ?? 0);
    for (const [name, value] of last) {
      most.set(name, Math.max(value, most.get(name) ?? value));
      const group = /^prometheus_rule_group_last_duration_seconds\{rule_group=".*;(.*)"\}$/.exec(name)?.[1];
      if (group !== undefined) evaluations.set(group, [...(evaluations.get(group) ?? []), value]);
    }
  }
  return { seconds: (Date.now() - startedMs) / 1000, first, last, most, evaluations, load: loads };
}

async function ownMetrics({ prometheus }: AlertStack): Promise<Metrics> {
  return parseValues(await (await fetch(`${prometheus}/metrics`)).text());
}

async function measure(running: AlertStack, watched: Watched, page: string): Promise<Omit<Results, "pages">> {
  const { first, last, most, seconds, evaluations } = watched;
  const sum = (metrics: Metrics, prefix: string): number =>
    [...metrics].reduce((total, [name, value]) => (name.startsWith(prefix) ? total + value : total), 0);
  const rate = (prefix: string): number => (sum(last, prefix) - sum(first, prefix)) / seconds;
  const series = (await running.query('count({job="ssh"}) / count(up == 1)')) ?? 0;
  const scraped = (await running.query("sum(scrape_samples_scraped)/count(scrape_samples_scraped > 0)")) ?? 0;
  const slowest = (await running.query("quantile(0.99, scrape_duration_seconds)")) ?? 0;
  const alertmanager = parseValues(await (await fetch(`${running.alertmanager}/metrics`)).text());
  const groups = [...evaluations].map(([group, values]) => {
    return [
      group.replace("ssh-reset-exporter.", ""),
      {
        meanMs: round(mean(values) * 1000),
        maxMs: round(Math.max(...values) * 1000),
      },
    ];
  });
  const perSample = await bytesPerSample(running);
  const cores = rate("process_cpu_seconds_total");
  const coresWithoutRules = await withoutRules(running);
  const version = [...last.keys()].find((name) => name.startsWith("prometheus_build_info"));
  return {
    date: new Date().toISOString().slice(0, 10),
    hosts: count,
    prometheus: /[{,]version="([^"]+)"/.exec(version ?? "")?.[1] ?? "",
    scrapeSeconds,
    watchedSeconds: Math.round(seconds),
    loadAverage: { mean: round(mean(watched.load)), max: Math.max(...watched.load) },
    page: { bytes: page.length, series: parseValues(page).size },
    seriesPerHost: {
      scraped: round(scraped),
      withRules: round(series),
      inMemory: last.get("prometheus_tsdb_head_series") ?? 0,
    },
    samplesPerSecond: Math.round(rate("prometheus_tsdb_head_samples_appended_total")),
    prometheusCores: { all: round(cores), withoutRules: round(coresWithoutRules) },
    ruleCpuMillisecondsPerHostAndEvaluation: round((((cores - coresWithoutRules) * scrapeSeconds) / count) * 1000),
    prometheusMemory: {
      maxResidentMb: Math.round((most.get("process_resident_memory_bytes") ?? 0) / 1e6),
      heapInUseMb: Math.round((last.get("go_memstats_heap_inuse_bytes") ?? 0) / 1e6),
    },
    ruleGroups: Object.fromEntries(groups),
    evaluationsMissed: sum(last, "prometheus_rule_group_iterations_missed_total"),
    evaluationFailures: sum(last, "prometheus_rule_evaluation_failures_total"),
    scrapeP99Ms: round(slowest * 1000),
    bytesPerSample: perSample,
    alertmanagerMemoryMb: Math.round((alertmanager.get("process_resident_memory_bytes") ?? 0) / 1e6),
  };
}

/** What Prometheus takes for scraping and storing alone: the rules are taken away for the last minute. */
async function withoutRules(running: AlertStack): Promise<number> {
  const path = join(folder, "prometheus.yml");
  const config = parse(await readFile(path, "utf8")) as Record<string, unknown>;
  await writeFile(path, stringify({ ...config, rule_files: [] }));
  const { status } = await fetch(`${running.prometheus}/-/reload`, { method: "POST" });
  if (status !== 200) throw new Error(`reload: ${status}`);
  await delay(2 * scrapeSeconds * 1000);
  const before = await ownMetrics(running);
  const startedMs = Date.now();
  await delay(4 * scrapeSeconds * 1000);
  const after = await ownMetrics(running);
  const used = (after.get("process_cpu_seconds_total") ?? 0) - (before.get("process_cpu_seconds_total") ?? 0);
  return (used * 1000) / (Date.now() - startedMs);
}

/** Of a block made from all that is in memory: chunks by sample, index by series. */
async function bytesPerSample(running: AlertStack): Promise<Results["bytesPerSample"]> {
  const samples = await totalOf(running, "prometheus_tsdb_head_samples_appended_total");
  const series = (await ownMetrics(running)).get("prometheus_tsdb_head_series") ?? 0;
  const answer = await fetch(`${running.prometheus}/api/v1/admin/tsdb/snapshot`, { method: "POST" });
  const { data } = (await answer.json()) as { data: { name: string } };
  const top = join(folder, "prometheus", "snapshots", data.name);
  let [chunks, index] = [0, 0];
  for (const block of await readdir(top)) {
    index += (await stat(join(top, block, "index"))).size;
    for (const file of await readdir(join(top, block, "chunks")))
      chunks += (await stat(join(top, block, "chunks", file))).size;
  }
  return { chunkBytesPerSample: round(chunks / samples), indexBytesPerSeries: round(index / series) };
}

async function totalOf(running: AlertStack, prefix: string): Promise<number> {
  const metrics = await ownMetrics(running);
  return [...metrics].reduce((total, [name, value]) => (name.startsWith(prefix) ? total + value : total), 0);
}

/** What came against what must come, in words. */
function reportPages(due: readonly Due[], startedMs: number): boolean {
  const wrong: string[] = [];
  for (const { cause, place, at } of due) {
    const own = pages.filter(({ tells }) => tells.includes(`${cause} ${place}`));
    if (own.length !== 1) wrong.push(`${cause} ${place}: ${own.length} pages instead of one`);
    const early = own.some(({ timeMs }) => timeMs < startedMs + (at * 1000) / timeScale);
    if (early) wrong.push(`${cause} ${place}: paged before it began`);
  }
  const wanted = new Set(due.map(({ cause, place }) => `${cause} ${place}`));
  for (const { tells } of pages)
    for (const told of tells) if (!wanted.has(told)) wrong.push(`nobody asked for: ${told}`);
  for (const text of wrong) console.log(`WRONG ${text}`);
  return wrong.length === 0;
}

/** Latencies in real seconds: from the reason to the page, and what of it is not the rules' own waiting. */
function pageFigures(due: readonly Due[], startedMs: number): Results["pages"] {
  const late = (ofFleet: boolean, waiting: (due: Due) => number): number[] =>
    due
      .filter((one) => one.ofFleet === ofFleet)
      .flatMap((one) => {
        const page = pages.find(({ tells }) => tells.includes(`${one.cause} ${one.place}`));
        if (page === undefined) return [];
        return (page.timeMs - startedMs - ((one.at + waiting(one)) * 1000) / timeScale) / 1000;
      });
  const spread = (values: number[]) => {
    values.sort((a, b) => a - b);
    const at = (share: number): number => round(values[Math.floor(share * (values.length - 1))] ?? Number.NaN);
    return { min: at(0), median: at(0.5), p95: at(0.95), max: at(1) };
  };
  return {
    due: due.length,
    sent: pages.length,
    singleHostSeconds: spread(late(false, () => 0)),
    singleHostBeyondTheRulesWaitingSeconds: spread(late(false, ({ waits }) => waits)),
    fleetSeconds: spread(late(true, () => 0)),
    fleetBeyondTheRulesWaitingSeconds: spread(late(true, ({ waits }) => waits)),
  };
}

function round(value: number): number {
  return Number(value.toPrecision(3));
}

function mean(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0) / values.length;
}

function load(): string {
  return loadavg()
    .map((value) => value.toFixed(1))
    .join(" ");
}

async function end(): Promise<void> {
  await stack?.stop();
  stack = undefined;
  server?.closeAllConnections();
  server?.close();
  server = undefined;
  await rm(folder, { recursive: true, force: true });
}
