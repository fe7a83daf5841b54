/**
 * The same rules in other stores: a fleet of forty hosts (test/scale) is scraped three times at once, and the shipped files
 * are evaluated by the oldest Prometheus, by the newest as the central one that an agent writes to, and by VictoriaMetrics'
 * vmalert. All must fire the same alerts, those that the fleet's plan asks for among them. Time runs faster by the kit's
 * time scale.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { stringify } from "yaml";
import { alertFiles } from "../../src/kit/alert-files.ts";
import { defaultSettings } from "../../src/kit/settings.ts";
import { freeAddress } from "../../tools/alert-stack.ts";
import { debian, debianOr, type Program, type Suite } from "../../tools/debian.ts";
import { isFull } from "../../tools/full.ts";
import { waitFor } from "../cli/exporter-process.ts";
import { planFleet, SimulatedFleet } from "../scale/simulated-fleet.ts";

type Labels = Readonly<Record<string, string>>;

const timeScale = 5;
const scrapeSeconds = 3;
/** VictoriaMetrics takes what a series begins with for an increase: nothing may happen before the longest such window is over. */
const healthySeconds = 630;
const plan = planFleet(40);
/** What every store must have said by then; singles begin at 120 s and wait up to four minutes. */
const untilSeconds = 480;

/** The stores' names are the paths under which their alerts arrive. */
const stores = ["prometheus", "central", "victoria-metrics"] as const;
type Store = (typeof stores)[number];

if (isFull) describe("the rules in other stores", theSameAlerts);

function theSameAlerts(): void {
  let folder: string;
  let fleetServer: Server;
  let alertServer: Server;
  const children: ChildProcess[] = [];
  const arrived = new Map<string, Set<string>>(stores.map((store) => [store, new Set()]));
  let startedMs = Number.POSITIVE_INFINITY;

  before(async function () {
    for (const program of ["prometheus", "victoria-metrics", "vmalert"] as const)
      await debianOr(this, program, "bookworm");
    await debianOr(this, "prometheus", "sid");
    this.timeout(600_000);
    folder = await mkdtemp(join(tmpdir(), "ssh-reset-stores-"));
    const page = await readFile("test/fixtures/whole-binary/logfile.prom", "utf8");
    const fleet = new SimulatedFleet(page, plan.hosts);
    // One page for all three that ask for it within one interval.
    const pages = new Map<number, { readonly seconds: number; readonly text: string | undefined }>();
    const pageAt = (index: number, at: number): string | undefined => {
      const kept = pages.get(index);
      const page = kept?.seconds === at ? kept : { seconds: at, text: fleet.page(index, at) };
      pages.set(index, page);
      return page.text;
    };
    const seconds = (): number => Math.max(0, ((Date.now() - startedMs) / 1000) * timeScale - healthySeconds);
    fleetServer = await listen((path) => {
      const [, index = ""] = /^\/host\/(\d+)$/.exec(path) ?? [];
      return pageAt(Number(index), Math.floor(seconds() / (timeScale * scrapeSeconds)) * timeScale * scrapeSeconds);
    });
    alertServer = await listen((path, body) => {
      receive(path.split("/")[1] ?? "", body);
      return "{}";
    });
    for (const [name, text] of alertFiles({ ...defaultSettings, timeScale }))
      if (name.endsWith(".rules.yml")) await writeFile(join(folder, name.replace("alerts/", "")), text);
    const prometheus = await startPrometheus("prometheus", "bookworm", scraping());
    const central = await startCentral("central", "sid", ["--agent"]);
    const victoria = await startVictoria();
    for (const [store, url] of Object.entries({ prometheus, central, victoria })) {
      let seen = 0;
      await waitFor(
        `every host's first sample in ${store}`,
        60_000,
        async () => {
          seen = await query(url, "count(last_over_time(sshreset_build_info[1m]))");
          return seen === plan.hosts.length ? true : undefined;
        },
        () => `seen: ${seen}`,
      );
    }
    startedMs = Date.now();
  });
  after(async function () {
    this.timeout(60_000);
    await Promise.all(children.splice(0).map(end));
    for (const server of [fleetServer, alertServer]) {
      server?.closeAllConnections();
      server?.close();
    }
    await rm(folder, { recursive: true, force: true });
  });

  it("fire the same alerts", async function () {
    const seconds = (healthySeconds + untilSeconds) / timeScale;
    this.timeout((seconds + 150) * 1000);
    await waitFor("the end of the scenario", (seconds + 30) * 1000, async () =>
      Date.now() > startedMs + seconds * 1000 ? true : undefined,
    );
    const of = (store: Store): string[] => [...(arrived.get(store) ?? [])].sort();
    const due = plan.due
      .filter(({ at, waits }) => at + waits < untilSeconds)
      .map(({ cause, place }) => `${cause} ${place}`);
    expect(due).to.include("fleet_network n1").and.to.have.length.above(5);
    expect(of("prometheus")).to.include.members(due);
    // vmalert shows a rule what another one has recorded one evaluation later: it comes to the same, later.
    const same = (): boolean => stores.every((store) => of(store).join() === of("prometheus").join());
    await waitFor("the same alerts", 120_000, async () => (same() ? true : undefined)).catch(() => undefined);
    for (const store of stores) expect(of(store), store).to.deep.equal(of("prometheus"));
  });

  function receive(store: string, body: string): void {
    for (const { labels, endsAt } of JSON.parse(body) as { labels: Labels; endsAt?: string }[]) {
      if (endsAt !== undefined && Date.parse(endsAt) < Date.now()) continue;
      const place = ["instance", "version", "load_balancer", "network"].map((label) => labels[label]);
      arrived.get(store)?.add(`${labels["cause"]} ${place.find((value) => value !== undefined)}`);
    }
  }

  /** Targets as each of the stores understands them. */
  function scraping() {
    const address = `127.0.0.1:${(fleetServer.address() as AddressInfo).port}`;
    return {
      global: { scrape_interval: `${scrapeSeconds}s`, evaluation_interval: `${scrapeSeconds}s` },
      scrape_configs: [
        {
          job_name: "ssh",
          static_configs: plan.hosts.map(({ instance, labels }, index) => ({
            targets: [address],
            labels: { ...labels, instance, __metrics_path__: `/host/${index}` },
          })),
        },
      ],
    };
  }

  const alertPort = (): string => `127.0.0.1:${(alertServer.address() as AddressInfo).port}`;

  function ruling(store: Store) {
    return {
      rule_files: [join(folder, "*.rules.yml")],
      alerting: { alertmanagers: [{ path_prefix: `/${store}`, static_configs: [{ targets: [alertPort()] }] }] },
    };
  }

  async function startPrometheus(store: Store, suite: Suite, config: object, flags: readonly string[] = []) {
    const url = await freeAddress();
    const file = join(folder, `${store}.yml`);
    await writeFile(file, stringify({ ...config, ...ruling(store) }, { aliasDuplicateObjects: false }));
    await start("prometheus", suite, `http://${url}/-/ready`, [
      `--config.file=${file}`,
      `--storage.tsdb.path=${join(folder, store)}`,
      `--web.listen-address=${url}`,
      "--rules.alert.resend-delay=5s",
      ...flags,
    ]);
    return `http://${url}`;
  }

  /** Rules in the middle, scrapes by an agent that only forwards. */
  async function startCentral(store: Store, suite: Suite, agentFlags: readonly string[]): Promise<string> {
    const { global } = scraping();
    const central = await startPrometheus(store, suite, { global }, ["--web.enable-remote-write-receiver"]);
    const url = await freeAddress();
    const file = join(folder, `${store}-forwards.yml`);
    const remote = { url: `${central}/api/v1/write`, queue_config: { batch_send_deadline: "200ms" } };
    await writeFile(file, stringify({ ...scraping(), remote_write: [remote] }, { aliasDuplicateObjects: false }));
    await start("prometheus", suite, `http://${url}/-/ready`, [
      ...agentFlags,
      `--config.file=${file}`,
      `--storage.agent.path=${join(folder, `${store}-forwards`)}`,
      `--web.listen-address=${url}`,
    ]);
    return central;
  }

  async function startVictoria(): Promise<string> {
    const [store, ruler] = [await freeAddress(), await freeAddress()];
    const file = join(folder, "promscrape.yml");
    const { evaluation_interval: _, ...global } = scraping().global;
    await writeFile(file, stringify({ ...scraping(), global }, { aliasDuplicateObjects: false }));
    await start("victoria-metrics", "bookworm", `http://${store}/health`, [
      `-promscrape.config=${file}`,
      `-storageDataPath=${join(folder, "victoria")}`,
      `-httpListenAddr=${store}`,
      // By default the last 30 s are not shown: two evaluations at 15 s, and too much for the time scale.
      "-search.latencyOffset=0s",
    ]);
    await start("vmalert", "bookworm", `http://${ruler}/health`, [
      `-rule=${join(folder, "*.rules.yml")}`,
      `-datasource.url=http://${store}`,
      `-remoteWrite.url=http://${store}`,
      "-remoteWrite.flushInterval=200ms",
      `-notifier.url=http://${alertPort()}/victoria-metrics`,
      `-httpListenAddr=${ruler}`,
      `-evaluationInterval=${scrapeSeconds}s`,
    ]);
    return `http://${store}`;
  }

  async function start(program: Program, suite: Suite, ready: string, args: readonly string[]): Promise<void> {
    const { path, env } = await debian(program, suite);
    const child = spawn(path, args, { env, stdio: ["ignore", "ignore", "pipe"] });
    children.push(child);
    let said = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      said = (said + text).slice(-4000);
    });
    await waitFor(`${program} to be ready`, 60_000, async () => {
      if (child.exitCode !== null) throw new Error(`${program} ended with ${child.exitCode}: ${said}`);
      return (await fetch(ready).catch(() => undefined))?.ok ? true : undefined;
    });
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, "exit");
  child.kill("SIGTERM");
  const late = setTimeout(() => child.kill("SIGKILL"), 10_000);
  await gone;
  clearTimeout(late);
}

async function listen(answer: (path: string, body: string) => string | undefined): Promise<Server> {
  const server = createServer((request, response) => {
    let body = "";
    request.setEncoding("utf8").on("data", (chunk: string) => {
      body += chunk;
    });
    request.on("end", () => {
      const text = answer(request.url ?? "", body);
      if (text === undefined) response.writeHead(503).end();
      else response.setHeader("Content-Type", "text/plain; version=0.0.4").end(text);
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return server;
}

async function query(url: string, expression: string): Promise<number> {
  const answer = await fetch(`${url}/api/v1/query?query=${encodeURIComponent(expression)}`);
  const { data } = (await answer.json()) as { data?: { result?: { value: [number, string] }[] } };
  return Number(data?.result?.[0]?.value[1] ?? Number.NaN);
}
