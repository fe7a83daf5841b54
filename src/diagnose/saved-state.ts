/**
 * What an exporter on this host has kept: its hour of samples and the peers that it knows. Read only: a file that is
 * damaged or not ours is as good as none, and stays as it is.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Diagnosis, type DiagnosisSnapshot } from "../diagnosis/verdict.ts";
import { list, object, text, time, tuple } from "../model/saved.ts";
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

/** What is read of them here (src/connections/known-peers.ts): peer, last login, last end, last reset. */
const countsShape = object({
  ledger: object({ peers: object({ known: list(tuple(text, time, time, time), 100_000) }) }),
});

export function savedState(directory: string): SavedState {
  try {
    const samples = checked(read(join(directory, samplesFile)));
    const { ledger } = countsShape(read(join(directory, countsFile)), "counts");
    const known = ledger.peers.known.map(([peer, timeMs]) => ({ address: peer.replace(/\/\d+$/, ""), timeMs }));
    return { samples, known };
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

/** Throws, naming the place, on anything that a Diagnosis did not write. */
export function checked(saved: unknown): DiagnosisSnapshot {
  new Diagnosis().restore(saved);
  return saved as DiagnosisSnapshot;
}
