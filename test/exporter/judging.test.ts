import { expect } from "chai";
import { Judging, judgeIntervalMs } from "../../src/exporter/judging.ts";

describe("exporter/judging", () => {
  it("says before a judgement that its samples will be saved: who gathers them has to commit the counts first", async () => {
    const saves: number[] = [];
    let judgement = 0;
    const judging = new Judging(async () => {
      saves.push(judgement);
    });
    const announced: number[] = [];
    for (judgement = 1; judgement <= 9; judgement++) {
      if (judging.savesNext) announced.push(judgement);
      await judging.judge(1_790_000_000_000 + judgement * judgeIntervalMs, []);
    }
    expect(saves).to.deep.equal([4, 8]);
    expect(announced).to.deep.equal(saves);
  });
});
