/** A diagnosis put together: the window's observations replayed, the exporter's samples and the host as it is now beside them. */
import type { PeersOptions } from "../connections/peers.ts";
import { checklist } from "../diagnosis/checklist.ts";
import type { DiagnosisSnapshot } from "../diagnosis/verdict.ts";
import type { ChecklistReport, EvidenceLine } from "../model/checklist.ts";
import type { Sample } from "../model/metric.ts";
import { type Between, BetweenSeen } from "./between.ts";
import type { KnownPeer } from "./known-peers.ts";
import type { HostFacts } from "./live.ts";
import type { Observation } from "./observation.ts";
import { type OutsideLook, type OutsideReport, outsideReport, ProbesInLog } from "./probe-results.ts";
import type { SourceRead } from "./read-window.ts";
import { Replay, replaySaved, together } from "./replay.ts";
import type { TimeWindow } from "./time-window.ts";

/** All that a diagnosis rests on: what a bundle holds. */
export interface Material {
  readonly window: TimeWindow;
  readonly observations: AsyncIterable<readonly Observation[]>;
  /** Who had logged in before the window. */
  readonly known: () => Promise<readonly KnownPeer[]>;
  readonly peers: PeersOptions;
  /** Whether the kernel's lines are read. */
  readonly kernelRead: boolean;
  /** Inode of the host's network namespace: the kernel tells of the connection tables of all, containers' too. */
  readonly netNamespace?: number;
  /** Of the exporter's last hour. */
  readonly saved?: DiagnosisSnapshot;
  /** To be asked when the observations have ended. */
  readonly rest: () => Promise<Rest>;
}

export interface Rest {
  readonly sources: readonly SourceRead[];
  /** What collectors read now; only whether they can read where the window does not end now. */
  readonly live: readonly Sample[];
  readonly host?: HostFacts;
  /** Records of sshd, systemd and the kernel that no pattern knew. */
  readonly unmatched: number;
  readonly notes: readonly string[];
}

export interface Diagnosed extends Omit<Rest, "live"> {
  readonly report: ChecklistReport;
  readonly peer?: string;
  readonly knownPeers: number;
  /** Of resets that sshd logged. */
  readonly lines: readonly EvidenceLine[];
  /** What clouds, proxies and balancers had to do with it. */
  readonly between?: Between;
  /** What probes saw, held against the report. */
  readonly outside?: OutsideReport;
}

export interface Asked {
  readonly peer?: string | undefined;
  readonly probes?: readonly OutsideLook[] | undefined;
}

export async function diagnoseFrom(material: Material, { peer, probes = [] }: Asked = {}): Promise<Diagnosed> {
  const { window, observations, peers, kernelRead, netNamespace, saved } = material;
  const known = await material.known();
  const replay = new Replay({
    window,
    peers,
    known,
    kernelRead,
    ...(netNamespace !== undefined && { netNamespace }),
    ...(peer !== undefined && { peer }),
  });
  const log = new ProbesInLog(probes);
  const seenBetween = new BetweenSeen(window, peer);
  for await (const batch of observations) {
    for (const observation of batch) {
      replay.take(observation);
      log.take(observation);
      seenBetween.take(observation);
    }
  }
  const { live, ...rest } = await material.rest();
  const { seen, ends, symptom, lines } = replay.end(rest.sources, live);
  // The exporter's samples are of all peers.
  const both = saved === undefined || peer !== undefined ? seen : together(seen, replaySaved(saved, window));
  const { fromMs, toMs } = window;
  const between = seenBetween.told((address, timeMs) => replay.classify(address, timeMs), live, saved);
  const report = checklist({ fromMs, toMs, seen: both, symptom, ends });
  return {
    ...rest,
    report,
    ...(between && { between }),
    ...(probes.length > 0 && { outside: outsideReport(probes, { window, report, log, saved }) }),
    ...(peer !== undefined && { peer }),
    knownPeers: ends.knownPeers,
    lines,
  };
}

export type DiagnosisExit = 0 | 1 | 2;

/** 0: nothing found, 1: a cause, or resets that come from outside; 2: could not look. */
export function exitCode({ report }: Diagnosed): DiagnosisExit {
  const codes = { nothing: 0, cause: 1, outside: 0, blind: 2 } as const;
  return codes[report.conclusion.verdict];
}
