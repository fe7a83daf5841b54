/** The TCP trace source against this kernel's tracefs: floods, overruns, kill -9, instances, privileges. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { chmodSync, chownSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import {
  createTcpTraceSource,
  preparedInstance,
  prepareInstance,
  removePreparedInstance,
} from "../../src/sources/tcp-trace.ts";
import { skip } from "../../tools/skip.ts";
import { mountTracefs, type TracefsMount } from "./tracefs.ts";
import { waitFor } from "./wait.ts";

interface Counted {
  readonly records: number;
  readonly lost: number;
  readonly cpuSeconds: number;
}

describe("the TCP trace source on this kernel", function () {
  this.timeout(120_000);
  const children = new Set<ChildProcess>();
  let folder: string;
  let tracefs: TracefsMount;
  let port: number;

  before(async function () {
    if (process.getuid?.() !== 0) skip(this, "needs root: tracefs");
    if (spawnSync("python3", ["-c", ""]).status !== 0) skip(this, "needs python3 to flood");
    try {
      tracefs = mountTracefs();
    } catch (error) {
      skip(this, String(error));
    }
    folder = mkdtempSync(join(tmpdir(), "ssh-reset-exporter-trace-"));
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    port = (server.address() as { port: number }).port;
    server.close();
  });

  afterEach(() => {
    for (const child of children) child.kill("SIGKILL");
    children.clear();
  });
  after(() => {
    tracefs?.close();
    if (folder !== undefined) rmSync(folder, { recursive: true });
  });

  const instanceOf = (child: ChildProcess): string =>
    join(tracefs.path, "instances", `${preparedInstance}-${child.pid}`);

  async function startReader(positionFile = join(folder, "position.json")): Promise<ChildProcess> {
    const args = [
      "--import=tsx",
      join(import.meta.dirname, "trace-reader.ts"),
      tracefs.path,
      String(port),
      positionFile,
    ];
    const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
    children.add(child);
    await waitFor(
      () => enabled(instanceOf(child)),
      () => "the reader has no instance",
    );
    return child;
  }

  const enabled = (instance: string): boolean => {
    const file = join(instance, "events/tcp/tcp_send_reset/enable");
    return existsSync(file) && readFileSync(file, "utf8").startsWith("1");
  };

  /** Ends it as a service manager would. */
  async function stopReader(child: ChildProcess): Promise<Counted> {
    let output = "";
    child.stdout?.on("data", (chunk: Buffer) => {
      output += chunk.toString();
    });
    child.kill("SIGTERM");
    await once(child, "close");
    return JSON.parse(output) as Counted;
  }

  /** Seconds that it took. */
  function flood(count: number): number {
    const { stdout, status, stderr } = spawnSync(
      "python3",
      [join(import.meta.dirname, "flood.py"), String(count), String(port)],
      {
        encoding: "utf8",
      },
    );
    expect(status, stderr).to.equal(0);
    return Number(stdout);
  }

  /** The reader has taken all that its instance holds. */
  const drained = (child: ChildProcess): Promise<void> =>
    waitFor(
      () =>
        readdirSync(join(instanceOf(child), "per_cpu")).every((cpu) =>
          /^entries: 0$/m.test(readFileSync(join(instanceOf(child), "per_cpu", cpu, "stats"), "latin1")),
        ),
      () => "events stay in the ring buffer",
    );

  it("counts a flood of 10,000 resets exactly, and removes its instance at exit", async () => {
    const reader = await startReader();
    const seconds = flood(10_000);
    await drained(reader);
    const { records, lost, cpuSeconds } = await stopReader(reader);
    process.stdout.write(
      `      10000 resets in ${seconds.toFixed(2)} s: ${records} read, ${lost} lost, ${cpuSeconds.toFixed(2)} s CPU (${(cpuSeconds * 100).toFixed(1)} us each)\n`,
    );
    expect({ records, lost }).to.deep.equal({ records: 10_000, lost: 0 });
    expect(existsSync(instanceOf(reader))).to.equal(false);
  });

  it("counts what overran its buffer while it stood still", async () => {
    const reader = await startReader();
    reader.kill("SIGSTOP");
    flood(40_000);
    reader.kill("SIGCONT");
    await drained(reader);
    const { records, lost } = await stopReader(reader);
    process.stdout.write(`      40000 resets while it stood still: ${records} read, ${lost} events lost\n`);
    expect(records).to.be.within(1, 39_999);
    // Each reset is two events here, received and sent: the sent ones of others are lost with ours.
    expect(records + lost).to.be.at.least(40_000);
  });

  it("after kill -9 reads what its last instance still holds, and removes that", async () => {
    const position = join(folder, "killed.json");
    const killed = await startReader(position);
    flood(100);
    await drained(killed);
    await waitFor(
      () => existsSync(position) && (JSON.parse(readFileSync(position, "utf8")) as { read: number }).read >= 200,
      () => "no position",
    );
    killed.kill("SIGKILL");
    await once(killed, "close");
    flood(300);
    expect(existsSync(instanceOf(killed))).to.equal(true);
    const next = await startReader(position);
    expect(existsSync(instanceOf(killed))).to.equal(false);
    flood(50);
    await drained(next);
    const { records, lost } = await stopReader(next);
    expect({ records, lost }).to.deep.equal({ records: 350, lost: 0 });
  });

  it("leaves the instance of a living process alone", async () => {
    const first = await startReader(join(folder, "first.json"));
    const second = await startReader(join(folder, "second.json"));
    flood(20);
    await drained(first);
    await drained(second);
    const counted = [await stopReader(first), await stopReader(second)];
    expect(counted.map(({ records }) => records)).to.deep.equal([20, 20]);
  });

  it("without privileges reads a prepared instance, and says what to grant where there is none", async () => {
    const nobody = 65_534;
    const before = [tracefs.path, join(tracefs.path, "instances")].map((path) => ({ path, ...statSync(path) }));
    const stop = new AbortController();
    const source = createTcpTraceSource({
      position: undefined,
      fromBeginning: false,
      idents: [],
      onWarning: () => undefined,
      tracefs: tracefs.path,
      procfs: "/proc",
      ports: () => [port],
      retryMs: 20,
    });
    let records = 0;
    const groups = process.getgroups?.() ?? [];
    try {
      process.setgroups?.([]);
      process.setegid?.(nobody);
      process.seteuid?.(nobody);
      const reading = (async () => {
        for await (const batch of source.batches(stop.signal)) records += batch.records.length;
      })();
      await waitFor(
        () => source.status().reason !== "not started",
        () => "nothing is said",
      );
      expect(source.status().reason).to.include("EACCES");
      expect(source.status().grant).to.include("observe trace --group");
      process.seteuid?.(0);
      const path = prepareInstance(tracefs.path, [port], nobody);
      process.seteuid?.(nobody);
      await waitFor(
        () => source.status().up,
        () => `not up: ${source.status().reason}`,
      );
      process.seteuid?.(0);
      expect(readFileSync(join(path, "events/tcp/tcp_receive_reset/filter"), "utf8")).to.equal(`sport == ${port}\n`);
      process.seteuid?.(nobody);
      flood(20);
      await waitFor(
        () => records >= 20,
        () => `${records} records`,
      );
      stop.abort();
      await reading;
      expect(records).to.equal(20);
    } finally {
      stop.abort();
      process.seteuid?.(0);
      process.setegid?.(0);
      process.setgroups?.(groups);
      removePreparedInstance(tracefs.path);
      for (const { path, uid, gid, mode } of before) {
        chownSync(path, uid, gid);
        chmodSync(path, mode & 0o7777);
      }
    }
  });

  it("leaves nothing in tracefs", () => {
    const pids = new Set([...children].map(({ pid }) => `${preparedInstance}-${pid}`));
    const left = readdirSync(join(tracefs.path, "instances")).filter(
      (name) => name === preparedInstance || pids.has(name),
    );
    expect(left).to.deep.equal([]);
  });
});
