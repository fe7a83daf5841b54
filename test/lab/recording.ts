/**
 * What a scenario left, as a fixture: the journal in export format, metrics at the moment of the evidence and at the end,
 * the server's sockets and counters. At most 200 KB a file, the newest kept. Format: journal-export-formats(7), ss(8).
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Bench } from "./scenario.ts";

const limitBytes = 200_000;

export class Recording {
  readonly #folder: string;
  readonly #bench: Bench;
  readonly #startedMs = Date.now();

  constructor(folder: string, name: string, bench: Bench) {
    this.#folder = join(folder, `${name}-${bench.release}`);
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

  async end(): Promise<void> {
    const { host, monitoring } = this.#bench;
    this.#write("metrics-at-end.prom", (await monitoring.get("exporter", "/metrics")).body);
    const since = `--since=@${Math.floor(this.#startedMs / 1000)}`;
    const units =
      "_TRANSPORT=kernel + SYSLOG_IDENTIFIER=sshd + SYSLOG_IDENTIFIER=sshd-session + SYSLOG_IDENTIFIER=sshd-auth + UNIT=ssh.service";
    this.#write("journal.export", (await host.attempt(`journalctl --no-pager -o export ${since} ${units}`)).stdout);
    this.#write("auth.log", (await host.attempt("cat /var/log/auth.log")).stdout);
  }

  #write(name: string, text: string): void {
    writeFileSync(join(this.#folder, name), text.length > limitBytes ? text.slice(-limitBytes) : text);
  }
}
