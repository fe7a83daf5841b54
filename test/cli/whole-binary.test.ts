/**
 * The built program on fixture hosts, compared with golden pages. `GOLDEN=write npx mocha test/cli/whole-binary.test.ts`
 * writes them anew; read the diff.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { debianOr } from "../../tools/debian.ts";
import { type ExporterProcess, startExporter } from "./exporter-process.ts";

const fixtures = new URL("../fixtures", import.meta.url).pathname;
const host = join(fixtures, "hosts/healthy");

/** What no fixture can hold still: this process, the clock, and what only this machine's kernel or programs tell. */
const volatile =
  /^(?:# \w+ )?(?:process_|sshreset_(?:build_info|known_peers_stuck|source_last_record_timestamp_seconds|scrape_collector_duration_seconds|state_commits_total|source_lag_bytes|host_|ssh_socket|path_mtu_learned|cause_))/;

describe("the whole binary", function () {
  this.timeout(60_000);
  let folder: string;
  let exporter: ExporterProcess | undefined;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "whole-binary-"));
  });
  afterEach(async () => {
    await exporter?.stop("SIGKILL");
    rmSync(folder, { recursive: true });
  });

  const paths = [
    `--path.procfs=${host}/proc`,
    `--path.sysfs=${host}/sys`,
    `--path.rootfs=${host}`,
    "--path.tracefs=/nonexistent",
    // It reads the real machine, in its own time.
    "--no-collector.host",
  ];
  const start = (...args: string[]) =>
    startExporter([`--state.directory=${folder}`, "--source.from-beginning", "--no-source.kmsg", ...paths, ...args]);

  /** Reads until all lines are read, a stop of sshd is told (ten seconds later), and two scrapes show the same. */
  async function settled(running: ExporterProcess, source: string, records: number): Promise<string> {
    await running.until(
      `${records} records`,
      (values) => values.get(`sshreset_source_records_total{source="${source}"}`) === records,
    );
    await running.until(
      "an asked-for stop",
      (values) => values.get('sshreset_sshd_stops_total{reason="requested"}') === 1,
      20_000,
    );
    let before = "";
    const deadline = Date.now() + 15_000;
    while (Date.now() < deadline) {
      const text = (await (await running.get("/metrics")).text())
        .split("\n")
        .filter((line) => line !== "" && !volatile.test(line))
        .join("\n");
      if (text === before) return `${text}\n`;
      before = text;
      await new Promise((resolve) => setTimeout(resolve, 1_300));
    }
    throw new Error("the metrics do not settle");
  }

  /** Recorded times are moved so that the last record is a minute old: what is known of peers ages with the calendar. */
  function moved(
    fixture: string,
    time: RegExp,
    toMs: (text: string) => number,
    toText: (timeMs: number) => string,
  ): string {
    const text = readFileSync(join(fixtures, fixture), "utf8");
    const latest = Math.max(...[...text.matchAll(time)].map(([match]) => toMs(match)));
    const shift = Date.now() - 60_000 - latest;
    const path = join(folder, "moved");
    writeFileSync(
      path,
      text.replace(time, (match) => toText(toMs(match) + shift)),
    );
    return path;
  }

  function compare(text: string, golden: string): void {
    const path = join(fixtures, "whole-binary", golden);
    if (process.env["GOLDEN"] === "write") writeFileSync(path, text);
    expect(text).to.equal(readFileSync(path, "utf8"));
  }

  it("serves what it served before on a fixture host with an auth.log", async () => {
    const log = moved("whole-binary/auth.log", /^\d{4}-\S+/gm, Date.parse, (timeMs) => new Date(timeMs).toISOString());
    exporter = await start(`--source.logfile=${log}`);
    const lines = readFileSync(log, "utf8")
      .split("\n")
      .filter((line) => / sshd(-session)?\[\d+\]: /.test(line)).length;
    compare(await settled(exporter, "logfile", lines), "logfile.prom");
  });

  it("serves what it served before on a real journal file", async function () {
    const { path, env } = await debianOr(this, "systemd-journal-remote");
    const journal = join(folder, "incidents.journal");
    const records = moved(
      "journal/incidents.export",
      /(?<=^__REALTIME_TIMESTAMP=)\d+/gm,
      (text) => Number(text) / 1000,
      (timeMs) => String(Math.round(timeMs * 1000)),
    );
    const made = spawnSync(path, ["-o", journal, records], { env, encoding: "utf8" });
    expect(made.status, made.stderr).to.equal(0);
    exporter = await start(`--source.journal.file=${journal}`);
    const spoken = readFileSync(join(fixtures, "journal/incidents.export"), "utf8").match(
      /^SYSLOG_IDENTIFIER=(sshd|systemd|kernel)$/gm,
    );
    compare(await settled(exporter, "journal", spoken?.length ?? 0), "journal.prom");
  });

  it("passes promtool and the OpenMetrics parser, and has no series twice", async function () {
    const promtool = await debianOr(this, "promtool");
    const python = await debianOr(this, "python3");
    exporter = await start(`--source.logfile=${join(fixtures, "whole-binary/auth.log")}`);
    await exporter.until(
      "records",
      (values) => (values.get('sshreset_source_records_total{source="logfile"}') ?? 0) > 100,
    );
    const text = await (await exporter.get("/metrics")).text();
    const series = text
      .split("\n")
      .filter((line) => line !== "" && !line.startsWith("#"))
      .map((line) => line.slice(0, line.lastIndexOf(" ")));
    expect(new Set(series).size).to.equal(series.length);
    const checked = spawnSync(promtool.path, ["check", "metrics"], {
      input: text,
      env: promtool.env,
      encoding: "utf8",
    });
    expect(`${checked.stdout}${checked.stderr}`).to.equal("");
    expect(checked.status).to.equal(0);
    const answer = await exporter.get("/metrics", { accept: "application/openmetrics-text" });
    const parse = `import sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families
print(len(list(text_string_to_metric_families(sys.stdin.read()))))`;
    const parsed = spawnSync(python.path, ["-c", parse], {
      input: await answer.text(),
      env: python.env,
      encoding: "utf8",
    });
    expect(parsed.stderr).to.equal("");
    expect(Number(parsed.stdout)).to.be.greaterThan(50);
  });
});
