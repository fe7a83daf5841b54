/** What a bench gives: rows of the table in docs/benchmarks.md. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface Row {
  readonly work: string;
  readonly must: string;
  readonly aim: string;
  readonly measured: string;
}

/** `say` tells what is going on; the folder is gone afterwards. */
export type Bench = (folder: string, say: (text: string) => void) => Promise<readonly Row[]>;

export async function inFolder<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), "bench-"));
  try {
    return await work(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** A B A B: both take turns, so that a busy machine is busy for both. */
export async function inTurns<A, B>(
  rounds: number,
  a: () => Promise<A>,
  b: () => Promise<B>,
): Promise<{ readonly a: readonly A[]; readonly b: readonly B[] }> {
  const results: { a: A[]; b: B[] } = { a: [], b: [] };
  for (let round = 0; round < rounds; round++) {
    results.a.push(await a());
    results.b.push(await b());
  }
  return results;
}

export const ratio = (value: number): string => value.toFixed(value < 0.1 ? 3 : 2);
