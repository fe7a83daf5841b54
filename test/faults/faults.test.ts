/**
 * Every operation on a file of sources, state, configuration and collectors fails once, at the start and while the
 * exporter runs. It must not die of it, must say it, and must recover with every line counted once.
 */
import { expect } from "chai";
import { waitFor } from "../cli/exporter-process.ts";
import { type Fault, FaultyExporter, SmallHost } from "./faulty-exporter.ts";

const codes = ["EIO", "ENOSPC", "EACCES", "EMFILE"] as const;
/** Operations whose failure changes nothing that anybody could miss, and why. */
const silent: readonly (readonly [RegExp, string])[] = [
  [/^fstatSync .*auth\.log \w+$/, "one scrape does not show the lag"],
  [/^openSync .*\/proc\/net\/tcp6? EACCES$/, "may not be read: the other table and the configuration tell the ports"],
  [/^readlinkSync .*\/fd\/\d+ /, "descriptors come and go: the next reading asks again"],
  [/^stat(fs)?Sync .*\/fd EACCES$/, "may not be read: the status page names the grant"],
];

/** Reading, saving, and nothing left to read. */
const settled = (values: ReadonlyMap<string, number>, lines: number): boolean =>
  values.get('sshreset_source_up{source="logfile"}') === 1 &&
  values.get("sshreset_state_commit_success") === 1 &&
  counted(values) >= lines;

/** What a collector reads in the background, it reads again within a minute. */
const everyCollector = (values: ReadonlyMap<string, number>): boolean =>
  [...values].every(([name, value]) => !name.startsWith("sshreset_scrape_collector_success") || value === 1);

const counted = (values: ReadonlyMap<string, number>): number =>
  (values.get('sshreset_source_records_total{source="logfile"}') ?? 0) +
  (values.get('sshreset_source_lost_records_total{source="logfile"}') ?? 0);

describe("file operations that fail once", function () {
  this.timeout(300_000);
  let host: SmallHost;
  let exporter: FaultyExporter;
  beforeEach(() => {
    host = new SmallHost();
  });
  afterEach(() => {
    exporter.kill();
    host.remove();
  });

  const recovered = (also: (values: ReadonlyMap<string, number>) => boolean = () => true, deadlineMs = 20_000) =>
    waitFor(
      `${host.lines} lines`,
      deadlineMs,
      async () => {
        const values = await exporter.values();
        return settled(values, host.lines) && also(values) ? values : undefined;
      },
      () => exporter.stderr.slice(-2000),
    );

  /** Operations that scrapes, log lines and rotation come back to; others are the start's, or of once a minute. */
  async function repeated(): Promise<readonly string[]> {
    const before = await exporter.seen();
    for (let round = 0; round < 3; round++) {
      host.rotate();
      await recovered();
    }
    return Object.entries(await exporter.seen()).flatMap(([key, count]) => (count > (before[key] ?? 0) ? [key] : []));
  }

  it("while it runs: it says so and recovers", async () => {
    exporter = new FaultyExporter(host);
    expect(await exporter.started()).to.equal("listening");
    await recovered();
    host.rotate();
    await recovered();
    const operations = await repeated();
    const unsaid: string[] = [];
    let hits = 0;
    for (const [index, operation] of operations.entries()) {
      const fault = faultOf(operation, codes[index % codes.length] ?? "EIO");
      const before = exporter.stderr.length;
      exporter.arm(fault);
      host.write();
      if (operation.includes("/var/log")) host.rotate();
      const shown: ReadonlyMap<string, number>[] = [];
      const deadline = Date.now() + 1_500;
      do shown.push(await exporter.values());
      while (!exporter.wasHit(fault) && Date.now() < deadline);
      shown.push(await exporter.values());
      exporter.disarm();
      const last = await recovered();
      expect(exporter.exitCode, `${operation}: ${exporter.stderr.slice(-1000)}`).to.equal(null);
      expect(counted(last), `after ${operation}`).to.equal(host.lines);
      if (!exporter.wasHit(fault)) continue;
      hits++;
      const said =
        exporter.stderr.length > before || shown.some((values) => !settled(values, 0) || !everyCollector(values));
      if (!said && !silent.some(([pattern]) => pattern.test(`${operation} ${fault.code}`)))
        unsaid.push(`${operation} ${fault.code}`);
    }
    console.log(`      ${operations.length} operations, ${hits} of them failed`);
    await recovered(everyCollector, 90_000);
    expect(hits).to.be.greaterThan(20);
    expect(unsaid, "failed without a word").to.deep.equal([]);
    expect(await exporter.stop()).to.equal(0);
  });

  it("at the start, all of the collectors' at once: it serves, says so and goes on reading", async () => {
    exporter = new FaultyExporter(host);
    await exporter.started();
    await recovered();
    const operations = Object.keys(await exporter.seen()).filter((each) =>
      /\/host\/(?:proc|sys|etc|usr|run)\//.test(each),
    );
    await exporter.stop();
    exporter = new FaultyExporter(
      host,
      operations.map((operation, index) => faultOf(operation, codes[index % codes.length] ?? "EIO")),
    );
    expect(await exporter.started().then((how) => how + exporter.stderr)).to.match(/^listening/);
    const first = await exporter.values().catch(() => expect.fail(exporter.stderr));
    expect(everyCollector(first)).to.equal(false);
    // Each reading meets the next fault: those in the background, once a minute, outlast this test.
    await recovered();
    expect(exporter.stderr).to.match(/injected/);
    expect(await exporter.stop()).to.equal(0);
  });

  it("at the start: it says what it could not read, and ends with 2 or serves", async () => {
    exporter = new FaultyExporter(host);
    expect(await exporter.started()).to.equal("listening");
    await recovered();
    const operations = Object.keys(await exporter.seen());
    await exporter.stop();
    const outcomes: Record<string, number> = {};
    for (const [index, operation] of operations.filter((each) => /config\.yml|state|var\/log/.test(each)).entries()) {
      const fault = faultOf(operation, codes[index % codes.length] ?? "EIO");
      exporter = new FaultyExporter(host, [fault]);
      const how = await exporter.started();
      outcomes[how] = (outcomes[how] ?? 0) + 1;
      if (how === "listening") {
        await recovered();
        expect(await exporter.stop(), `${operation} ${fault.code}: ${exporter.stderr}`).to.equal(0);
      } else {
        expect(exporter.exitCode, `${operation} ${fault.code}: ${exporter.stderr}`).to.equal(2);
        expect(exporter.stderr).to.match(/^ssh-reset-exporter: [^\n]*injected[^\n]*\n$/);
        expect(exporter.stderr).to.include(fault.path);
      }
    }
    console.log(`      ${JSON.stringify(outcomes)}`);
    expect(outcomes["ended"]).to.be.greaterThan(0);
    expect(outcomes["listening"]).to.be.greaterThan(0);
  });
});

function faultOf(operation: string, code: string): Fault {
  const space = operation.indexOf(" ");
  return { operation: operation.slice(0, space), path: operation.slice(space + 1), code };
}
