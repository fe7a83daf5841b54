import { expect } from "chai";
import fc from "fast-check";
import type { Event } from "../../src/model/event.ts";
import {
  accepted,
  connectionFrom,
  ended,
  failed,
  nameless,
  resetReceived,
  resetSent,
  Scene,
  sessionClosed,
} from "./scene.ts";

type From = { address: string; port: number };
type Line = readonly [event: Event, pid: number];
interface Life {
  /** What the log says, in its order. */
  readonly log: readonly Line[];
  /** What the kernel says, at any moment beside it. */
  readonly kernel: readonly Event[];
  readonly end: string;
}

/** Lives of one connection from `from` whose processes are `pid` and `pid + 1`. */
const lives: readonly ((from: From, pid: number) => Life)[] = [
  (from, pid) => ({
    log: [
      [nameless("reset", { detail: "banner", phase: "banner" }), pid],
      [ended("reset", from), pid],
    ],
    kernel: [resetReceived(from)],
    end: "banner reset",
  }),
  (from, pid) => ({
    log: [
      [connectionFrom(from), pid],
      [ended("reset", { ...from, phase: "kex" }), pid],
    ],
    kernel: [resetReceived(from)],
    end: "kex reset",
  }),
  (from, pid) => ({
    log: [
      [failed(from), pid],
      [ended("disconnect", { ...from, phase: "kex" }), pid],
      [ended("disconnect", { ...from, phase: "auth" }), pid],
    ],
    kernel: [resetReceived(from)],
    end: "auth disconnect",
  }),
  (from, pid) => ({
    log: [
      [accepted(from), pid],
      [sessionClosed, pid],
    ],
    kernel: [resetReceived(from)],
    end: "session reset",
  }),
  (from, pid) => ({
    log: [
      [accepted(from), pid],
      [ended("disconnect", from), pid + 1],
      [ended("disconnect", { ...from, phase: "session" }), pid + 1],
      [sessionClosed, pid],
    ],
    kernel: [resetSent(from)],
    end: "session disconnect",
  }),
  (from) => ({ log: [], kernel: [resetReceived(from)], end: "connect reset" }),
];

interface Told {
  readonly event: Event;
  readonly pid: number;
  readonly atMs: number;
}

/** All of a life within the join window: log lines in order, kernel events anywhere. */
const toldIn = (life: Life, offsets: readonly number[]): Told[] => {
  const logTimes = offsets.slice(0, life.log.length).sort((a, b) => a - b);
  const log = life.log.map(([event, pid], i) => ({ event, pid, atMs: logTimes[i] as number }));
  return [...log, ...life.kernel.map((event, i) => ({ event, pid: 0, atMs: offsets[7 - i] as number }))];
};

describe("connections, interleaved", () => {
  it("have one end each, the right one, in whatever order log and kernel are heard within a second", () => {
    const offsets = fc.array(fc.integer({ min: 0, max: 700 }), { minLength: 8, maxLength: 8 });
    const scripts = fc.array(fc.tuple(fc.nat(lives.length - 1), offsets), { minLength: 1, maxLength: 12 });
    fc.assert(
      fc.property(scripts, (chosen) => {
        const all = chosen.map(([which, at], i) => {
          const life = lives[which]?.({ address: "192.0.2.1", port: 40_000 + i }, 100 + 2 * i) as Life;
          return { life, told: toldIn(life, at) };
        });
        const scene = new Scene();
        const told = all.flatMap((one) => one.told).sort((a, b) => a.atMs - b.atMs);
        // All was said in one moment; heard it is within a second.
        for (const { event, pid, atMs } of told) scene.at(atMs / 1000, event, pid, { ago: atMs / 1000 });
        expect(scene.told().sort()).to.deep.equal(all.map(({ life }) => life.end).sort());
        expect(scene.connections.open()).to.deep.equal({ banner: 0, auth: 0, session: 0 });
      }),
      { numRuns: 500 },
    );
  }).timeout(60_000);

  it("have one end each when the kernel is several seconds early or late", () => {
    const delay = fc.integer({ min: -9_000, max: 9_000 });
    fc.assert(
      fc.property(fc.nat(lives.length - 1), delay, (which, delayMs) => {
        const life = lives[which]?.({ address: "192.0.2.1", port: 40_000 }, 100) as Life;
        const log = life.log.map(([event, pid], i) => ({ event, pid, atMs: 10_000 + i }));
        const kernel = life.kernel.map((event) => ({ event, pid: 0, atMs: 10_000 + delayMs }));
        const scene = new Scene();
        // Late or early is the hearing; the lines' own times are those of the end.
        for (const { event, pid, atMs } of [...log, ...kernel].sort((a, b) => a.atMs - b.atMs)) {
          scene.at(atMs / 1000, event, pid, { ago: (atMs - 1_000) / 1000 });
        }
        expect(scene.told()).to.have.length(1);
      }),
      { numRuns: 500 },
    );
  }).timeout(60_000);
});
