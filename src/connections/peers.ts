/**
 * Who the other side is: known (logged in within 30 days), a health check, a configured proxy, or unknown; and how often
 * each was reset. Everything is by peer group (peer-group.ts), and bounded.
 */
import type { BlockList } from "node:net";
import type { ConnectionEnd, PeerClass } from "../model/connection.ts";
import type { Sample } from "../model/metric.ts";
import { anything, object, time } from "../model/saved.ts";
import { HealthChecks } from "./health-checks.ts";
import { KnownPeers } from "./known-peers.ts";
import { addressList, listed, peerGroup } from "./peer-group.ts";
import { PeerPlaces } from "./peer-places.ts";
import { type Direction, PeerSeries, type PeersShown } from "./peer-series.ts";

export interface PeersOptions {
  /** Addresses or networks of balancers that everybody comes from. */
  readonly proxies?: readonly string[];
  /** Addresses or networks that probe and never log in. */
  readonly healthChecks?: readonly string[];
  /** Leading bits of an IPv6 address that make a peer; 64 unless told. */
  readonly ipv6PrefixLength?: number;
  readonly show?: PeersShown;
  readonly hashKey?: string | undefined;
}

const sweepMs = 60_000;
const capacity = { known: 20_000, checks: { found: 1_000, candidates: 4_000 } };

export class Peers {
  readonly #proxies: BlockList;
  readonly #configuredChecks: BlockList;
  readonly #configured: boolean;
  readonly #ipv6PrefixLength: number;
  readonly #known: KnownPeers;
  readonly #checks: HealthChecks;
  readonly #series: PeerSeries;
  #sweptMs = 0;
  #lastAddress = "";
  #lastGroup = "";

  constructor(options: PeersOptions = {}) {
    const { proxies = [], healthChecks = [], ipv6PrefixLength = 64, show = "known", hashKey } = options;
    this.#proxies = addressList(proxies);
    this.#configuredChecks = addressList(healthChecks);
    this.#configured = proxies.length + healthChecks.length > 0;
    this.#ipv6PrefixLength = ipv6PrefixLength;
    this.#series = new PeerSeries({ show, hashKey });
    const places = new PeerPlaces(capacity.known + capacity.checks.found + capacity.checks.candidates);
    this.#known = new KnownPeers(places, capacity.known);
    this.#checks = new HealthChecks(places, capacity.checks);
  }

  classify(address: string, timeMs: number): PeerClass {
    const configured = this.#configuredClass(address);
    if (configured) return configured;
    const peer = this.#groupOf(address);
    if (this.#known.has(peer, timeMs)) return "known";
    return this.#checks.has(peer) ? "health_check" : "unknown";
  }

  authenticated(address: string, timeMs: number): void {
    if (this.#configuredClass(address)) return;
    const peer = this.#groupOf(address);
    this.#known.authenticated(peer, timeMs);
    this.#checks.refute(peer);
    this.#series.known(peer, timeMs);
  }

  /** A login read from history: makes a peer known, counts nothing. */
  learn(address: string, timeMs: number): void {
    this.authenticated(address, timeMs);
  }

  authenticationFailed(address: string): void {
    this.#checks.refute(this.#groupOf(address));
  }

  ended(end: ConnectionEnd): void {
    if (end.address === undefined) return;
    const peer = this.#groupOf(end.address);
    this.#known.ended(peer, end.timeMs, end.outcome === "reset");
    if (end.phase === "connect" || end.phase === "banner") {
      if (end.outcome === "dropped") this.#checks.interrupted(peer);
      else if (end.outcome !== "refused") this.#checks.probed(peer, end.timeMs);
    } else if (end.phase !== "unknown") {
      this.#checks.refute(peer);
    }
  }

  reset(direction: Direction, address: string | undefined, timeMs: number, count: number): void {
    const peer = address === undefined ? undefined : this.#groupOf(address);
    const peerClass = address === undefined ? "unknown" : this.classify(address, timeMs);
    this.#series.add(direction, peer, peerClass, timeMs, count);
  }

  /** `sessions`: addresses of open sessions. */
  count(nowMs: number, sessions: Iterable<string>): { all: number; active: number; reset: number } {
    return this.#known.count(nowMs, () => this.#groupsOf(sessions));
  }

  *#groupsOf(addresses: Iterable<string>): Generator<string> {
    for (const address of addresses) yield this.#groupOf(address);
  }

  samples(names: Readonly<Record<Direction, string>>): Sample[] {
    return this.#series.samples(names);
  }

  tick(nowMs: number): void {
    if (nowMs - this.#sweptMs < sweepMs && nowMs >= this.#sweptMs) return;
    this.#sweptMs = nowMs;
    this.#known.sweep(nowMs);
    this.#checks.sweep(nowMs);
  }

  snapshot(): unknown {
    return {
      sweptMs: this.#sweptMs,
      known: this.#known.snapshot(),
      checks: this.#checks.snapshot(),
      series: this.#series.snapshot(),
    };
  }

  restore(saved: unknown): void {
    const shape = object({ sweptMs: time, known: anything, checks: anything, series: anything });
    const { sweptMs, known, checks, series } = shape(saved, "peers");
    this.#sweptMs = sweptMs;
    this.#known.restore(known);
    this.#checks.restore(checks);
    this.#series.restore(series);
  }

  /** Asked for several times for each end: the last answer is kept. */
  #groupOf(address: string): string {
    if (address !== this.#lastAddress) {
      this.#lastAddress = address;
      this.#lastGroup = peerGroup(address, this.#ipv6PrefixLength);
    }
    return this.#lastGroup;
  }

  #configuredClass(address: string): PeerClass | undefined {
    if (!this.#configured) return undefined;
    if (listed(this.#proxies, address)) return "proxy";
    return listed(this.#configuredChecks, address) ? "health_check" : undefined;
  }
}
