/** What the cloud's own flow logs say of connections to sshd: admitted, rejected, cut, unanswered; by class of peer. */
import type { Peers } from "../connections/peers.ts";
import { peerClasses } from "../model/connection.ts";
import { type Event, type EventKind, flowActions, flowProviders } from "../model/event.ts";
import type { MetricDef, Sample } from "../model/metric.ts";
import type { LogRecord } from "../model/record.ts";
import { amount, list, object, oneOf, optional, text, time } from "../model/saved.ts";
import { Counters } from "./counters.ts";
import { Heard, heardKinds } from "./heard.ts";
import { restoreAll, snapshotAll, type Tally, whereRead } from "./tally.ts";

export const flows: MetricDef = {
  name: "sshreset_cloud_flows_total",
  help: "Flows from clients to sshd's ports in the cloud's flow logs. action=reject: the cloud let nothing through. Only where flow logs are read.",
  type: "counter",
  labels: ["provider", "action", "peer_class"],
  values: { provider: flowProviders, action: flowActions, peer_class: peerClasses },
};
export const flowResets: MetricDef = {
  name: "sshreset_cloud_flow_resets_total",
  help: "Flows to or from sshd's ports in which the cloud saw a TCP reset. direction: in = sent by the client's side, out = by the server's. Only AWS logs with the field tcp-flags tell.",
  type: "counter",
  labels: ["provider", "direction"],
  values: { provider: flowProviders, direction: ["in", "out"] },
};
export const flowsUnanswered: MetricDef = {
  name: "sshreset_cloud_flows_unanswered_total",
  help: "Flows to sshd's ports that the cloud admitted and in which it saw nothing but SYNs: nobody answered. Only AWS logs with the field tcp-flags tell.",
  type: "counter",
  labels: ["provider", "peer_class"],
  values: { provider: flowProviders, peer_class: peerClasses },
};
export const flowsUnseen: MetricDef = {
  name: "sshreset_cloud_flows_unseen_total",
  help:
    "New connections that the cloud admitted to sshd's ports, and of whose address neither sshd's log nor the kernel's reset " +
    "events said anything from a minute before until ten minutes after. Told three minutes after the flow log came. Only " +
    "logs that tell beginnings: AWS with the field tcp-flags, Azure, Google Cloud's firewall rules.",
  type: "counter",
  labels: ["provider", "peer_class"],
  values: { provider: flowProviders, peer_class: peerClasses },
};
export const flowMetrics = [flows, flowResets, flowsUnanswered, flowsUnseen];

/** What is written here of a connection may come after its flow. */
const patienceMs = 180_000;
/** Beginnings beyond are not judged. */
const waitingKept = 5_000;

interface Waiting {
  readonly dueMs: number;
  readonly address: string;
  readonly timeMs: number;
  readonly provider: (typeof flowProviders)[number];
  readonly count: number;
}
const waitingShape = list(
  object({ dueMs: amount, address: text, timeMs: time, provider: oneOf(flowProviders), count: amount }),
  waitingKept,
);

export class FlowTally implements Tally {
  readonly kinds: readonly EventKind[];
  readonly #peers: Peers;
  readonly #joined: boolean;
  readonly #parts = {
    flows: new Counters(flows),
    resets: new Counters(flowResets),
    unanswered: new Counters(flowsUnanswered),
    unseen: new Counters(flowsUnseen),
    heard: new Heard(),
  };
  #waiting: Waiting[] = [];
  #awakeMs = 0;

  /** `joined`: flow logs are read, so that it is worth knowing who was heard of here. */
  constructor(peers: Peers, joined: boolean) {
    this.#peers = peers;
    this.#joined = joined;
    this.kinds = joined ? ["flow", ...heardKinds] : ["flow"];
  }

  handle(event: Event, { timeMs, count }: LogRecord): void {
    if (event.kind !== "flow") {
      this.#parts.heard.take(event, timeMs);
      return;
    }
    const { provider, action, direction, address, reset, unanswered, begins } = event;
    const { flows, resets, unanswered: silent } = this.#parts;
    if (reset) resets.add(count, provider, direction);
    if (direction === "out") return;
    const peerClass = this.#peers.classify(address, timeMs);
    flows.add(count, provider, action, peerClass);
    if (unanswered) silent.add(count, provider, peerClass);
    if (begins && action === "accept" && this.#waiting.length < waitingKept)
      this.#waiting.push({ dueMs: this.#awakeMs + patienceMs, address, timeMs, provider, count });
  }

  tick(awakeMs: number): void {
    this.#awakeMs = awakeMs;
    while ((this.#waiting[0]?.dueMs ?? Number.POSITIVE_INFINITY) <= awakeMs) {
      const { address, timeMs, provider, count } = this.#waiting.shift() as Waiting;
      if (this.#parts.heard.of(address, timeMs) === false)
        this.#parts.unseen.add(count, provider, this.#peers.classify(address, timeMs));
    }
  }

  samples(): Sample[] {
    const { heard: _, ...counters } = this.#parts;
    const samples = Object.values(counters).flatMap((part) => part.samples());
    return whereRead(this.#joined, samples);
  }

  snapshot(): unknown {
    return { ...snapshotAll(this.#parts), waiting: this.#waiting, awakeMs: this.#awakeMs };
  }

  restore(saved: unknown): void {
    restoreAll(this.#parts, saved);
    const { waiting = [], awakeMs = 0 } = object({ waiting: optional(waitingShape), awakeMs: optional(amount) })(
      saved,
      "flows",
    );
    this.#waiting = waiting;
    this.#awakeMs = awakeMs;
  }
}
