import { expect } from "chai";
import { memory, parseCpuList, parseLoad1, parseMeminfo, parsePressure } from "../../src/collectors/memory.ts";
import { contextOf, healthyHost, hostWith, pathsBelow, table, thisHost } from "./fixture-host.ts";

describe("memory", () => {
  it("reads memory, load, CPUs and pressure", async () => {
    const reading = await memory.create(contextOf(pathsBelow(healthyHost))).read();
    expect(reading.status === "ok" && table(reading.samples)).to.deep.equal({
      memory_total_bytes: 8039592 * 1024,
      memory_available_bytes: 6431100 * 1024,
      load1: 0.42,
      cpus: 4,
      'pressure_stalled_seconds_total{resource="cpu"}': 61.25,
      'pressure_stalled_seconds_total{resource="memory"}': 0,
      'pressure_stalled_seconds_total{resource="io"}': 8.004,
    });
  });

  it("says what is missing on a kernel before 3.14 without PSI", async () => {
    const root = hostWith({ "proc/meminfo": "MemTotal:  1024 kB\n", "proc/loadavg": "0.00 0.01 0.05 1/66 512\n" });
    const reading = await memory.create(contextOf(pathsBelow(root))).read();
    expect(reading.status === "ok" && table(reading.samples)).to.deep.equal({ memory_total_bytes: 1048576, load1: 0 });
    expect(reading.status === "ok" && reading.missing?.map(({ reason }) => reason.replace(root, ""))).to.deep.equal([
      "/proc/meminfo has no MemAvailable (Linux before 3.14)".replace("/proc", "/proc"),
      "/sys/devices/system/cpu/online is not there",
      "/proc/pressure/cpu is not there",
      "/proc/pressure/memory is not there",
      "/proc/pressure/io is not there",
    ]);
  });

  it("is absent without procfs", async () => {
    expect((await memory.create(contextOf(pathsBelow(hostWith({})))).read()).status).to.equal("absent");
  });

  it("refuses what the kernel does not write", () => {
    expect(() => parseMeminfo("MemFree: 1 kB\n", "meminfo")).to.throw("meminfo: no MemTotal");
    expect(() => parseMeminfo("MemTotal: lots kB\n", "meminfo")).to.throw(
      'meminfo: MemTotal " lots kB" is no count of kB',
    );
    expect(() => parseLoad1("high\n", "loadavg")).to.throw('loadavg: "high\\n" is no load average');
    expect(() => parsePressure("full avg10=0.00 total=1\n", "pressure/cpu")).to.throw(
      'pressure/cpu: no line "some ... total="',
    );
    expect(() => parsePressure("some avg10=0.00 avg60=0.00 avg300=0.00 total=-1\n", "cpu")).to.throw(
      'cpu: total: "-1" is no count',
    );
    expect(() => parseCpuList("0-x\n", "online")).to.throw('online: "0-x\\n" is no list of CPUs');
  });

  it("counts a list of CPUs with holes", () => {
    expect(parseCpuList("0,2-5,8-9\n", "online")).to.equal(7);
  });

  it("reads this machine", async () => {
    const reading = await memory.create(contextOf(thisHost)).read();
    const samples = reading.status === "ok" ? table(reading.samples) : {};
    expect(samples["memory_total_bytes"]).to.be.above(samples["memory_available_bytes"] as number);
    expect(samples["cpus"]).to.be.at.least(1);
  });
});
