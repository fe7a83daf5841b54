/**
 * The ledger: everything that is counted from events. It owns the connections, the peers and one tally per subject, and
 * is all that the composition root knows of them.
 */
import { Connections } from "../connections/connections.ts";
import { Peers, type PeersOptions } from "../connections/peers.ts";
import type { PeerClass } from "../model/connection.ts";
import type { Event, EventKind } from "../model/event.ts";
import type { MetricDef, Sample } from "../model/metric.ts";
import { type LogRecord, type SourceName, sourceNames } from "../model/record.ts";
import { amount, anything, list, object, time } from "../model/saved.ts";
import { ConnectionTally, connectionMetrics } from "./connections.ts";
import { DropTally, dropMetrics } from "./drops.ts";
import { FlowTally, flowMetrics } from "./flows.ts";
import { IdleTally, idleMetrics } from "./idle.ts";
import { KernelTally, kernelMetrics } from "./kernel.ts";
import { OomTally, oomMetrics } from "./oom.ts";
import { ProxyTally, proxyMetrics } from "./proxy.ts";
import { ResetTally, resetMetrics } from "./resets.ts";
import { SshdLifeTally, sshdLifeMetrics } from "./sshd-life.ts";
import { restoreAll, snapshotAll, type Tally } from "./tally.ts";

export const tallyMetrics: readonly MetricDef[] = [
  ...sshdLifeMetrics,
  ...connectionMetrics,
  ...dropMetrics,
  ...resetMetrics,
  ...idleMetrics,
  ...oomMetrics,
  ...kernelMetrics,
  ...flowMetrics,
  ...proxyMetrics,
];

export interface LedgerOptions {
  readonly peers?: PeersOptions;
  /** Whether the kernel's reset events are being read now; false unless told. */
  readonly kernelVisible?: () => boolean;
  /** Time since the last segment received from a peer; undefined where sockets are not watched. */
  readonly idleMsOf?: (address: string, port: number) => number | undefined;
  /** Inode of the network namespace that sshd serves; undefined: the kernel's lines about any of them count. */
  readonly netNamespace?: number | undefined;
  /** Connections kept at most, 25,000 unless told. */
  readonly capacity?: number;
  /** A cloud's flow logs are read. */
  readonly flowLogs?: boolean;
  /** haproxy's log is read. */
  readonly haproxy?: boolean;
}

const nobody: readonly Tally[] = [];
/** A longer gap between ticks means that the process did not run. */
const stalledMs = 5_000;
/** Raised when a snapshot of the release before can no longer be read. */
const snapshotVersion = 1;

interface LedgerSnapshot {
  readonly version: number;
  readonly tickedMs: number;
  readonly awakeMs: number;
  readonly connections: unknown;
  readonly peers: unknown;
  readonly tallies: unknown;
  /** In the order of `sourceNames`. */
  readonly lost: readonly number[];
}

const ledgerShape = object({
  tickedMs: time,
  awakeMs: amount,
  connections: anything,
  peers: anything,
  tallies: anything,
  lost: list(amount, 16),
});

export class Ledger {
  readonly #connections: Connections;
  readonly #peers: Peers;
  readonly #tallies: Readonly<Record<string, Tally>>;
  #tickedMs = 0;
  /** Time that this exporter was running: what waits for other lines does not wait while nobody reads them. */
  #awakeMs = 0;
  readonly #endTallies: readonly Tally[];
  readonly #byKind = new Map<EventKind, Tally[]>();
  readonly #lost: Partial<Record<SourceName, number>> = {};

  constructor(options: LedgerOptions = {}) {
    const kernelVisible = options.kernelVisible ?? (() => false);
    const peers = new Peers(options.peers);
    this.#peers = peers;
    this.#connections = new Connections({
      onEnd: (end, evidence) => {
        for (const tally of this.#endTallies) tally.ended?.(end, evidence);
      },
      classify: (address, timeMs) => peers.classify(address, timeMs),
      kernelVisible,
      ...(options.idleMsOf && { idleMsOf: options.idleMsOf }),
      ...(options.capacity !== undefined && { capacity: options.capacity }),
    });
    const connections = this.#connections;
    this.#tallies = {
      sshdLife: new SshdLifeTally(),
      connections: new ConnectionTally(connections),
      drops: new DropTally(),
      resets: new ResetTally(peers, () => connections.sessionAddresses(), kernelVisible),
      idle: new IdleTally(),
      oom: new OomTally(),
      kernel: new KernelTally(options.netNamespace),
      flows: new FlowTally(peers, options.flowLogs === true),
      proxy: new ProxyTally(options.haproxy === true),
    };
    this.#endTallies = Object.values(this.#tallies).filter((tally) => tally.ended !== undefined);
    for (const tally of Object.values(this.#tallies)) {
      for (const kind of tally.kinds) this.#byKind.set(kind, [...(this.#byKind.get(kind) ?? []), tally]);
    }
  }

  handle(event: Event, record: LogRecord): void {
    switch (event.kind) {
      case "noted":
        return;
      case "log.lost":
        this.#lost[record.source] = this.lostRecords(record.source) + event.count * record.count;
        return;
      case "sshd.accepted":
        this.#peers.authenticated(event.address, record.timeMs);
        break;
      case "sshd.authentication_failed":
        if (event.address) this.#peers.authenticationFailed(event.address);
        break;
    }
    this.#connections.handle(event, record);
    for (const tally of this.#byKind.get(event.kind) ?? nobody) tally.handle?.(event, record);
  }

  /** At least once a second, with the wall clock: what was held back to hear all of its lines is counted here. */
  tick(nowMs: number): void {
    const gapMs = nowMs - this.#tickedMs;
    this.#tickedMs = nowMs;
    if (gapMs > 0 && gapMs <= stalledMs) this.#awakeMs += gapMs;
    this.#connections.tick(nowMs);
    this.#peers.tick(nowMs);
    for (const tally of Object.values(this.#tallies)) tally.tick?.(this.#awakeMs);
  }

  samples(nowMs: number): Sample[] {
    return [...this.samplesInParts(nowMs)].flat();
  }

  /** Tally by tally: with full tables one may take milliseconds. All of one moment only if nothing changes in between. */
  *samplesInParts(nowMs: number): Generator<readonly Sample[]> {
    for (const tally of Object.values(this.#tallies)) yield tally.samples(nowMs);
  }

  /** A login found in history: it makes the peer known and is not counted. */
  learn(address: string, timeMs: number): void {
    this.#peers.learn(address, timeMs);
  }

  classify(address: string, timeMs: number): PeerClass {
    return this.#peers.classify(address, timeMs);
  }

  /** Records that the log itself says were lost. */
  lostRecords(source: SourceName): number {
    return this.#lost[source] ?? 0;
  }

  /** JSON-safe, and the same for the same history. */
  snapshot(): LedgerSnapshot {
    return {
      version: snapshotVersion,
      tickedMs: this.#tickedMs,
      awakeMs: this.#awakeMs,
      connections: this.#connections.snapshot(),
      peers: this.#peers.snapshot(),
      tallies: snapshotAll(this.#tallies),
      lost: sourceNames.map((source) => this.lostRecords(source)),
    };
  }

  /** Into a new ledger only; throws on anything but a snapshot of this version, and the ledger is then of no use. */
  restore(saved: unknown): void {
    const version = (saved as LedgerSnapshot | null)?.version;
    if (version !== snapshotVersion) {
      throw new Error(`ledger: snapshot version "${String(version)}", this release reads ${snapshotVersion}`);
    }
    const copy = ledgerShape(saved, "ledger");
    this.#tickedMs = copy.tickedMs;
    this.#awakeMs = copy.awakeMs;
    this.#connections.restore(copy.connections);
    this.#peers.restore(copy.peers);
    restoreAll(this.#tallies, copy.tallies);
    for (const [i, source] of sourceNames.entries()) this.#lost[source] = copy.lost[i] ?? 0;
  }
}
