/** The few figures that a bench tells of its runs. */

export function median(values: readonly number[]): number {
  return percentile(values, 0.5);
}

/** By nearest rank; NaN for nothing. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}
