/** What the cloud's own flow logs say of connections to sshd: admitted, rejected, cut, unanswered; by class of peer. */
import type { Peers } from "../connections/peers.ts";
import { peerClasses } from "../model/connection.ts";
import { type Event, type EventKind, flowActions, flowProviders } from "../model/event.ts";
import type { MetricDef, Sample } from "../model/metric.ts";
import type { LogRecord } from "../model/record.ts";
import { Counters } from "./counters.ts";
import { restoreAll, snapshotAll, type Tally } from "./tally.ts";

export const flows: MetricDef = {
  name: "sshreset_cloud_flows_total",
  help: "Flows from clients to sshd's ports in the cloud's flow logs. action=reject: the cloud let nothing through.",
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
export const flowMetrics = [flows, flowResets, flowsUnanswered];

export class FlowTally implements Tally {
  readonly kinds: readonly EventKind[] = ["flow"];
  readonly #peers: Peers;
  readonly #parts = {
    flows: new Counters(flows),
    resets: new Counters(flowResets),
    unanswered: new Counters(flowsUnanswered),
  };

  constructor(peers: Peers) {
    this.#peers = peers;
  }

  handle(event: Event, { timeMs, count }: LogRecord): void {
    if (event.kind !== "flow") return;
    const { provider, action, direction, address, reset, unanswered } = event;
    const { flows, resets, unanswered: silent } = this.#parts;
    if (reset) resets.add(count, provider, direction);
    if (direction === "out") return;
    const peerClass = this.#peers.classify(address, timeMs);
    flows.add(count, provider, action, peerClass);
    if (unanswered) silent.add(count, provider, peerClass);
  }

  samples(): Sample[] {
    return Object.values(this.#parts).flatMap((part) => part.samples());
  }

  snapshot(): unknown {
    return snapshotAll(this.#parts);
  }

  restore(saved: unknown): void {
    restoreAll(this.#parts, saved);
  }
}
