/** What a proxy in front of sshd says and does: who ended its sessions, whom it takes for down, headers that sshd refuses. */
import { type ConnectionEnd, peerClasses } from "../model/connection.ts";
import { type Event, type EventKind, proxyEnders, proxyStages } from "../model/event.ts";
import type { MetricDef, Sample } from "../model/metric.ts";
import type { LogRecord } from "../model/record.ts";
import { Counters } from "./counters.ts";
import { restoreAll, snapshotAll, type Tally, whereRead } from "./tally.ts";

export const proxySessions: MetricDef = {
  name: "sshreset_proxy_sessions_ended_total",
  help:
    "Sessions in TCP mode that haproxy's log says ended, by whom: nobody (both sides closed), client, server, client_timeout " +
    "(cD), server_timeout (sD), server_down, resource (the proxy ran short), proxy. stage: setup = before it was connected to the server. Only where its log is read.",
  type: "counter",
  labels: ["ended_by", "stage"],
  values: { ended_by: proxyEnders, stage: proxyStages },
};
export const proxyServerChanges: MetricDef = {
  name: "sshreset_proxy_server_changes_total",
  help: "How often haproxy's health checks took a server for down, or for up again.",
  type: "counter",
  labels: ["to"],
  values: { to: ["up", "down"] },
};
export const proxyHeaders: MetricDef = {
  name: "sshreset_proxy_headers_refused_total",
  help:
    "Connections that began with a header of the PROXY protocol, which sshd does not speak. header: v1, or empty_line, all that " +
    "sshd shows of version 2. Since OpenSSH 9.5 only at LogLevel VERBOSE.",
  type: "counter",
  labels: ["header", "peer_class"],
  values: { header: ["v1", "empty_line"], peer_class: peerClasses },
};
export const proxyMetrics = [proxySessions, proxyServerChanges, proxyHeaders];

const headers: Readonly<Record<string, string>> = { proxy_header: "v1", empty_identification: "empty_line" };

export class ProxyTally implements Tally {
  readonly kinds: readonly EventKind[] = ["proxy.ended", "proxy.server"];
  readonly #parts = {
    sessions: new Counters(proxySessions),
    servers: new Counters(proxyServerChanges),
    headers: new Counters(proxyHeaders),
  };
  readonly #isRead: boolean;

  /** `isRead`: a proxy's log is read, so that none of its sessions is a fact. */
  constructor(isRead: boolean) {
    this.#isRead = isRead;
  }

  handle(event: Event, { count }: LogRecord): void {
    if (event.kind === "proxy.ended") this.#parts.sessions.add(count, event.endedBy, event.stage);
    else if (event.kind === "proxy.server") this.#parts.servers.add(count, event.up ? "up" : "down");
  }

  ended({ detail, peerClass, count }: ConnectionEnd): void {
    const header = headers[detail];
    if (header !== undefined) this.#parts.headers.add(count, header, peerClass);
  }

  samples(): Sample[] {
    const { sessions, servers, headers } = this.#parts;
    return [...whereRead(this.#isRead, [...sessions.samples(), ...servers.samples()]), ...headers.samples()];
  }

  snapshot(): unknown {
    return snapshotAll(this.#parts);
  }

  restore(saved: unknown): void {
    restoreAll(this.#parts, saved);
  }
}
