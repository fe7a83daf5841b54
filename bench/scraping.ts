/**
 * Two exporters scraped in turns, as Prometheus scrapes. As a program (for a network namespace of its own): a list of
 * URL and pid as JSON in, the figures of each as JSON out.
 */
import { readFileSync } from "node:fs";
import { Agent, get } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import { cpuSeconds } from "./process-tree.ts";
import { median, percentile } from "./statistics.ts";

export interface Target {
  readonly url: string;
  readonly pid: number;
}

export interface Scraped {
  /** CPU of the process tree per scrape, median of the rounds. */
  readonly cpuMs: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** The main thread's time on a CPU during one scrape: what the machine's other work does not lengthen. */
  readonly p99OnCpuMs: number;
}

/** The first round warms up. */
export async function scrapeInTurns(
  targets: readonly Target[],
  rounds = 6,
  scrapesPerRound = 300,
): Promise<readonly Scraped[]> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const sides = targets.map((target) => ({ target, cpu: [] as number[], ms: [] as number[], onCpu: [] as number[] }));
  for (let round = 0; round < rounds; round++) {
    for (const { target, cpu, ms, onCpu } of sides) {
      const before = cpuSeconds(target.pid);
      for (let i = 0; i < scrapesPerRound; i++) {
        const onCpuBefore = mainThreadMs(target.pid);
        const tookMs = await scrapeOnce(target.url, agent);
        if (round > 0) {
          ms.push(tookMs);
          onCpu.push(mainThreadMs(target.pid) - onCpuBefore);
        }
        await delay(10);
      }
      if (round > 0) cpu.push((cpuSeconds(target.pid) - before) / scrapesPerRound);
    }
  }
  agent.destroy();
  return sides.map(({ cpu, ms, onCpu }) => ({
    cpuMs: median(cpu) * 1000,
    p50Ms: percentile(ms, 0.5),
    p99Ms: percentile(ms, 0.99),
    p99OnCpuMs: percentile(onCpu, 0.99),
  }));
}

/** proc_pid_schedstat(5): time on a CPU in ns. */
function mainThreadMs(pid: number): number {
  return Number(readFileSync(`/proc/${pid}/schedstat`, "latin1").split(" ", 1)[0]) / 1e6;
}

/** Gives the time in ms. */
function scrapeOnce(url: string, agent: Agent): Promise<number> {
  const headers = { accept: "text/plain;version=0.0.4;q=0.5,*/*;q=0.1", "accept-encoding": "gzip" };
  const startMs = performance.now();
  return new Promise((resolve, reject) => {
    get(url, { agent, headers }, (response) => {
      response.resume().on("end", () => resolve(performance.now() - startMs));
    }).on("error", reject);
  });
}

if (process.argv[1] === import.meta.filename) {
  const targets = JSON.parse(process.argv[2] ?? "[]") as Target[];
  process.stdout.write(JSON.stringify(await scrapeInTurns(targets, 4, 200)));
}
