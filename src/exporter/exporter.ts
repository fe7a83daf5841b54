/**
 * The running exporter: sources pumped into the counts, counts committed and shown at a scrape, collectors read, causes
 * judged. Everything is wired here and nothing is computed.
 */
import { setMaxListeners } from "node:events";
import { hostname } from "node:os";
import { setTimeout as delay, setImmediate as nextTurn } from "node:timers/promises";
import type { Logger } from "pino";
import { collectorModules } from "../collectors/index.ts";
import { type CollectorState, type RunningCollectors, runCollectors } from "../collectors/run.ts";
import { SocketTable } from "../collectors/socket-table.ts";
import { findSshdPorts } from "../collectors/sshd-process.ts";
import type { Config } from "../config/options.ts";
import { EvidenceLines } from "../diagnose/evidence-lines.ts";
import type { Verdict } from "../diagnosis/verdict.ts";
import { expose, type Format, type Written } from "../metrics/exposition.ts";
import { ownMetrics } from "../metrics/own.ts";
import type { ChecklistReport } from "../model/checklist.ts";
import type { HostPaths } from "../model/collector.ts";
import type { MetricDef, Sample } from "../model/metric.ts";
import type { SourceName } from "../model/record.ts";
import type { Source } from "../model/source.ts";
import { loadSnapshot, openStateDirectory, SnapshotFile } from "../state/snapshot.ts";
import { tallyMetrics } from "../tallies/index.ts";
import { UnknownCollector } from "../web/app.ts";
import type { Part, Status } from "../web/status-page.ts";
import { Committer } from "./committer.ts";
import { Counting, type CountingOptions } from "./counting.ts";
import { Judging, judgeIntervalMs } from "./judging.ts";
import { learnKnownPeers } from "./learn-known-peers.ts";
import { ownNetNamespace } from "./net-namespace.ts";
import { openSources, planSources, type SourcePlan } from "./open-sources.ts";
import { peersHashKey } from "./peers-hash-key.ts";
import { processSamples } from "./process-samples.ts";
import { stateDirectory } from "./state-directory.ts";

const countsFile = "counts.json";
const samplesFile = "samples.json";
/** Evidence that waits for its other half waits by this clock. */
const tickMs = 250;
const portsMs = 30_000;
/** A source that has not begun by then is on a host so busy that scrapes shall not wait for it. */
const beginningsMs = 2_000;

export interface ExporterOptions {
  readonly log: Logger;
  readonly version: string;
}

export class Exporter {
  readonly #config: Config;
  readonly #log: Logger;
  readonly #version: string;
  readonly #directory: string;
  readonly #paths: HostPaths;
  readonly #plan: SourcePlan;
  readonly #sources: readonly Source[];
  readonly #counting: Counting;
  readonly #committer: Committer;
  readonly #collectors: RunningCollectors;
  readonly #savedCounts: SnapshotFile;
  readonly #savedSamples: SnapshotFile;
  readonly #judging: Judging;
  readonly #definitions: readonly MetricDef[];
  readonly #written: Readonly<Record<Format, Written>> = { text: new Map(), openmetrics: new Map() };
  readonly #pages = new Map<string, Promise<string>>();
  readonly #sockets = new SocketTable();
  readonly #evidence: EvidenceLines | undefined;
  readonly #abort = new AbortController();
  #sshdPorts: readonly number[];
  #collectorStates: readonly CollectorState[] = [];
  #running: Promise<unknown> = Promise.resolve();
  #begun: Promise<void> = Promise.resolve();
  #reloadSuccessful = true;

  /** Checks the configuration and loads the state; starts nothing. Throws ConfigError, StateError. */
  constructor(config: Config, { log, version }: ExporterOptions) {
    this.#config = config;
    this.#log = log;
    this.#version = version;
    this.#paths = {
      procfs: config["path.procfs"],
      sysfs: config["path.sysfs"],
      rootfs: config["path.rootfs"],
      tracefs: config["path.tracefs"],
    };
    const given = [...new Set(config["sshd.port"])].sort((a, b) => a - b);
    this.#sshdPorts = given.length > 0 ? given : [22];
    this.#plan = planSources(config);
    const { path, create } = stateDirectory(config["state.directory"]);
    openStateDirectory(path, create);
    this.#directory = path;
    this.#evidence = config["web.show-evidence"] ? new EvidenceLines() : undefined;
    this.#savedCounts = new SnapshotFile(path, countsFile);
    this.#savedSamples = new SnapshotFile(path, samplesFile);
    this.#counting = this.#loadCounting();
    const saveSamples = async (state: unknown) => {
      await this.#savedSamples
        .commit(state)
        .then(({ settled }) => settled)
        .catch((error: unknown) =>
          log.warn({ directory: path, error: String(error) }, "cannot save the samples of the last hour"),
        );
    };
    this.#judging = this.#load(samplesFile, (saved) => new Judging(saveSamples, saved)) ?? new Judging(saveSamples);
    this.#committer = new Committer(
      this.#counting,
      (state, onTaken) => this.#savedCounts.commit(state, onTaken),
      (error) =>
        log.error({ directory: path, error: String(error) }, "cannot commit the state; counters go on in memory"),
    );
    this.#sources = openSources(this.#plan, {
      config,
      position: (source) => this.#counting.position(source),
      sshdPorts: () => this.#sshdPorts,
      onWarning: this.#warn,
    });
    this.#collectors = runCollectors(
      collectorModules.filter(({ name }) => config.collectors.includes(name)),
      {
        paths: this.#paths,
        nowMs: Date.now,
        sshdPorts: () => this.#sshdPorts,
        onWarning: this.#warn,
        onSockets: (reading) => this.#sockets.update(reading),
        ...(this.#source("tcp_trace") && { recentResets: () => this.#counting.recentResets.list(Date.now()) }),
      },
    );
    this.#definitions = [...ownMetrics, ...tallyMetrics, ...this.#collectors.metrics];
  }

  start(): void {
    const { signal } = this.#abort;
    // One per part that waits for the end: more than node's guess at a leak.
    setMaxListeners(100, signal);
    this.#begun = this.#keepBeginnings(signal);
    this.#running = Promise.all([
      this.#begun,
      ...this.#sources.map((source) => this.#pump(source, signal)),
      this.#collectors.run(signal),
      every(tickMs, signal, () => this.#committer.change(() => this.#counting.tick(Date.now()))),
      every(portsMs, signal, () => this.#findPorts()),
      every(judgeIntervalMs, signal, () => this.judge()),
      learnKnownPeers(this.#plan.selection, this.#config["source.from-beginning"], this.#log, signal, {
        counting: this.#counting,
        change: (change) => this.#committer.change(change),
      }),
    ]);
    this.#running.catch((error: unknown) => {
      this.#log.fatal({ error: error instanceof Error ? error.stack : String(error) }, "this is a bug");
      process.exit(70);
    });
  }

  /** Ends everything that `start` began and saves the state. */
  async stop(): Promise<void> {
    this.#abort.abort();
    await this.#running;
    await this.#committer.commit();
    await this.#judging.save();
    await Promise.all([this.#savedCounts.settled, this.#savedSamples.settled]);
  }

  /** A reload was asked for and its configuration was bad. */
  reloadFailed(): void {
    this.#reloadSuccessful = false;
  }

  /** The page that Prometheus reads, one for all who ask at the same time: a thousand scrapes at once cost as much as one. */
  expose(format: Format, collect: readonly string[] | undefined): Promise<string> {
    const key = [format, ...(collect ?? [])].join();
    let page = this.#pages.get(key);
    if (page === undefined) {
      page = this.#page(format, collect).finally(() => this.#pages.delete(key));
      this.#pages.set(key, page);
    }
    return page;
  }

  /** `collect` names the only collectors wanted, and leaves out all else. */
  async #page(format: Format, collect: readonly string[] | undefined): Promise<string> {
    const unknown = collect?.find((name) => !this.#collectors.names.includes(name));
    if (unknown !== undefined) {
      throw new UnknownCollector(
        `no collector ${JSON.stringify(unknown)}; there are: ${this.#collectors.names.join(", ")}`,
      );
    }
    const samples = collect ? (await this.#collectors.collect(new Set(collect))).samples : await this.#gather();
    await nextTurn();
    return expose(this.#definitions, samples, format, this.#written[format]);
  }

  status(): Status {
    return {
      version: this.#version,
      host: hostname(),
      sources: [...this.#sources.map(sourcePart), ...this.#plan.absent],
      collectors: this.#collectorStates.map(collectorPart),
    };
  }

  /** `withLines`: who asks may read the log. They are kept only with --web.show-evidence. */
  checklist(withLines: boolean): ChecklistReport {
    const nowMs = Date.now();
    return this.#judging.checklist(nowMs, withLines ? this.#evidence?.told(nowMs) : undefined);
  }

  /** Undefined when every source is open. */
  notReady(): string | undefined {
    const closed = this.#sources.find((source) => !source.status().up);
    return closed && `the source ${closed.name} is not reading: ${closed.status().reason ?? "it has not begun"}`;
  }

  /** Judges the causes now; by itself it does so every 15 seconds. */
  async judge(): Promise<void> {
    // What is saved of them must not be ahead of the counts that the next life begins with.
    const samples = this.#judging.savesNext ? this.#gather() : this.#gather(() => this.#committer.uncommitted());
    await this.#judging.judge(Date.now(), await samples);
  }

  verdicts(): readonly Verdict[] {
    return this.#judging.diagnosis.verdicts(Date.now());
  }

  #warn = (message: string, details?: Readonly<Record<string, unknown>>): void => {
    this.#log.warn({ ...details }, message);
  };

  #source(name: SourceName): Source | undefined {
    return this.#sources.find((source) => source.name === name);
  }

  #loadCounting(): Counting {
    const config = this.#config;
    const evidence = this.#evidence;
    const options: CountingOptions = {
      sources: this.#plan.names,
      ...(evidence && {
        onEvent: (event, record) => evidence.take(event, record, (address) => this.#counting.isKnown(address)),
      }),
      onBrokenRecord: (error, source) =>
        this.#log.error({ source, error: String(error) }, "a record was skipped; this is a bug"),
      ledger: {
        flowLogs: this.#plan.names.includes("flow_log"),
        haproxy: this.#plan.names.includes("haproxy"),
        netNamespace: ownNetNamespace(this.#paths.procfs),
        kernelVisible: () => this.#source("tcp_trace")?.status().up === true,
        idleMsOf: (address, port) => this.#sockets.idleMsOf(address, port, Date.now()),
        peers: {
          proxies: config["peers.proxy"],
          healthChecks: config["peers.health-check"],
          ipv6PrefixLength: config["peers.prefix-length"],
          show: config["peers.show"],
          hashKey: config["peers.hash"] ? peersHashKey(this.#directory) : undefined,
        },
      },
    };
    return this.#load(countsFile, (saved) => new Counting(options, saved)) ?? new Counting(options);
  }

  #load<T>(fileName: string, restore: (data: unknown) => T): T | undefined {
    const { value, setAside } = loadSnapshot(this.#directory, fileName, restore);
    if (setAside) this.#log.warn(setAside, `the saved ${fileName} is of no use and was set aside; starting fresh`);
    return value;
  }

  async #pump(source: Source, signal: AbortSignal): Promise<void> {
    for await (const batch of source.batches(signal)) {
      await this.#committer.change(() => this.#counting.take(source.name, batch));
    }
  }

  async #findPorts(): Promise<void> {
    if (this.#config["sshd.port"].length > 0) return;
    try {
      this.#sshdPorts = (await findSshdPorts(this.#paths)).ports;
    } catch (error) {
      this.#log.warn(
        { error: String(error), ports: this.#sshdPorts },
        "cannot look for sshd's ports, going on with these",
      );
    }
  }

  /**
   * The places where logs are begun are kept before anything is shown: after a kill -9 right at the start, the next life
   * goes on from there. Sources that begin with their first event have no place yet.
   */
  async #keepBeginnings(signal: AbortSignal): Promise<void> {
    const logs = this.#sources.filter(({ name }) => name !== "tcp_trace" && name !== "flow_log");
    const deadline = Date.now() + beginningsMs;
    while (logs.some(({ name }) => this.#counting.position(name) === undefined)) {
      if (signal.aborted || Date.now() > deadline) break;
      await delay(5, undefined, { signal }).catch(() => undefined);
    }
    await this.#committer.commit();
  }

  /** Everything there is to show now. */
  async #gather(count = () => this.#committer.samples()): Promise<readonly Sample[]> {
    await this.#begun;
    // Collectors are read while a commit is written, in a turn of their own.
    const counts = count();
    await nextTurn();
    const [counted, { samples, states }] = await Promise.all([counts, this.#collectors.collect()]);
    this.#collectorStates = states;
    return [
      { name: "sshreset_build_info", labels: { version: this.#version, node: process.version }, value: 1 },
      { name: "sshreset_config_last_reload_successful", value: this.#reloadSuccessful ? 1 : 0 },
      ...this.#sources.flatMap(sourceSamples),
      ...counted,
      ...samples,
      ...this.#stuckSamples(),
      ...this.#judging.samples(Date.now()),
      ...processSamples(),
    ];
  }

  #stuckSamples(): Sample[] {
    if (!this.#collectors.names.includes("sockets")) return [];
    const stuck = new Set(this.#sockets.stuckInKex().map(({ address }) => address));
    const known = [...stuck].filter((address) => this.#counting.isKnown(address));
    return [{ name: "sshreset_known_peers_stuck_in_kex", value: known.length }];
  }
}

/** At once and then at this interval, never twice at a time, until the signal. */
async function every(intervalMs: number, signal: AbortSignal, work: () => unknown): Promise<void> {
  while (!signal.aborted) {
    await work();
    await delay(intervalMs, undefined, { signal }).catch(() => undefined);
  }
}

function sourceSamples(source: Source): Sample[] {
  const { up, lagBytes } = source.status();
  const labels = { source: source.name };
  const lag = lagBytes === undefined ? [] : [{ name: "sshreset_source_lag_bytes", labels, value: lagBytes }];
  return [{ name: "sshreset_source_up", labels, value: up ? 1 : 0 }, ...lag];
}

function sourcePart(source: Source): Part {
  const { up, reason, grant } = source.status();
  return {
    name: source.name,
    state: up ? "ok" : "failed",
    ...(!up && reason !== undefined && { note: reason }),
    ...(!up && grant !== undefined && { grant }),
  };
}

function collectorPart({ name, state, error, missing }: CollectorState): Part {
  const grants = missing.flatMap(({ grant }) => grant ?? []);
  const notes = [...(error === undefined ? [] : [error]), ...missing.map(({ reason }) => reason)];
  return {
    name,
    state,
    ...(notes.length > 0 && { note: notes.join("; ") }),
    ...(grants.length > 0 && { grant: grants.join("; ") }),
  };
}
