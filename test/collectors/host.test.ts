import { release } from "node:os";
import { expect } from "chai";
import { cloudOf, host, hostInfo } from "../../src/collectors/host.ts";
import { contextOf, healthyHost, pathsBelow, thisHost } from "./fixture-host.ts";

describe("host", () => {
  it("reads this machine once, in the background", async () => {
    const collector = host.create(contextOf(thisHost));
    expect((await collector.read()).status).to.equal("absent");
    await collector.run?.(new AbortController().signal);
    const reading = await collector.read();
    const labels = reading.status === "ok" ? reading.samples[0]?.labels : undefined;
    expect(labels).to.include({ kernel: release() });
    expect(Object.keys(labels ?? {})).to.deep.equal(host.metrics[0]?.labels);
  });

  it("names the distribution below the root, not the container's", async () => {
    const collector = host.create(contextOf(pathsBelow(healthyHost)));
    await collector.run?.(new AbortController().signal);
    const reading = await collector.read();
    expect(reading.status === "ok" && reading.samples[0]?.labels).to.include({
      distribution: "Debian GNU/Linux",
      distribution_version: "13",
    });
  });

  // Manufacturer and product as the vendors' DMI tables have them.
  for (const [manufacturer, model, virtual, cloud] of [
    ["Amazon EC2", "t3.micro", true, "aws"],
    ["Xen", "HVM domU", true, "none"],
    ["Google", "Google Compute Engine", true, "gcp"],
    ["Microsoft Corporation", "Virtual Machine", true, "azure"],
    ["Microsoft Corporation", "Surface Laptop", false, "none"],
    ["QEMU", "Standard PC", true, "none"],
    ["OpenStack Foundation", "OpenStack Nova", true, "openstack"],
    ["Hetzner", "vServer", true, "hetzner"],
    ["DigitalOcean", "Droplet", true, "digitalocean"],
    ["Alibaba Cloud", "Alibaba Cloud ECS", true, "alibaba"],
    ["", "", false, "none"],
  ] as const) {
    it(`takes ${JSON.stringify(manufacturer)} ${JSON.stringify(model)} for ${cloud}`, () => {
      expect(cloudOf({ manufacturer, model, virtual })).to.equal(cloud);
    });
  }

  it("cuts long texts", () => {
    const { labels } = hostInfo(
      { kernel: "6.1", distro: "x".repeat(500), release: "12" },
      { manufacturer: "", model: "", virtual: true, virtualHost: "KVM" },
    );
    expect(labels).to.deep.equal({
      kernel: "6.1",
      distribution: "x".repeat(64),
      distribution_version: "12",
      virtualization: "kvm",
      cloud: "none",
    });
  });
});
