/**
 * Mocha reporter for tools/test.ts: names failures as they happen and each file's progress on a terminal, and writes
 * the counts to RESULT_FILE (JSON). Source: mocha's Runner events, https://mochajs.org/api/runner.
 */
import { writeFileSync } from "node:fs";
import mocha from "mocha";

export interface Counts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

class Reporter extends mocha.reporters.Base {
  constructor(runner: Mocha.Runner, options: Mocha.MochaOptions) {
    super(runner, options);
    const { EVENT_TEST_PASS, EVENT_TEST_FAIL, EVENT_SUITE_BEGIN, EVENT_RUN_END } = mocha.Runner.constants;
    const terminal = process.stderr.isTTY;
    process.once("SIGTERM", () => {
      console.log(`  FAILED out of time in: ${runner.test?.fullTitle() ?? "a hook"}`);
      process.exit(124);
    });
    runner.on(EVENT_SUITE_BEGIN, (suite: Mocha.Suite) => {
      if (terminal && suite.parent?.root) process.stderr.write(`\r\u001b[K  ${suite.title}`);
    });
    runner.on(EVENT_TEST_PASS, (test: Mocha.Test) => {
      if ((test.duration ?? 0) > 5000) console.log(`  slow: ${test.fullTitle()} ${test.duration} ms`);
    });
    runner.on(EVENT_TEST_FAIL, (test: Mocha.Test, error: Error) => {
      console.log(`  FAILED ${test.fullTitle()}\n    ${error.message.split("\n")[0]}`);
    });
    runner.on(EVENT_RUN_END, () => {
      if (terminal) process.stderr.write("\r\u001b[K");
      if (this.failures.length > 0) mocha.reporters.Base.list(this.failures);
      const counts: Counts = { passed: this.stats.passes, failed: this.stats.failures, skipped: this.stats.pending };
      const file = process.env["RESULT_FILE"];
      if (file !== undefined) writeFileSync(file, JSON.stringify(counts));
    });
  }
}

// Mocha takes a reporter by its module's default.
// biome-ignore lint/style/noDefaultExport: the interface of mocha
export default Reporter;
