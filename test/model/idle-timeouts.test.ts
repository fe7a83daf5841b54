import { expect } from "chai";
import { idleTimeouts, keepAliveText, outlives, productsWith } from "../../src/model/idle-timeouts.ts";

const silent = { clientAliveSeconds: 0, tcpKeepAlive: true, kernelSeconds: 7200 };

describe("idle timeouts of known products", () => {
  it("stand in order, each with its source", () => {
    expect(idleTimeouts.map(({ seconds }) => seconds)).to.deep.equal(
      idleTimeouts.map(({ seconds }) => seconds).toSorted((a, b) => a - b),
    );
    for (const { product, source } of idleTimeouts) expect(source, product).to.match(/\w{3}/);
    expect(productsWith(350)).to.include("AWS Network Load Balancer, AWS Network Firewall");
    expect(productsWith(351)).to.equal("");
  });

  it("are outlived with a ClientAliveInterval below them, whatever counts there", () => {
    for (const restartedBy of ["packet", "data"] as const) {
      expect(outlives({ ...silent, clientAliveSeconds: 59 }, { seconds: 60, restartedBy })).to.equal(true);
      expect(outlives({ ...silent, clientAliveSeconds: 60 }, { seconds: 60, restartedBy })).to.equal(false);
      expect(outlives(silent, { seconds: 60, restartedBy })).to.equal(false);
    }
  });

  it("are outlived by the kernel's probes only where packets count, TCPKeepAlive is on, and they come in time", () => {
    const often = { ...silent, kernelSeconds: 300 };
    expect(outlives(often, { seconds: 350, restartedBy: "packet" })).to.equal(true);
    expect(outlives(often, { seconds: 350, restartedBy: "data" })).to.equal(false);
    expect(outlives(often, { seconds: 240, restartedBy: "packet" })).to.equal(false);
    expect(outlives({ ...often, tcpKeepAlive: false }, { seconds: 350, restartedBy: "packet" })).to.equal(false);
  });

  it("are told with what is sent over an idle session", () => {
    expect(keepAliveText(silent)).to.equal(
      "ClientAliveInterval 0 sends nothing, TCPKeepAlive's first probe comes after 7200 s",
    );
    expect(keepAliveText({ ...silent, clientAliveSeconds: 50, tcpKeepAlive: false })).to.equal(
      "ClientAliveInterval 50 sends something every 50 s, TCPKeepAlive is off",
    );
  });
});
