/**
 * TCP connections of sshd, from the kernel's socket diagnosis (sock_diag(7)) through `ss`, every 15 s in the background.
 * Gives their states, losses and path MTU, and the evidence for an MTU blackhole: full-size segments that are sent again
 * and again while small ones pass, with the path MTU still the interface's (RFC 2923 2.1).
 */
import { networkInterfaces } from "node:os";
import { join } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import {
  type Collector,
  type CollectorContext,
  type CollectorModule,
  notReadYet,
  type SocketReading,
  type SshSocket,
} from "../model/collector.ts";
import type { MetricDef, Sample } from "../model/metric.ts";
import { CommandMissing, Repeated, runCommand } from "./background.ts";
import { parseCount, readKernelFile } from "./kernel-file.ts";
import { isStuckInKex } from "./socket-table.ts";
import { SsOutput, socketStates } from "./ss-output.ts";

const everyMs = 15_000;
const timeoutMs = 5_000;
const maxSockets = 10_000;
const maxOutputBytes = 256 * 1024 * 1024;
/** Timeouts in a row, each twice as long as the one before: a single one is ordinary loss. */
const stuckBackoff = 2;

const gauge = (name: string, help: string): MetricDef => ({
  name: `sshreset_${name}`,
  help,
  type: "gauge",
  labels: [],
});

export const sockets: CollectorModule = {
  name: "sockets",
  summary: "TCP connections of sshd: states, retransmissions, path MTU (ss, in the background)",
  enabled: true,
  metrics: [
    {
      name: "sshreset_ssh_sockets",
      help: "TCP connections on sshd's ports, by state, at the last reading (every 15 s).",
      type: "gauge",
      labels: ["state"],
      values: { state: socketStates },
    },
    gauge(
      "ssh_sockets_left_out",
      "TCP connections on sshd's ports beyond the first 10000, in no other ssh_socket metric.",
    ),
    gauge(
      "ssh_socket_retransmits",
      "Segments sent again over the life of the connections that are open now, all together.",
    ),
    gauge("ssh_socket_lost_segments", "Segments now held for lost, all connections together."),
    gauge("ssh_sockets_in_backoff", "Established connections whose last retransmission timed out too."),
    gauge("ssh_socket_path_mtu_bytes", "The smallest path MTU of all connections that are open now."),
    gauge("ssh_socket_mss_bytes", "The smallest maximum segment size of all connections that are open now."),
    gauge(
      "ssh_socket_rtt_median_seconds",
      "Median of the smoothed round-trip times of the connections that are open now.",
    ),
    gauge("ssh_socket_rtt_max_seconds", "Longest smoothed round-trip time of the connections that are open now."),
    {
      name: "sshreset_ssh_sockets_full_size_stuck",
      help: "Connections whose full-size segments timed out twice or more in a row while their path MTU is still the interface's. small_segments=delivered: the peer got smaller ones sent later, so the path eats large packets; not_seen: the peer may as well be gone.",
      type: "gauge",
      labels: ["small_segments"],
      values: { small_segments: ["delivered", "not_seen"] },
    },
    gauge(
      "ssh_sockets_kex_stuck",
      "Connections that sent their banner and then nothing for 5 s or more: large packets of the peer may not arrive.",
    ),
  ],
  create: createSockets,
};

function createSockets({ paths, nowMs, sshdPorts, onSockets }: CollectorContext): Collector {
  const readings = new Repeated(everyMs, nowMs, async (signal) => {
    const reading = await readSockets(sshdPorts(), nowMs, signal);
    // Ten thousand sockets take some milliseconds each time.
    await nextTurn();
    onSockets?.(reading);
    await nextTurn();
    return socketSamples(reading, mtuByAddress(paths.sysfs));
  });
  return {
    read() {
      const { result } = readings;
      if (result.state === "failed" && result.error instanceof CommandMissing)
        return { status: "absent", reason: result.error.message, grant: "install iproute2" };
      if (result.state === "failed") throw result.error;
      if (result.state === "pending") return { status: "absent", reason: notReadYet };
      return { status: "ok", samples: result.value };
    },
    run: (signal) => readings.run(signal),
  };
}

/** All TCP connections whose local port is one of `ports`. Throws when ss is missing, fails or does not answer. */
export async function readSockets(
  ports: readonly number[],
  nowMs: () => number,
  signal: AbortSignal,
): Promise<SocketReading> {
  const output = new SsOutput(maxSockets);
  if (ports.length === 0) return { timeMs: nowMs(), sockets: [], leftOut: 0 };
  const filter = ports.map((port) => `sport = :${port}`).join(" or ");
  await runCommand("ss", ["-tinH", "state", "connected", `( ${filter} )`], {
    timeoutMs,
    maxBytes: maxOutputBytes,
    signal,
    onOutput: (chunk) => output.feed(chunk.toString("latin1")),
  });
  return { timeMs: nowMs(), sockets: output.sockets, leftOut: output.leftOut };
}

/** Local address to the MTU of its interface. */
function mtuByAddress(sysfs: string): Map<string, number> {
  const mtus = new Map<string, number>();
  for (const [name, addresses] of Object.entries(networkInterfaces())) {
    const path = join(sysfs, "class/net", name, "mtu");
    const text = readKernelFile(path);
    if (text === undefined) continue;
    for (const { address } of addresses ?? []) mtus.set(address, parseCount(text.trim(), path));
  }
  return mtus;
}

/** Pure: one reading to samples. One walk: ten thousand sockets are not to hold up a scrape. */
export function socketSamples({ sockets, leftOut }: SocketReading, mtus: ReadonlyMap<string, number>): Sample[] {
  const byState = new Map(socketStates.map((state) => [state, 0]));
  const rtts = new Float64Array(sockets.length);
  let rttCount = 0;
  let pathMtu = Number.POSITIVE_INFINITY;
  let mss = Number.POSITIVE_INFINITY;
  let retransmits = 0;
  let lost = 0;
  let inBackoff = 0;
  let delivered = 0;
  let notSeen = 0;
  let kexStuck = 0;
  for (const socket of sockets) {
    const { state, backoff, rttMs, pathMtuBytes, mssBytes } = socket;
    byState.set(state, (byState.get(state) ?? 0) + 1);
    retransmits += socket.retransmitsTotal;
    lost += socket.lost;
    if (rttMs !== undefined) rtts[rttCount++] = rttMs;
    pathMtu = Math.min(pathMtu, pathMtuBytes ?? pathMtu);
    mss = Math.min(mss, mssBytes ?? mss);
    // Not those that are closing: a peer that is gone leaves them in LAST-ACK with backoff for minutes.
    if (state === "established" && backoff > 0) inBackoff++;
    if (isStuckInKex(socket)) kexStuck++;
    if (!isFullSizeStuck(socket, mtus.get(socket.localAddress))) continue;
    if (socket.sacked > 0) delivered++;
    else notSeen++;
  }
  const sorted = rtts.subarray(0, rttCount).sort();
  return [
    ...[...byState].map(([state, value]) => ({ name: "sshreset_ssh_sockets", labels: { state }, value })),
    { name: "sshreset_ssh_sockets_left_out", value: leftOut },
    { name: "sshreset_ssh_socket_retransmits", value: retransmits },
    { name: "sshreset_ssh_socket_lost_segments", value: lost },
    { name: "sshreset_ssh_sockets_in_backoff", value: inBackoff },
    ...known("sshreset_ssh_socket_path_mtu_bytes", Number.isFinite(pathMtu) ? pathMtu : undefined),
    ...known("sshreset_ssh_socket_mss_bytes", Number.isFinite(mss) ? mss : undefined),
    ...known("sshreset_ssh_socket_rtt_median_seconds", sorted[Math.floor(rttCount / 2)], 1000),
    ...known("sshreset_ssh_socket_rtt_max_seconds", sorted.at(-1), 1000),
    { name: "sshreset_ssh_sockets_full_size_stuck", labels: { small_segments: "delivered" }, value: delivered },
    { name: "sshreset_ssh_sockets_full_size_stuck", labels: { small_segments: "not_seen" }, value: notSeen },
    { name: "sshreset_ssh_sockets_kex_stuck", value: kexStuck },
  ];
}

/** A learned path MTU is healthy: it is smaller than the interface's, and segments fit it. */
function isFullSizeStuck(socket: SshSocket, interfaceMtu: number | undefined): boolean {
  const { backoff, retransmitsNow, sendQueueBytes, mssBytes, pathMtuBytes } = socket;
  return (
    backoff >= stuckBackoff &&
    retransmitsNow > 0 &&
    mssBytes !== undefined &&
    sendQueueBytes >= mssBytes &&
    pathMtuBytes !== undefined &&
    pathMtuBytes === interfaceMtu
  );
}

function known(name: string, value: number | undefined, divisor = 1): Sample[] {
  return value === undefined ? [] : [{ name, value: value / divisor }];
}
