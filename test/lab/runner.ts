/**
 * Runs one scenario: exporter afresh, inject, wait for the evidence, for the page (or its absence), heal, wait for the
 * resolved page. Gives one row of the matrix, however it goes.
 */
import { until } from "./command.ts";
import { sum, type Values } from "./exporter.ts";
import type { Notification } from "./monitoring.ts";
import type { Witness } from "./network.ts";
import { type Head, Recording } from "./recording.ts";
import type { Bench, Evidence, Scenario, SecondWitness } from "./scenario.ts";
import type { TraceTap } from "./trace-tap.ts";

export interface Row {
  readonly scenario: string;
  readonly title: string;
  readonly release: string;
  readonly expected: string;
  /** Every alert that notified anybody, with its receiver. */
  readonly paged: readonly string[];
  /** Of these the ones that are expected beside `expected`, with the reason. */
  readonly alsoFine?: Readonly<Record<string, string>>;
  readonly evidence: readonly EvidenceRow[];
  /** RST segments on port 22 from injection to page: as nftables counted them on the wire, and as the exporter did. */
  readonly resets?: Readonly<Record<"inOnWire" | "inCounted" | "outOnWire" | "outCounted", number>>;
  /** From the evidence in /metrics to the page at the webhook. */
  readonly evidenceToPageSeconds?: number;
  readonly injectToPageSeconds?: number;
  /** What the resolved page said of the recovery. */
  readonly recovery?: string;
  readonly seconds: number;
  /** Of this project when it was measured. */
  readonly commit: string;
  /** Empty: as expected. */
  readonly problems: readonly string[];
}

export interface EvidenceRow {
  readonly what: string;
  /** Bounds. */
  readonly wanted: string;
  readonly seen: number;
  readonly truth?: number;
  readonly witness?: SecondWitness;
  readonly why?: string;
}

export interface RunOptions {
  readonly commit: string;
  /** Told when the fault is over, and only its resolved page is waited for. */
  readonly healed: () => void;
  /** Where recordings go, if anywhere. */
  readonly recordings: { readonly folder: string; readonly tap: TraceTap } | undefined;
}

const evidenceDeadlineMs = 30_000;
const resolvedDeadlineSeconds = 120;

/** `recordings`: a folder to save what the scenario left in. */
export async function runScenario(
  scenario: Scenario,
  bench: Bench,
  { commit, recordings, healed }: RunOptions,
): Promise<Row> {
  const startedMs = Date.now();
  const { exporter, monitoring, host, network, clients, knownPeers, release } = bench;
  const instance = `${scenario.name}-${release}`;
  const problems: string[] = [];
  const recording =
    recordings === undefined ? undefined : new Recording(recordings.folder, scenario.name, bench, recordings.tap);
  let evidence: Row["evidence"] = [];
  let resets: Row["resets"];
  let latency: Pick<Row, "evidenceToPageSeconds" | "injectToPageSeconds" | "recovery"> = {};
  const notified = (): Notification[] => monitoring.notifications.filter((each) => each.instance === instance);
  let aloneUntilMs = Number.POSITIVE_INFINITY;
  const firing = (): string[] => [
    ...new Set(
      notified()
        .filter(({ status, timeMs }) => status === "firing" && timeMs <= aloneUntilMs)
        .map(({ alert }) => alert),
    ),
  ];
  try {
    await exporter.start(scenario.name, scenario.flags);
    await until("the exporter has learnt the known peers", async () => {
      return sum(await exporter.values(), "known_peers") >= knownPeers.length;
    });
    monitoring.watch(instance);
    await until("Prometheus has a few samples", async () => {
      return ((await monitoring.query(`count_over_time(up{instance="${instance}"}[1m])`)) ?? 0) >= 4;
    });
    const wireBefore = await network.witness();
    const before = await exporter.values();
    const injectedMs = Date.now();
    const wanted = await scenario.inject(bench);
    const seen = await waitForEvidence(bench, before, wanted);
    const evidenceMs = Date.now();
    evidence = seen;
    if (scenario.page === undefined) {
      await pause(bench.scaledSeconds(scenario.quietSeconds ?? 300) + 4);
    } else {
      const alert = scenario.page;
      try {
        const page = await until(
          `page ${alert}`,
          async () => notified().find((each) => each.alert === alert && each.status === "firing"),
          {
            deadlineMs: (scenario.pageDeadlineSeconds ?? 45) * 1000,
          },
        );
        latency = {
          evidenceToPageSeconds: Math.max(0, (page.timeMs - evidenceMs) / 1000),
          injectToPageSeconds: (page.timeMs - injectedMs) / 1000,
        };
        if (!page.annotations["runbook_url"]) problems.push(`${alert} has no runbook`);
      } catch (error) {
        problems.push(message(error));
      }
    }
    const after = await exporter.values();
    // What a counter says then, nothing counted late or twice; gauges have gone on.
    evidence = rowsOf(wanted, before, after).map((row, n) => (wanted[n]?.gauge ? (seen[n] ?? row) : row));
    problems.push(...evidence.flatMap((row, n) => problemsOf(row, wanted[n])));
    await recording?.save(countsOf(wanted, before, after), scenario.page ?? "none");
    resets = await resetsOf(bench, wireBefore, before, after);
    if (resets.inCounted > resets.inOnWire || resets.outCounted > resets.outOnWire)
      problems.push(`more resets counted than there were: ${JSON.stringify(resets)}`);
    await scenario.heal?.(bench);
    clients.closeSessions();
    // From here on another host may do what all of them see: it is no page of this scenario.
    if (scenario.alone) aloneUntilMs = Date.now();
    healed();
    await clients.login(knownPeers.slice(0, 2));
    if (scenario.page !== undefined && firing().includes(scenario.page)) {
      const { page } = scenario;
      const resolved = await until(
        `${page} is resolved`,
        async () => {
          const found = notified().find((each) => each.alert === page && each.status === "resolved");
          // Life goes on: the page must have something to prove the recovery with.
          if (!found) await clients.login(knownPeers.slice(0, 1));
          return found;
        },
        { deadlineMs: (scenario.resolvedDeadlineSeconds ?? resolvedDeadlineSeconds) * 1000, everyMs: 1500 },
      );
      const recovery = resolved.annotations["recovery"] ?? "";
      latency = { ...latency, recovery };
      const must = scenario.recovery ?? /^Proven/;
      if (!must.test(recovery)) problems.push(`the resolved page says ${JSON.stringify(recovery)}, not ${must}`);
    }
  } catch (error) {
    problems.push(message(error));
    const log = await exporter.log().catch(() => "");
    if (/bug|error/i.test(log)) bench.say(`exporter's log:\n${log.split("\n").slice(-8).join("\n")}`);
  }
  await mend(scenario, bench).catch((error: unknown) => problems.push(`healing: ${message(error)}`));
  const alsoFine: Record<string, string> = {};
  for (const alert of firing().filter((each) => each !== scenario.page)) {
    const why = scenario.alsoFine?.[alert];
    if (why === undefined) problems.push(`paged ${alert}`);
    else alsoFine[alert] = why;
  }
  monitoring.watch("none");
  const paged = firing().map((alert) => `${alert} (${notified().find((each) => each.alert === alert)?.receiver})`);
  return {
    scenario: scenario.name,
    title: scenario.title,
    release,
    expected: scenario.page ?? "none",
    paged,
    ...(Object.keys(alsoFine).length > 0 && { alsoFine }),
    evidence,
    ...(resets && { resets }),
    ...latency,
    seconds: (Date.now() - startedMs) / 1000,
    commit,
    problems,
  };

  /** Whatever the scenario left: sessions, rules, configuration. */
  async function mend(each: Scenario, all: Bench): Promise<void> {
    clients.closeSessions();
    if (problems.length > 0) await each.heal?.(all).catch(() => undefined);
    await network.heal();
    await host.unit("");
    await host.configure("");
    await host.run(
      ": > /etc/hosts.deny; nft delete table inet scenario 2>/dev/null; ss -K state connected 'sport = :22' >/dev/null; true",
    );
  }
}

async function waitForEvidence(bench: Bench, before: Values, wanted: readonly Evidence[]): Promise<EvidenceRow[]> {
  let values: Values = new Map();
  const holds = (): boolean => wanted.every((each) => within(each, measured(each, before, values)));
  await until(
    "evidence",
    async () => {
      values = await bench.exporter.values();
      return holds();
    },
    { deadlineMs: evidenceDeadlineMs, everyMs: 300 },
  ).catch((error: unknown) => {
    if (values.size === 0) throw error;
  });
  return rowsOf(wanted, before, values);
}

const within = ({ atLeast = -Infinity, atMost = Infinity }: Evidence, seen: number): boolean =>
  seen >= atLeast && seen <= atMost;

function rowsOf(wanted: readonly Evidence[], before: Values, values: Values): EvidenceRow[] {
  return wanted.map((each) => ({
    what: `${each.metric}${each.labels ? JSON.stringify(each.labels).replace(/"/g, "").replace(/:/g, "=") : ""}`,
    wanted: bounds(each),
    seen: Math.round(measured(each, before, values) * 1000) / 1000,
    ...(each.truth !== undefined && { truth: each.truth }),
    ...(each.witness && { witness: each.witness }),
    ...(each.why !== undefined && { why: each.why }),
  }));
}

function problemsOf({ what, seen, wanted: allowed, witness, truth }: EvidenceRow, wanted?: Evidence): string[] {
  if (!wanted) return [];
  const exact = wanted.atLeast === wanted.atMost;
  return [
    ...(within(wanted, seen) ? [] : [`${what} is ${seen}, not ${allowed}`]),
    ...(exact || wanted.why !== undefined ? [] : [`${what}: no reason why it is not exact`]),
    ...(exact && witness !== undefined && witness.count !== truth
      ? [`${what}: ${witness.by} says ${witness.count}, the scenario did ${truth}`]
      : []),
  ];
}

async function resetsOf(bench: Bench, wireBefore: Witness, before: Values, after: Values) {
  const wire = await bench.network.witness();
  const counted = (metric: string, labels?: Readonly<Record<string, string>>): number =>
    sum(after, metric, labels) - sum(before, metric, labels);
  // A listening socket's have no address: each host of this machine counts those of all.
  const ofListeners = counted("tcp_resets_sent_total", { reason: "tcp_flags" });
  return {
    inOnWire: wire.resetsIn - wireBefore.resetsIn,
    inCounted: counted("tcp_resets_received_total"),
    outOnWire: wire.resetsOut - wireBefore.resetsOut,
    outCounted: counted("tcp_resets_sent_total") - ofListeners,
  };
}

/** Counters only: gauges are the collectors', which a replay does not have. */
function countsOf(wanted: readonly Evidence[], before: Values, values: Values): Head["counts"] {
  return wanted
    .filter(({ gauge }) => !gauge)
    .map((each) => ({ metric: each.metric, labels: each.labels ?? {}, seen: measured(each, before, values) }));
}

function measured(each: Evidence, before: Values, values: Values): number {
  const now = sum(values, each.metric, each.labels);
  return each.gauge ? now : now - sum(before, each.metric, each.labels);
}

const bounds = ({ atLeast, atMost }: Evidence): string =>
  atLeast === atMost ? `${atLeast}` : `${atLeast ?? ""}..${atMost ?? ""}`;

/** With programs by their name: results are committed, and where a machine keeps them is nobody's business. */
const message = (error: unknown): string =>
  (error instanceof Error ? error.message : String(error)).replace(/(?:\/[\w.-]+){3,}\/([\w.-]+)/g, "$1");
const pause = (seconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, seconds * 1000));
