import { expect } from "chai";
import { Turns } from "./turns.ts";

describe("turns of the lab's hosts", () => {
  it("run together, except for those that run alone", async () => {
    const turns = new Turns();
    const said: string[] = [];
    const open: (() => void)[] = [];
    const take = (name: string, alone: boolean): Promise<void> =>
      turns.take(alone, async () => {
        said.push(`${name} begins`);
        await new Promise<void>((resolve) => open.push(resolve));
        said.push(`${name} ends`);
      });
    const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
    const all = [take("a", false), take("b", false), take("c", true), take("d", false), take("e", false)];
    for (let n = 0; n < 6; n++) {
      await settle();
      open.shift()?.();
    }
    await Promise.all(all);
    expect(said).to.deep.equal([
      ...["a begins", "b begins", "a ends", "b ends"],
      ...["c begins", "c ends", "d begins", "e begins", "d ends", "e ends"],
    ]);
  });

  it("go on after one that failed", async () => {
    const turns = new Turns();
    const failed = turns.take(true, () => Promise.reject(new Error("no"))).catch((error: Error) => error.message);
    expect(await turns.take(true, async () => "yes")).to.equal("yes");
    expect(await failed).to.equal("no");
  });
});
