/**
 * What a scenario left until it was healed, saved to look at and to replay (test/lab/replay.test.ts reads the recordings
 * in test/fixtures/lab): JSON lines below a head with what was expected and counted. They are the records that the
 * parsers know, of journal and kernel, the kernel's reset events, and over time what collectors showed of the metrics
 * that causes read. Beside them auth.log, metrics, sockets and the kernel's counters as they were at the end.
 * Formats: journalctl -o export, ss(8).
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { catalogue } from "../../src/diagnosis/catalogue.ts";
import { selectors } from "../../src/diagnosis/condition.ts";
import { Symptom } from "../../src/diagnosis/unexplained.ts";
import type { LogRecord } from "../../src/model/record.ts";
import { idents, parse } from "../../src/parsers/index.ts";
import { JournalExport } from "../../src/sources/journal-export.ts";
import { JournalRecords, journalFields } from "../../src/sources/journal-record.ts";
import { tallyMetrics } from "../../src/tallies/index.ts";
import { attempt } from "./command.ts";
import type { Bench } from "./scenario.ts";
import type { TraceTap } from "./trace-tap.ts";

/** Of a fixture in the repository, and of each file beside it. */
const limitBytes = 200_000;
const stepSeconds = 5;

export interface Head {
  readonly scenario: string;
  readonly release: string;
  /** The alert that must page, or "none". */
  readonly page: string;
  readonly knownPeers: readonly string[];
  /** Of the host: its inode, as the kernel's lines name it. */
  readonly netNamespace?: number;
  /** Of the exporter. */
  readonly flags?: readonly string[];
  /** Counted by /metrics from the injection on. */
  readonly counts: readonly {
    readonly metric: string;
    readonly labels: Readonly<Record<string, string>>;
    readonly seen: number;
  }[];
}

/** What collectors showed from then on; of a series that is left out nothing has changed, `null` is one that ended. */
export interface Readings {
  readonly atMs: number;
  readonly samples: readonly (readonly [
    name: string,
    labels: Readonly<Record<string, string>>,
    value: number | null,
  ])[];
}

/** Made from sockets' idle ages, second by second, and from flow logs: recorded instead of what they were made from. */
export const recordedTallies = ["sshreset_sessions_cut_idle_total", "sshreset_cloud_flows_total"];

export class Recording {
  readonly #folder: string;
  readonly #name: string;
  readonly #bench: Bench;
  readonly #tap: TraceTap;
  readonly #startedMs = Date.now();

  constructor(folder: string, name: string, bench: Bench, tap: TraceTap) {
    this.#name = `${name}-${bench.release}`;
    this.#folder = join(folder, this.#name);
    this.#bench = bench;
    this.#tap = tap;
    mkdirSync(this.#folder, { recursive: true });
  }

  /** Called when it has paged, or stayed quiet, and before it heals. */
  async save(counts: Head["counts"], page: string): Promise<void> {
    const { host, exporter, monitoring, network, release, knownPeers } = this.#bench;
    const since = `--since=@${(this.#startedMs / 1000).toFixed(3)}`;
    const [program, words] = host.inside("journalctl", "--no-pager", "-o", "export", since);
    const { stdout: journal } = await attempt(program, words, { limitBytes: 64 << 20 });
    const resets = this.#tap.since(network.serverAddress, this.#startedMs);
    const records = [...knownRecords(Buffer.from(journal)), ...resets].sort((a, b) => a.timeMs - b.timeMs);
    const { flags } = exporter;
    const netNamespace = Number(/\d+/.exec(await host.run("readlink /proc/self/ns/net"))?.[0]);
    const scenario = this.#name.replace(/-\d+$/, "");
    const head: Head = { scenario, release, page, knownPeers, netNamespace, flags, counts };
    const lines = [head, ...(await this.#readings()), ...records].map((line) => JSON.stringify(line));
    const text = `${lines.join("\n")}\n`;
    // Five hundred strangers are more than a fixture may hold.
    if (text.length <= limitBytes) writeFileSync(join(this.#folder, `${this.#name}.jsonl`), text);
    else writeFileSync(join(this.#folder, `${this.#name}.jsonl.gz`), gzipSync(text));
    this.#write("metrics.prom", (await monitoring.get("exporter", "/metrics")).body);
    this.#write("auth.log", (await host.attempt("cat /var/log/auth.log")).stdout);
    this.#write("kmsg.txt", (await host.attempt(`journalctl -k --no-pager -o short-precise ${since}`)).stdout);
    this.#write("ss.txt", (await host.attempt("ss -tniO '( sport = :22 )'")).stdout);
    this.#write("netstat.txt", (await host.attempt("cat /proc/net/snmp /proc/net/netstat")).stdout);
  }

  async #readings(): Promise<Readings[]> {
    const { monitoring } = this.#bench;
    const query = `{instance="${this.#name}",__name__=~"${namesOfCollectors().join("|")}"}`;
    // The last step is now: what has paged is in it.
    const end = Date.now() / 1000;
    const steps = Math.floor((end - this.#startedMs / 1000) / stepSeconds);
    const range = `start=${end - steps * stepSeconds}&end=${end}&step=${stepSeconds}`;
    const { body } = await monitoring.get(
      "prometheus",
      `/api/v1/query_range?query=${encodeURIComponent(query)}&${range}`,
    );
    return changesOf(JSON.parse(body) as RangeAnswer);
  }

  #write(name: string, text: string): void {
    writeFileSync(join(this.#folder, name), text.slice(-limitBytes));
  }
}

/** Of all that causes and symptom read, what is not told from records. */
function namesOfCollectors(): string[] {
  const told = new Set(tallyMetrics.map(({ name }) => name));
  const conditions = catalogue.flatMap(({ evidence, stay, explainsWhen, observable }) =>
    [evidence, stay, explainsWhen, observable].flatMap((condition) => condition ?? []),
  );
  const read = [...conditions.flatMap(selectors), ...new Symptom(catalogue).selectors].map(({ metric }) => metric);
  return [...new Set(read)].filter((name) => !told.has(name) || recordedTallies.includes(name));
}

export interface RangeAnswer {
  readonly data?: {
    readonly result?: readonly {
      readonly metric: Readonly<Record<string, string>>;
      readonly values: readonly (readonly [seconds: number, value: string])[];
    }[];
  };
}

/** Of Prometheus' answer to a range query: what has changed at each step. */
export function changesOf({ data }: RangeAnswer): Readings[] {
  const series = (data?.result ?? []).map(
    ({ metric: { __name__: name = "", job: _job, instance: _of, ...labels }, values }) => ({
      name,
      labels,
      values: new Map(values.map(([seconds, value]) => [Math.round(seconds * 1000), Number(value)])),
    }),
  );
  const times = [...new Set(series.flatMap(({ values }) => [...values.keys()]))].sort((a, b) => a - b);
  const last = new Map<(typeof series)[number], number | null>(series.map((each) => [each, null]));
  return times.flatMap((atMs) => {
    const changed = series.filter((each) => (each.values.get(atMs) ?? null) !== last.get(each));
    for (const each of changed) last.set(each, each.values.get(atMs) ?? null);
    if (changed.length === 0) return [];
    return [{ atMs, samples: changed.map((each) => [each.name, each.labels, each.values.get(atMs) ?? null] as const) }];
  });
}

/** Those that some parser knows, without what no parser reads. */
export function knownRecords(journal: Buffer): LogRecord[] {
  const records = new JournalRecords(idents);
  return new JournalExport(journalFields)
    .read(journal)
    .flatMap((entry) => records.record(entry) ?? [])
    .filter((record) => parse(record) !== undefined);
}
