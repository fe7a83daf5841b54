import { readFileSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { CommandMissing } from "../../src/collectors/background.ts";
import { allowanceSamples, cloud } from "../../src/collectors/cloud.ts";
import { interfacesWithDriver, parseStatistics, readStatistics, totals } from "../../src/collectors/ethtool.ts";
import { dropSamples, nic } from "../../src/collectors/nic.ts";
import type { CollectorModule } from "../../src/model/collector.ts";
import { debianOr } from "../../tools/debian.ts";
import { skip } from "../../tools/skip.ts";
import { labProblem, openLab } from "../netns.ts";
import { contextOf, fakeProgram, hostWith, pathsBelow, table, until, withPath } from "./fixture-host.ts";

const fixtureOf = (driver: string) =>
  readFileSync(join(import.meta.dirname, `../fixtures/ethtool/${driver}.txt`), "utf8");
const statisticsOf = (driver: string) => ({
  interface: "eth0",
  driver,
  statistics: totals(parseStatistics(fixtureOf(driver))),
});

/** A host with one interface of this driver, as sysfs links them. */
function hostWithDriver(driver: string): string {
  const root = hostWith({
    "sys/class/net/eth0/mtu": "1500\n",
    "sys/class/net/eth0/device/vendor": "0x1d0f\n",
    "sys/class/net/lo/mtu": "65536\n",
    [`sys/bus/pci/drivers/${driver}/bind`]: "",
  });
  symlinkSync(join(root, "sys/bus/pci/drivers", driver), join(root, "sys/class/net/eth0/device/driver"));
  return root;
}

/** The collector's first reading, with this program as ethtool; undefined: none in PATH. */
async function readWith(module: CollectorModule, driver: string, script: string | undefined) {
  const collector = module.create(contextOf(pathsBelow(hostWithDriver(driver))));
  const stop = new AbortController();
  const path = script === undefined ? "/nonexistent" : `${fakeProgram("ethtool", script)}:${process.env["PATH"]}`;
  return withPath(path, async () => {
    const running = collector.run?.(stop.signal);
    try {
      return await until("the first reading", async () => {
        const reading = await collector.read();
        return reading.status === "absent" && reading.reason === "not read yet" ? undefined : reading;
      });
    } finally {
      stop.abort();
      await running;
    }
  });
}

describe("ethtool -S", () => {
  it("sums queues, unless the driver gives the total itself", () => {
    const text = `NIC statistics:
     rx_drops: 5
     rx0_drops: 2
     rx1_drops: 3
     rx_queue_0_bytes: 10
     rx_queue_1_bytes: 20
     queue_0_tx_cnt: 1
     queue_1_tx_cnt: 2
     tx_stop[0]: 4
     tx_stop[1]: 5
     [0]: rx_ucast_packets: 7
`;
    expect(Object.fromEntries(totals(parseStatistics(text)))).to.deep.equal({
      rx_drops: 5,
      rx_bytes: 30,
      tx_cnt: 3,
      tx_stop: 9,
      "[0]: rx_ucast_packets": 7,
    });
  });

  it("quotes a line that is no statistic", () => {
    expect(() => parseStatistics("NIC statistics:\n     rx_drops: many\n")).to.throw(
      'ethtool -S: "     rx_drops: many" is no statistic',
    );
  });

  it("reads only interfaces that a driver serves", async () => {
    const found = await interfacesWithDriver(join(hostWithDriver("ena"), "sys"));
    expect(found).to.deep.equal([{ name: "eth0", driver: "ena" }]);
  });

  it("reads a real veth, and gives nothing for loopback, which keeps none", async function () {
    const problem = labProblem();
    if (problem !== undefined) skip(this, problem);
    const ethtool = await debianOr(this, "ethtool");
    const lab = await openLab();
    const libraries = ethtool.env["LD_LIBRARY_PATH"] ?? "";
    const inClient = `exec ip netns exec ${lab.client.name} env LD_LIBRARY_PATH=${libraries} ${ethtool.path} "$@"`;
    try {
      await withPath(`${fakeProgram("ethtool", inClient)}:${process.env["PATH"]}`, async () => {
        const statistics = await readStatistics("c0");
        expect([...statistics.keys()]).to.include("peer_ifindex");
        expect(totals(statistics).get("rx_drops")).to.equal(0);
        expect(await readStatistics("lo")).to.deep.equal(new Map());
        expect(await readStatistics("nosuch0")).to.deep.equal(new Map());
      });
    } finally {
      lab.close();
    }
  });

  it("reads this machine's own interface with a driver", async function () {
    const [own] = await interfacesWithDriver("/sys");
    if (own === undefined) return skip(this, "no interface here has a driver");
    const ethtool = await debianOr(this, "ethtool");
    const libraries = ethtool.env["LD_LIBRARY_PATH"] ?? "";
    const script = `LD_LIBRARY_PATH=${libraries} exec ${ethtool.path} "$@"`;
    await withPath(`${fakeProgram("ethtool", script)}:${process.env["PATH"]}`, async () => {
      const statistics = totals(await readStatistics(own.name));
      expect(statistics.size).to.be.above(0);
      if (own.driver !== "virtio_net") return;
      const drops = table(dropSamples({ interface: own.name, driver: own.driver, statistics }));
      expect(drops).to.have.property(`interface_driver_drops_total{interface="${own.name}",reason="dropped"}`);
    });
  });
});

describe("cloud", () => {
  it("reads the allowances of AWS ENA", () => {
    expect(table(allowanceSamples(statisticsOf("ena")))).to.deep.equal({
      'cloud_allowance_exceeded_total{interface="eth0",allowance="conntrack"}': 1846,
      'cloud_allowance_exceeded_total{interface="eth0",allowance="pps"}': 3,
      'cloud_allowance_exceeded_total{interface="eth0",allowance="linklocal"}': 5,
      'cloud_allowance_exceeded_total{interface="eth0",allowance="bandwidth_in"}': 7,
      'cloud_allowance_exceeded_total{interface="eth0",allowance="bandwidth_out"}': 11,
      'cloud_conntrack_available{interface="eth0"}': 136_812,
    });
  });

  it("adds up the rate limits of virtio's queues", () => {
    expect(table(allowanceSamples(statisticsOf("virtio_net")))).to.deep.equal({
      'cloud_allowance_exceeded_total{interface="eth0",allowance="rate_limit"}': 42,
    });
  });

  for (const driver of ["hv_netvsc", "mana", "gve"])
    it(`has nothing to show of ${driver}, which counts no allowance`, () => {
      expect(allowanceSamples(statisticsOf(driver))).to.deep.equal([]);
    });

  it("reads by ethtool in the background", async () => {
    const reading = await readWith(cloud, "ena", `[ "$1 $2" = "-S eth0" ] && cat <<'END'\n${fixtureOf("ena")}END`);
    expect(reading.status === "ok" && table(reading.samples)).to.include({
      'cloud_allowance_exceeded_total{interface="eth0",allowance="conntrack"}': 1846,
    });
  });

  it("is absent where the driver counts none", async () => {
    const reading = await readWith(cloud, "e1000e", "exit 1");
    expect(reading).to.include({ status: "absent", reason: "no network driver of this host counts allowances" });
  });

  it("is absent, with the step that helps, without ethtool", async () => {
    expect(await readWith(cloud, "ena", undefined)).to.deep.equal({
      status: "absent",
      reason: "ethtool: not found",
      grant: "install ethtool",
    });
  });

  it("fails with the program's own words", async () => {
    let message = "";
    try {
      await readWith(cloud, "ena", "echo 'Cannot get stats: Input/output error' >&2; exit 71");
    } catch (error) {
      message = String(error);
      expect(error).to.not.be.instanceOf(CommandMissing);
    }
    expect(message).to.equal("Error: ethtool: exit code 71: Cannot get stats: Input/output error");
  });
});

describe("nic", () => {
  const drops = (reason: string) => `interface_driver_drops_total{interface="eth0",reason="${reason}"}`;
  const resets = 'interface_driver_resets_total{interface="eth0"}';
  const expected: Readonly<Record<string, Readonly<Record<string, number>>>> = {
    ena: { [resets]: 3, [drops("no_memory")]: 9, [drops("checksum")]: 1, [drops("error")]: 1 },
    hv_netvsc: {
      [drops("no_memory")]: 5,
      [drops("no_buffers")]: 2,
      [drops("too_big")]: 3,
      [drops("error")]: 5,
      [drops("vf")]: 6,
    },
    mana: {
      [drops("error")]: 1,
      [drops("no_buffers")]: 2,
      [drops("disabled")]: 12,
      [drops("enforcement")]: 21,
      [drops("dropped")]: 19,
    },
    gve: {
      [resets]: 3,
      [drops("no_memory")]: 3,
      [drops("no_buffers")]: 18,
      [drops("too_big")]: 10,
      [drops("checksum")]: 11,
      [drops("error")]: 3,
      [drops("dropped")]: 7,
    },
    virtio_net: { [resets]: 1, [drops("dropped")]: 5, [drops("no_buffers")]: 2 },
  };
  for (const [driver, samples] of Object.entries(expected))
    it(`counts each drop of ${driver} once`, () => {
      expect(table(dropSamples(statisticsOf(driver)))).to.deep.equal(samples);
    });

  it("takes the totals of drivers that it does not know", () => {
    const statistics = totals(
      parseStatistics("NIC statistics:\n rx_dropped: 3\n tx_timeout: 1\n rx_missed_errors: 9\n"),
    );
    expect(table(dropSamples({ interface: "eth0", driver: "constructor", statistics }))).to.deep.equal({
      [drops("dropped")]: 3,
      [resets]: 1,
    });
  });

  it("is absent without an interface that has a driver", async () => {
    const collector = nic.create(contextOf(pathsBelow(hostWith({ "sys/class/net/lo/mtu": "65536\n" }))));
    const stop = new AbortController();
    const running = collector.run?.(stop.signal);
    const reading = await until("the first reading", async () => {
      const now = await collector.read();
      return now.status === "absent" && now.reason === "not read yet" ? undefined : now;
    });
    stop.abort();
    await running;
    expect(reading).to.deep.equal({
      status: "absent",
      reason: "no network driver of this host counts drops or resets",
    });
  });
});
