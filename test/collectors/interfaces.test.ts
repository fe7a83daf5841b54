import { cpSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { expect } from "chai";
import { inTurns, interfaces, isUp } from "../../src/collectors/interfaces.ts";
import { contextOf, healthyHost, hostWith, pathsBelow, table, thisHost } from "./fixture-host.ts";

async function readBelow(root: string) {
  const reading = await interfaces.create(contextOf(pathsBelow(root))).read();
  return reading.status === "ok" ? table(reading.samples) : reading;
}

describe("interfaces", () => {
  it("reads MTU, up and carrier changes, and leaves out those of containers", async () => {
    expect(await readBelow(healthyHost)).to.deep.equal({
      'interfaces_left_out{reason="container"}': 1,
      'interfaces_left_out{reason="limit"}': 0,
      'interface_mtu_bytes{interface="eth0"}': 1500,
      'interface_up{interface="eth0"}': 1,
      'interface_carrier_changes_total{interface="eth0"}': 2,
      'interface_mtu_bytes{interface="lo"}': 65536,
      'interface_up{interface="lo"}': 1,
      'interface_carrier_changes_total{interface="lo"}': 0,
    });
  });

  it("shows the first 1000 interfaces and counts the rest", async () => {
    const files: Record<string, string> = {};
    for (let index = 0; index < 1200; index++) {
      files[`sys/class/net/vlan${String(index).padStart(4, "0")}/mtu`] = "1500\n";
      files[`sys/class/net/vlan${String(index).padStart(4, "0")}/operstate`] = "down\n";
    }
    const samples = (await readBelow(hostWith(files))) as Record<string, unknown>;
    expect(samples['interfaces_left_out{reason="limit"}']).to.equal(200);
    expect(Object.keys(samples).filter((name) => name.startsWith("interface_mtu_bytes"))).to.have.length(1000);
  });

  it("is absent without sysfs", async () => {
    expect(await readBelow(hostWith({}))).to.include({ status: "absent", grant: "mount sysfs, or set --path.sysfs" });
  });

  it("skips an interface that goes away, and the bonding control file", async () => {
    const root = hostWith({ "sys/class/net/bonding_masters": "bond0\n", "sys/class/net/gone/flags": "0x0\n" });
    expect(await readBelow(root)).to.have.all.keys(
      'interfaces_left_out{reason="container"}',
      'interfaces_left_out{reason="limit"}',
    );
  });

  it("lets the rest of the program go on between them", async () => {
    const names = Array.from({ length: 1000 }, (_, index) => `eth${index}`);
    let turns = 0;
    const count = () => {
      turns++;
      next = setImmediate(count);
    };
    let next = setImmediate(count);
    const seen: string[] = [];
    for await (const name of inTurns(names)) seen.push(name);
    clearImmediate(next);
    expect(seen).to.deep.equal(names);
    expect(turns).to.be.at.least(19);
  });

  it("sees another device behind a name, and one that changed", async () => {
    const files = (mtu: number) => ({
      [`sys/class/net/eth0/mtu`]: `${mtu}\n`,
      "sys/class/net/eth0/operstate": "up\n",
    });
    const root = hostWith(files(1500));
    const collector = interfaces.create(contextOf(pathsBelow(root)));
    const mtu = async () => {
      const reading = await collector.read();
      return reading.status === "ok" && table(reading.samples)['interface_mtu_bytes{interface="eth0"}'];
    };
    const seen = [await mtu()];
    writeFileSync(`${root}/sys/class/net/eth0/mtu`, "9000\n");
    seen.push(await mtu());
    // Renamed, and the name given to another: the file that was read is still there.
    renameSync(`${root}/sys/class/net/eth0`, `${root}/sys/class/net/eth1`);
    cpSync(`${hostWith(files(1400))}/sys/class/net/eth0`, `${root}/sys/class/net/eth0`, { recursive: true });
    seen.push(await mtu());
    rmSync(`${root}/sys/class/net/eth0`, { recursive: true });
    seen.push(await mtu());
    expect(seen).to.deep.equal([1500, 9000, 1400, undefined]);
  });

  it("quotes an MTU that is none", async () => {
    const root = hostWith({ "sys/class/net/eth0/mtu": "-1\n", "sys/class/net/eth0/operstate": "up\n" });
    const failure = await readBelow(root).catch((error: unknown) => String(error));
    expect(failure).to.equal(`Error: ${root}/sys/class/net/eth0/mtu: "-1" is no count`);
  });

  it("quotes a state that is none", () => {
    expect(() => isUp("sideways", () => undefined, "eth0")).to.throw(
      'eth0/operstate: "sideways" is no operational state',
    );
  });

  it("reads this machine's loopback", async () => {
    const reading = await interfaces.create(contextOf(thisHost)).read();
    expect(reading.status === "ok" && table(reading.samples)).to.include({ 'interface_up{interface="lo"}': 1 });
  });
});
