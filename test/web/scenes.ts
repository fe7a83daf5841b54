/** Reports as the running exporter makes them: recorded faults replayed on a host that is healthy otherwise, judged every 15 s. */
import { EvidenceLines } from "../../src/diagnose/evidence-lines.ts";
import { Judging, judgeIntervalMs } from "../../src/exporter/judging.ts";
import type { ChecklistReport } from "../../src/model/checklist.ts";
import { parse } from "../../src/parsers/index.ts";
import { Ledger, tallyMetrics } from "../../src/tallies/index.ts";
import type { Status } from "../../src/web/status-page.ts";
import { type Change, SimulatedHost } from "../alerts/simulated-host.ts";
import { fixture } from "../tallies/replay.ts";

const before = 50 * 60_000;
const after = 2 * 60_000;
const tallied = new Set(tallyMetrics.map(({ name }) => name));

export interface Scene {
  readonly report: ChecklistReport;
  readonly status: Status;
}

/** `changes`: what collectors see beside the log. Times in seconds from 50 minutes before the recording's first line. */
export async function scene(recording: string, changes: readonly Change[] = [], withLines = false): Promise<Scene> {
  const records = fixture(recording);
  const [first, last] = [records[0]?.timeMs ?? 0, records.at(-1)?.timeMs ?? 0];
  const startMs = first - before;
  const host = new SimulatedHost(changes);
  const ledger = new Ledger();
  for (const address of ["10.77.1.2", "10.77.1.3", "10.77.2.1"]) ledger.learn(address, startMs - 1000);
  const evidence = new EvidenceLines();
  const judging = new Judging(async () => undefined);
  let judgedMs = 0;
  let next = 0;
  for (let nowMs = startMs; nowMs <= last + after; nowMs += 1000) {
    for (let record = records[next]; record !== undefined && record.timeMs <= nowMs; record = records[++next]) {
      const event = parse(record);
      if (event === undefined) continue;
      evidence.take(event, record, (address) => ledger.classify(address, nowMs) === "known");
      ledger.handle(event, record);
    }
    ledger.tick(nowMs);
    if (nowMs - judgedMs < judgeIntervalMs) continue;
    judgedMs = nowMs;
    const read = host.samples((nowMs - startMs) / 1000).filter(({ name }) => !tallied.has(name));
    await judging.judge(nowMs, [...ledger.samples(nowMs), ...read]);
  }
  return { report: judging.checklist(last + after, withLines ? evidence.told(last + after) : undefined), status };
}

const status: Status = {
  version: "1.0.0",
  host: "web1",
  sources: [
    { name: "journal", state: "ok" },
    { name: "kmsg", state: "ok" },
    {
      name: "tcp_trace",
      state: "absent",
      note: "/sys/kernel/tracing has no TCP reset events that this user can read: resets are told from the logs alone",
      grant:
        "as root: mount -t tracefs tracefs /sys/kernel/tracing; ssh-reset-exporter observe trace --group GROUP, then restart",
    },
  ],
  collectors: [
    { name: "conntrack", state: "ok" },
    { name: "host", state: "ok" },
    { name: "interfaces", state: "ok" },
    { name: "memory", state: "ok" },
    { name: "path_mtu", state: "ok" },
    {
      name: "reset_ttl",
      state: "absent",
      note: "there is no table ssh_reset_exporter",
      grant: "ssh-reset-exporter observe install",
    },
    { name: "sockets", state: "ok" },
    { name: "sshd", state: "ok" },
    { name: "tcp_counters", state: "ok" },
    { name: "tcp_wrappers", state: "ok" },
  ],
};

/** The collectors that `status` says are absent, and a cloud that there is none of. */
const absent: readonly Change[] = ["reset_ttl", "cloud"].map((collector) => ({
  metric: "scrape_collector_available",
  labels: { collector },
  at: 0,
  value: 0,
}));

export const scenes: Readonly<Record<string, () => Promise<Scene>>> = {
  healthy: () => scene("t-ok", absent),
  crash: () => scene("a1-kill9-main", [...absent, { metric: "sshd_up", at: 3000, value: 0, until: 3012 }], true),
  throttling: () => scene("c1-maxstartups", absent),
  "conntrack-full": () =>
    scene("g-conntrack-full", [
      ...absent,
      { metric: "conntrack_entries", at: 2400, value: 150_000 },
      { metric: "conntrack_entries", at: 2640, value: 205_000 },
      { metric: "conntrack_entries", at: 2820, value: 240_000 },
      { metric: "conntrack_entries", at: 2940, value: 262_144 },
      { metric: "conntrack_drops_total", at: 3000, perMinute: 40 },
    ]),
};
