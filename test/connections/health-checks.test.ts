import { expect } from "chai";
import fc from "fast-check";
import { HealthChecks } from "../../src/connections/health-checks.ts";
import { holders, PeerPlaces } from "../../src/connections/peer-places.ts";

interface Probes {
  peer: string;
  count: number;
  lastMs: number;
  meanGapMs: number;
}

const capacity = { found: 2, candidates: 4 };
const day = 24 * 3_600_000;

/** The same by the plainest means: two lists, candidates by their last probe. */
class PlainHealthChecks {
  found: Probes[] = [];
  candidates: Probes[] = [];

  probed(peer: string, timeMs: number): void {
    const found = this.found.find((probes) => probes.peer === peer);
    if (found) {
      found.lastMs = Math.max(found.lastMs, timeMs);
      return;
    }
    const probes = this.candidates.find((probes) => probes.peer === peer) ?? {
      peer,
      count: 0,
      lastMs: timeMs,
      meanGapMs: 0,
    };
    this.candidates = this.candidates.filter((other) => other !== probes);
    this.#follow(probes, timeMs);
    if (probes.count >= 20 && this.found.length < capacity.found) this.found.push(probes);
    else this.candidates = [...this.candidates.slice(this.candidates.length === capacity.candidates ? 1 : 0), probes];
  }

  #follow(probes: Probes, timeMs: number): void {
    const gapMs = timeMs - probes.lastMs;
    const isInterrupted = probes.lastMs === 0;
    probes.lastMs = timeMs;
    if (isInterrupted) return;
    const regular =
      gapMs >= 500 &&
      gapMs <= 15 * 60_000 &&
      (probes.meanGapMs === 0 || Math.abs(gapMs - probes.meanGapMs) <= Math.max(2_000, probes.meanGapMs / 2));
    if (probes.count === 0) probes.count = 1;
    else if (regular) {
      probes.count++;
      probes.meanGapMs = probes.meanGapMs === 0 ? gapMs : probes.meanGapMs + (gapMs - probes.meanGapMs) / 8;
    } else Object.assign(probes, { count: 1, meanGapMs: 0 });
  }

  interrupted(peer: string): void {
    for (const probes of this.candidates) if (probes.peer === peer) probes.lastMs = 0;
  }

  refute(peer: string): void {
    this.found = this.found.filter((probes) => probes.peer !== peer);
    this.candidates = this.candidates.filter((probes) => probes.peer !== peer);
  }

  sweep(nowMs: number): void {
    this.found = this.found.filter(({ lastMs }) => nowMs - lastMs <= day);
  }

  snapshot(): unknown {
    const rows = (probes: readonly Probes[]) => probes.map((p) => [p.peer, p.count, p.lastMs, p.meanGapMs]);
    return { found: rows(this.found), candidates: rows(this.candidates) };
  }
}

describe("health checks by place", () => {
  const step = fc.record({
    what: fc.constantFrom("probe", "probe", "probes", "probes", "interrupt", "refute", "sweep", "restart"),
    peer: fc.integer({ min: 1, max: 7 }).map((n) => `192.0.2.${n}`),
    gapMs: fc.constantFrom(0, 499, 1_000, 10_000, 13_000, 901_000, day),
  });

  it("are those of plain lists, whatever happens in whatever order", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const empty = () => new HealthChecks(new PeerPlaces(capacity.found + capacity.candidates), capacity);
        let checks = empty();
        const plain = new PlainHealthChecks();
        let timeMs = 1_800_000_000_000;
        for (const { what, peer, gapMs } of steps) {
          if (what === "interrupt") for (const each of [checks, plain]) each.interrupted(peer);
          else if (what === "refute") for (const each of [checks, plain]) each.refute(peer);
          else if (what === "sweep") for (const each of [checks, plain]) each.sweep(timeMs);
          else if (what === "restart") {
            const saved = JSON.parse(JSON.stringify(checks.snapshot()));
            checks = empty();
            checks.restore(saved);
          }
          for (let i = what === "probes" ? 22 : what === "probe" ? 1 : 0; i > 0; i--) {
            timeMs += gapMs;
            for (const each of [checks, plain]) each.probed(peer, timeMs);
          }
          expect(checks.has(peer)).to.equal(plain.found.some((probes) => probes.peer === peer));
          expect(JSON.parse(JSON.stringify(checks.snapshot()))).to.deep.equal(plain.snapshot());
        }
      }),
      { numRuns: 300 },
    );
  }).timeout(20_000);

  it("keep nothing of a known peer, and leave its place to it", () => {
    const places = new PeerPlaces(10);
    const checks = new HealthChecks(places, capacity);
    const place = places.hold("192.0.2.1", holders.known);
    for (let i = 1; i <= 20; i++) checks.probed("192.0.2.1", i * 10_000);
    expect(checks.has("192.0.2.1")).to.equal(true);
    checks.refute("192.0.2.1");
    expect(checks.snapshot()).to.deep.equal({ found: [], candidates: [] });
    expect(places.find("192.0.2.1")).to.equal(place);
  });
});
