/**
 * One Debian release's host with all that belongs to it: network, clients, exporter, alert chain. Several of them run
 * beside each other on one machine; they share its kernel, so that some scenarios run alone.
 */
import { join } from "node:path";
import { Clients } from "./clients.ts";
import { LabExporter } from "./exporter.ts";
import { Host } from "./host.ts";
import { Monitoring } from "./monitoring.ts";
import { Network } from "./network.ts";
import type { Release } from "./roots.ts";
import { type Row, type RunOptions, runScenario } from "./runner.ts";
import type { Bench, Scenario } from "./scenario.ts";
import type { Stage } from "./stage.ts";
import type { Turns } from "./turns.ts";

/** Every window and waiting time of the rules divided by this. */
export const timeScale = 20;

export interface LaneOptions {
  readonly release: Release;
  /** Which of this run's lanes, 0 to 7. */
  readonly number: number;
  readonly template: string;
  readonly project: string;
  readonly commit: string;
  readonly recordings: RunOptions["recordings"];
  say(text: string): void;
}

export class Lane {
  readonly versions: Readonly<Record<string, string>>;
  readonly monitoring: Monitoring;
  readonly release: Release;
  readonly #bench: Bench;
  readonly #options: LaneOptions;

  private constructor(bench: Bench, options: LaneOptions, versions: Readonly<Record<string, string>>) {
    this.#bench = bench;
    this.#options = options;
    this.monitoring = bench.monitoring;
    this.release = bench.release;
    this.versions = versions;
  }

  static async open(stage: Stage, options: LaneOptions): Promise<Lane> {
    const { release, number, template, project, say } = options;
    const network = await Network.open(stage, number);
    const clients = await Clients.create(stage, network);
    const monitoring = await Monitoring.start(stage, network, timeScale);
    say("booting");
    const host = await Host.boot(stage, {
      name: `lab${release}-${number}`,
      ...{ release, template, project, publicKey: clients.publicKey },
      networkNamespace: network.namespaces.server.name,
      firstPid: 1000 + 3000 * number,
      nodeModules: join(process.cwd(), "node_modules"),
    });
    const knownPeers = [0, 1, 2, 3, 4].map((n) => network.peer(n));
    await clients.login(knownPeers);
    await host.run("/opt/node /opt/project/dist/cli/main.js observe install");
    const bench: Bench = {
      ...{ host, network, clients, monitoring, release, timeScale, knownPeers },
      strangers: Array.from({ length: 500 }, (_, n) => network.peer(300 + n)),
      exporter: new LabExporter(host, monitoring),
      say: (text) => say(`  ${text}`),
      scaledSeconds: (seconds) => seconds / timeScale,
    };
    return new Lane(bench, options, {
      [`OpenSSH (Debian ${release})`]: await version(host, "ssh -V", /OpenSSH_([^\s,]+)/),
      [`systemd (Debian ${release})`]: await version(host, "systemctl --version", /^systemd (\d+)/),
      ...monitoring.versions,
    });
  }

  /** Takes from `queue` until it is empty. `done` is told of each row as it is there. */
  async run(queue: Scenario[], turns: Turns, done: (row: Row) => void): Promise<void> {
    const { commit, recordings, say } = this.#options;
    for (let scenario = queue.shift(); scenario !== undefined; scenario = queue.shift()) {
      const { name, title, alone } = scenario;
      const next = scenario;
      const row = await turns.take(alone?.kind, (healed) => {
        say(`${name}: ${title}`);
        return runScenario(next, this.#bench, { commit, recordings, healed });
      });
      report(row, say);
      done(row);
    }
  }

  close(): void {
    this.#bench.host.halt();
  }
}

async function version(host: Host, command: string, pattern: RegExp): Promise<string> {
  const { stdout, stderr } = await host.attempt(command);
  return pattern.exec(`${stdout}${stderr}`)?.[1] ?? "unknown";
}

function report(row: Row, say: (text: string) => void): void {
  for (const { what, wanted, seen, truth, witness } of row.evidence) {
    const second = witness === undefined ? "" : `, ${witness.by}: ${witness.count}`;
    say(`  ${row.scenario}: ${what} is ${seen} (allowed ${wanted}; done: ${truth ?? "-"}${second})`);
  }
  const latency =
    row.evidenceToPageSeconds === undefined ? "" : `, ${row.evidenceToPageSeconds.toFixed(1)} s after the evidence`;
  say(`  ${row.scenario}: expected ${row.expected}, paged ${row.paged.join(", ") || "none"}${latency}`);
  if (row.recovery !== undefined) say(`  ${row.scenario}: resolved: ${row.recovery.slice(0, 200)}`);
  for (const problem of row.problems) say(`  ${row.scenario}: NOT AS EXPECTED: ${problem.slice(0, 600)}`);
}
