/**
 * A past window lived again: observations go through the same ledger and the same state machine as in the exporter, by
 * their own time, one judgement every 15 s of it. A cause that was active at any of them was at work.
 */
import type { PeersOptions } from "../connections/peers.ts";
import { catalogue } from "../diagnosis/catalogue.ts";
import type { CauseId } from "../diagnosis/cause.ts";
import { type CauseSeen, type Ends, seenNow } from "../diagnosis/checklist.ts";
import { Course } from "../diagnosis/course.ts";
import { Diagnosis, type DiagnosisSnapshot } from "../diagnosis/verdict.ts";
import type { EvidenceLine, SymptomReport } from "../model/checklist.ts";
import type { PeerClass } from "../model/connection.ts";
import type { Event } from "../model/event.ts";
import type { Sample } from "../model/metric.ts";
import type { LogRecord } from "../model/record.ts";
import { Ledger } from "../tallies/index.ts";
import { isForeign, kernelMetrics } from "../tallies/kernel.ts";
import { oomMetrics } from "../tallies/oom.ts";
import { decides, type Subject } from "./decisive.ts";
import { Lines } from "./evidence-lines.ts";
import { addressOf, type Observation } from "./observation.ts";
import type { SourceRead } from "./read-window.ts";
import type { TimeWindow } from "./time-window.ts";

/** Before the window: long enough for every window of a condition to be full at its start, but for idle sessions' hour. */
export const warmUpMs = 10 * 60_000;
const tickMs = 1000;
const judgeMs = 15_000;
/** So long after the last event that any condition counts, nothing can change by itself: nothing is judged. */
const restMs = 70 * 60_000;

/** What only the kernel's lines count. */
const fromKernel = new Set([...kernelMetrics, ...oomMetrics].map(({ name }) => name));

export interface ReplayOptions {
  readonly window: TimeWindow;
  readonly peers?: PeersOptions;
  readonly known: readonly { readonly address: string; readonly timeMs: number }[];
  /** The kernel's own lines are read, from whatever source: else what they would count is unknown, not 0. */
  readonly kernelRead: boolean;
  /** Of the host; undefined: every network namespace's full table counts. */
  readonly netNamespace?: number;
  /** Only connections of this address, which counts as known. */
  readonly peer?: string;
}

export class Replay {
  readonly #options: ReplayOptions;
  readonly #ledger: Ledger;
  readonly #diagnosis = new Diagnosis();
  readonly #course = new Course();
  readonly #lines = new Map<Subject, Lines>();
  readonly #listening = new ListeningFromLog();
  #kernelRead: boolean;
  #clockMs: number;
  #judgedMs = 0;
  #eventMs: number;

  constructor(options: ReplayOptions) {
    this.#options = options;
    const { window, peers, known, peer, netNamespace } = options;
    // Counted from 0, should there be any: whether they are read at all is told by their sources.
    this.#ledger = new Ledger({ ...(peers && { peers }), flowLogs: true, haproxy: true, netNamespace });
    for (const { address, timeMs } of known) this.#ledger.learn(address, timeMs);
    this.#clockMs = Math.floor((window.fromMs - warmUpMs) / judgeMs) * judgeMs;
    this.#eventMs = this.#clockMs;
    this.#kernelRead = options.kernelRead;
    if (peer !== undefined) this.#ledger.learn(peer, this.#clockMs);
    this.#judge([]);
  }

  take({ event, record }: Observation): void {
    const address = addressOf(event);
    const { peer } = this.#options;
    if (peer !== undefined && address !== undefined && address !== peer) return;
    const subjects = decides(event);
    const stranger = address !== undefined && this.#ledger.classify(address, record.timeMs) !== "known";
    if (stranger && isNoise(event)) {
      this.#quote(subjects, event, record, stranger);
      return;
    }
    this.#passTo(record.timeMs);
    if (counts(event, subjects, stranger)) this.#wake();
    if (record.ident === "kernel") this.#kernelRead = true;
    this.#listening.take(event);
    this.#quote(subjects, event, record, stranger);
    this.#ledger.handle(event, record);
  }

  /**
   * To the end of the window. `sources`: how each was read. `live`: what collectors read of this host now, where the
   * window ends now.
   */
  end(sources: readonly SourceRead[], live: readonly Sample[] = []): Replayed {
    const { toMs } = this.#options.window;
    // A quiet end is judged as well: that nothing was counted shows only between two looks.
    this.#passTo(toMs - 2 * judgeMs);
    this.#wake();
    // What is held back to hear all of its lines is told within seconds.
    this.#passTo(toMs + judgeMs);
    const kernelUp = { name: "sshreset_source_up", labels: { source: "kmsg" }, value: 1 };
    this.#judge([...sourcesUp(sources), ...(this.#kernelRead ? [kernelUp] : []), ...live]);
    const now = this.#diagnosis.verdicts(this.#clockMs);
    const known = seenNow(now);
    const seen = new Map<CauseId, CauseSeen>();
    for (const { id } of catalogue) {
      const own = known.get(id);
      const past = this.#course.of(id);
      const lines = this.#lines.get(id);
      if (own === undefined) continue;
      seen.set(id, {
        ...own,
        // The last judgement is a little after the window's end, and of it.
        episodes: (past?.episodes ?? own.episodes).map((each) => ({ ...each, fromMs: Math.min(each.fromMs, toMs) })),
        evidence: past?.evidence ?? own.evidence,
        ...lines?.told(),
      });
    }
    return {
      seen,
      symptom: this.#course.symptom(this.#diagnosis),
      lines: this.#lines.get("peer_reset")?.told().lines ?? [],
      ends: this.#ends(sources),
    };
  }

  /** As of what was taken so far. */
  classify(address: string, timeMs: number): PeerClass {
    return this.#ledger.classify(address, timeMs);
  }

  #passTo(timeMs: number): void {
    const limitMs = Math.min(timeMs, this.#options.window.toMs + judgeMs);
    // A night without a line.
    if (limitMs - this.#clockMs > restMs && this.#rests()) this.#clockMs = limitMs - judgeMs;
    while (this.#clockMs + tickMs <= limitMs) {
      this.#clockMs += tickMs;
      this.#ledger.tick(this.#clockMs);
      if (this.#clockMs - this.#judgedMs >= judgeMs && !this.#rests()) this.#judge([]);
    }
  }

  #rests(): boolean {
    return this.#clockMs - this.#eventMs > restMs;
  }

  /** What is counted now shows as an increase only beside what there was before it. */
  #wake(): void {
    if (this.#rests()) this.#judge([]);
    this.#eventMs = this.#clockMs;
  }

  #judge(live: readonly Sample[]): void {
    this.#judgedMs = this.#clockMs;
    const counted = this.#ledger.samples(this.#clockMs);
    const samples = [
      ...(this.#kernelRead ? counted : counted.filter(({ name }) => !fromKernel.has(name))),
      ...(live.some(({ name }) => name === "sshreset_sshd_up") ? [] : this.#listening.samples()),
      ...live,
    ];
    this.#diagnosis.record(this.#clockMs, samples);
    this.#course.follow(this.#diagnosis, this.#clockMs, this.#options.window);
  }

  #quote(subjects: readonly Subject[], event: Event, record: LogRecord, stranger: boolean): void {
    const { window, netNamespace } = this.#options;
    const { fromMs, toMs } = window;
    if (event.kind === "kernel.conntrack_full" && isForeign(event.netNamespace, netNamespace)) return;
    if (subjects.length === 0 || record.timeMs < fromMs || record.timeMs > toMs) return;
    for (const subject of subjects) {
      const lines = this.#lines.get(subject) ?? new Lines();
      this.#lines.set(subject, lines);
      lines.add(event, record, stranger);
    }
  }

  #ends(sources: readonly SourceRead[]): Replayed["ends"] {
    let [resets, silent] = [0, 0];
    let knownPeers = 0;
    for (const { name, labels = {}, value } of this.#ledger.samples(this.#clockMs)) {
      if (typeof value !== "number") continue;
      if (name === "sshreset_known_peers") knownPeers = value;
      if (name !== "sshreset_connections_ended_total" || labels["peer_class"] !== "known") continue;
      if (labels["outcome"] === "reset") resets += value;
      if (labels["outcome"] === "error" && labels["phase"] === "session") silent += value;
    }
    const visible = sources.some((read) => (read.source === "journal" || read.source === "logfile") && isRead(read));
    return { knownResets: resets, silentSessions: silent, visible, knownPeers };
  }
}

/** Of addresses that have never logged in: no condition counts it, and it is most of what a log on the internet holds. */
function isNoise(event: Event): boolean {
  return event.kind === "sshd.authentication_failed" || event.kind === "sshd.ended" || event.kind === "sshd.penalty";
}

/** Whether some condition may count it. */
const counts = (event: Event, subjects: readonly Subject[], stranger: boolean): boolean =>
  event.kind === "proxy.ended" || event.kind === "proxy.server" || event.kind === "sshd.drop"
    ? true
    : !stranger && (subjects.length > 0 || isAbnormalEnd(event));

const isAbnormalEnd = (event: Event): boolean =>
  event.kind === "sshd.ended" && event.outcome !== "closed" && event.outcome !== "disconnect";

export interface Replayed {
  readonly seen: ReadonlyMap<CauseId, CauseSeen>;
  readonly symptom: SymptomReport;
  /** Of resets that sshd logged. */
  readonly lines: readonly EvidenceLine[];
  readonly ends: Ends & { readonly knownPeers: number };
}

/** A source that failed midway has still told something. */
const isRead = ({ missing, records }: SourceRead): boolean => missing === undefined || records > 0;

/** Several log files are one source, which is up if all of them were read. */
const sourcesUp = (sources: readonly SourceRead[]): readonly Sample[] =>
  [...new Set(sources.map(({ source }) => source))].map((source) => {
    const up = sources.filter((read) => read.source === source).every(isRead);
    return { name: "sshreset_source_up", labels: { source }, value: up ? 1 : 0 };
  });

/** The exporter's own hour of samples, judged again: what it saw beside the logs, and when. Empty where none are of the window. */
export function replaySaved(saved: DiagnosisSnapshot, window: TimeWindow): ReadonlyMap<CauseId, CauseSeen> {
  const diagnosis = new Diagnosis();
  const course = new Course();
  const { times, series } = saved.history;
  const unrolled = series.map(({ metric, labels, runs }) => ({
    name: metric,
    labels,
    values: runs.flatMap(([value, count]) => Array.from({ length: Math.min(count, times.length) }, () => value)),
  }));
  const used = times.filter((timeMs) => timeMs <= window.toMs + judgeMs);
  if ((used.at(-1) ?? 0) < window.fromMs) return new Map();
  for (const [index, timeMs] of used.entries()) {
    const samples = unrolled.flatMap(({ name, labels, values }): Sample[] => {
      const value = values[index];
      return typeof value === "number" ? [{ name, labels, value }] : [];
    });
    diagnosis.record(timeMs, samples);
    course.follow(diagnosis, timeMs, window);
  }
  const known = seenNow(diagnosis.verdicts(used.at(-1) ?? 0));
  return new Map(
    [...known].map(([id, own]) => {
      const past = course.of(id);
      return [id, { ...own, episodes: past?.episodes ?? own.episodes, evidence: past?.evidence ?? own.evidence }];
    }),
  );
}

/** Two looks at the same window: whatever either of them saw was there. */
export function together(
  log: ReadonlyMap<CauseId, CauseSeen>,
  saved: ReadonlyMap<CauseId, CauseSeen>,
): ReadonlyMap<CauseId, CauseSeen> {
  return new Map(
    [...log].map(([id, own]): [CauseId, CauseSeen] => {
      const other = saved.get(id);
      if (other === undefined) return [id, own];
      const foundAlone = own.episodes.length === 0 && own.state !== "pending" && other.episodes.length > 0;
      const leading = foundAlone ? other : own;
      const judged = own.state === "unknown" && !foundAlone ? other.state : own.state;
      return [
        id,
        {
          ...own,
          state: judged,
          episodes: leading.episodes,
          evidence: leading.evidence,
          observable: own.observable || other.observable,
        },
      ];
    }),
  );
}

/** sshd_up as far as the log tells it; nothing before the first line that does. */
class ListeningFromLog {
  #up: boolean | undefined;

  take(event: Event): void {
    switch (event.kind) {
      case "sshd.listening":
        this.#up = true;
        return;
      case "sshd.signal":
        this.#up = false;
        return;
      case "sshd.start_failed":
        // A reload that is refused leaves the one that listens alone.
        this.#up ??= false;
        return;
      case "unit.started":
        if (event.role === "daemon") this.#up = true;
        return;
      case "unit.exited":
        if (event.role === "daemon" && event.process === "main") this.#up = false;
        return;
      case "unit.stopped":
      case "unit.failed":
      case "unit.start_limit":
        if (event.role === "daemon") this.#up = false;
        return;
      default:
    }
  }

  samples(): readonly Sample[] {
    return this.#up === undefined ? [] : [{ name: "sshreset_sshd_up", value: this.#up ? 1 : 0 }];
  }
}
