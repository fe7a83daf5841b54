/**
 * What a scenario left, saved to look at and to replay: the records that the parsers know, as JSON lines below a head
 * with what was expected and counted (test/lab/replay.test.ts reads them from test/fixtures/lab); metrics, sockets and
 * counters at the moment of the evidence. At most 200 KB a file. Formats: journalctl -o export, ss(8).
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { LogRecord } from "../../src/model/record.ts";
import { idents, parse } from "../../src/parsers/index.ts";
import { journalFields, journalRecord } from "../../src/sources/journal.ts";
import { JournalExport } from "../../src/sources/journal-export.ts";
import type { Bench } from "./scenario.ts";

const limitBytes = 200_000;

export interface Head {
  readonly scenario: string;
  readonly release: string;
  /** The alert that paged, or "none". */
  readonly page: string;
  readonly knownPeers: readonly string[];
  readonly counts: readonly {
    readonly metric: string;
    readonly labels: Readonly<Record<string, string>>;
    readonly seen: number;
  }[];
}

export class Recording {
  readonly #folder: string;
  readonly #name: string;
  readonly #bench: Bench;
  readonly #startedMs = Date.now();

  constructor(folder: string, name: string, bench: Bench) {
    this.#name = `${name}-${bench.release}`;
    this.#folder = join(folder, this.#name);
    this.#bench = bench;
    mkdirSync(this.#folder, { recursive: true });
  }

  /** Called when the evidence is there, or its deadline has passed. */
  async evidence(): Promise<void> {
    const { host, monitoring } = this.#bench;
    this.#write("metrics-at-evidence.prom", (await monitoring.get("exporter", "/metrics")).body);
    this.#write("ss.txt", (await host.attempt("ss -tniO '( sport = :22 )'")).stdout);
    this.#write("netstat.txt", (await host.attempt("cat /proc/net/snmp /proc/net/netstat")).stdout);
  }

  async end(counts: () => Promise<Head["counts"]>, page: string): Promise<void> {
    const { host, monitoring, release, knownPeers } = this.#bench;
    const ended = await counts();
    this.#write("metrics-at-end.prom", (await monitoring.get("exporter", "/metrics")).body);
    const { stdout } = await host.attempt(
      `journalctl --no-pager -o export --since=@${Math.floor(this.#startedMs / 1000)}`,
    );
    const head: Head = { scenario: this.#name.replace(/-\d+$/, ""), release, page, knownPeers, counts: ended };
    const lines = [head, ...knownRecords(Buffer.from(stdout))].map((line) => JSON.stringify(line));
    this.#write(`${this.#name}.jsonl`, `${lines.join("\n")}\n`);
    this.#write("auth.log", (await host.attempt("cat /var/log/auth.log")).stdout);
  }

  #write(name: string, text: string): void {
    writeFileSync(join(this.#folder, name), text.slice(0, limitBytes));
  }
}

/** Those that some parser knows, without what no parser reads. */
export function knownRecords(journal: Buffer): LogRecord[] {
  const names = new Set(idents);
  return new JournalExport(journalFields)
    .read(journal)
    .flatMap((entry) => journalRecord(entry, names) ?? [])
    .filter((record) => parse(record) !== undefined);
}
