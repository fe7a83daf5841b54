import { expect } from "chai";
import { timeWindow } from "../../src/diagnose/time-window.ts";

const now = new Date(2026, 10, 22, 17, 30, 5).getTime();
const at = (...parts: [number, number, number, number?, number?, number?]): number => new Date(...parts).getTime();

describe("diagnose/time-window", () => {
  for (const [since, from] of [
    ["1h", now - 3_600_000],
    ["-90m", now - 5_400_000],
    ["30min", now - 1_800_000],
    ["7d", now - 7 * 86_400_000],
    ["16:30", at(2026, 10, 22, 16, 30)],
    ["18:00", at(2026, 10, 21, 18, 0)],
    ["03:04:05", at(2026, 10, 22, 3, 4, 5)],
    ["2026-11-22", at(2026, 10, 22)],
    ["2026-11-22 16:30", at(2026, 10, 22, 16, 30)],
    ["2026-11-22T16:30:00Z", Date.UTC(2026, 10, 22, 16, 30)],
    ["@1795300000", 1_795_300_000_000],
  ] as const) {
    it(`--since ${since}`, () => {
      expect(timeWindow(since, undefined, now)).to.deep.equal({ fromMs: from, toMs: now });
    });
  }

  it("ends where it is told, at the latest now", () => {
    expect(timeWindow("2h", "1h", now)).to.deep.equal({ fromMs: now - 7_200_000, toMs: now - 3_600_000 });
    expect(timeWindow("1h", "2027-01-01", now).toMs).to.equal(now);
  });

  for (const [since, until, message] of [
    ["soon", undefined, /^--since: "soon" is no time: give 90m, 24h/],
    ["25:00", undefined, /^--since: "25:00" is no time/],
    ["2026-13-01", undefined, /^--since: "2026-13-01" is no time/],
    ["1h; rm -rf /", undefined, /is no time/],
    ["1h", "x".repeat(1000), /^--until: "x{40}" is no time/],
    ["2026-11-23", undefined, /^--since: "2026-11-23" is in the future$/],
    ["1h", "2h", /^--since "1h" is not before --until "2h"$/],
    ["60d", undefined, /at most 31 days/],
  ] as const) {
    it(`refuses ${since.slice(0, 20)} ${until?.slice(0, 20) ?? ""}`, () => {
      expect(() => timeWindow(since, until, now)).to.throw(message);
    });
  }
});
