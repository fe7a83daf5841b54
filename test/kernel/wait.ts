/** Waits for a condition, never for a time. */
import { setTimeout as delay } from "node:timers/promises";

export async function waitFor(
  condition: () => boolean | Promise<boolean>,
  otherwise: () => string,
  deadlineMs = 10_000,
): Promise<void> {
  const end = Date.now() + deadlineMs;
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(otherwise());
    await delay(20);
  }
}
