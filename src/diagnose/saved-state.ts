/**
 * What an exporter on this host has kept: its hour of samples and the peers that it knows. Read only: a file that is
 * damaged or not ours is as good as none, and stays as it is.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { DiagnosisSnapshot } from "../diagnosis/verdict.ts";
import type { KnownPeer } from "./known-peers.ts";

export interface SavedState {
  readonly samples?: DiagnosisSnapshot;
  readonly known?: readonly KnownPeer[];
  /** Why there is nothing: `permission denied`, `not there`. */
  readonly reason?: string;
}

/** The files of src/exporter/exporter.ts. */
const samplesFile = "samples.json";
const countsFile = "counts.json";

export function savedState(directory: string): SavedState {
  try {
    const samples = read(join(directory, samplesFile)) as DiagnosisSnapshot;
    const counts = read(join(directory, countsFile)) as { ledger: { peers: { known: unknown } } };
    return { samples: checked(samples), known: knownPeers(counts.ledger.peers.known) };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") return { reason: `no exporter has kept samples in ${directory}` };
    if (code === "EACCES") return { reason: `${directory}: permission denied` };
    return { reason: `${directory}: ${(error as Error).message}` };
  }
}

function read(path: string): unknown {
  const { data } = JSON.parse(readFileSync(path, "utf8")) as { data: unknown };
  return data;
}

/** Throws on anything that a History did not write. */
export function checked(saved: DiagnosisSnapshot): DiagnosisSnapshot {
  const { times, series } = saved.history;
  if (!Array.isArray(times) || times.length > 10_000 || !times.every(Number.isFinite))
    throw new Error("samples: bad times");
  for (const { metric, labels, runs } of series) {
    const total = runs.reduce((sum, [, count]) => sum + count, 0);
    if (typeof metric !== "string" || typeof labels !== "object" || total !== times.length)
      throw new Error(`samples: bad series ${JSON.stringify(metric).slice(0, 80)}`);
  }
  return saved;
}

function knownPeers(rows: unknown): readonly KnownPeer[] {
  return (rows as [string, number][]).map(([peer, timeMs]) => ({ address: peer.replace(/\/\d+$/, ""), timeMs }));
}
