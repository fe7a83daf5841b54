/**
 * Skips a check that cannot run here, never silently: the reason goes to the test run's summary (SKIPS_FILE, one
 * JSON line each, read by tools/test.ts), and with CI=true a skip is a failure.
 */
import { appendFileSync } from "node:fs";

export interface Skip {
  readonly title: string;
  readonly reason: string;
}

/** In a test or hook: `skip(this, "needs root")`. Throws in CI. */
export function skip(context: Mocha.Context, reason: string): never {
  const title = context.currentTest?.fullTitle() ?? context.test?.parent?.fullTitle() ?? "";
  if (process.env["CI"] === "true") throw new Error(`CI may not skip: ${reason}`);
  const file = process.env["SKIPS_FILE"];
  const line: Skip = { title, reason };
  if (file !== undefined) appendFileSync(file, `${JSON.stringify(line)}\n`);
  return context.skip();
}
