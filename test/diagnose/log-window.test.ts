import { appendFileSync, mkdtempSync, renameSync, rmSync, truncateSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { expect } from "chai";
import { type LogWindow, logWindow } from "../../src/diagnose/log-window.ts";

const start = Date.UTC(2026, 10, 22, 0, 0, 0);
const line = (
  second: number,
  text = `Accepted publickey for u from 192.0.2.1 port ${1024 + (second % 60000)} ssh2`,
): string => `${new Date(start + second * 1000).toISOString().replace("Z", "+00:00")} web1 sshd[${second}]: ${text}\n`;
const lines = (from: number, to: number): string => {
  let text = "";
  for (let second = from; second < to; second += 1) text += line(second);
  return text;
};

describe("diagnose/log-window", () => {
  let folder: string;
  let path: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "log-window-"));
    path = join(folder, "auth.log");
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  async function read(
    from: number,
    to: number,
    more: Partial<LogWindow> = {},
  ): Promise<{ pids: number[]; bytes: number; unreadable: string[] }> {
    const pids: number[] = [];
    const unreadable: string[] = [];
    let bytes = 0;
    for await (const records of logWindow({
      path,
      idents: ["sshd"],
      fromMs: start + from * 1000,
      toMs: start + to * 1000,
      onBytes: (count) => {
        bytes += count;
      },
      onUnreadable: (reason) => unreadable.push(reason),
      ...more,
    }))
      pids.push(...records.map(({ pid }) => pid));
    return { pids, bytes, unreadable };
  }
  const range = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, i) => from + i);

  it("reads the end of a large file and not its beginning", async () => {
    writeFileSync(path, lines(0, 400_000));
    const { pids, bytes } = await read(399_000, 399_999);
    expect(pids).to.deep.equal(range(399_000, 399_999));
    expect(bytes).to.be.below(10e6);
  }).timeout(20_000);

  it("finds a window in the middle, and stops behind it", async () => {
    writeFileSync(path, lines(0, 400_000));
    const { pids, bytes } = await read(100_000, 100_500);
    expect(pids).to.deep.equal(range(100_000, 100_500));
    expect(bytes).to.be.below(10e6);
  }).timeout(20_000);

  it("goes on in rotated siblings, compressed or not, as far as the window reaches", async () => {
    writeFileSync(join(folder, "auth.log.3.gz"), gzipSync(lines(0, 100)));
    writeFileSync(join(folder, "auth.log.2.gz"), gzipSync(lines(100, 200)));
    writeFileSync(join(folder, "auth.log.1"), lines(200, 300));
    writeFileSync(path, lines(300, 400));
    utimesSync(join(folder, "auth.log.3.gz"), (start + 1000) / 1000, (start + 1000) / 1000);
    const { pids } = await read(150, 1000);
    expect(pids).to.deep.equal(range(150, 399));
    expect((await read(150, 1000, { newestFirst: true })).pids.slice(0, 100)).to.deep.equal(range(300, 399));
  });

  it("loses nothing to a rotation while it reads", async () => {
    writeFileSync(path, lines(0, 40_000));
    const records = logWindow({
      path,
      idents: ["sshd"],
      fromMs: start,
      toMs: start + 1e9,
      onBytes: () => undefined,
      onUnreadable: () => undefined,
    });
    let count = (await records.next()).value?.length ?? 0;
    renameSync(path, `${path}.1`);
    writeFileSync(path, lines(40_000, 40_010));
    for await (const more of records) count += more.length;
    expect(count).to.equal(40_000);
  });

  it("ends when the file is cut while it reads", async () => {
    writeFileSync(path, lines(0, 40_000));
    const records = logWindow({
      path,
      idents: ["sshd"],
      fromMs: start,
      toMs: start + 1e9,
      onBytes: () => undefined,
      onUnreadable: () => undefined,
    });
    let count = (await records.next()).value?.length ?? 0;
    truncateSync(path, 0);
    for await (const more of records) count += more.length;
    expect(count).to.be.within(1, 40_000);
  });

  it("passes over what is no line, however long, and reads a last line without its end", async () => {
    writeFileSync(path, line(1) + "x".repeat(3 * 1024 * 1024));
    appendFileSync(path, `\n${line(2)}${line(3).trimEnd()}`);
    expect((await read(0, 10)).pids).to.deep.equal([1, 2, 3]);
  });

  it("takes only lines that hold the text asked for", async () => {
    writeFileSync(path, line(1) + line(2, "Connection closed by 192.0.2.1 port 2") + line(3));
    expect((await read(0, 10, { containing: "Accepted " })).pids).to.deep.equal([1, 3]);
  });

  it("says which sibling cannot be read, and reads the others", async () => {
    writeFileSync(join(folder, "auth.log.1.gz"), "no gzip");
    writeFileSync(path, lines(0, 3));
    const { pids, unreadable } = await read(0, 10);
    expect(pids).to.deep.equal([0, 1, 2]);
    expect(unreadable).to.have.length(1);
  });

  it("rejects where the file itself is not there", async () => {
    const error = await read(0, 10).catch((reason: NodeJS.ErrnoException) => reason.code);
    expect(error).to.equal("ENOENT");
  });
});
