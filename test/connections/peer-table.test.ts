import { expect } from "chai";
import fc from "fast-check";
import { keyOf, type PeerEntry, PeerTable, peerOf } from "../../src/connections/peer-table.ts";

class Entry implements PeerEntry<Entry> {
  address: string | undefined = undefined;
  port = 0;
  hash = 0;
  nextInBucket: Entry | undefined = undefined;
}

describe("peer table", () => {
  it("finds what a Map of key strings would", () => {
    const change = fc.record({
      adds: fc.boolean(),
      address: fc.oneof(fc.constantFrom("192.0.2.1", "192.0.2.2", "::1"), fc.ipV4(), fc.ipV6()),
      port: fc.nat(3),
    });
    fc.assert(
      fc.property(fc.array(change), (changes) => {
        const table = new PeerTable<Entry>();
        const map = new Map<string, Entry>();
        for (const { adds, address, port } of changes) {
          const key = keyOf(address, port);
          const entry = map.get(key);
          expect(table.get(address, port)).to.equal(entry);
          if (entry && !adds) {
            table.delete(entry);
            map.delete(key);
          } else if (!entry && adds) {
            const added = new Entry();
            table.add(added, address, port);
            map.set(key, added);
          }
          expect(table.size).to.equal(map.size);
        }
        for (const [key, entry] of map) {
          const { address, port } = peerOf(key, "test");
          expect(table.get(address, port)).to.equal(entry);
        }
      }),
    );
  });

  it("grows, and still finds all", () => {
    const table = new PeerTable<Entry>();
    const addressOf = (n: number) => `10.0.${n >> 8}.${n & 255}`;
    const entries = Array.from({ length: 30_000 }, () => new Entry());
    for (const [n, entry] of entries.entries()) table.add(entry, addressOf(n), 1 + (n % 7));
    for (const [n, entry] of entries.entries()) expect(table.get(addressOf(n), 1 + (n % 7))).to.equal(entry);
    for (const entry of entries) table.delete(entry);
    expect(table.size).to.equal(0);
    expect(table.get(addressOf(5), 6)).to.equal(undefined);
  });

  it("spreads addresses and ports in order over its buckets", () => {
    const table = new PeerTable<Entry>();
    const hashes = new Set<number>();
    for (let n = 0; n < 8_192; n++) {
      const entry = new Entry();
      table.add(entry, `10.0.0.${n & 255}`, 1024 + (n >> 8));
      hashes.add(entry.hash & 8_191);
    }
    // As many as chance gives are 5,178.
    expect(hashes.size).to.be.above(4_900);
  });

  it("takes an address with or without a port, and nothing else", () => {
    expect(peerOf("192.0.2.1 22", "here")).to.deep.equal({ address: "192.0.2.1", port: 22 });
    expect(peerOf("2001:db8::1", "here")).to.deep.equal({ address: "2001:db8::1", port: 0 });
    for (const key of ["", "192.0.2.1 0", "192.0.2.1 65536", "192.0.2.1 22 ", "localhost 22", "192.0.2.1 022"]) {
      expect(() => peerOf(key, "here"), key)
        .to.throw("here: ")
        .with.property("message")
        .that.includes("is no address");
    }
  });
});
