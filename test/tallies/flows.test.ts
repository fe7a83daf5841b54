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
  begins: false,
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

  const unseen = (steps: readonly Step[], restMs = 200_000) =>
    Object.entries(counted(ledgerAfter(steps, { flowLogs: true }, restMs))).filter(([name]) => name.includes("unseen"));
  const begun = (address: string, more = {}) => flow(address, { begins: true, ...more });

  it("count what the cloud admitted and nobody here heard of", () => {
    expect(
      unseen([login, [700, begun("192.0.2.1")], [700, begun("192.0.2.9"), { count: 2 }], [700, begun("192.0.2.8")]]),
      "the login was too long ago",
    ).to.deep.equal([
      ["cloud_flows_unseen aws known", 1],
      ["cloud_flows_unseen aws unknown", 3],
    ]);
  });

  it("do not count as unseen what was heard of, before or after the flow came, what stands, or was rejected", () => {
    const heard = (seconds: number, address: string): Step => [
      seconds,
      { kind: "sshd.ended", outcome: "closed", detail: "banner", address, port: 4 },
    ];
    const steps: Step[] = [
      login,
      heard(690, "192.0.2.3"),
      [700, begun("192.0.2.3")],
      [700, begun("192.0.2.4")],
      [700, flow("192.0.2.5")],
      [700, begun("192.0.2.6", { action: "reject" })],
      heard(800, "192.0.2.4"),
    ];
    expect(unseen(steps)).to.deep.equal([]);
  });

  it("are not judged before their time, nor where nobody listened yet", () => {
    expect(unseen([login, [700, begun("192.0.2.9")]], 100_000)).to.deep.equal([]);
    const later: Step = [1400, { kind: "sshd.accepted", address: "192.0.2.1", port: 40_000 }];
    expect(unseen([[100, begun("192.0.2.9")], later])).to.deep.equal([]);
  });

  it("wait on for their judgement after a restart", () => {
    const before = ledgerAfter([login, [700, begun("192.0.2.9")]], { flowLogs: true }, 100_000);
    const ledger = new Ledger({ flowLogs: true });
    ledger.restore(JSON.parse(JSON.stringify(before.snapshot())));
    for (let second = 0; second < 120; second++) ledger.tick(1_800_000_800_000 + second * 1000);
    expect(counted(ledger)).to.include({ "cloud_flows_unseen aws unknown": 1 });
  });

  it("go on after a restart", () => {
    const saved = JSON.parse(JSON.stringify(ledgerAfter([[1, flow("192.0.2.9")]]).snapshot()));
    const ledger = new Ledger();
    ledger.restore(saved);
    expect(counted(ledger)).to.include({ "cloud_flows aws accept unknown": 1 });
  });
});
