/**
 * The live chain: a real Prometheus with our rules, a real Alertmanager with our routes and inhibition, and a webhook.
 * A replay: one process serves the pages of many hosts, each with one fault or two, time running faster by the kit's own
 * time scale. Every fault must earn exactly one page, its own, and its resolution. With --exporter no replay: the built
 * exporter, one process for each fault, on a fixture host whose log and /proc show the fault.
 * `node --import=tsx test/alerts/live-chain.ts [--suite SUITE] [--short] [--singles | --exporter]`
 * --short: only what is over within half an hour of the fault.
 */
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs } from "node:util";
import { catalogue } from "../../src/diagnosis/catalogue.ts";
import type { Cause } from "../../src/diagnosis/cause.ts";
import { followers } from "../../src/kit/alertmanager.ts";
import { AlertStack, type Notification } from "../../tools/alert-stack.ts";
import { debian, type Suite } from "../../tools/debian.ts";
import type { ExporterProcess } from "../cli/exporter-process.ts";
import { exporterFaults, FixtureHost } from "./exporter-faults.ts";
import { faults, knownPeersReset, scanners } from "./scenarios.ts";
import { type Change, SimulatedHost } from "./simulated-host.ts";

/** A scrape and an evaluation each second stand for the shipped 15 s. */
const timeScale = 15;
/** Scenario seconds of health before the faults. */
const faultAt = 300;

interface Trial {
  readonly name: string;
  readonly changes: readonly Change[];
  /** Causes that must page, and no other. */
  readonly pages: readonly string[];
  /** Scenario seconds until all is over. */
  readonly until: number;
  /** What cannot end while it is watched. */
  readonly endless?: boolean;
}

interface Received extends Notification {
  readonly timeMs: number;
}

const { values: flags } = parseArgs({
  options: {
    suite: { type: "string", default: "machine" },
    singles: { type: "boolean", default: false },
    exporter: { type: "boolean", default: false },
    short: { type: "boolean", default: false },
  },
});
const shortSeconds = 1800;
const every = flags.exporter ? throughExporter() : flags.singles ? singles() : [...singles(), ...pairs()];
const trials = flags.short ? every.filter(({ until }) => until < faultAt + shortSeconds) : every;
const exporters: ExporterProcess[] = [];
const notifications = new Map<string, Received[]>();
let stack: Promise<AlertStack> | undefined;
const folder = await mkdtemp(join(tmpdir(), "ssh-reset-chain-"));
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => void end().then(() => process.exit(130)));
try {
  process.exitCode = (await runChain()) ? 0 : 1;
} finally {
  await end();
}

function singles(): Trial[] {
  const own = catalogue.map(({ id, severity }) => ({
    name: id,
    changes: faults[id].changes(faultAt),
    pages: severity === "info" ? [] : [id],
    until: faultAt + faults[id].until,
  }));
  return [
    ...own,
    {
      name: "peer_reset",
      changes: knownPeersReset(faultAt, 4, "session"),
      pages: ["peer_reset"],
      until: faultAt + 900,
    },
    { name: "scanners", changes: scanners, pages: [], until: faultAt + 900 },
    { name: "idle host", changes: [], pages: [], until: faultAt + 900 },
  ];
}

/** known_peers_reset remembers ten real minutes: the symptom does not end here; the replay shows its end. */
function throughExporter(): Trial[] {
  return exporterFaults.map(({ cause, lasts = false }) => ({
    name: cause,
    changes: [],
    pages: catalogue.find(({ id }) => id === cause)?.severity === "info" ? [] : [cause],
    until: faultAt + 1700,
    endless: lasts || cause === "peer_reset",
  }));
}

/** Causes that follow from each other, and each cause with the next one of the catalogue, on one host. */
function pairs(): Trial[] {
  const inTime = catalogue.filter(({ id }) => faults[id].until < shortSeconds);
  return inTime.flatMap((one, index) =>
    inTime.slice(index + 1).flatMap((other, distance) => {
      const related = follows(one, other) || follows(other, one);
      if (!related && distance > 0) return [];
      return {
        name: `${one.id} + ${other.id}`,
        changes: [...faults[one.id].changes(faultAt), ...faults[other.id].changes(faultAt)],
        pages: [one, other].flatMap((cause) => (pages(cause, cause === one ? other : one) ? [cause.id] : [])),
        until: faultAt + Math.max(faults[one.id].until, faults[other.id].until),
      };
    }),
  );
}

function follows(cause: Cause, root: Cause): boolean {
  return followers(catalogue, root.id).includes(cause.id);
}

/** Information never pages, nor does what follows from the other one; but what outlasts its root is a fault of its own. */
function pages(cause: Cause, other: Cause): boolean {
  if (cause.severity === "info") return false;
  // A crash and an OOM kill stay active while nothing listens.
  if (cause.id === "sshd_down" && other.stay !== undefined && follows(cause, other)) return false;
  return !follows(cause, other) || faults[cause.id].until > faults[other.id].until;
}

async function runChain(): Promise<boolean> {
  const suite = flags.suite as Suite;
  const [prometheus, alertmanager] = [
    await debian("prometheus", suite),
    await debian("prometheus-alertmanager", suite),
  ];
  let startedMs = Date.now();
  const scenarioSeconds = (): number => ((Date.now() - startedMs) / 1000) * timeScale;
  const hosts = trials.map(({ changes }) => new SimulatedHost(changes));
  const server = await serveReplay((index) => hosts[index]?.page(scenarioSeconds()) ?? "");
  const replay = (server.address() as AddressInfo).port;
  const fixtures = flags.exporter ? await startExporters() : [];
  const targets = trials.map(({ name }, index) => {
    const exporter = exporters[index];
    return exporter === undefined
      ? { instance: name, address: `127.0.0.1:${replay}`, path: `/host/${index}` }
      : { instance: name, address: new URL(exporter.url).host };
  });
  stack = AlertStack.start({
    ...{ folder, prometheus, alertmanager, targets },
    settings: { timeScale },
    onNotification: receive,
  });
  await stack;
  // Prometheus asks each target for the first time within one scrape interval of its start, at a time of its own.
  startedMs = Date.now();
  const lastSeconds = Math.max(...trials.map((trial) => trial.until)) + 300;
  console.log(
    `${trials.length} hosts, ${suite}: ${Math.round(lastSeconds / timeScale)} s at a time scale of ${timeScale}`,
  );
  if (flags.exporter) await play(fixtures, scenarioSeconds);
  await until("all is over", 600, async () => scenarioSeconds() > lastSeconds);
  server.close();
  return report(startedMs + (faultAt / timeScale) * 1000);
}

async function startExporters(): Promise<FixtureHost[]> {
  const hosts: FixtureHost[] = [];
  for (const { name } of trials) {
    const own = join(folder, name);
    await mkdir(join(own, "state"), { recursive: true, mode: 0o700 });
    const host = new FixtureHost(own);
    exporters.push(await host.start(own));
    host.everybodyLogsIn();
    hosts.push(host);
  }
  return hosts;
}

/** Injects every fault at its time, keeps it up, heals it after half a minute; meanwhile somebody logs in now and then. */
async function play(hosts: readonly FixtureHost[], scenarioSeconds: () => number): Promise<void> {
  const [faultSecond, healSecond] = [faultAt / timeScale, faultAt / timeScale + 30];
  const done = new Set<unknown>();
  const once = (what: unknown, work: (() => void) | undefined): void => {
    if (!done.has(what)) work?.();
    done.add(what);
  };
  for (let second = 0; second < healSecond + 75; second = scenarioSeconds() / timeScale) {
    for (const [index, { inject, again, heal }] of exporterFaults.entries()) {
      const host = hosts[index];
      if (host === undefined) continue;
      if (second >= faultSecond) once(inject, () => inject(host));
      if (second >= faultSecond && second < healSecond) again?.(host, second);
      if (second >= healSecond && heal !== undefined) once(heal, () => heal(host));
      host.login();
    }
    await delay(1000);
  }
}

async function serveReplay(page: (index: number) => string): Promise<Server> {
  const server = createServer((request, response) => {
    const host = /^\/host\/(\d+)$/.exec(request.url ?? "");
    if (host !== null) {
      response.setHeader("Content-Type", "text/plain; version=0.0.4").end(page(Number(host[1])));
      return;
    }
    response.writeHead(404).end();
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  return server;
}

function receive(notification: Notification): void {
  const instance = notification.alerts[0]?.labels["instance"] ?? "";
  const own = notifications.get(instance) ?? [];
  notifications.set(instance, [...own, { ...notification, timeMs: Date.now() }]);
}

/** Holds what came against what must come; prints every difference and the latencies. */
function report(faultMs: number): boolean {
  const wrong: string[] = [];
  const latencies: number[] = [];
  let pages = 0;
  for (const { name, pages: wanted, endless } of trials) {
    const own = notifications.get(name) ?? [];
    const firing = own.filter(({ status }) => status === "firing");
    const paged = new Set(firing.flatMap(({ alerts }) => alerts.map(({ labels }) => labels["cause"] ?? "")));
    const says = (text: string): void => void wrong.push(`${name}: ${text}`);
    if ([...paged].sort().join() !== [...wanted].sort().join())
      says(`paged [${[...paged].join(", ")}], wanted [${wanted.join(", ")}]`);
    pages += firing.length;
    if (wanted.length === 0) continue;
    if (wanted.length === 1 && firing.length !== 1) says(`${firing.length} pages instead of one`);
    const [first] = firing;
    if (first !== undefined) latencies.push(first.timeMs - faultMs);
    const last = own.at(-1);
    if (endless) continue;
    if (last?.status !== "resolved") says("not resolved");
    for (const { annotations, labels } of last?.alerts ?? []) {
      if (!/^(Proven|Not yet proven): /.test(annotations["recovery"] ?? ""))
        says(`${labels["cause"]}: resolved without a word on the fix: "${annotations["recovery"]}"`);
    }
    for (const { annotations, labels } of first?.alerts ?? []) {
      if (!/Evidence on .*: \S/.test(annotations["description"] ?? ""))
        says(`${labels["cause"]}: page without evidence: "${annotations["description"]}"`);
    }
  }
  latencies.sort((a, b) => a - b);
  const at = (share: number): string =>
    ((latencies[Math.floor(share * (latencies.length - 1))] ?? 0) / 1000).toFixed(1);
  console.log(
    `${pages} pages on ${trials.length} hosts, ${trials.filter((trial) => trial.pages.length > 0).length} with a page due`,
  );
  console.log(
    `evidence to page, scrape 1 s, windows / ${timeScale}: min ${at(0)} s, median ${at(0.5)} s, max ${at(1)} s`,
  );
  for (const text of wrong) console.log(`WRONG ${text}`);
  console.log(wrong.length === 0 ? "live chain: ok" : `live chain: ${wrong.length} wrong`);
  return wrong.length === 0;
}

async function until(what: string, seconds: number, holds: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + seconds * 1000;
  while (!(await holds().catch(() => false))) {
    if (Date.now() > deadline) throw new Error(`${what}: not within ${seconds} s`);
    await delay(200);
  }
}

async function end(): Promise<void> {
  for (const exporter of exporters.splice(0)) await exporter.stop();
  await stack?.then(
    (running) => running.stop(),
    () => undefined,
  );
  await rm(folder, { recursive: true, force: true });
}
