import { execFileSync } from "node:child_process";
import { mkdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { type Link, mismatchedLinks, parseRouteCache, pathMtu } from "../../src/collectors/path-mtu.ts";
import { skip } from "../../tools/skip.ts";
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

  it("finds real ones: members of a bridge, and a pair that differs", function () {
    if (process.getuid?.() !== 0) return skip(this, "needs root: a network namespace");
    const script = `mount -t sysfs sysfs /sys
ip link add br0 type bridge
ip link add a0 type veth peer name b0
ip link add a1 type veth peer name b1
ip link set a0 master br0
ip link set a1 master br0
ip link add link b0 name m0 type macvlan
ip link add x0 type vxlan id 5 remote 192.0.2.2 dstport 4789 dev b1
exec "$0" --import=tsx --input-type=module -e "$1"`;
    const ask = (change: string) => `
import { execSync } from "node:child_process";
import { pathMtu } from ${JSON.stringify(join(import.meta.dirname, "../../src/collectors/path-mtu.ts"))};
execSync(${JSON.stringify(change)});
const stop = new AbortController();
const collector = pathMtu.create({ paths: ${JSON.stringify(thisHost)}, nowMs: Date.now });
const done = collector.run(stop.signal);
await new Promise(setImmediate);
console.log(JSON.stringify(collector.read().samples.find(({ name }) => name.endsWith("mismatches"))?.value));
stop.abort();
await done;`;
    const mismatches = (change: string) =>
      Number(
        execFileSync("unshare", ["--net", "--mount", "sh", "-ec", script, process.execPath, ask(change)], {
          encoding: "utf8",
          timeout: 30_000,
        }),
      );
    expect(mismatches("true")).to.equal(0);
    expect(mismatches("ip link set br0 mtu 1400")).to.equal(2); // both of its members
    expect(mismatches("ip link set a1 mtu 9000")).to.equal(1); // larger than its bridge and than its peer
    expect(mismatches("ip link set a0 mtu 1400; ip link set b0 mtu 1400; ip link set br0 mtu 1500")).to.equal(1);
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
