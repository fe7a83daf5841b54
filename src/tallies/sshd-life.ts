/**
 * The daemon's life: starts, and stops with one reason each. A stop is told by several lines of sshd, systemd and the
 * kernel, from sources that may be seconds apart: they are gathered into one stop and judged when the window is over.
 * Source: OpenSSH sshd.c; systemd src/core/service.c (results, exit and restart messages); log-message catalogue.
 */
import type { Event, EventKind, UnitEvent } from "../model/event.ts";
import { startFailures as startFailureReasons, type UnitResult, unitResults } from "../model/event.ts";
import type { MetricDef, Sample } from "../model/metric.ts";
import type { LogRecord } from "../model/record.ts";
import { amount, anything, flag, list, object, oneOf, optional, orNull, time, whole } from "../model/saved.ts";
import { Counters } from "./counters.ts";
import { restoreAll, snapshotAll, type Tally } from "./tally.ts";
import { Witnesses } from "./witnesses.ts";

export const starts: MetricDef = {
  name: "sshreset_sshd_starts_total",
  help: "Times that sshd began to listen, after a start, a restart or a reload: systemd's Started or sshd's Server listening.",
  type: "counter",
  labels: [],
};
export const stopReasons = ["requested", "reload", "crash", "oom_kill", "start_limit", "error"] as const;
export type StopReason = (typeof stopReasons)[number];
export const stops: MetricDef = {
  name: "sshreset_sshd_stops_total",
  help:
    "Times that sshd stopped, each once: requested (systemctl, a terminating signal), reload (SIGHUP), crash (ended by a " +
    "signal, core dump or watchdog), oom_kill, error (exit status other than 0), start_limit (systemd gave up restarting it, " +
    "beside the stops before). Told ten seconds after the stop, when all its lines are in.",
  type: "counter",
  labels: ["reason"],
  values: { reason: stopReasons },
};
export const sessionCrashes: MetricDef = {
  name: "sshreset_sshd_session_crashes_total",
  help: "Processes of single connections that crashed: sshd's, the kernel's and systemd-coredump's lines, one crash once.",
  type: "counter",
  labels: [],
};
export const startFailures: MetricDef = {
  name: "sshreset_sshd_start_failures_total",
  help: "Starts that failed, by sshd's own reason; other where only systemd told of it.",
  type: "counter",
  labels: ["reason"],
  values: { reason: startFailureReasons },
};
export const resourceErrors: MetricDef = {
  name: "sshreset_sshd_resource_errors_total",
  help: "Lines in which sshd (or systemd for it) could not get a process, a file descriptor, memory or a terminal.",
  type: "counter",
  labels: ["resource"],
  values: { resource: ["process", "files", "memory", "terminal"] },
};

/** How far apart the lines of one happening may be, and how long they are waited for. */
const windowMs = 10_000;
/** systemd waits so long for a stop at most (TimeoutStopSec's default is 90 s), then kills. */
const stoppingMs = 120_000;
/** SIGHUP, SIGINT, SIGQUIT, SIGTERM: somebody asked. systemd takes most of them as a clean exit, systemd.service(5). */
const askingSignals = new Set([1, 2, 3, 15]);
/** SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGSEGV, SIGSYS. */
const crashSignals = new Set([4, 5, 6, 7, 8, 11, 31]);
const stopsKept = 64;

/** What waits for other lines, at most: a host where more crashes within ten seconds has told enough. */
const mostWaiting = 1_000;

const tellings = ["stopping", "signal", "exited", "failed", "oom", "reload", "reloading"] as const;
type Told = (typeof tellings)[number];

interface Stop {
  timeMs: number;
  /** When it is judged, by the clock of `tick`; undefined when it was. */
  deadlineMs?: number;
  told: Told[];
  /** From `Received signal N; terminating.` */
  signal?: number;
  exit?: "crash" | "asked" | "error";
  result?: UnitResult;
  /** When the next start was told. */
  startedMs?: number;
}

const stopShape = object({
  timeMs: time,
  deadlineMs: optional(amount),
  told: list(oneOf(tellings), 64),
  signal: optional(whole),
  exit: optional(oneOf(["crash", "asked", "error"])),
  result: optional(oneOf(unitResults)),
  startedMs: optional(time),
});

export class SshdLifeTally implements Tally {
  readonly kinds: readonly EventKind[] = [
    "sshd.listening",
    "sshd.signal",
    "sshd.reload",
    "sshd.start_failed",
    "sshd.resource_error",
    "sshd.session_crash",
    "kernel.crash",
    "oom.context",
    "oom.kill",
    "unit.started",
    "unit.stopping",
    "unit.reloading",
    "unit.exited",
    "unit.failed",
    "unit.start_failed",
    "unit.start_limit",
    "unit.oom_kill",
    "unit.fork_failed",
    "unit.core_dump",
  ];
  readonly #counters = {
    starts: new Counters(starts),
    stops: new Counters(stops),
    sessionCrashes: new Counters(sessionCrashes),
    startFailures: new Counters(startFailures),
    resourceErrors: new Counters(resourceErrors),
  };
  readonly #joined = {
    starts: new Witnesses(windowMs),
    crashes: new Witnesses(windowMs),
  };
  #stops: Stop[] = [];
  /** The listener, as far as it is known: 0 before its first line. */
  #listenerPid = 0;
  #listening = false;
  /** Last OOM kill in sshd's own cgroup. */
  #oomMs: number | null = null;
  /** When systemd last refused to start it; null after a start. */
  #limitedMs: number | null = null;
  #startFailure: { timeMs: number; pid: number; reason: string } | null = null;
  /** Failed starts that only systemd has told so far. */
  #unitFailures: { timeMs: number; deadlineMs: number }[] = [];
  /** Crashes of processes named sshd that may have been the listener. */
  #unnamedCrashes: { timeMs: number; deadlineMs: number }[] = [];
  #oomPids: number[] = [];
  #awakeMs = 0;

  handle(event: Event, record: LogRecord): void {
    const { timeMs, pid, count } = record;
    switch (event.kind) {
      case "sshd.listening":
        this.#listens(timeMs, pid);
        return;
      case "sshd.signal":
        this.#listening = false;
        this.#stop("signal", timeMs).signal = event.signal;
        return;
      case "sshd.reload":
        this.#listening = false;
        this.#stop("reload", timeMs);
        return;
      case "sshd.start_failed":
        this.#startFailed(event.reason, timeMs, pid);
        return;
      case "sshd.resource_error":
        this.#counters.resourceErrors.add(count, event.resource);
        return;
      case "sshd.session_crash":
        this.#sessionCrash("sshd", timeMs);
        return;
      case "kernel.crash":
        if (event.process === "sshd_session") this.#sessionCrash("kernel", timeMs);
        else if (event.pid !== this.#listenerPid) this.#wait(this.#unnamedCrashes, timeMs);
        return;
      case "oom.context":
        if (event.cgroup === "sshd") this.#oomPids = [...this.#oomPids.slice(-63), event.pid];
        return;
      case "oom.kill":
        if (event.victim !== "other" || this.#oomPids.includes(event.pid)) this.#oomMs = timeMs;
        return;
      default:
        if (event.kind.startsWith("unit.")) this.#unit(event as UnitEvent, record);
    }
  }

  #unit(event: UnitEvent, { timeMs, count }: LogRecord): void {
    if (event.kind === "unit.start_limit" && (event.role === "daemon" || event.role === "socket")) {
      this.#startLimit(timeMs);
      return;
    }
    if (event.kind === "unit.exited" && event.role === "connection") {
      if (event.how !== "exited" && crashSignals.has(event.status)) this.#sessionCrash("unit", timeMs);
      return;
    }
    if (event.kind === "unit.core_dump") {
      if (event.process === "sshd_session" || event.role === "connection" || event.role === "session") {
        this.#sessionCrash("core", timeMs);
      }
      return;
    }
    if (event.role !== "daemon") return;
    switch (event.kind) {
      case "unit.started":
        this.#started("unit", timeMs);
        return;
      case "unit.stopping":
        this.#stop("stopping", timeMs);
        return;
      case "unit.reloading":
        this.#stop("reloading", timeMs);
        return;
      case "unit.exited":
        if (event.process === "main") this.#exited(event.how, event.status, timeMs);
        return;
      case "unit.failed":
        this.#failed(event.result, timeMs);
        return;
      case "unit.start_failed":
        if (!this.#near(this.#startFailure?.timeMs, timeMs) && !this.#near(this.#limitedMs ?? undefined, timeMs)) {
          this.#wait(this.#unitFailures, timeMs);
        }
        return;
      case "unit.oom_kill":
        this.#oomMs = timeMs;
        return;
      case "unit.fork_failed":
        this.#counters.resourceErrors.add(count, "process");
        return;
    }
  }

  #listens(timeMs: number, pid: number): void {
    if (this.#listening && pid === this.#listenerPid) return;
    this.#listening = true;
    this.#listenerPid = pid;
    this.#started("sshd", timeMs);
  }

  #started(witness: string, timeMs: number): void {
    if (!this.#joined.starts.tell(witness, timeMs)) return;
    this.#counters.starts.add(1);
    this.#limitedMs = null;
    for (const stop of this.#stops) if (stop.timeMs <= timeMs) stop.startedMs ??= timeMs;
  }

  #exited(how: "exited" | "killed" | "dumped", status: number, timeMs: number): void {
    this.#listening = false;
    if (how === "exited" && status === 0) return;
    const stop = this.#stop("exited", timeMs);
    if (how === "exited") stop.exit = "error";
    else stop.exit = how === "killed" && askingSignals.has(status) ? "asked" : "crash";
  }

  #failed(result: UnitResult, timeMs: number): void {
    if (result === "start-limit-hit") {
      this.#startLimit(timeMs);
      return;
    }
    // Alone it tells of a start that failed, or repeats the last result after the start limit: no stop.
    const stop = result === "oom-kill" ? this.#stop("failed", timeMs) : this.#openStop("failed", timeMs);
    if (!stop) return;
    if (!stop.told.includes("failed")) stop.told.push("failed");
    stop.result = result;
  }

  /** Once until the next start: every further attempt to start it is refused with the same words. */
  #startLimit(timeMs: number): void {
    this.#unitFailures = this.#unitFailures.filter((failure) => !this.#near(failure.timeMs, timeMs));
    if (this.#limitedMs === null) this.#counters.stops.add(1, "start_limit");
    this.#limitedMs = timeMs;
  }

  /** The stop that this line tells of: one that is still being told, or a new one. */
  #stop(told: Told, timeMs: number): Stop {
    let stop = this.#openStop(told, timeMs);
    if (!stop) {
      stop = { timeMs, deadlineMs: this.#deadline(), told: [] };
      this.#stops = [...this.#stops.slice(1 - stopsKept), stop];
    }
    stop.told.push(told);
    return stop;
  }

  #openStop(told: Told, timeMs: number): Stop | undefined {
    return this.#stops.find((stop) => {
      if (stop.told.includes(told) || isReload(told) !== isReload(stop.told[0])) return false;
      if (stop.startedMs !== undefined && timeMs > stop.startedMs) return false;
      return Math.abs(timeMs - stop.timeMs) <= (stop.told.includes("stopping") ? stoppingMs : windowMs);
    });
  }

  #reasonOf(stop: Stop): StopReason {
    if (isReload(stop.told[0])) return "reload";
    if (stop.result === "oom-kill") return "oom_kill";
    if (stop.told.includes("stopping")) return "requested";
    // On cgroup v2 systemd ends the whole unit after a kill in it (OOMPolicy=stop): nobody asked for that SIGTERM.
    const killed = stop.exit === "crash" || stop.signal === 15;
    if (killed && this.#near(this.#oomMs ?? undefined, stop.timeMs)) return "oom_kill";
    if (stop.result === "watchdog" || stop.exit === "crash") return "crash";
    if (stop.signal !== undefined || stop.exit === "asked") return "requested";
    return "error";
  }

  #startFailed(reason: string, timeMs: number, pid: number): void {
    const last = this.#startFailure;
    this.#startFailure = { timeMs, pid, reason };
    this.#unitFailures = this.#unitFailures.filter((failure) => !this.#near(failure.timeMs, timeMs));
    // One problem has several lines, the first of them the nearest to the cause.
    if (last && last.pid === pid && this.#near(last.timeMs, timeMs)) return;
    this.#counters.startFailures.add(1, reason);
  }

  #sessionCrash(witness: string, timeMs: number): void {
    if (this.#joined.crashes.tell(witness, timeMs)) this.#counters.sessionCrashes.add(1);
  }

  #near(one: number | undefined, other: number): boolean {
    return one !== undefined && Math.abs(one - other) <= windowMs;
  }

  #wait(waiting: { timeMs: number; deadlineMs: number }[], timeMs: number): void {
    if (waiting.length < mostWaiting) waiting.push({ timeMs, deadlineMs: this.#deadline() });
  }

  #deadline(): number {
    return this.#awakeMs + windowMs;
  }

  tick(awakeMs: number): void {
    this.#awakeMs = awakeMs;
    for (const stop of this.#stops) {
      if (stop.deadlineMs !== undefined && stop.deadlineMs <= awakeMs) {
        delete stop.deadlineMs;
        this.#counters.stops.add(1, this.#reasonOf(stop));
      }
    }
    for (const failure of this.#unitFailures) {
      if (failure.deadlineMs <= awakeMs) this.#counters.startFailures.add(1, "other");
    }
    this.#unitFailures = this.#unitFailures.filter(({ deadlineMs }) => deadlineMs > awakeMs);
    for (const crash of this.#unnamedCrashes) {
      if (crash.deadlineMs > awakeMs) continue;
      const listener = this.#stops.some(({ exit, timeMs }) => exit === "crash" && this.#near(timeMs, crash.timeMs));
      if (!listener) this.#sessionCrash("kernel", crash.timeMs);
    }
    this.#unnamedCrashes = this.#unnamedCrashes.filter(({ deadlineMs }) => deadlineMs > awakeMs);
  }

  samples(): Sample[] {
    return Object.values(this.#counters).flatMap((counters) => counters.samples());
  }

  snapshot(): unknown {
    return {
      ...snapshotAll(this.#counters),
      joined: snapshotAll(this.#joined),
      stopsTold: this.#stops,
      listenerPid: this.#listenerPid,
      listening: this.#listening,
      oomMs: this.#oomMs,
      oomPids: this.#oomPids,
      limitedMs: this.#limitedMs,
      startFailure: this.#startFailure,
      unitFailures: this.#unitFailures,
      unnamedCrashes: this.#unnamedCrashes,
      awakeMs: this.#awakeMs,
    };
  }

  restore(saved: unknown): void {
    restoreAll(this.#counters, saved);
    const waiting = list(object({ timeMs: time, deadlineMs: amount }), mostWaiting);
    const state = object({
      joined: anything,
      stopsTold: list(stopShape, stopsKept),
      listenerPid: whole,
      listening: flag,
      oomMs: orNull(time),
      oomPids: list(whole, 64),
      limitedMs: orNull(time),
      startFailure: orNull(object({ timeMs: time, pid: whole, reason: oneOf(startFailureReasons) })),
      unitFailures: waiting,
      unnamedCrashes: waiting,
      awakeMs: amount,
    })(saved, "sshd");
    restoreAll(this.#joined, state.joined);
    this.#stops = state.stopsTold;
    this.#listenerPid = state.listenerPid;
    this.#listening = state.listening;
    this.#oomMs = state.oomMs;
    this.#oomPids = state.oomPids;
    this.#limitedMs = state.limitedMs;
    this.#startFailure = state.startFailure;
    this.#unitFailures = state.unitFailures;
    this.#unnamedCrashes = state.unnamedCrashes;
    this.#awakeMs = state.awakeMs;
  }
}

const isReload = (told: Told | undefined): boolean => told === "reload" || told === "reloading";

export const sshdLifeMetrics = [starts, stops, sessionCrashes, startFailures, resourceErrors];
