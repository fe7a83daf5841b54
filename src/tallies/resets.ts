/**
 * TCP resets of sshd's ports, as the kernel's trace events tell them, and the per-peer series. Where the kernel cannot
 * be read, a peer's received resets come from the log's ends instead, never from both.
 * Source: include/trace/events/tcp.h, include/net/rstreason.h.
 */
import type { EndEvidence } from "../connections/connections.ts";
import type { Peers } from "../connections/peers.ts";
import type { ConnectionEnd } from "../model/connection.ts";
import { type Event, type EventKind, resetReasons } from "../model/event.ts";
import type { MetricDef, Sample } from "../model/metric.ts";
import type { LogRecord } from "../model/record.ts";
import { Counters } from "./counters.ts";
import { restoreAll, snapshotAll, type Tally } from "./tally.ts";

export const received: MetricDef = {
  name: "sshreset_tcp_resets_received_total",
  help:
    "TCP resets that ended connections to ports which sshd listens on, from the kernel's tcp_receive_reset event. Stays 0 " +
    "where the kernel's trace events cannot be read.",
  type: "counter",
  labels: [],
};
export const sent: MetricDef = {
  name: "sshreset_tcp_resets_sent_total",
  help:
    "TCP resets sent from ports which sshd listens on, from the kernel's tcp_send_reset event, with the kernel's reason " +
    "(6.10+, not_specified before). Stays 0 where the kernel's trace events cannot be read.",
  type: "counter",
  labels: ["reason"],
  values: { reason: resetReasons },
};
const peerHelp =
  "At most 50 peers have series of their own, known ones first, then the heaviest; all others are peer=other. A series " +
  "begins at 0 when its peer is first shown. IPv6 peers are networks of --peers.prefix-length.";
export const peerReceived: MetricDef = {
  name: "sshreset_peer_resets_received_total",
  help:
    "TCP resets received from a peer: kernel events, or sshd's lines about a reset where the kernel cannot be read (a lower " +
    `bound then: a session's reset leaves no line before OpenSSH 9.8). ${peerHelp}`,
  type: "counter",
  labels: ["peer", "peer_class"],
};
export const peerSent: MetricDef = {
  name: "sshreset_peer_resets_sent_total",
  help: `TCP resets sent to a peer, from kernel events. ${peerHelp}`,
  type: "counter",
  labels: ["peer", "peer_class"],
};
export const knownPeers: MetricDef = {
  name: "sshreset_known_peers",
  help: "Peers that authenticated here within the last 30 days, at most 20,000.",
  type: "gauge",
  labels: [],
};
export const knownPeersActive: MetricDef = {
  name: "sshreset_known_peers_active",
  help: "Known peers with a login, an ended connection or an open session within the last hour.",
  type: "gauge",
  labels: [],
};
export const knownPeersReset: MetricDef = {
  name: "sshreset_known_peers_reset",
  help: "Distinct known peers with a connection that ended by a reset, received or sent, within the last 10 minutes.",
  type: "gauge",
  labels: [],
};

export class ResetTally implements Tally {
  readonly kinds: readonly EventKind[] = ["tcp.reset_received", "tcp.reset_sent"];
  readonly #peers: Peers;
  readonly #sessions: () => Iterable<string>;
  readonly #kernelVisible: () => boolean;
  readonly #counters = { received: new Counters(received), sent: new Counters(sent) };

  constructor(peers: Peers, sessions: () => Iterable<string>, kernelVisible: () => boolean) {
    this.#peers = peers;
    this.#sessions = sessions;
    this.#kernelVisible = kernelVisible;
  }

  handle(event: Event, { timeMs, count }: LogRecord): void {
    if (event.kind === "tcp.reset_received") {
      this.#counters.received.add(count);
      this.#peers.reset("received", event.address, timeMs, count);
    } else if (event.kind === "tcp.reset_sent") {
      const reason = event.reason ?? "not_specified";
      this.#counters.sent.add(count, reason);
      this.#peers.reset("sent", event.address, timeMs, count);
    }
  }

  ended(end: ConnectionEnd, { kernelReset }: EndEvidence): void {
    this.#peers.ended(end);
    if (end.outcome === "reset" && !kernelReset && !this.#kernelVisible()) {
      this.#peers.reset("received", end.address, end.timeMs, end.count);
    }
  }

  samples(nowMs: number): Sample[] {
    const { all, active, reset } = this.#peers.count(nowMs, this.#sessions());
    return [
      ...this.#counters.received.samples(),
      ...this.#counters.sent.samples(),
      ...this.#peers.samples({ received: peerReceived.name, sent: peerSent.name }),
      { name: knownPeers.name, value: all },
      { name: knownPeersActive.name, value: active },
      { name: knownPeersReset.name, value: reset },
    ];
  }

  snapshot(): unknown {
    return snapshotAll(this.#counters);
  }

  restore(saved: unknown): void {
    restoreAll(this.#counters, saved);
  }
}

export const resetMetrics = [received, sent, peerReceived, peerSent, knownPeers, knownPeersActive, knownPeersReset];
