/**
 * Connections dropped at accept by sshd's own limits, counted from what sshd prints and what it only sums up.
 * Source: OpenSSH sshd.c drop_connection(). 8.4 to 9.9 print one line per five minutes and a total at the end of the
 * episode, which comes with the next accepted connection; since 10.0 a rate limit prints how many more there were.
 */
import {
  type DropLimit,
  dropLimits,
  type Event,
  type EventKind,
  type SshdDrop,
  type SshdDropTotal,
} from "../model/event.ts";
import type { MetricDef, Sample } from "../model/metric.ts";
import type { LogRecord } from "../model/record.ts";
import { amount, anything, list, object, text, tuple } from "../model/saved.ts";
import { Counters } from "./counters.ts";
import type { Tally } from "./tally.ts";

export const dropped: MetricDef = {
  name: "sshreset_connections_dropped_total",
  help:
    "Connections dropped at accept, by limit. max_startups: MaxStartups, and PerSourceMaxStartups, which sshd prints with the " +
    "same text; exact once sshd has printed its total (8.4 to 9.9 print it when a later connection is accepted again), a " +
    "lower bound until then; up to 8.3 nothing is printed at LogLevel INFO. systemd_socket: MaxConnections of ssh.socket.",
  type: "counter",
  labels: ["limit"],
  values: { limit: dropLimits },
};
export const penalties: MetricDef = {
  name: "sshreset_penalties_total",
  help: "Penalties that became active (PerSourcePenalties, 9.8+); printed at LogLevel VERBOSE only before 10.1.",
  type: "counter",
  labels: [],
};

/** One listener's throttling episode. */
interface Episode {
  /** Drops that the counter has already. */
  counted: number;
  /** The line after a running sum tells a drop that the sum includes. */
  covered: number;
}

const listenersKept = 16;

export class DropTally implements Tally {
  readonly kinds: readonly EventKind[] = ["sshd.drop", "sshd.drop_total", "sshd.penalty", "sshd.listening"];
  readonly #dropped = new Counters(dropped);
  readonly #penalties = new Counters(penalties);
  /** By limit and the listener's pid. */
  readonly #episodes = new Map<string, Episode>();

  handle(event: Event, record: LogRecord): void {
    if (event.kind === "sshd.drop") this.#line(event, record);
    else if (event.kind === "sshd.drop_total") this.#sum(event, record);
    else if (event.kind === "sshd.penalty") this.#penalties.add(record.count);
    // A listener that starts anew has forgotten its count.
    else if (event.kind === "sshd.listening") this.#forget(record.pid);
  }

  #line({ limit }: SshdDrop, { pid, count }: LogRecord): void {
    const episode = this.#episodeOf(limit, pid);
    const covered = Math.min(episode.covered, count);
    episode.covered -= covered;
    episode.counted += count - covered;
    this.#dropped.add(count - covered, limit);
  }

  #sum({ limit, scope, count }: SshdDropTotal, { pid }: LogRecord): void {
    const episode = this.#episodeOf(limit, pid);
    if (scope === "additional") {
      this.#dropped.add(count, limit);
    } else if (scope === "begin") {
      episode.counted = 0;
      episode.covered = 0;
    } else {
      const more = Math.max(0, count - episode.counted);
      this.#dropped.add(more, limit);
      episode.counted += more;
      episode.covered = scope === "running" && more > 0 ? 1 : 0;
      if (scope === "total") episode.counted = 0;
    }
  }

  #episodeOf(limit: DropLimit, pid: number): Episode {
    const key = `${limit} ${pid}`;
    let episode = this.#episodes.get(key);
    if (!episode) {
      episode = { counted: 0, covered: 0 };
      this.#episodes.set(key, episode);
      const [oldest] = this.#episodes.keys();
      if (this.#episodes.size > listenersKept * dropLimits.length && oldest) this.#episodes.delete(oldest);
    }
    return episode;
  }

  #forget(pid: number): void {
    for (const limit of dropLimits) this.#episodes.delete(`${limit} ${pid}`);
  }

  samples(): Sample[] {
    return [...this.#dropped.samples(), ...this.#penalties.samples()];
  }

  snapshot(): unknown {
    return {
      dropped: this.#dropped.snapshot(),
      penalties: this.#penalties.snapshot(),
      episodes: [...this.#episodes],
    };
  }

  restore(saved: unknown): void {
    const episode = object({ counted: amount, covered: amount });
    const state = object({
      dropped: anything,
      penalties: anything,
      episodes: list(tuple(text, episode), listenersKept * dropLimits.length),
    })(saved, "drops");
    this.#dropped.restore(state.dropped);
    this.#penalties.restore(state.penalties);
    for (const [key, episode] of state.episodes) this.#episodes.set(key, episode);
  }
}

export const dropMetrics = [dropped, penalties];
