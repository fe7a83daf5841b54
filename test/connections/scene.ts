/** A small stage for connection tests: events at given seconds, ticks in between, the ends that were told. */
import { Connections, type EndEvidence } from "../../src/connections/connections.ts";
import type { ConnectionEnd } from "../../src/model/connection.ts";
import type { Event, ResetReason, SshdEnded } from "../../src/model/event.ts";
import type { LogRecord } from "../../src/model/record.ts";

export const peer = { address: "192.0.2.1", port: 40000 };
const startMs = 1_800_000_000_000;
const tickMs = 250;

export interface SceneOptions {
  readonly kernelVisible?: boolean;
  readonly idleMs?: number;
  readonly capacity?: number;
}

export class Scene {
  readonly ends: (ConnectionEnd & EndEvidence)[] = [];
  readonly #options: SceneOptions;
  #connections: Connections;
  #nowMs = startMs;

  constructor(options: SceneOptions = {}) {
    this.#options = options;
    this.#connections = this.#create();
    this.#connections.tick(this.#nowMs);
  }

  #create(): Connections {
    const { kernelVisible = true, idleMs, capacity } = this.#options;
    return new Connections({
      onEnd: (end, evidence) => this.ends.push({ ...end, ...evidence }),
      classify: () => "unknown",
      kernelVisible: () => kernelVisible,
      ...(idleMs !== undefined && { idleMsOf: () => idleMs }),
      ...(capacity !== undefined && { capacity }),
    });
  }

  get connections(): Connections {
    return this.#connections;
  }

  /** An event now, said by `pid`; `ago`: its own time is so many seconds back. */
  at(seconds: number, event: Event, pid = 0, { ago = 0, count = 1 } = {}): this {
    this.wait(startMs + seconds * 1000 - this.#nowMs);
    const traced = event.kind.startsWith("tcp.");
    const timeMs = this.#nowMs - ago * 1000;
    const record: LogRecord = { source: traced ? "tcp_trace" : "journal", timeMs, ident: "", pid, message: "", count };
    this.#connections.handle(event, record);
    return this;
  }

  /** Time passes, with ticks. */
  wait(ms: number): this {
    const untilMs = this.#nowMs + ms;
    while (this.#nowMs < untilMs) {
      this.#nowMs = Math.min(untilMs, this.#nowMs + tickMs);
      this.#connections.tick(this.#nowMs);
    }
    return this;
  }

  /** The exporter restarts; `ms` without it. */
  restart(ms = 0): this {
    const saved = JSON.parse(JSON.stringify(this.#connections.snapshot()));
    this.#connections = this.#create();
    this.#connections.restore(saved);
    this.#nowMs += ms;
    return this;
  }

  /** `phase outcome` of every end, after all windows are over. */
  told(): string[] {
    this.wait(3_000);
    return this.ends.map(({ phase, outcome }) => `${phase} ${outcome}`);
  }
}

export const connectionFrom = (from = peer): Event => ({ kind: "sshd.connection", ...from });
export const accepted = (from = peer): Event => ({ kind: "sshd.accepted", ...from });
export const failed = (from = peer): Event => ({ kind: "sshd.authentication_failed", ...from });
export const drop = (from = peer): Event => ({ kind: "sshd.drop", limit: "max_startups", ...from });
export const sessionClosed: Event = { kind: "sshd.session_closed" };
export const resetReceived = (from = peer): Event => reset("tcp.reset_received", from);
export const resetSent = (from = peer, reason: ResetReason = "tcp_abort_on_data"): Event => ({
  ...reset("tcp.reset_sent", from),
  reason,
});
const reset = (kind: "tcp.reset_received" | "tcp.reset_sent", from: typeof peer) =>
  ({ kind, localAddress: "192.0.2.254", localPort: 22, ...from }) as const;

type EndFields = Partial<Omit<SshdEnded, "kind">>;
/** A line about an end; with the peer's address unless `from` says otherwise. */
export const ended = (outcome: SshdEnded["outcome"], fields: EndFields = {}): Event => ({
  kind: "sshd.ended",
  outcome,
  detail: "read",
  ...peer,
  ...fields,
});
/** The same without an address. */
export const nameless = (outcome: SshdEnded["outcome"], fields: EndFields = {}): Event => ({
  kind: "sshd.ended",
  outcome,
  detail: "read",
  ...fields,
});
export const portless = (outcome: SshdEnded["outcome"], fields: EndFields = {}): Event =>
  nameless(outcome, { address: peer.address, ...fields });
