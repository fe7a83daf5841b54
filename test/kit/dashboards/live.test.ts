/**
 * Every query against a live Prometheus that scrapes the real exporter, and that has the past of a simulated fleet with
 * incidents: each must return data in the scenario that it is for. Real exporters first; what only an incident has is
 * asked of the fleet. `SHOW_QUERIES=1` prints who answered what.
 */
import { spawnSync } from "node:child_process";
import { appendFile, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { debianOr } from "../../../tools/debian.ts";
import { type ExporterProcess, startExporter, waitFor } from "../../cli/exporter-process.ts";
import { type Choice, type Expression, expressions, substituted } from "./expressions.ts";
import { backfill, type Prometheus, pastEndSeconds, startPrometheus } from "./prometheus.ts";

const fixtures = new URL("../../fixtures", import.meta.url).pathname;
const host = join(fixtures, "hosts/healthy");

/** Of a real host's exporter: nothing here but the incident itself may be missing. */
const live: Choice = { job: "live", instance: ".+", rangeSeconds: 20, rateSeconds: 8 };
const past: Choice = { job: "ssh.*", instance: ".+", rangeSeconds: 3 * 3600, rateSeconds: 120 };

describe("the queries of the dashboards, asked of a live Prometheus", function () {
  this.timeout(240_000);
  let folder: string;
  let prometheus: Prometheus | undefined;
  const exporters: ExporterProcess[] = [];
  /** Of the log, for when Prometheus has seen its counters. */
  let rest = "";

  before(async function () {
    for (const program of ["prometheus", "promtool", "systemd-journal-remote"] as const) await debianOr(this, program);
    folder = await mkdtemp(join(tmpdir(), "dashboards-live-"));
    await backfill(folder);
    prometheus = await startPrometheus(folder, await targets(this));
  });
  after(async () => {
    await prometheus?.stop();
    for (const exporter of exporters) await exporter.stop("SIGKILL");
    await rm(folder, { recursive: true, force: true });
  });

  /** Real exporters: a log that grows, a journal, a log that is not there; and a target that does not answer. */
  async function targets(context: Mocha.Context) {
    const log = join(folder, "auth.log");
    const lines = (await readFile(join(fixtures, "whole-binary/auth.log"), "utf8")).split(/(?<=\n)/);
    await writeFile(log, lines.slice(0, 40).join(""));
    const journal = join(folder, "incidents.journal");
    const { path, env } = await debianOr(context, "systemd-journal-remote");
    const made = spawnSync(path, ["-o", journal, join(fixtures, "journal/incidents.export")], {
      env,
      encoding: "utf8",
    });
    expect(made.status, made.stderr).to.equal(0);
    const state = (index: number): string => join(folder, `state-${index}`);
    for (const index of [0, 1, 2]) await mkdir(state(index), { mode: 0o700 });
    for (const source of [`logfile=${log}`, `journal.file=${journal}`, `logfile=${join(folder, "missing.log")}`]) {
      exporters.push(
        await startExporter([
          `--state.directory=${state(exporters.length)}`,
          "--source.from-beginning",
          "--no-source.kmsg",
          `--path.procfs=${host}/proc`,
          `--path.sysfs=${host}/sys`,
          `--path.rootfs=${host}`,
          "--path.tracefs=/nonexistent",
          `--source.${source}`,
        ]),
      );
    }
    rest = lines.slice(40).join("");
    const addresses = [...exporters.map(({ url }) => url.replace("http://", "")), "127.0.0.1:9"];
    return addresses.map((address, index) => ({ job: "live", instance: `host${index}`, address }));
  }

  it("return data, each in the scenario that it is for", async () => {
    const server = prometheus;
    if (server === undefined) throw new Error("no Prometheus");
    const ask = async ({ expr, instant }: Expression, choice: Choice, end: number) => {
      const start = instant ? end : end - choice.rangeSeconds;
      return (
        (await server.query(substituted(expr, choice), { start, end, step: instant ? 60 : choice.rateSeconds / 8 }))
          .length > 0
      );
    };
    const now = (): number => Math.floor(Date.now() / 1000);
    const seen = (what: string, expr: string) =>
      waitFor(what, 60_000, async () => {
        const answer = await server.query(expr, { start: now(), end: now(), step: 1 });
        return answer.length > 0 ? true : undefined;
      });
    await seen("a first scrape", 'sshreset_connections_accepted_total{instance="host0"} > 0');
    await appendFile(join(folder, "auth.log"), rest);
    await seen("more logins", 'increase(sshreset_connections_accepted_total{instance="host0"}[20s]) > 0');
    const end = now();
    const byExporter: string[] = [];
    const byFleet: string[] = [];
    const byNobody: string[] = [];
    for (const expression of expressions) {
      if (await ask(expression, live, end)) byExporter.push(expression.place);
      else if (await ask(expression, past, pastEndSeconds)) byFleet.push(expression.place);
      else byNobody.push(`${expression.place}: ${expression.expr}`);
    }
    if (process.env["SHOW_QUERIES"] !== undefined) {
      console.log(`${expressions.length} queries: ${byExporter.length} answered by real exporters`);
      console.log(`${byFleet.length} only by the simulated fleet:\n  ${byFleet.join("\n  ")}`);
    }
    expect(byNobody).to.deep.equal([]);
    expect(byExporter.length / expressions.length, "share that real exporters answer").to.be.above(0.75);
  });

  it("return data of the whole fleet too, but for what only a fault shows", async () => {
    const empty: string[] = [];
    for (const { place, expr, instant } of expressions) {
      const start = instant ? pastEndSeconds : pastEndSeconds - past.rangeSeconds;
      const answer = await prometheus?.query(substituted(expr, past), { start, end: pastEndSeconds, step: 120 });
      if (answer?.length === 0) empty.push(place);
    }
    expect(empty).to.deep.equal([]);
  });
});
