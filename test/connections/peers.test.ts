import { SocketAddress } from "node:net";
import { expect } from "chai";
import fc from "fast-check";
import { KnownPeers } from "../../src/connections/known-peers.ts";
import { peerGroup } from "../../src/connections/peer-group.ts";
import { PeerPlaces } from "../../src/connections/peer-places.ts";
import { Peers, type PeersOptions } from "../../src/connections/peers.ts";
import type { ConnectionEnd } from "../../src/model/connection.ts";

const second = 1_000;
const day = 24 * 3_600 * second;
const now = 1_800_000_000 * second;
const names = { received: "received", sent: "sent" };

const end = (address: string, timeMs: number, fields: Partial<ConnectionEnd> = {}): ConnectionEnd => ({
  timeMs,
  address,
  port: 40_000,
  phase: "banner",
  outcome: "closed",
  detail: "banner",
  peerClass: "unknown",
  count: 1,
  ...fields,
});

/** Series that are not 0, or not `other`: `direction peer class` to value. */
function series(peers: Peers): Record<string, number> {
  const found: Record<string, number> = {};
  for (const { name, labels = {}, value } of peers.samples(names)) {
    if (labels["peer"] === "other" && value === 0) continue;
    found[`${name} ${labels["peer"]} ${labels["peer_class"]}`] = value as number;
  }
  return found;
}

const restarted = (peers: Peers, options?: PeersOptions): Peers => {
  const fresh = new Peers(options);
  fresh.restore(JSON.parse(JSON.stringify(peers.snapshot())));
  return fresh;
};

describe("peer groups", () => {
  const cases: readonly (readonly [string, number, string])[] = [
    ["192.0.2.7", 64, "192.0.2.7"],
    ["2001:db8:1:2:3:4:5:6", 64, "2001:db8:1:2::/64"],
    ["2001:db8::1", 64, "2001:db8:0:0::/64"],
    ["2001:db8:1:2ff:3:4:5:6", 56, "2001:db8:1:200::/56"],
    ["2001:db8::1", 128, "2001:db8:0:0:0:0:0:1/128"],
    ["fe80::1%eth0", 64, "fe80:0:0:0::/64"],
    ["::1", 64, "0:0:0:0::/64"],
    ["64:ff9b::192.0.2.33", 128, "64:ff9b:0:0:0:0:c000:221/128"],
  ];
  for (const [address, length, group] of cases) {
    it(`puts ${address} with /${length} into ${group}`, () => {
      expect(peerGroup(address, length)).to.equal(group);
    });
  }
});

/** By arithmetic on the whole number. */
function plainGroup(groups: readonly number[], length: number): string {
  const whole = groups.reduce((sum, group) => (sum << 16n) | BigInt(group), 0n);
  const masked = (whole >> BigInt(128 - length)) << BigInt(128 - length);
  const kept = Math.ceil(length / 16);
  const texts = groups.map((_, i) => ((masked >> BigInt(112 - 16 * i)) & 0xffffn).toString(16));
  return `${texts.slice(0, kept).join(":")}${kept < 8 ? "::" : ""}/${length}`;
}

it("a peer group of any IPv6 address is its leading bits", () => {
  const group = fc.oneof(fc.constant(0), fc.nat(0xffff));
  const groups = fc.array(group, { minLength: 8, maxLength: 8 });
  const length = fc.oneof(fc.constantFrom(32, 48, 56, 64, 128), fc.integer({ min: 1, max: 128 }));
  fc.assert(
    fc.property(groups, length, fc.constantFrom("", "%eth0"), (groups, length, zone) => {
      const text = groups.map((group) => group.toString(16)).join(":");
      const { address } = new SocketAddress({ address: text, family: "ipv6" });
      expect(peerGroup(address + zone, length)).to.equal(plainGroup(groups, length));
    }),
    { numRuns: 2_000 },
  );
});

describe("known peers", () => {
  it("are known for 30 days after their last login, also when only learnt from history", () => {
    const peers = new Peers();
    peers.authenticated("192.0.2.1", now);
    peers.learn("192.0.2.2", now - 29 * day);
    expect(peers.classify("192.0.2.1", now + 30 * day)).to.equal("known");
    expect(peers.classify("192.0.2.1", now + 31 * day)).to.equal("unknown");
    expect(peers.classify("192.0.2.2", now)).to.equal("known");
    expect(peers.classify("192.0.2.2", now + 2 * day)).to.equal("unknown");
  });

  it("know an IPv6 network by one of its addresses", () => {
    const peers = new Peers();
    peers.authenticated("2001:db8:1:2::1", now);
    expect(peers.classify("2001:db8:1:2:ffff::9", now)).to.equal("known");
    expect(peers.classify("2001:db8:1:3::1", now)).to.equal("unknown");
  });

  it("keep the 20,000 whose login is latest", () => {
    const known = new KnownPeers(new PeerPlaces(100), 100);
    for (let i = 0; i < 200; i++) {
      known.authenticated(`peer ${i}`, now + i);
      known.authenticated("regular", now + i);
    }
    expect(known.size).to.equal(100);
    expect(known.has("regular", now)).to.equal(true);
    expect(known.has("peer 199", now)).to.equal(true);
    expect(known.has("peer 99", now)).to.equal(false);
  });

  it("are active within the hour or with an open session, and reset within ten minutes", () => {
    const peers = new Peers();
    for (const i of [1, 2, 3]) peers.authenticated(`192.0.2.${i}`, now);
    const later = now + 2 * 3_600 * second;
    peers.ended(end("192.0.2.1", later, { phase: "session", outcome: "reset" }));
    peers.ended(end("192.0.2.1", later, { phase: "session", outcome: "reset" }));
    peers.ended(end("192.0.2.9", later, { phase: "session", outcome: "reset" }));
    expect(peers.count(later, ["192.0.2.2"])).to.deep.equal({ all: 3, active: 2, reset: 1 });
    expect(peers.count(later + 11 * 60 * second, [])).to.deep.equal({ all: 3, active: 1, reset: 0 });
  });
});

describe("peer classes", () => {
  const probe = (peers: Peers, address: string, count: number, gapMs: number, from = now): number => {
    let timeMs = from;
    for (let i = 0; i < count; i++, timeMs += gapMs) peers.ended(end(address, timeMs));
    return timeMs;
  };

  it("finds a health check after twenty regular probes", () => {
    const peers = new Peers();
    probe(peers, "192.0.2.1", 19, 10 * second);
    expect(peers.classify("192.0.2.1", now)).to.equal("unknown");
    const at = probe(peers, "192.0.2.1", 20, 10 * second, now + 190 * second);
    expect(peers.classify("192.0.2.1", at)).to.equal("health_check");
  });

  it("takes neither irregular visits nor a burst nor authentication attempts for a health check", () => {
    const irregular = new Peers();
    for (let i = 0, at = now; i < 60; i++, at += (i % 3 === 0 ? 7 : 300) * second)
      irregular.ended(end("192.0.2.1", at));
    expect(irregular.classify("192.0.2.1", now)).to.equal("unknown");
    const burst = new Peers();
    probe(burst, "192.0.2.1", 60, 10);
    expect(burst.classify("192.0.2.1", now)).to.equal("unknown");
    const trying = new Peers();
    for (let i = 0; i < 6; i++) {
      probe(trying, "192.0.2.1", 10, 10 * second, now + i * 100 * second);
      trying.authenticationFailed("192.0.2.1");
    }
    expect(trying.classify("192.0.2.1", now)).to.equal("unknown");
    const dropped = new Peers();
    for (let i = 0; i < 60; i++) {
      dropped.ended(end("192.0.2.1", now + i * 10 * second, { phase: "connect", outcome: "dropped" }));
    }
    expect(dropped.classify("192.0.2.1", now)).to.equal("unknown");
  });

  it("does not count what sshd turns away, nor the silence after it, against a health check", () => {
    const peers = new Peers();
    let at = now;
    for (const _ of [1, 2, 3]) {
      at = probe(peers, "192.0.2.1", 8, second, at);
      peers.ended(end("192.0.2.1", at, { phase: "connect", outcome: "dropped" }));
      at += 40 * second;
    }
    expect(peers.classify("192.0.2.1", at)).to.equal("health_check");
  });

  it("makes an address that has authenticated a health check only by configuration", () => {
    const peers = new Peers();
    peers.authenticated("192.0.2.1", now);
    const at = probe(peers, "192.0.2.1", 60, 10 * second);
    expect(peers.classify("192.0.2.1", at)).to.equal("known");
    const configured = new Peers({ healthChecks: ["192.0.2.0/24"] });
    configured.authenticated("192.0.2.1", now);
    expect(configured.classify("192.0.2.1", now)).to.equal("health_check");
  });

  it("ends a found health check with its first login, and after a day of silence", () => {
    const peers = new Peers();
    const at = probe(peers, "192.0.2.1", 40, 10 * second);
    peers.tick(at);
    peers.tick(at + 2 * day);
    expect(peers.classify("192.0.2.1", at)).to.equal("unknown");
    probe(peers, "192.0.2.1", 40, 10 * second);
    peers.authenticated("192.0.2.1", at);
    expect(peers.classify("192.0.2.1", at)).to.equal("known");
  });

  it("never knows a proxy", () => {
    const peers = new Peers({ proxies: ["192.0.2.1", "2001:db8::/32"] });
    peers.authenticated("192.0.2.1", now);
    expect(peers.classify("192.0.2.1", now)).to.equal("proxy");
    expect(peers.classify("2001:db8:5::1", now)).to.equal("proxy");
    expect(peers.count(now, []).all).to.equal(0);
  });

  it("quotes a configured address that is none", () => {
    for (const entry of ["example.org", "192.0.2.1/33", "192.0.2.1/", ""]) {
      expect(() => new Peers({ proxies: [entry] })).to.throw(`"${entry}" is no address or network`);
    }
  });
});

describe("per-peer series", () => {
  it("show a known peer from its login on, at 0, and count its resets there", () => {
    const peers = new Peers();
    peers.authenticated("192.0.2.1", now);
    expect(series(peers)).to.deep.equal({ "received 192.0.2.1 known": 0, "sent 192.0.2.1 known": 0 });
    peers.reset("received", "192.0.2.1", now, 2);
    peers.reset("sent", "192.0.2.1", now, 1);
    peers.reset("received", "192.0.2.9", now, 1);
    peers.reset("sent", undefined, now, 1);
    expect(series(peers)).to.deep.equal({
      "received 192.0.2.1 known": 2,
      "sent 192.0.2.1 known": 1,
      "received other unknown": 1,
      "sent other unknown": 1,
    });
  });

  it("begin at 0 for an unknown peer that is surely heavy, and only with show=all", () => {
    for (const show of ["all", "known", "none"] as const) {
      const peers = new Peers({ show });
      peers.authenticated("192.0.2.1", now);
      for (let i = 0; i < 10; i++) peers.reset("received", "192.0.2.9", now, 1);
      const found = series(peers);
      expect(found["received other unknown"], show).to.equal(10);
      expect(found["received 192.0.2.9 unknown"], show).to.equal(show === "all" ? 0 : undefined);
      expect(found["received 192.0.2.1 known"], show).to.equal(show === "none" ? undefined : 0);
    }
  });

  it("leave what was counted where it is when a peer becomes known", () => {
    const peers = new Peers({ show: "all" });
    for (let i = 0; i < 15; i++) peers.reset("received", "192.0.2.9", now, 1);
    peers.authenticated("192.0.2.9", now);
    peers.reset("received", "192.0.2.9", now, 1);
    const { "received 192.0.2.9 unknown": before, "received 192.0.2.9 known": after } = series(peers);
    expect([before, after]).to.deep.equal([5, 1]);
  });

  it("keep room for known peers, whatever a flood of others does", () => {
    const peers = new Peers({ show: "all" });
    for (let i = 0; i < 40; i++) {
      for (let n = 0; n < 20; n++) peers.reset("received", `198.51.100.${i}`, now, 1);
    }
    for (let i = 0; i < 60; i++) peers.authenticated(`192.0.2.${i}`, now);
    peers.reset("received", "192.0.2.59", now, 1);
    peers.reset("received", "192.0.2.59", now, 1);
    const found = series(peers);
    const shown = new Set(Object.keys(found).map((key) => key.split(" ")[1]));
    shown.delete("other");
    expect(shown.size).to.equal(50);
    expect(found["received 192.0.2.59 known"]).to.equal(1);
    expect(found["received other known"]).to.equal(1);
  });

  it("never go down nor lose a reset with 200,000 peers, restarts in between", () => {
    const options = { show: "all" } as const;
    let peers = new Peers(options);
    for (let i = 0; i < 10; i++) peers.authenticated(`192.0.2.${i}`, now);
    let before = series(peers);
    for (let round = 0; round < 20; round++) {
      for (let i = 0; i < 10_000; i++) {
        const heavy = i % 3 === 0 ? `198.51.100.${i % 7}` : `10.${round}.${i >> 8}.${i & 255}`;
        peers.reset(i % 2 ? "sent" : "received", i % 10 === 0 ? `192.0.2.${i % 9}` : heavy, now + round, 1);
      }
      peers = restarted(peers, options);
      const after = series(peers);
      for (const [key, value] of Object.entries(before)) expect(after[key], key).to.be.at.least(value);
      before = after;
    }
    expect(Object.values(before).reduce((sum, value) => sum + value)).to.equal(200_000);
    expect(peers.samples(names).length).to.be.at.most(2 * (50 * 4 + 4));
  });

  it("give the place of a peer without a reset for a day to a heavier one", () => {
    const peers = new Peers({ show: "all" });
    for (let i = 0; i < 30; i++) {
      for (let n = 0; n < 12; n++) peers.reset("received", `198.51.100.${i}`, now, 1);
    }
    const late = () => {
      for (let n = 0; n < 12; n++) peers.reset("received", "203.0.113.1", now + day, 1);
      return series(peers)["received 203.0.113.1 unknown"];
    };
    expect(late()).to.equal(undefined);
    for (let n = 0; n < 12; n++) peers.reset("received", "203.0.113.1", now + 2 * day, 1);
    expect(series(peers)["received 203.0.113.1 unknown"]).to.be.a("number");
  });

  it("hide addresses behind a keyed hash", () => {
    const labels = (hashKey: string) => {
      const peers = new Peers({ hashKey });
      peers.authenticated("192.0.2.1", now);
      return Object.keys(series(peers)).map((key) => key.split(" ")[1]);
    };
    expect(labels("a")[0]).to.match(/^[0-9a-f]{16}$/);
    expect(labels("a")).to.deep.equal(labels("a"));
    expect(labels("a")).not.to.deep.equal(labels("b"));
  });

  it("stay within a few MB with a million peers", () => {
    const peers = new Peers({ show: "all" });
    for (let i = 0; i < 1_000_000; i++) {
      const address = `${11 + (i >> 16)}.${(i >> 8) & 255}.${i & 255}.1`;
      if (i % 20 === 0) peers.authenticated(address, now + i);
      peers.ended(end(address, now + i));
      peers.reset("received", address, now + i, 1);
    }
    expect(JSON.stringify(peers.snapshot()).length).to.be.below(3_000_000);
  }).timeout(60_000);
});
