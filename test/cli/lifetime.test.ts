/** The built program through its life: followed logs, signals, restarts, kill -9 and rotation while it is down. */
import { appendFileSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { expect } from "chai";
import { type ExporterProcess, parseValues, startExporter, waitFor } from "./exporter-process.ts";

const failures = "sshreset_authentication_failures_total";

describe("the exporter's life", function () {
  this.timeout(90_000);
  let folder: string;
  let log: string;
  let written: number;
  const running: ExporterProcess[] = [];
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "lifetime-"));
    mkdirSync(join(folder, "state"));
    log = join(folder, "auth.log");
    writeFileSync(log, "");
    written = 0;
  });
  afterEach(async () => {
    for (const exporter of running.splice(0)) await exporter.stop("SIGKILL");
    rmSync(folder, { recursive: true });
  });

  async function start(...args: string[]): Promise<ExporterProcess> {
    const exporter = await startExporter([
      `--state.directory=${join(folder, "state")}`,
      `--source.logfile=${log}`,
      "--source.from-beginning",
      "--no-source.kmsg",
      "--no-source.tcp-trace",
      ...args,
    ]);
    running.push(exporter);
    return exporter;
  }

  /** A refused login each, from another port: every line counts exactly one. */
  function write(count: number): void {
    let lines = "";
    for (let i = 0; i < count; i++) {
      const port = 1024 + (written++ % 60_000);
      lines += `${new Date().toISOString()} host sshd[${port}]: Failed password for root from 192.0.2.1 port ${port} ssh2\n`;
    }
    appendFileSync(log, lines);
  }

  const counted = (values: ReadonlyMap<string, number>) => values.get(failures) ?? Number.NaN;
  const all = (exporter: ExporterProcess) =>
    exporter.until(`${written} lines`, (values) => counted(values) >= written, 20_000);

  it("shows a line soon after it was written", async () => {
    const exporter = await start();
    const latencies: number[] = [];
    for (let i = 0; i < 5; i++) {
      await exporter.until("what is there", (values) => counted(values) === written);
      // Scrapes within a second share a commit: begin in a new one.
      await new Promise((resolve) => setTimeout(resolve, 1_000));
      const startedMs = performance.now();
      write(1);
      await all(exporter);
      latencies.push(performance.now() - startedMs);
    }
    console.log(`      line to scrape: ${latencies.map((ms) => ms.toFixed(0)).join(", ")} ms`);
    expect(Math.min(...latencies)).to.be.lessThan(2_000);
  });

  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    it(`${signal} ends it with its counts saved, and the next life goes on`, async () => {
      const first = await start();
      write(100);
      await all(first);
      const startedMs = performance.now();
      expect(await first.stop(signal)).to.equal(0);
      expect(performance.now() - startedMs).to.be.lessThan(5_000);
      write(50);
      const second = await start();
      expect(counted(await all(second))).to.equal(150);
    });
  }

  it("kill -9 at any moment loses nothing, counts nothing twice, and no counter steps back", async () => {
    let shown = 0;
    for (let life = 0; life < 8; life++) {
      const exporter = await start();
      const dieAtMs = Date.now() + Math.random() * 1_500;
      while (Date.now() < dieAtMs) {
        write(200);
        const value = counted(await exporter.values());
        expect(value, "a counter stepped back").to.be.at.least(shown);
        shown = value;
      }
      await exporter.stop("SIGKILL");
      write(100);
    }
    const last = await start();
    expect(counted(await all(last))).to.equal(written);
    const later = await last.until("a second look", () => true);
    expect(counted(later)).to.equal(written);
    expect(later.get('sshreset_source_lost_records_total{source="logfile"}')).to.equal(0);
  });

  it("killed right after its first scrape, it goes on from where it began, also in a rotated file", async () => {
    write(7);
    const first = await start("--no-source.from-beginning");
    await first.values();
    await first.stop("SIGKILL");
    write(100);
    renameSync(log, `${log}.1`);
    write(50);
    const second = await start("--no-source.from-beginning");
    await second.until("what was written since", (values) => counted(values) === 150);
  });

  it("catches up with two rotations while it was down, one of them compressed", async () => {
    const first = await start();
    write(100);
    await all(first);
    await first.stop("SIGKILL");
    write(10);
    renameSync(log, `${log}.1`);
    write(20);
    writeFileSync(`${log}.2.gz`, gzipSync(readFileSync(`${log}.1`)));
    renameSync(log, `${log}.1`);
    write(30);
    const second = await start();
    expect(counted(await all(second))).to.equal(160);
    expect((await second.values()).get('sshreset_source_lost_records_total{source="logfile"}')).to.equal(0);
  });

  it("begins at the end at its first start, unless told otherwise", async () => {
    write(10);
    const exporter = await start("--no-source.from-beginning");
    await exporter.until("the source", (values) => values.get('sshreset_source_up{source="logfile"}') === 1);
    write(5);
    const values = await exporter.until("the new lines", (now) => counted(now) >= 5);
    expect(counted(values)).to.equal(5);
  });

  it("SIGHUP takes a good configuration and refuses a bad one, in both cases without losing a count", async () => {
    const config = join(folder, "config.yml");
    writeFileSync(config, "log.level: info\n");
    const exporter = await start(`--config.file=${config}`);
    write(10);
    await all(exporter);
    const reloads = "sshreset_config_last_reload_successful";

    writeFileSync(config, "log.levle: debug\n");
    exporter.child.kill("SIGHUP");
    await exporter.until("the refusal", (values) => values.get(reloads) === 0);
    expect(exporter.stderr()).to.match(/unknown key .*log\.levle.*; did you mean log\.level\?/);
    write(10);
    await all(exporter);

    writeFileSync(config, "web.telemetry-path: /other\n");
    exporter.child.kill("SIGHUP");
    const port = await waitFor(
      "the new page",
      10_000,
      async () => /.*address=127\.0\.0\.1:(\d+) [^\n]*path=\/other/s.exec(exporter.stderr())?.[1],
    );
    const text = await (await fetch(`http://127.0.0.1:${port}/other`)).text();
    expect(counted(parseValues(text))).to.equal(20);
    expect(parseValues(text).get(reloads)).to.equal(1);
  });

  it("is ready while a log is missing only when it appears, and says why not", async () => {
    rmSync(log);
    const exporter = await start();
    const answer = await exporter.get("/-/ready");
    expect([answer.status, await answer.text()]).to.deep.equal([
      503,
      `the source logfile is not reading: ${log} does not exist\n`,
    ]);
    write(3);
    await all(exporter);
    expect((await exporter.get("/-/ready")).status).to.equal(200);
  });
});
