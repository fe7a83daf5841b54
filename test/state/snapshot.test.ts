import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import fc from "fast-check";
import { LongList } from "../../src/model/long-list.ts";
import { loadSnapshot, openStateDirectory, SnapshotFile, StateError } from "../../src/state/snapshot.ts";

describe("state/snapshot", () => {
  let directory: string;
  let file: SnapshotFile;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "state-"));
    file = new SnapshotFile(directory, "snapshot.json");
  });
  afterEach(() => rmSync(directory, { recursive: true, force: true }));
  const load = () => loadSnapshot(directory, "snapshot.json", (data) => data);
  const commit = async (data: unknown) => {
    const { settled } = await file.commit(data);
    await settled;
  };

  it("gives back what was committed, and nothing at the first start", async () => {
    expect(load()).to.deep.equal({ value: undefined });
    await commit({ positions: { logfile: { offset: 12 } } });
    expect(load()).to.deep.equal({ value: { positions: { logfile: { offset: 12 } } } });
    expect(statSync(join(directory, "snapshot.json")).mode & 0o777).to.equal(0o600);
  });

  it("stores what was there when the commit was asked for, not what came while it was written", async () => {
    const data = { n: 1 };
    const committed = commit(data);
    data.n = 2;
    await committed;
    expect(load().value).to.deep.equal({ n: 1 });
  });

  it("stores long lists whole, among and inside short ones", async () => {
    const list = (length: number) => Array.from({ length }, (_, n) => [`k${n}`, n, { n }]);
    const data = { a: list(2_500), b: [list(1_001), list(1_000)], c: { d: list(3_000), e: "end" }, f: list(0) };
    await commit(data);
    expect(load().value).to.deep.equal(data);
  });

  it("writes what JSON.stringify would", async () => {
    await fc.assert(
      fc.asyncProperty(fc.jsonValue(), fc.array(fc.jsonValue()), fc.nat(450), async (value, entries, length) => {
        const long = Array.from({ length }, (_, n) => entries[n % Math.max(1, entries.length)] ?? n);
        const data = { value, long, none: undefined, in: [long, value, [], {}], "é\u2028\ud83d": [undefined, long] };
        await commit(data);
        const text = readFileSync(join(directory, "snapshot.json"), "utf8");
        expect(text).to.equal(JSON.stringify({ version: 1, data }));
        const lazy = { ...data, long: new LongList(() => long), in: [new LongList(() => long), value, [], {}] };
        await commit(lazy);
        expect(readFileSync(join(directory, "snapshot.json"), "utf8")).to.equal(text);
      }),
      { numRuns: 100 },
    );
  });

  it("stores text of any length", async () => {
    const data = {
      long: Array.from({ length: 3_000 }, (_, n) => `${n} `.padEnd(1_000, "€")),
      text: "€".repeat(2_000_000),
    };
    await commit(data);
    expect(load().value).to.deep.equal(data);
  });

  it("takes the memory of the commit before again", async () => {
    const big = { list: Array.from({ length: 20_000 }, (_, n) => `entry ${n}`.padEnd(100)) };
    const external = () => process.memoryUsage().arrayBuffers / 1e6;
    await commit(big);
    const before = external();
    for (let n = 0; n < 5; n++) await commit(big);
    expect(external() - before).to.be.below(2);
    await commit({ small: true });
    expect(load().value).to.deep.equal({ small: true });
  });

  it("makes the text of long lists in turns, and says when it has it all", async () => {
    const slow = function* () {
      for (let n = 0; n < 1_000; n++) {
        for (const untilMs = performance.now() + 0.05; performance.now() < untilMs; );
        yield n;
      }
    };
    let turns = 0;
    let taken = -1;
    const running = setInterval(() => turns++, 0);
    await file.commit({ list: new LongList(slow) }, () => {
      taken = turns;
      expect(existsSync(join(directory, "snapshot.json.new"))).to.equal(false);
    });
    clearInterval(running);
    await file.settled;
    expect(taken).to.be.above(3);
  });

  it("says that it has the text even if that cannot be made, or written", async () => {
    let taken = 0;
    const broken = new LongList(() => {
      throw new Error("a bug");
    });
    for (const [folder, data] of [
      [join(directory, "missing"), {}],
      [directory, broken],
    ] as const) {
      const error = await new SnapshotFile(folder, "snapshot.json")
        .commit(data, () => taken++)
        .catch((reason) => reason);
      expect(error).to.be.an("error");
    }
    expect(taken).to.equal(2);
  });

  it("gives back what was committed before its writer was killed, whether the disk had it or not", async () => {
    const path = join(directory, "snapshot.json");
    await commit({ n: 1 });
    const first = readFileSync(path);
    await commit({ n: 2 });
    const second = readFileSync(path);
    for (let length = 0; length <= second.length; length++) {
      writeFileSync(path, first);
      writeFileSync(`${path}.new`, second.subarray(0, length));
      expect(load().value).to.deep.equal({ n: length === second.length ? 2 : 1 });
    }
    expect(existsSync(`${path}.new`)).to.equal(false);
    expect(load().value).to.deep.equal({ n: 2 });
  });

  it("has written it whole, for who loads it, when a commit resolves", async () => {
    await commit({ n: 1 });
    await file.commit({ n: 2 });
    const kept = existsSync(join(directory, "snapshot.json.new")) ? "snapshot.json.new" : "snapshot.json";
    expect(JSON.parse(readFileSync(join(directory, kept), "utf8")).data).to.deep.equal({ n: 2 });
    await file.settled;
    expect(load().value).to.deep.equal({ n: 2 });
  });

  it("says that a commit did not reach the disk, and goes on", async () => {
    await commit({ n: 1 });
    const path = join(directory, "snapshot.json");
    rmSync(path);
    // A folder with something in it cannot be renamed over.
    mkdirSync(join(path, "in-the-way"), { recursive: true });
    expect(await commit({ n: 2 }).catch((error) => error.code)).to.be.oneOf(["EISDIR", "ENOTEMPTY"]);
    rmSync(path, { recursive: true });
    await commit({ n: 3 });
    expect(load().value).to.deep.equal({ n: 3 });
  });

  it("sets a snapshot aside that is cut at any byte, and starts fresh", async () => {
    await commit({ positions: { a: 1 } });
    const whole = readFileSync(join(directory, "snapshot.json"));
    for (let length = 0; length < whole.length; length++) {
      writeFileSync(join(directory, "snapshot.json"), whole.subarray(0, length));
      const { value, setAside } = load();
      expect(value).to.equal(undefined);
      expect(setAside?.reason).to.match(/^it is damaged: /);
      expect(readFileSync(join(directory, "snapshot.json.broken"))).to.deep.equal(whole.subarray(0, length));
      expect(existsSync(join(directory, "snapshot.json"))).to.equal(false);
    }
  });

  it("sets a snapshot aside whose content its owner refuses", async () => {
    await commit({ positions: 7 });
    const refuse = () => {
      throw new Error("positions is 7");
    };
    const { value, setAside } = loadSnapshot(directory, "snapshot.json", refuse);
    expect([value, setAside?.reason]).to.deep.equal([undefined, "it is damaged: positions is 7"]);
  });

  it("sets a snapshot of another version aside", () => {
    writeFileSync(join(directory, "snapshot.json"), '{"version":99,"data":{}}');
    expect(load().setAside).to.deep.equal({
      path: join(directory, "snapshot.json.broken"),
      reason: "it has version 99, this exporter writes 1",
    });
  });

  it("sets a file aside that is larger than any snapshot", () => {
    writeFileSync(join(directory, "snapshot.json"), "");
    truncateSync(join(directory, "snapshot.json"), 65 * 1024 * 1024);
    expect(load().setAside?.reason).to.equal("it has 68157440 bytes, more than any exporter writes");
  });

  it("says what to do when the state directory is missing", () => {
    const missing = join(directory, "missing");
    expect(() => openStateDirectory(missing, false))
      .to.throw(StateError)
      .with.property(
        "message",
        `state directory "${missing}" does not exist; make it with: install -d -m 0700 "${missing}"`,
      );
    openStateDirectory(missing, true);
    expect(statSync(missing).mode & 0o777).to.equal(0o700);
  });

  it("refuses a file in place of the directory", () => {
    const file = join(directory, "file");
    writeFileSync(file, "");
    expect(() => openStateDirectory(file, false))
      .to.throw(StateError)
      .with.property("message", `state directory "${file}" is no directory`);
  });

  it("refuses a snapshot that cannot be read", () => {
    const path = join(directory, "snapshot.json");
    rmSync(path, { force: true });
    // A folder in its place fails for every user; permissions would not stop root.
    chmodSync(directory, 0o700);
    openStateDirectory(path, true);
    expect(load).to.throw(StateError, `cannot read "${path}": EISDIR`);
  });
});
