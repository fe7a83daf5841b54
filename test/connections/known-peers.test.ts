import { expect } from "chai";
import fc from "fast-check";
import { activeForMs, KnownPeers, knownForMs, resetForMs } from "../../src/connections/known-peers.ts";
import { PeerPlaces } from "../../src/connections/peer-places.ts";

type Row = [peer: string, loginMs: number, endMs: number, resetMs: number];

/** The same by the plainest means: a list, by login. */
class PlainKnownPeers {
  #rows: Row[] = [];
  readonly #capacity: number;

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  authenticated(peer: string, timeMs: number): void {
    const row = this.#row(peer);
    if (!row && this.#rows.length === this.#capacity) {
      this.#rows = this.#rows.slice(Math.max(1, Math.floor(this.#capacity / 100)));
    }
    if (!row) this.#rows.push([peer, timeMs, 0, 0]);
    else if (timeMs > row[1]) {
      const isLater = timeMs - row[1] >= 3_600_000;
      row[1] = timeMs;
      if (isLater) this.#rows = [...this.#rows.filter((other) => other !== row), row];
    }
  }

  ended(peer: string, timeMs: number, wasReset: boolean): void {
    const row = this.#row(peer);
    if (!row) return;
    row[2] = Math.max(row[2], timeMs);
    if (wasReset) row[3] = Math.max(row[3], timeMs);
  }

  has(peer: string, timeMs: number): boolean {
    const row = this.#row(peer);
    return row !== undefined && timeMs - row[1] <= knownForMs;
  }

  count(nowMs: number, connected: ReadonlySet<string>): { all: number; active: number; reset: number } {
    const known = this.#rows.filter(([, loginMs]) => nowMs - loginMs <= knownForMs);
    const active = known.filter(
      ([peer, loginMs, endMs]) => nowMs - Math.max(loginMs, endMs) <= activeForMs || connected.has(peer),
    );
    const reset = known.filter(([, , , resetMs]) => resetMs !== 0 && nowMs - resetMs <= resetForMs);
    return { all: known.length, active: active.length, reset: reset.length };
  }

  sweep(nowMs: number): void {
    this.#rows = this.#rows.filter(([, loginMs]) => nowMs - loginMs <= knownForMs);
  }

  snapshot(): readonly Row[] {
    return this.#rows;
  }

  #row(peer: string): Row | undefined {
    return this.#rows.find(([other]) => other === peer);
  }
}

const savedOf = (known: KnownPeers): unknown => JSON.parse(JSON.stringify(known.snapshot()));

describe("known peers in one array of times", () => {
  const now = 1_800_000_000_000;
  const peer = fc.integer({ min: 0, max: 5 }).map((n) => `192.0.2.${n}`);
  const capacity = 4;
  const step = fc.record({
    what: fc.constantFrom("login", "login", "login", "end", "end", "sweep", "restart"),
    peer,
    aheadMs: fc.constantFrom(-5_000, 0, 0, 1, 1_000, 3_599_000, 3_600_000, 3_600_000, knownForMs / 3, knownForMs),
    wasReset: fc.boolean(),
  });

  const emptyKnownPeers = () => new KnownPeers(new PeerPlaces(capacity), capacity);

  it("are those of a plain list, whatever happens in whatever order", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
        let known = emptyKnownPeers();
        const plain = new PlainKnownPeers(capacity);
        let timeMs = now;
        for (const { what, peer, aheadMs, wasReset } of steps) {
          timeMs += aheadMs;
          if (what === "login") for (const peers of [known, plain]) peers.authenticated(peer, timeMs);
          else if (what === "end") for (const peers of [known, plain]) peers.ended(peer, timeMs, wasReset);
          else if (what === "sweep") for (const peers of [known, plain]) peers.sweep(timeMs);
          else {
            const saved = savedOf(known);
            known = emptyKnownPeers();
            known.restore(saved);
          }
          expect(known.has(peer, timeMs)).to.equal(plain.has(peer, timeMs));
          expect(savedOf(known)).to.deep.equal(plain.snapshot());
          const connected = new Set([peer]);
          expect(known.count(timeMs, () => connected)).to.deep.equal(plain.count(timeMs, connected));
        }
      }),
      { numRuns: 300 },
    );
  }).timeout(20_000);

  it("are forgotten some at a time when the clock steps a month ahead", () => {
    const known = new KnownPeers(new PeerPlaces(5_000), 5_000);
    for (let i = 0; i < 5_000; i++) known.authenticated(`10.0.${i >> 8}.${i & 255}`, now);
    const later = now + knownForMs + 1;
    expect(known.count(later, () => []).all).to.equal(0);
    const sizes = [1, 2, 3].map(() => {
      known.sweep(later);
      return known.size;
    });
    expect(sizes).to.deep.equal([3_000, 1_000, 0]);
  });

  it("refuse a snapshot that has a peer twice", () => {
    const row = ["192.0.2.1", now, 0, 0];
    expect(() => emptyKnownPeers().restore([row, row])).to.throw('known peers: "192.0.2.1" is there twice');
  });
});
