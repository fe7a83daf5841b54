/**
 * What the OOM killers took. The kernel's Killed process line counts; systemd's unit message counts where that line was
 * not seen (no access to the kernel's log), and always for systemd-oomd, of which the kernel says nothing.
 * Source: mm/oom_kill.c, systemd.resource-control(5), systemd-oomd.service(8).
 */
import {
  type Event,
  type EventKind,
  type OomCgroup,
  type OomScope,
  type OomVictim,
  oomCgroups,
  oomScopes,
} from "../model/event.ts";
import type { MetricDef, Sample } from "../model/metric.ts";
import type { LogRecord } from "../model/record.ts";
import { amount, anything, list, object, oneOf, orNull, time, whole } from "../model/saved.ts";
import { Counters } from "./counters.ts";
import type { Tally } from "./tally.ts";

export const oomKills: MetricDef = {
  name: "sshreset_oom_kills_total",
  help:
    "Processes killed for lack of memory, by the kernel or systemd-oomd. victim: sshd, sshd_session = a connection's process " +
    "or anything else in sshd's own cgroup, other. scope: host, or cgroup = a cgroup's own limit.",
  type: "counter",
  labels: ["victim", "scope"],
  values: { victim: ["sshd", "sshd_session", "other"], scope: ["host", "cgroup"] },
};

const contextMs = 10_000;
const joinMs = 10_000;
const pendingKept = 64;

interface Context {
  readonly timeMs: number;
  readonly pid: number;
  readonly scope: OomScope;
  readonly cgroup: OomCgroup;
}

export class OomTally implements Tally {
  readonly kinds: readonly EventKind[] = ["oom.context", "oom.kill", "unit.oom_kill"];
  readonly #kills = new Counters(oomKills);
  #contexts: Context[] = [];
  /** Last kill told by the kernel among sshd's processes. */
  #kernelMs = Number.NEGATIVE_INFINITY;
  /** What systemd told and the kernel may still tell. */
  #pending: { timeMs: number; deadlineMs: number }[] = [];
  #awakeMs = 0;

  handle(event: Event, record: LogRecord): void {
    const { timeMs, count } = record;
    if (event.kind === "oom.context") {
      const { pid, scope, cgroup } = event;
      this.#contexts = [...this.#contexts.slice(1 - pendingKept), { timeMs, pid, scope, cgroup }];
    } else if (event.kind === "oom.kill") {
      const context = this.#contexts.find(
        ({ pid, timeMs: at }) => pid === event.pid && Math.abs(timeMs - at) <= contextMs,
      );
      const victim = victimIn(context?.cgroup, event.victim);
      this.#kills.add(count, victim, context?.scope ?? event.scope);
      if (victim === "other") return;
      this.#kernelMs = timeMs;
      this.#pending = this.#pending.filter((pending) => Math.abs(timeMs - pending.timeMs) > joinMs);
    } else if (event.kind === "unit.oom_kill" && event.by === "oomd") {
      if (event.role === "socket") return;
      this.#kills.add(count, event.role === "other" ? "other" : "sshd_session", "cgroup");
    } else if (event.kind === "unit.oom_kill" && (event.role === "daemon" || event.role === "connection")) {
      if (Math.abs(timeMs - this.#kernelMs) <= joinMs) return;
      this.#pending = [...this.#pending.slice(1 - pendingKept), { timeMs, deadlineMs: this.#awakeMs + joinMs }];
    }
  }

  tick(awakeMs: number): void {
    this.#awakeMs = awakeMs;
    if (this.#pending.length === 0) return;
    const due = this.#pending.filter(({ deadlineMs }) => deadlineMs <= awakeMs);
    if (due.length === 0) return;
    this.#pending = this.#pending.filter(({ deadlineMs }) => deadlineMs > awakeMs);
    this.#kills.add(due.length, "sshd_session", "cgroup");
  }

  samples(): Sample[] {
    return this.#kills.samples();
  }

  snapshot(): unknown {
    return {
      kills: this.#kills.snapshot(),
      contexts: this.#contexts,
      kernelMs: this.#kernelMs === Number.NEGATIVE_INFINITY ? null : this.#kernelMs,
      pending: this.#pending,
      awakeMs: this.#awakeMs,
    };
  }

  restore(saved: unknown): void {
    const state = object({
      kills: anything,
      contexts: list(
        object({ timeMs: time, pid: whole, scope: oneOf(oomScopes), cgroup: oneOf(oomCgroups) }),
        pendingKept,
      ),
      kernelMs: orNull(time),
      pending: list(object({ timeMs: time, deadlineMs: amount }), pendingKept),
      awakeMs: amount,
    })(saved, "oom");
    this.#kills.restore(state.kills);
    this.#contexts = state.contexts;
    this.#kernelMs = state.kernelMs ?? Number.NEGATIVE_INFINITY;
    this.#pending = state.pending;
    this.#awakeMs = state.awakeMs;
  }
}

/** All processes of sshd have one name before 9.8: in a login's session it is that login's. What is in sshd's own group is a connection's. */
function victimIn(cgroup: OomCgroup | undefined, victim: OomVictim): OomVictim {
  if (cgroup === "sshd") return victim === "other" ? "sshd_session" : victim;
  return cgroup === "session" && victim === "sshd" ? "sshd_session" : victim;
}

export const oomMetrics = [oomKills];
