/**
 * What probes of this host saw from outside, held against what was seen here: the output of `probe --json`, one result a
 * line. Joined by cause and time, by the connection's address and port in sshd's log, and by the resets that the kernel
 * sent. The file comes from elsewhere: everything in it is checked and bounded.
 */
import { readFileSync, statSync } from "node:fs";
import { isIP } from "node:net";
import { ConfigError } from "../config/error.ts";
import type { CauseId } from "../diagnosis/cause.ts";
import { found } from "../diagnosis/checklist.ts";
import type { Selector } from "../diagnosis/condition.ts";
import { type DiagnosisSnapshot, resetsRead, resetsSent } from "../diagnosis/verdict.ts";
import type { CauseReport, ChecklistReport } from "../model/checklist.ts";
import type { Event } from "../model/event.ts";
import {
  amount,
  flag,
  list,
  number,
  object,
  oneOf,
  optional,
  record,
  type Shape,
  text,
  time,
  whole,
} from "../model/saved.ts";
import type { ProbeResult } from "../probe/probe.ts";
import { failures, probePhases } from "../probe/session.ts";
import { formatTarget } from "../probe/target.ts";
import { phaseTitles, type Suspect, verdict } from "../probe/verdict.ts";
import { printable } from "./evidence-lines.ts";
import { addressOf, type Observation } from "./observation.ts";
import type { TimeWindow } from "./time-window.ts";

/** One probe. Without suspects it came through. */
export interface OutsideLook {
  readonly probe: ProbeResult;
  /** `reset in key exchange init (ECONNRESET)`, `ok`. */
  readonly saw: string;
  readonly suspects: readonly Suspect[];
}

/** Who sees that connections die. */
export type View = "both" | "outside_only" | "host_only" | "neither" | "undecided";

export interface OutsideReport {
  readonly target: string;
  readonly fromMs: number;
  readonly toMs: number;
  /** What they saw, and how often. */
  readonly saw: Readonly<Record<string, number>>;
  readonly view: View;
  readonly sentence: string;
  readonly because: readonly string[];
  readonly next: readonly string[];
}

const fileBytesLimit = 16 * 1024 * 1024;
const resultsLimit = 10_000;
/** Evidence and its cause are told within so long of each other. */
const nearMs = 5 * 60_000;

const words: Shape<string> = (value, place) => printable(text(value, place));
const address: Shape<string> = (value, place) => {
  const given = text(value, place);
  if (isIP(given) === 0) throw new Error(`${place}: ${JSON.stringify(given.slice(0, 80))} is no address`);
  return given;
};

const probeShape = object({
  target: object({ host: words, port: whole }),
  address: optional(address),
  timeMs: time,
  local: optional(object({ address, port: whole })),
  result: oneOf(["ok", ...failures]),
  failure: optional(
    object({
      phase: oneOf(probePhases),
      reason: oneOf(failures),
      errno: optional(words),
      detail: optional(words),
    }),
  ),
  phaseSeconds: record(amount, probePhases.length),
  durationSeconds: amount,
  banner: optional(words),
  text: list(words, 1000),
});
/** Around the probe, of --mtu and --idle. */
const furtherShape = object({
  outwards: optional(object({ stalled: optional(number) })),
  inwards: optional(object({ stalled: flag })),
  cutBy: optional(oneOf(["idle", "age"])),
});

/** Throws a ConfigError that names the file and the line. */
export const readProbes = (path: string): readonly OutsideLook[] => probesIn(contentOf(path), path);

export function probesIn(content: string, path: string): readonly OutsideLook[] {
  const lines = content.split("\n").flatMap((line, index) => (line.trim() === "" ? [] : [{ line, number: index + 1 }]));
  if (lines.length === 0) throw new ConfigError(`--probe: "${path}" is empty: probe --json writes one result a line`);
  if (lines.length > resultsLimit)
    throw new ConfigError(`--probe: "${path}" has ${lines.length} results, more than ${resultsLimit}`);
  const looks = lines.map(({ line, number: at }) => {
    try {
      return outsideLook(JSON.parse(line));
    } catch (error) {
      throw new ConfigError(`--probe: "${path}" line ${at} is no result of probe --json: ${(error as Error).message}`);
    }
  });
  const [first, other] = new Set(looks.map(({ probe }) => formatTarget(probe.target)));
  if (other !== undefined) {
    throw new ConfigError(`--probe: "${path}" has probes of ${first} and of ${other}: diagnose looks at one host`);
  }
  return looks.toSorted((a, b) => a.probe.timeMs - b.probe.timeMs);
}

function contentOf(path: string): string {
  try {
    const { size } = statSync(path);
    if (size > fileBytesLimit) throw new Error(`${size} bytes are more than ${fileBytesLimit}`);
    return readFileSync(path, "utf8");
  } catch (error) {
    throw new ConfigError(`--probe: cannot read "${path}": ${(error as Error).message}`);
  }
}

function outsideLook(value: unknown): OutsideLook {
  const given = (value ?? {}) as Readonly<Record<string, unknown>>;
  const probe = probeShape(given["probe"] ?? value, "result") as ProbeResult;
  if ((probe.result === "ok") !== (probe.failure === undefined)) throw new Error("result and failure contradict");
  const { outwards, inwards, cutBy } = furtherShape(value, "result");
  if (cutBy === "idle") return { probe, saw: "cut when idle", suspects: ["path"] };
  if (outwards?.stalled !== undefined || inwards?.stalled)
    return { probe, saw: "large packets stall", suspects: ["mtu"] };
  const { failure } = probe;
  if (failure === undefined) return { probe, saw: "ok", suspects: [] };
  const errno = failure.errno === undefined ? "" : ` (${failure.errno})`;
  return {
    probe,
    saw: `${failure.reason} in ${phaseTitles[failure.phase]}${errno}`,
    suspects: verdict(probe).suspects,
  };
}

/** Whom of the catalogue each suspect is. */
const causesOf: Readonly<Record<Suspect, readonly CauseId[]>> = {
  sshd: ["sshd_crash", "sshd_down", "sshd_restart"],
  resources: ["oom_kill", "memory_pressure", "cpu_pressure", "process_limit"],
  wrappers: ["tcp_wrappers"],
  mtu: ["mtu_blackhole"],
  path: ["middlebox_reset", "idle_timeout"],
  conntrack: ["conntrack_full"],
  cloud: ["cloud_limit"],
  throttling: ["connection_throttling"],
  logins: ["login_timeout", "cpu_pressure"],
  network: ["network_path"],
  name: [],
  service: [],
  algorithms: [],
};

/** The probes' own connections, as sshd's log has them. */
export class ProbesInLog {
  readonly #wanted: ReadonlySet<string>;
  readonly #seen = new Map<string, Observation[]>();

  constructor(looks: readonly OutsideLook[]) {
    this.#wanted = new Set(looks.flatMap(({ probe }) => keyOf(probe) ?? []));
  }

  take(observation: Observation): void {
    const { event } = observation;
    const remote = addressOf(event);
    if (remote === undefined || !("port" in event)) return;
    const key = `${remote} ${event.port}`;
    if (!this.#wanted.has(key)) return;
    const own = this.#seen.get(key) ?? [];
    if (own.length < 20) this.#seen.set(key, [...own, observation]);
  }

  /** Ports are used again: the nearest in time, by clocks that may differ. */
  of(probe: ProbeResult): Observation | undefined {
    const own = this.#seen.get(keyOf(probe) ?? "") ?? [];
    const far = ({ record: { timeMs } }: Observation): number => Math.abs(timeMs - probe.timeMs);
    const ends = own.filter(({ event: { kind } }) => kind === "sshd.ended" || kind === "sshd.drop");
    return (ends.length > 0 ? ends : own).toSorted((a, b) => far(a) - far(b))[0];
  }
}

const keyOf = ({ local }: ProbeResult): string | undefined => local && `${local.address} ${local.port}`;

export interface Inside {
  readonly window: TimeWindow;
  readonly report: ChecklistReport;
  readonly log: ProbesInLog;
  readonly saved: DiagnosisSnapshot | undefined;
}

export function outsideReport(looks: readonly OutsideLook[], inside: Inside): OutsideReport {
  const times = looks.map(({ probe }) => probe.timeMs);
  const saw: Record<string, number> = {};
  for (const look of looks) saw[look.saw] = (saw[look.saw] ?? 0) + 1;
  const [first] = looks;
  return {
    target: first === undefined ? "" : formatTarget(first.probe.target),
    fromMs: Math.min(...times),
    toMs: Math.max(...times),
    saw,
    ...judge(looks, inside),
  };
}

type Judgement = Pick<OutsideReport, "view" | "sentence" | "because" | "next">;

function judge(looks: readonly OutsideLook[], inside: Inside): Judgement {
  const { report, window } = inside;
  const within = looks.filter(
    ({ probe: { timeMs } }) => timeMs >= window.fromMs - nearMs && timeMs <= window.toMs + nearMs,
  );
  const failed = within.filter(({ suspects }) => suspects.length > 0);
  const tried = failed.filter(({ probe }) => probe.failure?.phase !== "dns");
  if (within.length === 0) {
    return undecided("the probes are of another time.", ["Give their time as --since and --until."]);
  }
  if (failed.length === 0) return allCameThrough(within.length, report);
  if (tried.length === 0) {
    return undecided("the name was not resolved, so SSH was not tried.", ["getent ahosts HOST, where the probe ran."]);
  }
  const causes = sharedCauses(tried, inside);
  if (causes.length > 0) {
    return {
      view: "both",
      sentence: `Both see it: such ends come from what was found here at that time: ${causes.map(({ title }) => title).join("; ")}.`,
      because: quoted(tried, inside),
      next: [],
    };
  }
  return withoutCause(tried, inside);
}

function allCameThrough(count: number, { conclusion }: ChecklistReport): Judgement {
  const came = count === 1 ? "The probe came through" : `All ${count} probes came through`;
  switch (conclusion.verdict) {
    case "nothing":
      return {
        view: "neither",
        sentence: `Neither side sees it: ${came.toLowerCase()}, and nothing was found here.`,
        because: ["A probe ends before the login, and sees its own moment only."],
        next: [
          "probe --repeat 20 HOST: for what happens now and then; --mtu, --idle 110: for large packets and idle ones",
        ],
      };
    case "blind":
      return undecided("the probes came through, and nothing can be seen here.", []);
    default:
      return {
        view: "host_only",
        sentence: `Only this host sees it: ${came.toLowerCase()}.`,
        because: [
          "What was found here hit others, or at another time, or comes after the key exchange, where no probe looks.",
        ],
        next: [],
      };
  }
}

/** Found at the time of a probe, and able to do what it saw. */
function sharedCauses(failed: readonly OutsideLook[], { report, log }: Inside): readonly CauseReport[] {
  const causes = found(report.steps.flatMap((step) => step.causes));
  const near = ({ episodes }: CauseReport, { timeMs }: ProbeResult): boolean =>
    episodes.length === 0 ||
    episodes.some(({ fromMs, toMs }) => timeMs >= fromMs - nearMs && timeMs <= (toMs ?? report.toMs) + nearMs);
  return causes.filter((each) =>
    failed.some((look) => couldDo(look, log).some((id) => id === each.cause) && near(each, look.probe)),
  );
}

function couldDo({ suspects, probe }: OutsideLook, log: ProbesInLog): readonly CauseId[] {
  // An sshd that tells how its connection ended was alive then.
  const alive = heardTheEnd(log.of(probe)?.event);
  return suspects
    .filter((suspect) => !(alive && (suspect === "sshd" || suspect === "resources")))
    .flatMap((suspect) => causesOf[suspect])
    .filter((id) => id !== "sshd_down" || probe.failure?.phase === "connect");
}

function withoutCause(failed: readonly OutsideLook[], inside: Inside): Judgement {
  const { report, log } = inside;
  const joined = failed.flatMap(({ probe }) => log.of(probe) ?? []);
  const quotes = quoted(failed, inside);
  const endedHere = joined.find(({ event }) => endsItself(event));
  if (endedHere !== undefined) {
    return {
      view: "both",
      sentence: "Both see it: by its own log sshd on this host ended the probe's connection.",
      because: quotes,
      next: [],
    };
  }
  if (report.conclusion.verdict === "blind") return undecided("nothing can be seen here.", []);
  const cut = failed.filter(({ probe }) => probe.result === "reset" || probe.result === "closed");
  const resets = failed.filter(({ probe }) => probe.result === "reset");
  const sent = inside.saved && resetsSentAround(inside.saved, resets);
  if (sent !== undefined && sent > 0) {
    return undecided(
      `this host's kernel sent ${sent} reset${sent === 1 ? "" : "s"} from sshd's ports at that time, and no cause was found that explains them.`,
      ["sum by (reason) (increase(sshreset_tcp_resets_sent_total[5m])): by the kernel's own reason"],
      quotes,
    );
  }
  const proofs = [
    ...(cut.some(({ probe }) => heardTheEnd(log.of(probe)?.event))
      ? ["sshd did not end it: to sshd it was the client that did. Both ends were told so by somebody between."]
      : []),
    ...(sent === 0
      ? [
          "The kernel of this host sent no reset from sshd's ports at that time. (A firewall of its own that rejects leaves none in this count: look at its rules.)",
        ]
      : []),
  ];
  return {
    view: "outside_only",
    sentence: "Only outside sees it: it was done between the probe and this host.",
    because: [...quotes, ...(proofs.length > 0 ? proofs : notProven(failed, joined, sent === undefined))],
    next: [
      "probe --repeat 10 HOST, from another network too: what fails from one only is on the way",
      "tcpdump -nvi any 'tcp port 22 and tcp[tcpflags] & tcp-rst != 0', on both ends: a reset that arrives and never left",
      "Runbook: docs/runbooks/SshResetProbeBlamesPath.md",
    ],
  };
}

/** What sshd heard from the other side. */
function heardTheEnd(event: Event | undefined): boolean {
  return event?.kind === "sshd.ended" && ["reset", "closed", "disconnect"].includes(event.outcome);
}

function endsItself(event: Event): boolean {
  return event.kind === "sshd.drop" || (event.kind === "sshd.ended" && !heardTheEnd(event));
}

/** Not seen is not absent: what could have happened here unseen. */
function notProven(failed: readonly OutsideLook[], joined: readonly Observation[], unread: boolean): string[] {
  const hints: string[] = [];
  if (joined.length > 0) {
    hints.push("Not proven: the connection reached sshd here, and what came after it did not, or sshd stood still.");
  } else if (failed.some(({ probe }) => probe.failure?.phase === "connect" || probe.failure?.phase === "banner")) {
    hints.push("Not proven: connections that end before or in the banner need leave no line in sshd's log.");
  } else {
    hints.push(
      "Not proven: sshd's log has no line of the probe's connection, which it writes of every key exchange. It went elsewhere (a balancer, another host), or came under another address.",
    );
  }
  if (unread && failed.some(({ probe }) => probe.result === "reset")) {
    hints.push(
      "Not checked: the resets that this host's kernel sent; to see them: an exporter that reads reset events (docs/tcp-trace.md).",
    );
  }
  return hints;
}

/** What sshd's log says of the first of these connections. */
function quoted(failed: readonly OutsideLook[], { log }: Inside): string[] {
  for (const { probe, saw } of failed) {
    const here = log.of(probe);
    if (here === undefined || probe.local === undefined) continue;
    const { timeMs, message } = here.record;
    const apartMs = timeMs - probe.timeMs;
    const said = message === "" ? here.event.kind : `"${printable(message)}"`;
    return [
      `The probe from ${probe.local.address} port ${probe.local.port}: ${saw}. Of the same connection sshd logged: ${said}`,
      ...(Math.abs(apartMs) > 60_000
        ? [`That is ${Math.round(Math.abs(apartMs) / 1000)} s ${apartMs > 0 ? "later" : "earlier"}: the clocks differ.`]
        : []),
    ];
  }
  return [];
}

const undecided = (why: string, next: readonly string[], because: readonly string[] = []): Judgement => ({
  view: "undecided",
  sentence: `Undecided: ${why}`,
  because,
  next,
});

/** How far apart two samples may be that tell what came between them. */
const sampleGapMs = 5 * 60_000;

/** Undefined where no sample is from before and after, or where reset events were not read. */
function resetsSentAround({ history }: DiagnosisSnapshot, resets: readonly OutsideLook[]): number | undefined {
  let sum: number | undefined;
  for (const { probe } of resets) {
    const before = history.times.findLastIndex((timeMs) => timeMs <= probe.timeMs);
    const after = history.times.findIndex((timeMs) => timeMs >= probe.timeMs + probe.durationSeconds * 1000);
    const gapMs = (history.times[after] ?? Number.NaN) - (history.times[before] ?? Number.NaN);
    if (!(gapMs <= sampleGapMs)) continue;
    const total = ({ metric, labels }: Selector, index: number): number =>
      history.series
        .filter((series) => series.metric === metric)
        .filter((series) =>
          Object.entries(labels).every(([name, values]) => values.includes(series.labels[name] ?? "")),
        )
        .reduce((all, { runs }) => all + (valueAt(runs, index) ?? 0), 0);
    if (total(resetsRead, before) < 1 || total(resetsRead, after) < 1) continue;
    sum = Math.max(sum ?? 0, total(resetsSent, after) - total(resetsSent, before));
  }
  return sum;
}

function valueAt(runs: readonly (readonly [number | null, number])[], index: number): number | undefined {
  let end = 0;
  for (const [value, count] of runs) {
    end += count;
    if (index < end) return value ?? undefined;
  }
  return undefined;
}
