import { expect } from "chai";
import type { FlowEvent } from "../../src/model/event.ts";
import { Ledger } from "../../src/tallies/index.ts";
import { countsAfter, ledgerAfter, type Step } from "./events.ts";
import { counted } from "./replay.ts";

const flow = (address: string, more: Partial<FlowEvent> = {}): FlowEvent => ({
  kind: "flow",
  provider: "aws",
  action: "accept",
  direction: "in",
  address,
  reset: false,
  unanswered: false,
  ...more,
});
const login: Step = [0, { kind: "sshd.accepted", address: "192.0.2.1", port: 40_000 }];

describe("flows of the cloud's logs", () => {
  it("count by provider, action and class of peer", () => {
    const counts = countsAfter([
      login,
      [1, flow("192.0.2.1", { action: "reject" })],
      [2, flow("192.0.2.9", { action: "reject" }), { count: 3 }],
      [3, flow("192.0.2.9", { provider: "gcp" })],
    ]);
    expect(counts).to.include({
      "cloud_flows aws reject known": 1,
      "cloud_flows aws reject unknown": 3,
      "cloud_flows gcp accept unknown": 1,
    });
  });

  it("count resets by who sent them, and answers only as resets", () => {
    const counts = countsAfter([
      [1, flow("192.0.2.9", { reset: true })],
      [2, flow("192.0.2.9", { reset: true, direction: "out" })],
      [3, flow("192.0.2.9", { direction: "out" })],
    ]);
    expect(counts).to.include({
      "cloud_flows aws accept unknown": 1,
      "cloud_flow_resets aws in": 1,
      "cloud_flow_resets aws out": 1,
    });
  });

  it("count what the cloud admitted and nobody answered", () => {
    expect(countsAfter([login, [1, flow("192.0.2.1", { unanswered: true })]])).to.include({
      "cloud_flows_unanswered aws known": 1,
    });
  });

  it("go on after a restart", () => {
    const saved = JSON.parse(JSON.stringify(ledgerAfter([[1, flow("192.0.2.9")]]).snapshot()));
    const ledger = new Ledger();
    ledger.restore(saved);
    expect(counted(ledger)).to.include({ "cloud_flows aws accept unknown": 1 });
  });
});
