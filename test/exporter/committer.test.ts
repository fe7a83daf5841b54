import { setImmediate as nextTurn } from "node:timers/promises";
import { expect } from "chai";
import { Committer } from "../../src/exporter/committer.ts";
import type { Sample } from "../../src/model/metric.ts";

/** A counter as the subject, a clock and a disk under the test's control. */
function bench() {
  const world = {
    count: 0,
    dirty: true,
    nowMs: 0,
    disk: undefined as unknown,
    broken: false,
    errors: 0,
    /** Of the next commit: rejects if the disk fails afterwards. */
    settled: () => Promise.resolve(),
    held: undefined as (() => void) | undefined,
    /** Called when the state's text is being made, and waited for. */
    taking: async () => {},
  };
  const committer = new Committer(
    {
      dirty: () => world.dirty,
      state: () => ({ count: world.count }),
      samplesInParts: () => [[{ name: "count", value: world.count }], []],
    },
    async (state, onTaken) => {
      await world.taking();
      onTaken();
      if (world.broken) throw new Error("ENOSPC");
      if (world.held !== undefined)
        await new Promise<void>((resolve) => {
          world.held = resolve;
        });
      world.disk = state;
      return { settled: world.settled() };
    },
    () => world.errors++,
    () => world.nowMs,
  );
  return { world, committer };
}
const sampleValue = (samples: readonly Sample[], name: string, result?: string) =>
  samples.find((sample) => sample.name === name && sample.labels?.["result"] === result)?.value;

describe("exporter/committer", () => {
  it("shows what is on disk, and no more", async () => {
    const { world, committer } = bench();
    world.count = 3;
    expect(sampleValue(await committer.samples(), "count")).to.equal(3);
    expect(world.disk).to.deep.equal({ count: 3 });
    world.count = 5;
    world.nowMs = 999;
    expect(sampleValue(await committer.samples(), "count")).to.equal(3);
    world.nowMs = 1000;
    expect(sampleValue(await committer.samples(), "count")).to.equal(5);
    expect(world.disk).to.deep.equal({ count: 5 });
  });

  it("shows the count of the moment the commit was taken, not of the moment it ended", async () => {
    const { world, committer } = bench();
    world.held = () => undefined;
    world.count = 1;
    const scrape = committer.samples();
    await committer.change(() => world.count++);
    expect(world.count).to.equal(2);
    world.held();
    expect(sampleValue(await scrape, "count")).to.equal(1);
    expect(world.disk).to.deep.equal({ count: 1 });
  });

  it("lets nothing change the state before it is taken, and everything while the disk is slow", async () => {
    const { world, committer } = bench();
    const told: string[] = [];
    world.taking = async () => {
      for (let turn = 0; turn < 5; turn++) await nextTurn();
      told.push(`taken at ${world.count}`);
      world.held = () => undefined;
    };
    const commit = committer.commit();
    const changes = [1, 2].map(() => committer.change(() => told.push(`now ${++world.count}`)));
    await Promise.all(changes);
    expect(told).to.deep.equal(["taken at 0", "now 1", "now 2"]);
    await nextTurn();
    world.held?.();
    await commit;
    expect(world.disk).to.deep.equal({ count: 0 });
  });

  it("shows samples of one moment, and of the state on disk, however long they take", async () => {
    const world = { count: 0, disk: -1 };
    const slow = function* () {
      for (let n = 0; n < 5; n++) {
        yield [{ name: `count${n}`, value: world.count }];
        for (const untilMs = performance.now() + 5; performance.now() < untilMs; );
      }
    };
    const committer = new Committer(
      { dirty: () => true, state: () => world.count, samplesInParts: slow },
      async (state, onTaken) => {
        onTaken();
        world.disk = state as number;
        return { settled: Promise.resolve() };
      },
      () => undefined,
    );
    const scrape = committer.samples();
    const changes = [1, 2, 3].map(() => nextTurn().then(() => committer.change(() => world.count++)));
    const values = (await scrape).slice(0, 5).map(({ value }) => value);
    expect([...values, world.disk]).to.deep.equal([0, 0, 0, 0, 0, 0]);
    await Promise.all(changes);
    expect(world.count).to.equal(3);
  });

  it("gives samples of now without a commit, of one moment, also beside one", async () => {
    const { world, committer } = bench();
    await committer.samples();
    world.count = 7;
    const [now, , shown] = await Promise.all([
      committer.uncommitted(),
      committer.change(() => world.count++),
      committer.samples(),
    ]);
    expect(sampleValue(now, "count")).to.equal(7);
    expect(sampleValue(now, "sshreset_state_commits_total", "success")).to.equal(1);
    expect(sampleValue(shown, "count")).to.equal(0);
    expect(world.disk).to.deep.equal({ count: 0 });
    world.nowMs = 1000;
    const later = committer.uncommitted();
    const commit = committer.samples();
    await committer.change(() => world.count++);
    expect(sampleValue(await later, "count")).to.equal(8);
    expect([sampleValue(await commit, "count"), world.disk]).to.deep.equal([8, { count: 8 }]);
  });

  it("holds nobody up when the state cannot be taken", async () => {
    const { world, committer } = bench();
    world.taking = () => Promise.reject(new Error("a bug"));
    await committer.commit();
    await committer.change(() => world.count++);
    expect(world.count).to.equal(1);
    expect(world.errors).to.equal(1);
  });

  it("writes nothing when nothing has changed", async () => {
    const { world, committer } = bench();
    await committer.samples();
    world.dirty = false;
    world.disk = "untouched";
    world.nowMs = 5000;
    await committer.samples();
    expect(world.disk).to.equal("untouched");
  });

  it("goes on counting when the disk is full, says so, and recovers", async () => {
    const { world, committer } = bench();
    await committer.samples();
    world.broken = true;
    for (const n of [1, 2]) {
      world.count = n;
      world.nowMs += 1000;
      const samples = await committer.samples();
      expect(sampleValue(samples, "count")).to.equal(n);
      expect(sampleValue(samples, "sshreset_state_commit_success")).to.equal(0);
      expect(sampleValue(samples, "sshreset_state_commits_total", "error")).to.equal(n);
    }
    expect(world.errors, "told once, when it begins").to.equal(1);
    world.broken = false;
    world.dirty = false;
    world.nowMs += 1000;
    expect(sampleValue(await committer.samples(), "sshreset_state_commit_success")).to.equal(1);
    expect(world.disk).to.deep.equal({ count: 2 });
  });

  it("waits for no disk, says once when that fails afterwards, and writes again", async () => {
    const { world, committer } = bench();
    const success = async () => sampleValue(await committer.samples(), "sshreset_state_commit_success");
    let fail = (_: Error): void => {};
    const slow = new Promise<void>((_, reject) => {
      fail = reject;
    });
    world.settled = () => slow;
    expect(await success()).to.equal(1);
    fail(new Error("EIO"));
    await nextTurn();
    expect(await success()).to.equal(0);
    world.dirty = false;
    world.settled = () => Promise.reject(new Error("EIO"));
    world.nowMs = 1000;
    await success();
    expect([world.errors, await success()]).to.deep.equal([1, 0]);
    world.settled = () => Promise.resolve();
    world.nowMs = 2000;
    expect(await success()).to.equal(1);
  });
});
