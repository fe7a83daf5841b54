import { expect } from "chai";
import fc from "fast-check";
import type { Event } from "../../src/model/event.ts";
import type { LogRecord } from "../../src/model/record.ts";
import { Ledger } from "../../src/tallies/index.ts";
import { counted } from "./replay.ts";

const options = { kernelVisible: () => true, peers: { show: "all" } } as const;
const startMs = 1_800_000_000_000;

const address = fc.constantFrom("192.0.2.1", "192.0.2.2", "2001:db8::1");
const port = fc.constantFrom(40_000, 40_001);
const peer = fc.record({ address, port });
const tcp = fc.record({ localAddress: fc.constant("192.0.2.254"), localPort: fc.constant(22), address, port });
const outcome = fc.constantFrom("reset", "closed", "disconnect", "timeout", "error");
const phase = fc.constantFrom("banner", "kex", "auth", "session");
const detail = fc.constantFrom("read", "banner", "login_grace", "client_alive", "integrity");
const role = fc.constantFrom("daemon", "socket", "connection", "session");

const event: fc.Arbitrary<Event> = fc.oneof(
  peer.map((from): Event => ({ kind: "sshd.connection", ...from })),
  peer.map((from): Event => ({ kind: "sshd.accepted", ...from })),
  peer.map((from): Event => ({ kind: "sshd.authentication_failed", ...from })),
  fc
    .record({ outcome, detail, phase, address, port }, { requiredKeys: ["outcome", "detail"] })
    .map((fields) => ({ kind: "sshd.ended", ...fields }) as Event),
  peer.map((from): Event => ({ kind: "sshd.drop", limit: "max_startups", ...from })),
  fc
    .record({ scope: fc.constantFrom("begin", "running", "total", "additional"), count: fc.nat(20) })
    .map((fields) => ({ kind: "sshd.drop_total", limit: "max_startups", ...fields }) as Event),
  fc.constantFrom<Event>(
    { kind: "sshd.session_opened" },
    { kind: "sshd.session_closed" },
    { kind: "sshd.user_child", childPid: 12 },
    { kind: "sshd.listening", address: "0.0.0.0", port: 22 },
    { kind: "sshd.signal", signal: 15 },
    { kind: "sshd.reload" },
    { kind: "sshd.start_failed", reason: "bind" },
    { kind: "sshd.session_crash", pid: 11 },
    { kind: "kernel.crash", process: "sshd", pid: 11 },
    { kind: "kernel.conntrack_full" },
    { kind: "kernel.suppressed", count: 7 },
    { kind: "kernel.link", interface: "eth0", up: false },
    { kind: "oom.context", scope: "cgroup", pid: 11, cgroup: "sshd" },
    { kind: "oom.kill", scope: "host", pid: 11, victim: "other" },
  ),
  fc
    .record({
      kind: fc.constantFrom("unit.started", "unit.stopping", "unit.stopped", "unit.start_failed", "unit.start_limit"),
      role,
    })
    .map((fields) => fields as Event),
  fc
    .record({ how: fc.constantFrom("exited", "killed", "dumped"), status: fc.constantFrom(0, 9, 11, 15, 255), role })
    .map((fields) => ({ kind: "unit.exited", process: "main", ...fields }) as Event),
  fc
    .record({ result: fc.constantFrom("signal", "oom-kill", "exit-code", "start-limit-hit"), role })
    .map((fields) => ({ kind: "unit.failed", ...fields }) as Event),
  role.map((ofRole): Event => ({ kind: "unit.oom_kill", role: ofRole, by: "kernel" })),
  tcp.map((fields): Event => ({ kind: "tcp.reset_received", ...fields })),
  tcp.map((fields): Event => ({ kind: "tcp.reset_sent", reason: "tcp_abort_on_data", ...fields })),
);

interface Step {
  readonly event: Event;
  readonly pid: number;
  readonly afterMs: number;
}
const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.record({
    event,
    pid: fc.constantFrom(0, 10, 11, 12),
    afterMs: fc.constantFrom(0, 0, 100, 900, 4_000, 12_000, 70_000),
  }),
  { maxLength: 40 },
);

/** `restartBefore`: steps before which the exporter is restarted. */
function run(sequence: readonly Step[], restartBefore: (step: number) => boolean): Ledger {
  let ledger = new Ledger(options);
  let nowMs = startMs;
  for (const [i, { event, pid, afterMs }] of sequence.entries()) {
    if (restartBefore(i)) {
      const saved: unknown = JSON.parse(JSON.stringify(ledger.snapshot()));
      ledger = new Ledger(options);
      ledger.restore(saved);
    }
    const untilMs = nowMs + afterMs;
    while (nowMs < untilMs) {
      nowMs = Math.min(untilMs, nowMs + 1_000);
      ledger.tick(nowMs);
    }
    const source = event.kind.startsWith("tcp.") ? "tcp_trace" : "journal";
    const record: LogRecord = { source, timeMs: nowMs, ident: "", pid, message: "", count: 1 };
    ledger.handle(event, record);
  }
  for (let i = 1; i <= 60; i++) ledger.tick(nowMs + i * 1_000);
  return ledger;
}

describe("restart", () => {
  it("at every event gives the same ledger, for any sequence", () => {
    fc.assert(
      fc.property(steps, (sequence) => {
        const whole = run(sequence, () => false);
        const restarted = run(sequence, () => true);
        expect(JSON.stringify(restarted.snapshot())).to.equal(JSON.stringify(whole.snapshot()));
        expect(restarted.samples(startMs)).to.deep.equal(whole.samples(startMs));
      }),
      { numRuns: 300 },
    );
  }).timeout(60_000);

  it("never lets a counter step back, and ends at most one connection per event", () => {
    fc.assert(
      fc.property(steps, fc.nat(40), (sequence, cut) => {
        const before = counted(run(sequence.slice(0, cut), () => false));
        const after = counted(run(sequence, (step) => step === cut));
        const sum = (counts: Record<string, number>): number =>
          Object.entries(counts).reduce(
            (total, [name, n]) => (name.startsWith("connections_ended") ? total + n : total),
            0,
          );
        expect(sum(after)).to.be.at.most(sequence.length);
        // Stops and ends may be judged otherwise when more of their lines are heard: their sums only grow.
        for (const name of [
          "connections_accepted",
          "tcp_resets_received",
          "conntrack_table_full",
          "authentication_failures",
        ]) {
          expect(after[name] ?? 0, name).to.be.at.least(before[name] ?? 0);
        }
      }),
      { numRuns: 300 },
    );
  }).timeout(60_000);

  it("refuses a snapshot of another version, quoting it", () => {
    expect(() => new Ledger().restore({ version: 99 })).to.throw('snapshot version "99"');
    expect(() => new Ledger().restore(null)).to.throw('snapshot version "undefined"');
  });
});
