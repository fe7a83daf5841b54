import { expect } from "chai";
import { Turns } from "./turns.ts";

const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe("turns of the lab's hosts", () => {
  const said: string[] = [];
  const steps = new Map<string, () => void>();

  function take(turns: Turns, name: string, kind?: string): Promise<void> {
    return turns.take(kind, async (healed) => {
      said.push(name);
      await new Promise<void>((resolve) => steps.set(`${name} heals`, resolve));
      healed();
      await new Promise<void>((resolve) => steps.set(`${name} ends`, resolve));
    });
  }

  async function go(...names: readonly string[]): Promise<readonly string[]> {
    await settle();
    for (const name of names) {
      steps.get(name)?.();
      await settle();
    }
    return said.splice(0);
  }

  it("run together, except for those that need the kernel alone until they are healed", async () => {
    const turns = new Turns();
    const all = [take(turns, "a"), take(turns, "b"), take(turns, "memory", "oom"), take(turns, "c")];
    expect(await go(), "c does not overtake").to.deep.equal(["a", "b"]);
    expect(await go("a heals", "a ends", "b heals")).to.deep.equal([]);
    expect(await go("b ends")).to.deep.equal(["memory"]);
    expect(await go("memory heals")).to.deep.equal(["c"]);
    await go("memory ends", "c heals", "c ends");
    await Promise.all(all);
  });

  it("let one of another kind begin when it is healed, and one of the same kind when it has ended", async () => {
    const turns = new Turns();
    const all = [take(turns, "first", "oom"), take(turns, "second", "oom"), take(turns, "table", "conntrack")];
    expect(await go()).to.deep.equal(["first"]);
    expect(await go("first heals")).to.deep.equal(["table"]);
    expect(await go("table heals")).to.deep.equal([]);
    expect(await go("first ends")).to.deep.equal(["second"]);
    await go("table ends", "second heals", "second ends");
    await Promise.all(all);
  });

  it("go on after one that failed", async () => {
    const turns = new Turns();
    const failed = turns.take("oom", () => Promise.reject(new Error("no"))).catch((error: Error) => error.message);
    expect(await turns.take("oom", async () => "yes")).to.equal("yes");
    expect(await failed).to.equal("no");
  });
});
