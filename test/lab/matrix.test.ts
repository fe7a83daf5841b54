import { expect } from "chai";
import { resultsPage } from "./matrix.ts";
import type { Row } from "./runner.ts";

describe("the page of the lab's results", () => {
  const row: Row = {
    scenario: "crash",
    title: "sshd is killed",
    release: "12",
    expected: "SshdCrashed",
    paged: ["SshdCrashed (page)"],
    evidence: [
      {
        what: "sshd_stops_total{reason=crash}",
        ...{ wanted: "1..2", truth: 2, seen: 1, why: "one may be missed" },
        witness: { count: 2, by: "systemd" },
      },
    ],
    resets: { inOnWire: 3, inCounted: 2, outOnWire: 1, outCounted: 0 },
    evidenceToPageSeconds: 2.54,
    seconds: 60,
    commit: "abc1234",
    problems: [],
  };
  const page = (...rows: readonly Row[]): string =>
    resultsPage({ rows, versions: { kernel: "6.18" }, timeScale: 20, date: "2026-11-22" });

  it("has a row of each scenario: pages, latency, commit", () => {
    expect(page(row)).to.include("| crash | 12 | SshdCrashed | SshdCrashed (page) | 2.5 s | ok | abc1234 |");
    expect(page(row)).to.include("1 of 1 runs as expected");
    expect(page(row)).not.to.include("Not as expected");
  });

  it("has each count beside truth, second witness and the reason why it is not exact", () => {
    expect(page(row)).to.include(
      "| crash | 12 | `sshd_stops_total{reason=crash}` | 2 | 2 (systemd) | 1..2 | 1 | one may be missed |",
    );
    expect(page(row)).to.include("| crash | 12 | 3 | 2 | 1 | 0 |");
  });

  it("tells what was not as expected, and what may page beside it", () => {
    const bad = { ...row, problems: ["paged SshdDown"], alsoFine: { SshdDown: "nothing listens" } };
    const text = page(row, bad);
    expect(text).to.include("1 of 2 runs as expected");
    expect(text).to.include("- crash (Debian 12): paged SshdDown");
    expect(text).to.include("- crash (Debian 12), SshdDown: nothing listens");
  });
});
