import { expect } from "chai";
import fc from "fast-check";
import { type Holder, holders, PeerPlaces } from "../../src/connections/peer-places.ts";

describe("places of peers", () => {
  const capacity = 24;
  const peer = fc.oneof(
    { weight: 3, arbitrary: fc.integer({ min: 0, max: 11 }).map((n) => `192.0.2.${n}`) },
    fc.integer({ min: 0, max: 5 }).map((n) => `2001:db8:${n}::/48`),
    // No addresses, or not as the parsers write them: other texts than those they look like.
    fc.constantFrom("192.0.2.01", "192.0.2", "192.0.2.1.", ".192.0.2", "192.0.2.256", "0.0.0.0", "255.255.255.255", ""),
  );
  const holder = fc.constantFrom<Holder>(holders.known, holders.candidate, holders.check);
  const steps = fc.array(fc.record({ peer, by: holder, hold: fc.boolean() }), { maxLength: 150 });

  const secrets = { "of chance": undefined, "that makes all meet": Buffer.alloc(256) };
  for (const [name, secret] of Object.entries(secrets)) {
    it(`are those of a Map, with a secret ${name}`, () => {
      fc.assert(
        fc.property(steps, (steps) => {
          const places = new PeerPlaces(capacity, secret);
          const plain = new Map<string, { place: number; by: Set<Holder> }>();
          for (const { peer, by, hold } of steps) {
            const before = plain.get(peer);
            expect(places.find(peer)).to.equal(before?.place ?? -1);
            if (hold) {
              const place = places.hold(peer, by);
              plain.set(peer, { place, by: new Set([...(before?.by ?? []), by]) });
              expect(before?.place ?? place).to.equal(place);
            } else if (before?.by.delete(by)) {
              places.release(before.place, by);
              if (before.by.size === 0) plain.delete(peer);
            }
            expect(new Set([...plain.values()].map(({ place }) => place)).size).to.equal(plain.size);
            for (const [other, { place, by }] of plain) {
              expect(places.find(other)).to.equal(place);
              expect(places.peer(place)).to.equal(other);
              for (const each of Object.values(holders)) expect(places.isHeld(place, each)).to.equal(by.has(each));
            }
          }
          expect(Math.max(-1, ...[...plain.values()].map(({ place }) => place))).to.be.below(capacity);
        }),
      );
    });
  }

  it("differ for each of 20,000 neighbours, and are used again", () => {
    const places = new PeerPlaces(20_000);
    const peerOf = (n: number, round: number) => `10.${round}.${n >> 8}.${n & 255}`;
    for (const round of [0, 1, 2]) {
      const taken = new Set<number>();
      for (let n = 0; n < 20_000; n++) taken.add(places.hold(peerOf(n, round), holders.known));
      expect(taken.size).to.equal(20_000);
      expect(Math.max(...taken)).to.be.below(20_000);
      for (let n = 0; n < 20_000; n++) places.release(places.find(peerOf(n, round)), holders.known);
      expect(places.find(peerOf(7, round))).to.equal(-1);
    }
  });
});
