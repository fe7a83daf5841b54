/**
 * Runs collectors: times each, catches its failure, tells absent from failed, and adds the samples that say so.
 * One collector that fails or is absent never hides another.
 */
import type { Collector, CollectorContext, CollectorModule, Missing, Reading } from "../model/collector.ts";
import type { MetricDef, Sample } from "../model/metric.ts";
import { Turns } from "../model/turns.ts";

export const scrapeMetrics: readonly MetricDef<"collector">[] = [
  {
    name: "sshreset_scrape_collector_success",
    help: "1 if the collector's last reading met no failure. A collector that is absent on this host has not failed.",
    type: "gauge",
    labels: ["collector"],
  },
  {
    name: "sshreset_scrape_collector_available",
    help: "1 if this host has what the collector reads and grants it; 0 if not: the status page names the step that would give access.",
    type: "gauge",
    labels: ["collector"],
  },
  {
    name: "sshreset_scrape_collector_duration_seconds",
    help: "Time that the collector's last reading took.",
    type: "gauge",
    labels: ["collector"],
  },
];

/** For the status page and the log. `failed` may still have given samples of its good parts. */
export interface CollectorState {
  readonly name: string;
  readonly state: "ok" | "absent" | "failed";
  readonly durationMs: number;
  readonly error?: string;
  /** Why it is absent, or which parts are. */
  readonly missing: readonly Missing[];
}

export interface Collection {
  readonly samples: readonly Sample[];
  readonly states: readonly CollectorState[];
}

export interface RunningCollectors {
  /** The definitions of all that `collect` may return. */
  readonly metrics: readonly MetricDef[];
  readonly names: readonly string[];
  /** Reads the named collectors, or all. */
  collect(names?: ReadonlySet<string>): Promise<Collection>;
  /** The background work of all, until the signal. Never rejects. */
  run(signal: AbortSignal): Promise<void>;
}

/** Creates one collector of each module; nothing is read before `collect` or `run`. */
export function runCollectors(modules: readonly CollectorModule[], context: CollectorContext): RunningCollectors {
  const running = modules.map((module) => ({ module, collector: module.create(context) }));
  const lastErrors = new Map<string, string>();
  const warnOnChange = ({ name, error }: CollectorState) => {
    if (error !== undefined && lastErrors.get(name) !== error) context.onWarning("collector failed", { name, error });
    if (error === undefined) lastErrors.delete(name);
    else lastErrors.set(name, error);
  };
  return {
    metrics: [...scrapeMetrics, ...modules.flatMap(({ metrics }) => metrics)],
    names: modules.map(({ name }) => name),
    async collect(names) {
      const samples: Sample[] = [];
      const states: CollectorState[] = [];
      const turns = new Turns();
      for (const { module, collector } of running) {
        if (names !== undefined && !names.has(module.name)) continue;
        if (turns.over) await turns.next();
        const { state, reading } = await readOne(module.name, collector);
        if (reading?.status === "ok") for (const sample of reading.samples) samples.push(sample);
        states.push(state);
        samples.push(...stateSamples(state));
        warnOnChange(state);
      }
      return { samples, states };
    },
    async run(signal) {
      await Promise.all(
        running.map(async ({ module, collector }) => {
          try {
            await collector.run?.(signal);
          } catch (error) {
            if (!signal.aborted)
              context.onWarning("collector's background work ended", { name: module.name, error: messageOf(error) });
          }
        }),
      );
    },
  };
}

async function readOne(name: string, collector: Collector): Promise<{ state: CollectorState; reading?: Reading }> {
  const startMs = performance.now();
  try {
    const reading = await collector.read();
    const durationMs = performance.now() - startMs;
    if (reading.status === "absent") {
      return { reading, state: { name, state: "absent", durationMs, missing: [missingOf(reading)] } };
    }
    const missing = reading.missing ?? [];
    const error = reading.errors?.length ? reading.errors.join("; ") : undefined;
    if (error === undefined) return { reading, state: { name, state: "ok", durationMs, missing } };
    return { reading, state: { name, state: "failed", durationMs, error, missing } };
  } catch (error) {
    const durationMs = performance.now() - startMs;
    return { state: { name, state: "failed", durationMs, error: messageOf(error), missing: [] } };
  }
}

function missingOf({ reason, grant }: Missing): Missing {
  return grant === undefined ? { reason } : { reason, grant };
}

function stateSamples({ name, state, durationMs }: CollectorState): Sample[] {
  const labels = { collector: name };
  return [
    { name: "sshreset_scrape_collector_success", labels, value: state === "failed" ? 0 : 1 },
    { name: "sshreset_scrape_collector_available", labels, value: state === "absent" ? 0 : 1 },
    { name: "sshreset_scrape_collector_duration_seconds", labels, value: durationMs / 1000 },
  ];
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
