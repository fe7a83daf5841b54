/** Addresses and ports: what is one, and its one canonical text. */
import { isIPv6, SocketAddress } from "node:net";
import { expect } from "chai";
import fc from "fast-check";
import { canonicalAddress, readPeer, readPort } from "../../src/parsers/address.ts";

describe("canonicalAddress", () => {
  it("keeps IPv4, takes IPv4-mapped for IPv4, writes IPv6 in one way and cuts its zone", () => {
    const same: Readonly<Record<string, string>> = {
      "192.0.2.1": "192.0.2.1",
      "0.0.0.0": "0.0.0.0",
      "255.255.255.255": "255.255.255.255",
      "::ffff:192.0.2.1": "192.0.2.1",
      "::FFFF:c000:0201": "192.0.2.1",
      "2001:DB8:0:0:0:0:0:1": "2001:db8::1",
      "2001:db8::1": "2001:db8::1",
      "::": "::",
      "fe80::1%eth0": "fe80::1",
      "fe80::1%br-0a1b.2": "fe80::1",
    };
    for (const [text, address] of Object.entries(same)) expect(canonicalAddress(text), text).to.equal(address);
  });

  it("refuses what is none", () => {
    for (const text of [
      "",
      ".",
      ":",
      "1",
      "1.2.3",
      "1.2.3.4.5",
      "1.2.3.",
      ".1.2.3.4",
      "1..2.3",
      "256.1.1.1",
      "01.2.3.4",
      "1.2.3.04",
      "1.2.3.4 ",
      " 1.2.3.4",
      "1.2.3.4\n",
      "1.2.3.4:22",
      "[1.2.3.4]",
      "::g",
      ":::",
      "1::2::3",
      "12345::",
      "fe80::1%",
      "fe80::1%a b",
      "::1%eth0 port",
      "UNKNOWN",
      "host.example.org",
      "١.٢.٣.٤",
      "1.2.3.4%eth0",
      "0x1.2.3.4",
      "1e1.2.3.4",
      "-1.2.3.4",
      `${"0".repeat(60)}.1.1.1`,
      ":".repeat(70),
    ]) {
      expect(canonicalAddress(text), JSON.stringify(text)).to.equal(undefined);
    }
  });

  it("is what the system writes, for every IPv6 address and what looks like one", () => {
    const group = fc.constantFrom("0", "1", "a", "ab", "0a", "2001", "db8", "ffff", "F", "12345", "g", "");
    const colons = fc.constantFrom(":", ":", ":", ":", "::", ":::");
    const made = fc
      .array(fc.tuple(group, colons), { maxLength: 9 })
      .map((parts) => parts.flat())
      .chain((parts) => fc.constantFrom(parts.join(""), parts.slice(0, -1).join(""), parts.slice(1).join("")));
    const wellMade = fc
      .tuple(
        fc.array(fc.constantFrom("0", "1", "a0", "db8", "ffff"), { minLength: 1, maxLength: 8 }),
        fc.nat(8),
        fc.boolean(),
      )
      .map(([groups, at, gap]) =>
        gap ? `${groups.slice(0, at).join(":")}::${groups.slice(at).join(":")}` : groups.join(":"),
      );
    fc.assert(
      fc.property(fc.oneof(fc.ipV6(), made, wellMade), (text) => {
        const written = isIPv6(text) ? new SocketAddress({ address: text, family: "ipv6" }).address : undefined;
        const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/.exec(written ?? "");
        expect(canonicalAddress(text), text).to.equal(mapped?.[1] ?? written);
      }),
      { numRuns: 20_000, seed: 6 },
    );
  });

  it("is its own canonical text, for every address", () => {
    fc.assert(
      fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), (text) => {
        const address = canonicalAddress(text);
        return address !== undefined && canonicalAddress(address) === address;
      }),
    );
  });
});

describe("ports", () => {
  it("are 1 to 65535", () => {
    expect(readPort("1")).to.equal(1);
    expect(readPort("65535")).to.equal(65535);
    for (const text of ["", "0", "65536", "99999", "-1", "+1", "1e3", "0x16", " 22", "22 ", "000022", "٢٢"]) {
      expect(readPort(text), text).to.equal(undefined);
    }
  });

  it("UNKNOWN port 65535 is nobody", () => {
    expect(readPeer("UNKNOWN port 65535")).to.deep.equal({});
    expect(readPeer("UNKNOWN port x")).to.equal(undefined);
    expect(readPeer("192.0.2.1 port 65535")).to.deep.equal({ address: "192.0.2.1", port: 65535 });
  });
});
