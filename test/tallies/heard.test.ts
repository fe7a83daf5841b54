import { expect } from "chai";
import { Heard } from "../../src/tallies/heard.ts";

const minuteMs = 60_000;
const said = (address: string) => ({ kind: "sshd.accepted" as const, address, port: 40_000 });

describe("who was heard of", () => {
  it("is told around a time", () => {
    const heard = new Heard();
    heard.take(said("192.0.2.1"), 100 * minuteMs);
    heard.take(said("192.0.2.2"), 125 * minuteMs);
    expect(heard.of("192.0.2.1", 101 * minuteMs)).to.equal(true);
    expect(heard.of("192.0.2.2", 116 * minuteMs)).to.equal(true);
    expect(heard.of("192.0.2.1", 125 * minuteMs)).to.equal(false);
  });

  it("cannot be told from before it began, nor of what was forgotten", () => {
    const heard = new Heard({ turnsKept: 2 });
    heard.take(said("192.0.2.1"), 100 * minuteMs);
    expect(heard.of("192.0.2.9", 99 * minuteMs)).to.equal(undefined);
    for (const minute of [110, 120, 130]) heard.take(said("192.0.2.1"), minute * minuteMs);
    expect(heard.of("192.0.2.9", 105 * minuteMs)).to.equal(undefined);
    expect(heard.of("192.0.2.9", 125 * minuteMs)).to.equal(false);
  });

  it("holds a bounded number of addresses, and does not guess beyond it", () => {
    const heard = new Heard({ turnCapacity: 2 });
    heard.take(said("192.0.2.1"), 90 * minuteMs);
    for (const last of [1, 2, 3]) heard.take(said(`192.0.2.${last}`), 100 * minuteMs);
    expect(heard.of("192.0.2.9", 102 * minuteMs)).to.equal(undefined);
    expect(JSON.stringify(heard.snapshot())).to.not.include("192.0.2.3");
  });
});
