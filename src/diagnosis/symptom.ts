/**
 * The symptom: known peers are reset and no cause explains it. Several peers, because one laptop that closes its lid is
 * no incident. What it waits for is computed from the causes that could explain it.
 */
import type { Cause, Command } from "./cause.ts";
import { and, type Condition, gauge, leaves, or, ratio, series, type Thresholds } from "./condition.ts";

export const symptom = {
  id: "peer_reset",
  alert: "SshKnownPeersReset",
  title: "known peers are reset and nothing explains it",
  summary: "Several known peers were reset, and no cause that this host can see explains it.",
  explanation:
    "The resets come from the peers themselves, from a device on the path, or from this host for a reason that could not be checked.",
  evidence: or(
    gauge(series("known_peers_reset"), ">", "peers"),
    and(
      gauge(series("known_peers_reset"), ">", "fewPeers"),
      ratio(series("known_peers_reset"), series("known_peers_active"), ">", "share"),
    ),
  ),
  thresholds: {
    peers: {
      value: 2.5,
      unit: "known peers reset in 10 minutes",
      reason: "At least three: one or two are their own affair.",
    },
    fewPeers: { value: 1.5, unit: "known peers reset in 10 minutes", reason: "At least two, on a host with few." },
    share: {
      value: 0.199,
      unit: "of the known peers active in the last hour reset",
      reason: "A fifth, with a margin for the division.",
    },
  },
  keepSeconds: 300,
  next: [
    {
      run: "curl -s http://localhost:10922/metrics | grep -E 'peer_resets_(received|sent)_total'",
      shows: "Which peers, and who sent the resets: they or we.",
    },
    {
      run: "ssh -v HOST true",
      shows: "From one of the peers: the last `debug1:` line before the reset names the phase.",
    },
    {
      run: "tcpdump -nvi any 'tcp port 22 and tcp[tcpflags] & tcp-rst != 0'",
      shows: "Each reset's direction and TTL: a TTL that the peer's other packets do not have is a device on the path.",
    },
    { run: "ssh-reset-exporter diagnose", shows: "The whole tree on this host, with what it could not check." },
  ],
} satisfies {
  evidence: Condition;
  thresholds: Thresholds;
  next: readonly Command[];
  [key: string]: string | number | Condition | Thresholds | readonly Command[];
};

/** How long known_peers_reset remembers, and so how long a cause that is over still explains it. */
export const memorySeconds = 600;
/** Ends may trail their cause by this much. */
export const trailSeconds = 120;
/** Ends out of a cause's scope, or after its time, that take its explanation away: as many as the symptom needs at least. */
export const unexplainedEnds = 2;

/**
 * How long until a cause's evidence can be seen after the first reset: the time its thresholds need to fill, which is
 * two scrapes, or for seconds of stalling the whole threshold.
 */
export function evidenceNeedsSeconds({ explainsWhen, evidence, thresholds }: Cause, scrapeSeconds: number): number {
  const needs = leaves(explainsWhen ?? evidence).map((leaf) => {
    const threshold = thresholds[leaf.threshold];
    const stalling = leaf.form === "increase" && leaf.of.metric.endsWith("_seconds_total");
    return stalling ? (threshold?.value ?? 0) : 0;
  });
  return Math.max(...needs) + 2 * scrapeSeconds;
}
