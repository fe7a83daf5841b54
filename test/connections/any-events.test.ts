/**
 * Any events at all, of few peers and processes so that they meet: a connection that goes on from a snapshot has other
 * objects than one that has run all the time and used them again and again, and must not tell the difference.
 */
import { expect } from "chai";
import fc from "fast-check";
import { Connections } from "../../src/connections/connections.ts";
import type { Event } from "../../src/model/event.ts";

const address = fc.constantFrom("192.0.2.1", "192.0.2.2", "2001:db8::1");
const peer = fc.record({ address, port: fc.integer({ min: 1, max: 3 }) });
const addressOnly = fc.record({ address });
const anyPeer = fc.oneof(peer, addressOnly, fc.constant({}));
const pid = fc.integer({ min: 0, max: 6 });
const local = { localAddress: "192.0.2.254", localPort: 22 };

const event: fc.Arbitrary<Event> = fc.oneof(
  peer.map((from) => ({ kind: "sshd.connection", ...from }) as const),
  fc.oneof(peer, addressOnly).map((from) => ({ kind: "sshd.accepted", ...from }) as const),
  anyPeer.map((from) => ({ kind: "sshd.authentication_failed", ...from }) as const),
  fc.record(
    {
      kind: fc.constant("sshd.ended" as const),
      outcome: fc.constantFrom("reset", "closed", "disconnect", "timeout", "refused", "error"),
      detail: fc.constant("read" as const),
      phase: fc.constantFrom("banner", "kex", "auth", "session"),
      address,
      port: fc.integer({ min: 1, max: 3 }),
      subjectPid: pid,
    },
    { requiredKeys: ["kind", "outcome", "detail"] },
  ),
  anyPeer.map((from) => ({ kind: "sshd.drop", limit: "max_startups", ...from }) as const),
  fc.constant({ kind: "sshd.session_closed" } as const),
  pid.map((childPid) => ({ kind: "sshd.user_child", childPid }) as const),
  fc.record({ kind: fc.constant("sshd.session_crash" as const), pid, address }, { requiredKeys: ["kind"] }),
  pid.map((crashed) => ({ kind: "kernel.crash", process: "sshd", pid: crashed }) as const),
  peer.map((from) => ({ kind: "tcp.reset_received", ...local, ...from }) as const),
  peer.map((from) => ({ kind: "tcp.reset_sent", ...local, ...from, reason: "tcp_abort_on_data" }) as const),
);
const step = fc.record({
  event,
  pid,
  waitMs: fc.oneof(fc.constant(0), fc.integer({ min: -3_000, max: 1_500 }), fc.integer({ min: 0, max: 70_000 })),
  agoMs: fc.oneof(fc.constant(0), fc.integer({ min: -15_000, max: 15_000 })),
  restart: fc.boolean(),
});

describe("connections, of any events", () => {
  it("go on from a snapshot as if nothing had happened", () => {
    const steps = fc.array(step, { minLength: 1, maxLength: 60, size: "max" });
    fc.assert(
      fc.property(steps, fc.constantFrom(2, 100), (all, capacity) => {
        const create = (ends: string[]) =>
          new Connections({
            onEnd: (end, evidence) => ends.push(JSON.stringify({ ...end, ...evidence })),
            classify: () => "unknown",
            kernelVisible: () => true,
            capacity,
          });
        const told: string[] = [];
        const toldThroughout: string[] = [];
        let connections = create(told);
        const throughout = create(toldThroughout);
        let nowMs = 1_800_000_000_000;
        for (const { event, pid, waitMs, agoMs, restart } of all) {
          if (restart) {
            const saved = JSON.stringify(connections.snapshot());
            connections = create(told);
            connections.restore(JSON.parse(saved));
            expect(JSON.stringify(connections.snapshot())).to.equal(saved);
          }
          nowMs += waitMs;
          const source = event.kind.startsWith("tcp.") ? "tcp_trace" : "journal";
          const record = { source, timeMs: nowMs - agoMs, ident: "", pid, message: "", count: 1 } as const;
          for (const each of [connections, throughout]) {
            each.tick(nowMs);
            each.handle(event, record);
          }
        }
        expect(JSON.stringify(connections.snapshot())).to.equal(JSON.stringify(throughout.snapshot()));
        for (let i = 0; i < 20; i++) {
          nowMs += 4_000;
          connections.tick(nowMs);
          throughout.tick(nowMs);
        }
        expect(told).to.deep.equal(toldThroughout);
        expect(connections.evicted).to.equal(throughout.evicted);
      }),
      { numRuns: 1_000 },
    );
  }).timeout(60_000);
});
