import { expect } from "chai";
import { catalogue } from "../../src/diagnosis/catalogue.ts";
import type { CauseId } from "../../src/diagnosis/cause.ts";
import { Diagnosis, type Verdict } from "../../src/diagnosis/verdict.ts";
import { faults, knownPeersReset } from "../alerts/scenarios.ts";
import { type Change, SimulatedHost } from "../alerts/simulated-host.ts";

/** Records every 15 s up to and with that second. */
function diagnosed(
  changes: readonly Change[],
  untilSeconds: number,
  diagnosis = new Diagnosis(),
  fromSeconds = 0,
): Diagnosis {
  const host = new SimulatedHost(changes);
  for (let second = fromSeconds; second <= untilSeconds; second += 15)
    diagnosis.record(second * 1000, host.samples(second));
  return diagnosis;
}

function verdict(diagnosis: Diagnosis, id: CauseId, seconds: number): Verdict {
  const found = diagnosis.verdicts(seconds * 1000).find(({ cause }) => cause === id);
  if (found === undefined) throw new Error(`no verdict on ${id}`);
  return found;
}

describe("verdicts", () => {
  it("are unknown before the first record, and when the last one is old", () => {
    expect(new Diagnosis().verdicts(0).map(({ state }) => state)).to.deep.equal(catalogue.map(() => "unknown"));
    const diagnosis = diagnosed([], 60);
    expect(verdict(diagnosis, "sshd_crash", 60).state).to.equal("inactive");
    expect(verdict(diagnosis, "sshd_crash", 60 + 301).state).to.equal("unknown");
  });

  it("wait, become active, and tell since when and by which numbers", () => {
    const { changes } = faults.sshd_down;
    expect(verdict(diagnosed(changes(60), 105), "sshd_down", 105)).to.include({ state: "pending", sinceMs: 60_000 });
    const active = verdict(diagnosed(changes(60), 120), "sshd_down", 120);
    expect(active).to.include({ state: "active", sinceMs: 120_000, observable: true });
    expect(active.evidence).to.deep.equal([
      { metric: "sshreset_sshd_up", value: 0, is: "<", threshold: 1, unit: "ports of sshd listened on", holds: true },
    ]);
  });

  it("stay with hysteresis: the table must fall below 75 %, not 85 %", () => {
    const table = (at: number, until: number, entries: number): Change => ({
      metric: "conntrack_entries",
      at,
      until,
      value: entries,
    });
    const changes = [table(60, 90, 240_000), table(90, 9000, 210_000)];
    expect(verdict(diagnosed(changes, 3000), "conntrack_full", 3000).state).to.equal("active");
    expect(verdict(diagnosed([table(90, 9000, 210_000)], 3000), "conntrack_full", 3000).state).to.equal("inactive");
  });

  it("are unknown, not no, where the host does not grant what is needed", () => {
    const blind: Change[] = [
      { metric: "scrape_collector_available", labels: { collector: "sockets" }, at: 0, until: 9000, value: 0 },
      {
        metric: "ssh_sockets_full_size_stuck",
        labels: { small_segments: "delivered" },
        at: 0,
        until: 9000,
        value: "missing",
      },
    ];
    expect(verdict(diagnosed(blind, 60), "mtu_blackhole", 60)).to.include({ state: "unknown", observable: false });
    const noPressure: Change = {
      metric: "pressure_stalled_seconds_total",
      labels: { resource: "memory" },
      at: 0,
      until: 9000,
      value: "missing",
    };
    expect(verdict(diagnosed([noPressure], 60), "memory_pressure", 60)).to.include({
      state: "unknown",
      observable: false,
    });
  });

  it("go on after a restart as if there had been none", () => {
    const changes = [...faults.sshd_crash.changes(120), ...knownPeersReset(135, 4, "session")];
    const through = diagnosed(changes, 600);
    const before = diagnosed(changes, 300);
    const after = new Diagnosis();
    after.restore(JSON.parse(JSON.stringify(before.snapshot())));
    diagnosed(changes, 600, after, 315);
    expect(after.verdicts(600_000)).to.deep.equal(through.verdicts(600_000));
    expect(after.symptom()).to.deep.equal(through.symptom());
    expect(after.snapshot()).to.deep.equal(through.snapshot());
  });

  it("have a snapshot of bounded size", () => {
    const diagnosis = diagnosed([], 7200);
    expect(JSON.stringify(diagnosis.snapshot()).length).to.be.below(40_000);
  });
});

describe("the symptom", () => {
  it("is explained by a cause that could have produced the ends", () => {
    const changes = [...faults.connection_throttling.changes(120), ...knownPeersReset(120, 5, "banner")];
    expect(diagnosed(changes, 180).symptom()).to.deep.include({
      state: "explained",
      causes: ["connection_throttling"],
    });
  });

  it("is not explained by one that could not, and waits before it is active", () => {
    const changes = [...faults.connection_throttling.changes(120), ...knownPeersReset(120, 5, "session")];
    expect(diagnosed(changes, 285).symptom().state).to.equal("pending");
    expect(diagnosed(changes, 300).symptom().state).to.equal("active");
  });

  it("is nothing for one laptop", () => {
    expect(diagnosed(knownPeersReset(120, 1, "session"), 600).symptom().state).to.equal("inactive");
  });
});
