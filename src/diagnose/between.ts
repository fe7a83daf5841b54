/**
 * The network in between, as this window saw it: whom the cloud rejected and by which rule, whom it admitted without
 * anything arriving here, what a proxy said of its sessions, which balancer sshd turned away, and whether sshd's keep-alive
 * outlives the idle age at which sessions were cut. Addresses and rules are for who may read the log.
 */
import type { DiagnosisSnapshot } from "../diagnosis/verdict.ts";
import type { PeerClass } from "../model/connection.ts";
import type { FlowEvent, ProxyEvent } from "../model/event.ts";
import { defaultKernelSeconds, idleTimeouts, type KeepAlive, keepAliveText, outlives } from "../model/idle-timeouts.ts";
import type { Sample } from "../model/metric.ts";
import type { LogRecord } from "../model/record.ts";
import { Heard } from "../tallies/heard.ts";
import { printable } from "./evidence-lines.ts";
import { addressOf, type Observation } from "./observation.ts";
import type { TimeWindow } from "./time-window.ts";

/** Addresses kept of each kind; all others are counted together. */
const addressesKept = 2_000;
const rulesKept = 5;
/** Of those kept, what is told. */
const addressesTold = 20;

export interface PeerFlows {
  readonly address: string;
  readonly known: boolean;
  readonly provider: FlowEvent["provider"];
  readonly flows: number;
  /** As the log names them; empty where it names none. */
  readonly rules: readonly string[];
  readonly fromMs: number;
  readonly toMs: number;
}

export interface Flows {
  /** Known peers first, then those with most flows. */
  readonly peers: readonly PeerFlows[];
  /** Further addresses, and their flows. */
  readonly others: { readonly addresses: number; readonly flows: number };
}

export interface IdleCuts {
  readonly seconds: number | "other";
  readonly sessions: number;
  /** With this timeout by default, and whether sshd would have kept the session open through it; undefined: not known. */
  readonly products: readonly { readonly product: string; readonly keptOpen?: boolean }[];
}

export interface Between {
  readonly rejected?: Flows;
  /** Admitted by the cloud, and nothing of the address was heard here around that time. */
  readonly unseen?: Flows;
  /** Sessions that ended, by whom; how often a server was taken for down. */
  readonly proxy?: { readonly ended: Readonly<Record<string, number>>; readonly serversDown: number };
  /** Health checks and proxies that sshd dropped. */
  readonly turnedAway?: readonly { readonly address: string; readonly peerClass: PeerClass; readonly drops: number }[];
  readonly idle?: { readonly cuts: readonly IdleCuts[]; readonly keepAlive?: string };
}

type Classify = (address: string, timeMs: number) => PeerClass;

export class BetweenSeen {
  readonly #window: TimeWindow;
  readonly #peer: string | undefined;
  readonly #rejected = new FlowsByAddress();
  readonly #admitted = new FlowsByAddress();
  /** A day and a half. */
  readonly #heard = new Heard({ turnsKept: 216 });
  readonly #ended = new Map<string, number>();
  #serversDown = 0;
  #proxied = false;
  readonly #drops = new Map<string, number>();

  constructor(window: TimeWindow, peer: string | undefined) {
    this.#window = window;
    this.#peer = peer;
  }

  take({ event, record }: Observation): void {
    const address = addressOf(event);
    if (this.#peer !== undefined && address !== undefined && address !== this.#peer) return;
    if (event.kind === "flow") this.#flow(event, record);
    else if (event.kind === "proxy.ended" || event.kind === "proxy.server") this.#proxy(event, record);
    else {
      this.#heard.take(event, record.timeMs);
      if (event.kind === "sshd.drop" && address !== undefined && this.#isWithin(record)) {
        if (this.#drops.size < addressesKept || this.#drops.has(address))
          this.#drops.set(address, (this.#drops.get(address) ?? 0) + record.count);
      }
    }
  }

  #isWithin = ({ timeMs }: LogRecord): boolean => timeMs >= this.#window.fromMs && timeMs <= this.#window.toMs;

  #flow(event: FlowEvent, record: LogRecord): void {
    if (event.direction === "out" || !this.#isWithin(record)) return;
    if (event.action === "reject") this.#rejected.add(event, record);
    else if (event.begins) this.#admitted.add(event, record);
  }

  #proxy(event: ProxyEvent, record: LogRecord): void {
    this.#proxied = true;
    if (!this.#isWithin(record)) return;
    if (event.kind === "proxy.server") this.#serversDown += event.up ? 0 : record.count;
    else {
      const by = event.stage === "setup" && event.endedBy !== "nobody" ? `${event.endedBy} (setup)` : event.endedBy;
      this.#ended.set(by, (this.#ended.get(by) ?? 0) + record.count);
    }
  }

  /** When all is taken. `live`: what collectors read of this host now; `saved`: the exporter's own samples. */
  told(classify: Classify, live: readonly Sample[], saved: DiagnosisSnapshot | undefined): Between | undefined {
    const atEnd = (address: string) => classify(address, this.#window.toMs);
    const isKnown = (address: string) => atEnd(address) === "known";
    const rejected = this.#rejected.told(isKnown);
    const unseen = this.#admitted.told(isKnown, (address, timeMs) => this.#heard.of(address, timeMs) === false);
    const turnedAway = [...this.#drops]
      .map(([address, drops]) => ({ address, peerClass: atEnd(address), drops }))
      .filter(({ peerClass }) => peerClass === "health_check" || peerClass === "proxy")
      .sort((a, b) => b.drops - a.drops)
      .slice(0, addressesTold);
    const cuts = saved === undefined ? [] : idleCuts(saved, this.#window, keepAliveOf(live));
    const keepAlive = keepAliveOf(live);
    const between: Between = {
      ...(rejected && { rejected }),
      ...(unseen && { unseen }),
      ...(this.#proxied && { proxy: { ended: Object.fromEntries(this.#ended), serversDown: this.#serversDown } }),
      ...(turnedAway.length > 0 && { turnedAway }),
      ...(cuts.length > 0 && { idle: { cuts, ...(keepAlive && { keepAlive: keepAliveText(keepAlive) }) } }),
    };
    return Object.keys(between).length === 0 ? undefined : between;
  }
}

interface Counted {
  provider: FlowEvent["provider"];
  /** Beginnings that are judged one by one, and so many more. */
  readonly timesMs: number[];
  more: number;
  readonly rules: Set<string>;
  fromMs: number;
  toMs: number;
}

const timesKept = 50;

/** Flows by the client's address. */
class FlowsByAddress {
  readonly #byAddress = new Map<string, Counted>();
  #beyond = 0;

  add({ address, provider }: FlowEvent, { timeMs, count, message }: LogRecord): void {
    let counted = this.#byAddress.get(address);
    if (counted === undefined) {
      if (this.#byAddress.size >= addressesKept) {
        this.#beyond += count;
        return;
      }
      counted = { provider, timesMs: [], more: 0, rules: new Set(), fromMs: timeMs, toMs: timeMs };
      this.#byAddress.set(address, counted);
    }
    const room = Math.min(count, timesKept - counted.timesMs.length);
    for (let n = 0; n < room; n++) counted.timesMs.push(timeMs);
    counted.more += count - room;
    const rule = ruleOf(message);
    if (rule !== undefined && counted.rules.size < rulesKept) counted.rules.add(rule);
    counted.fromMs = Math.min(counted.fromMs, timeMs);
    counted.toMs = Math.max(counted.toMs, timeMs);
  }

  /** Undefined where there are none; only those at times that `counts` says. */
  told(
    isKnown: (address: string) => boolean,
    counts?: (address: string, timeMs: number) => boolean,
  ): Flows | undefined {
    const peers = [...this.#byAddress].flatMap(([address, { timesMs, more, rules, ...rest }]): PeerFlows[] => {
      const flows = counts ? timesMs.filter((timeMs) => counts(address, timeMs)).length : timesMs.length + more;
      const { provider, fromMs, toMs } = rest;
      return flows === 0
        ? []
        : [{ address, known: isKnown(address), provider, flows, rules: [...rules], fromMs, toMs }];
    });
    if (peers.length === 0) return undefined;
    peers.sort((a, b) => Number(b.known) - Number(a.known) || b.flows - a.flows);
    const others = peers.slice(addressesTold);
    const flows = others.reduce((sum, each) => sum + each.flows, counts ? 0 : this.#beyond);
    return { peers: peers.slice(0, addressesTold), others: { addresses: others.length, flows } };
  }
}

/** At the end of what src/sources/flow-log.ts writes; `-` stands for none. */
function ruleOf(message: string): string | undefined {
  const rule = message.split(" ").slice(6).join(" ");
  return rule === "" || rule === "-" ? undefined : printable(rule);
}

/** Undefined where the settings could not be read. */
function keepAliveOf(live: readonly Sample[]): KeepAlive | undefined {
  const value = (name: string): number | undefined => {
    const found = live.find((sample) => sample.name === `sshreset_${name}`)?.value;
    return typeof found === "number" ? found : undefined;
  };
  const clientAliveSeconds = value("sshd_client_alive_interval_seconds");
  if (clientAliveSeconds === undefined) return undefined;
  const kernelSeconds = value("tcp_keepalive_time_seconds") ?? defaultKernelSeconds;
  return { clientAliveSeconds, tcpKeepAlive: value("sshd_tcp_keepalive") !== 0, kernelSeconds };
}

/** How many sessions were cut at each age in the window, by what the exporter counted. */
function idleCuts({ history }: DiagnosisSnapshot, window: TimeWindow, keepAlive: KeepAlive | undefined): IdleCuts[] {
  return history.series.flatMap(({ metric, labels, runs }): IdleCuts[] => {
    if (metric !== "sshreset_sessions_cut_idle_total") return [];
    const values = runs.flatMap(([value, times]) => Array.from({ length: times }, () => value));
    let sessions = 0;
    let before: number | undefined;
    for (const [index, timeMs] of history.times.entries()) {
      const value = values[index];
      if (typeof value !== "number") continue;
      if (before !== undefined && value > before && timeMs >= window.fromMs && timeMs <= window.toMs)
        sessions += value - before;
      before = value;
    }
    if (sessions === 0) return [];
    const seconds = Number(labels["timeout"]);
    if (!Number.isFinite(seconds)) return [{ seconds: "other", sessions, products: [] }];
    const products = idleTimeouts
      .filter((known) => known.seconds === seconds)
      .map((known) => ({ product: known.product, ...(keepAlive && { keptOpen: outlives(keepAlive, known) }) }));
    return [{ seconds, sessions, products }];
  });
}
