import { mkdirSync, symlinkSync } from "node:fs";
import { expect } from "chai";
import { type Link, mismatchedLinks, parseRouteCache, pathMtu } from "../../src/collectors/path-mtu.ts";
import { contextOf, fakeProgram, hostWith, pathsBelow, table, thisHost, until, withPath } from "./fixture-host.ts";

describe("path-mtu", () => {
  it("counts each destination once, with the smallest MTU", () => {
    const text = `10.77.1.2 via 10.77.2.1 dev s0 src 10.77.2.2 uid 0
    cache expires 593sec mtu 1400
10.77.1.2 via 10.77.2.1 dev s0
    cache expires 593sec mtu 1400
10.77.1.3 via 10.77.2.1 dev s0
    cache
2001:db8::1 from :: via fe80::1 dev s0 metric 1024 expires 597sec mtu 1280 pref medium
10.77.1.4 via 10.77.2.1 dev s0
    cache expires 12sec mtu lock 1300
`;
    expect(parseRouteCache(text)).to.deep.equal({ routes: 3, minBytes: 1280 });
    expect(parseRouteCache("\n")).to.deep.equal({ routes: 0 });
  });

  it("refuses an MTU that is none", () => {
    expect(() => parseRouteCache("10.0.0.1 dev s0\n    cache mtu huge\n")).to.throw(
      'ip route show cache: mtu "huge" of "10.0.0.1" is no size',
    );
  });

  it("finds what does not fit along bridges, VLANs and tunnels", () => {
    const link = (name: string, mtuBytes: number, more: Partial<Link> = {}): Link => ({
      name,
      mtuBytes,
      lowers: [],
      ...more,
    });
    expect(
      mismatchedLinks([
        link("eth0", 1500),
        link("eth0.5", 1500, { lowers: ["eth0"] }),
        link("eth0.6", 9000, { lowers: ["eth0"] }),
        link("wg0", 1420),
        link("br0", 1500, { lowers: ["eth1", "eth2"] }),
        link("eth1", 1500, { master: "br0" }),
        link("eth2", 9000, { master: "br0" }),
        link("eth3", 1400, { master: "br0" }),
      ]),
    ).to.deep.equal(["eth0.6", "eth2", "eth3"]);
  });

  it("reads members and carriers from sysfs, and probing from procfs", async () => {
    const root = hostWith({
      "sys/class/net/br0/mtu": "1500\n",
      "sys/class/net/eth1/mtu": "9000\n",
      "sys/class/net/eth0/mtu": "1500\n",
      "sys/class/net/eth0.6/mtu": "9000\n",
      "proc/sys/net/ipv4/tcp_mtu_probing": "1\n",
    });
    symlinkSync("../br0", `${root}/sys/class/net/eth1/master`);
    symlinkSync("../eth1", `${root}/sys/class/net/br0/lower_eth1`);
    mkdirSync(`${root}/sys/class/net/eth0.6/lower_eth0`);
    expect(await samplesBelow(root, "echo '10.0.0.1 dev s0'; echo '    cache mtu 1400'")).to.deep.equal({
      tcp_mtu_probing: 1,
      path_mtu_learned_routes: 1,
      path_mtu_learned_min_bytes: 1400,
      interface_mtu_mismatches: 2,
    });
  });

  async function samplesBelow(root: string, script: string): Promise<Record<string, unknown>> {
    const collector = pathMtu.create(contextOf(pathsBelow(root)));
    const stop = new AbortController();
    return withPath(`${fakeProgram("ip", script)}:${process.env["PATH"]}`, async () => {
      const done = collector.run?.(stop.signal);
      const found = await until("routes", async () => {
        const reading = await collector.read();
        const samples = reading.status === "ok" ? table(reading.samples) : {};
        return "path_mtu_learned_routes" in samples ? samples : undefined;
      });
      stop.abort();
      await done;
      return found;
    });
  }

  for (const [name, folder, part] of [
    [
      "missing",
      () => "/nonexistent",
      { missing: [{ reason: "ip: not found", grant: "install iproute2" }], errors: [] },
    ],
    ["failing", () => fakeProgram("ip", "exit 3"), { missing: [], errors: ["ip: exit code 3"] }],
  ] as const) {
    it(`says so where ip is ${name}, and still reads the rest`, async () => {
      const collector = pathMtu.create(contextOf(pathsBelow(hostWith({ "proc/sys/net/ipv4/tcp_mtu_probing": "0\n" }))));
      const stop = new AbortController();
      await withPath(folder(), async () => {
        const done = collector.run?.(stop.signal);
        const reading = await until("the reason", async () => {
          const now = await collector.read();
          return now.status === "ok" && (now.missing?.length || now.errors?.length) ? now : undefined;
        });
        expect({ missing: reading.missing, errors: reading.errors }).to.deep.equal(part);
        expect(table(reading.samples)).to.include({ tcp_mtu_probing: 0 });
        stop.abort();
        await done;
      });
    });
  }

  it("reads this machine with the real ip", async () => {
    const collector = pathMtu.create(contextOf(thisHost));
    const stop = new AbortController();
    const done = collector.run?.(stop.signal);
    const reading = await until("a reading", async () => {
      const now = await collector.read();
      return now.status === "ok" && now.samples.some(({ name }) => name === "sshreset_path_mtu_learned_routes")
        ? now
        : undefined;
    });
    stop.abort();
    await done;
    expect(reading.errors).to.deep.equal([]);
  });
});
