/** From what a run of test/scale/main.ts measured: the figures of docs/fleet.md, and what larger fleets come to. */

export interface Results {
  readonly date: string;
  readonly hosts: number;
  readonly prometheus: string;
  readonly scrapeSeconds: number;
  readonly watchedSeconds: number;
  readonly loadAverage: { readonly mean: number; readonly max: number };
  readonly page: { readonly bytes: number; readonly series: number };
  readonly seriesPerHost: { readonly scraped: number; readonly withRules: number; readonly inMemory: number };
  readonly samplesPerSecond: number;
  readonly prometheusCores: { readonly all: number; readonly withoutRules: number };
  readonly ruleCpuMillisecondsPerHostAndEvaluation: number;
  readonly prometheusMemory: { readonly maxResidentMb: number; readonly heapInUseMb: number };
  readonly ruleGroups: Readonly<Record<string, { readonly meanMs: number; readonly maxMs: number }>>;
  readonly evaluationsMissed: number;
  readonly evaluationFailures: number;
  readonly scrapeP99Ms: number;
  readonly bytesPerSample: { readonly chunkBytesPerSample: number; readonly indexBytesPerSeries: number };
  readonly alertmanagerMemoryMb: number;
  readonly pages: {
    readonly due: number;
    readonly sent: number;
    readonly singleHostSeconds: Spread;
    readonly singleHostBeyondTheRulesWaitingSeconds: Spread;
    readonly fleetSeconds: Spread;
    readonly fleetBeyondTheRulesWaitingSeconds: Spread;
  };
}
interface Spread {
  readonly min: number;
  readonly median: number;
  readonly p95: number;
  readonly max: number;
}

/** What one Prometheus server may be filled with: half of 32 GB and of 8 processors. */
const budget = { bytes: 16e9, cores: 4 };
const retentionDays = 15;
/** Of a host, at the central server: deploy/prometheus/shard.yml. */
const centralSeries = 10;

export function figures(results: Results): string {
  return [...measured(results), "", ...computed(results)].join("\n");
}

function measured(results: Results): string[] {
  const { hosts, seriesPerHost, samplesPerSecond, prometheusMemory, prometheusCores, pages, ruleGroups } = results;
  const spread = ({ min, median, p95, max }: Spread): string => `${min} / ${median} / ${p95} / ${max} s`;
  const group = (name: string): string => `${ruleGroups[name]?.meanMs ?? 0} ms (worst ${ruleGroups[name]?.maxMs ?? 0})`;
  return [
    `Measured ${results.date} over ${results.watchedSeconds} s: ${hosts} hosts, Prometheus ${results.prometheus}, a scrape every ${results.scrapeSeconds} s, on`,
    `two processors that many others used too (load average ${results.loadAverage.mean}, at most ${results.loadAverage.max}). Processor time counts;`,
    "times on the clock are what such a crowded machine gives, an upper bound.",
    "",
    "| what | measured |",
    "|---|---|",
    `| series of a host | ${seriesPerHost.scraped} scraped; ${seriesPerHost.withRules} with what the rules record |`,
    `| samples | ${samplesPerSecond} a second |`,
    `| Prometheus' memory, resident at most | ${prometheusMemory.maxResidentMb} MB, ${kilobytes(results)} kB a host |`,
    `| Prometheus' processors | ${prometheusCores.all}, of it without rules ${prometheusCores.withoutRules} |`,
    `| rules | ${ruleMs(results).toPrecision(3)} ms of processor time for a host's evaluation, ${groupMs(results, "causes").toPrecision(3)} of it in the group of the causes |`,
    `| evaluation on the clock, all hosts | causes ${group("causes")}, fleet ${group("fleet")} |`,
    `| evaluations missed | ${results.evaluationsMissed} of ${evaluations(results)} of the causes' group |`,
    `| scrape, p99 on the clock | ${results.scrapeP99Ms} ms |`,
    `| disk | ${results.bytesPerSample.chunkBytesPerSample} bytes a sample in chunks of ${Math.round(results.watchedSeconds / 60)} minutes, an upper bound: full ones take less |`,
    `| pages due, sent | ${pages.due}, ${pages.sent} |`,
    `| single host: reason to page (min / median / p95 / max) | ${spread(pages.singleHostSeconds)} |`,
    `| of it beyond what rules and \`group_wait\` wait | ${spread(pages.singleHostBeyondTheRulesWaitingSeconds)} |`,
    `| fleet: reason to page | ${spread(pages.fleetSeconds)} |`,
    `| of it beyond what rules and \`group_wait\` wait | ${spread(pages.fleetBeyondTheRulesWaitingSeconds)} |`,
    `| Alertmanager's memory | ${results.alertmanagerMemoryMb} MB |`,
  ];
}

const kilobytes = ({ hosts, prometheusMemory }: Results): number =>
  Math.round((prometheusMemory.maxResidentMb * 1000) / hosts);

const evaluations = ({ watchedSeconds, scrapeSeconds }: Results): number => Math.round(watchedSeconds / scrapeSeconds);

/** As if none had been missed: those that were took no time. */
const ruleMs = (results: Results): number =>
  results.ruleCpuMillisecondsPerHostAndEvaluation / (1 - results.evaluationsMissed / evaluations(results));

/** One group's part of it, by its part of the time on the clock. */
function groupMs(results: Results, name: string): number {
  const all = Object.values(results.ruleGroups).reduce((total, { meanMs }) => total + meanMs, 0);
  return (ruleMs(results) * (results.ruleGroups[name]?.meanMs ?? 0)) / all;
}

/** A group is evaluated one rule after the other: half of the interval may pass with it. */
const groupHolds = (results: Results, name: string): number =>
  Math.floor((results.scrapeSeconds * 1000 * 0.5) / groupMs(results, name));

function computed(results: Results): string[] {
  const { hosts, seriesPerHost, scrapeSeconds, prometheusCores, bytesPerSample } = results;
  const bytes = kilobytes(results) * 1000;
  const cores = prometheusCores.withoutRules / hosts + ruleMs(results) / 1000 / scrapeSeconds;
  const limits = [budget.bytes / bytes, budget.cores / cores, groupHolds(results, "causes")].map(Math.floor);
  const perShard = Math.min(...limits);
  const row = (name: string, of: (fleet: number) => string): string =>
    `| ${name} | ${[hosts, 10_000, 100_000].map(of).join(" | ")} |`;
  const samples = (fleet: number): number => (fleet * seriesPerHost.withRules) / scrapeSeconds;
  const gigabytes = (value: number): string => `${Number((value / 1e9).toPrecision(2)).toLocaleString("en")} GB`;
  const shards = (fleet: number): number => Math.ceil(fleet / perShard);
  return [
    "Hosts that one server of 32 GB and 8 processors takes, half used, the other half for queries and compaction:",
    "",
    "| bound | hosts |",
    "|---|---|",
    `| memory: 16 GB / ${kilobytes(results)} kB | ${limits[0]} |`,
    `| processors: 4 / ${cores.toPrecision(2)} | ${limits[1]} |`,
    `| rules: a group is evaluated by one processor; ${scrapeSeconds / 2} s / ${groupMs(results, "causes").toPrecision(3)} ms | ${limits[2]} |`,
    `| the centre: the same for the fleet's group, ${scrapeSeconds / 2} s / ${groupMs(results, "fleet").toPrecision(3)} ms | ${groupHolds(results, "fleet")} |`,
    "",
    `So ${perShard} hosts a shard. A centre that has no room for all takes whole clusters: networks and balancers do not`,
    "span them; versions are then compared within each.",
    "",
    `| hosts | ${[hosts, 10_000, 100_000].map((fleet) => fleet.toLocaleString("en")).join(" | ")} |`,
    "|---|---|---|---|",
    row("series = hosts x series of a host", (fleet) => millions(fleet * seriesPerHost.withRules)),
    row(`samples a second = series / ${scrapeSeconds} s`, (fleet) => thousands(samples(fleet))),
    row("memory, all servers = hosts x memory of a host", (fleet) => gigabytes(fleet * bytes)),
    row("processors = hosts x processors of a host", (fleet) => Number((fleet * cores).toPrecision(2)).toString()),
    row("shards = hosts / hosts of a shard", (fleet) => String(shards(fleet))),
    row("centres", (fleet) => String(Math.ceil(fleet / groupHolds(results, "fleet")))),
    row(`disk for ${retentionDays} days = samples a second x 86,400 s x days x bytes`, (fleet) =>
      gigabytes(samples(fleet) * 86_400 * retentionDays * bytesPerSample.chunkBytesPerSample),
    ),
    row(`series of the centre, all = hosts x ${centralSeries}`, (fleet) => thousands(fleet * centralSeries)),
    row("memory of the centre = its series x memory of a series", (fleet) =>
      gigabytes((fleet * centralSeries * bytes) / seriesPerHost.withRules),
    ),
    row(
      "answers that hosts send = hosts x 13 kB (gzip) / 15 s",
      (fleet) => `${Math.round((fleet * 13_000 * 8) / scrapeSeconds / 1e6)} Mbit/s`,
    ),
  ];
}

const millions = (value: number): string => `${(value / 1e6).toPrecision(3)} M`;
const thousands = (value: number): string => `${Math.round(value / 1000).toLocaleString("en")} k`;

const [begin, end] = ["<!-- figures: begin -->", "<!-- figures: end -->"];

/** docs/fleet.md with the figures of these results. */
export function withFigures(page: string, results: Results): string {
  const [from, to] = [page.indexOf(begin), page.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`no "${begin}" with "${end}" after it`);
  return `${page.slice(0, from + begin.length)}\n\n${figures(results)}\n\n${page.slice(to)}`;
}
