/** Every query as a recording rule through promtool: Prometheus' own parser and its types, the oldest and the newest. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { stringify } from "yaml";
import { debianOr } from "../../../tools/debian.ts";
import { run } from "../../alerts/promtool.ts";
import { everyHost, expressions, substituted } from "./expressions.ts";

describe("the queries of the dashboards, read by promtool", () => {
  for (const suite of ["bookworm", "sid"] as const) {
    it(`are PromQL, types included (${suite})`, async function () {
      const promtool = await debianOr(this, "promtool", suite);
      const folder = await mkdtemp(join(tmpdir(), "dashboard-queries-"));
      try {
        const check = async (exprs: readonly string[]) => {
          const rules = exprs.map((expr, index) => ({ record: `dashboard:query:${index}`, expr }));
          await writeFile(join(folder, "rules.yml"), stringify({ groups: [{ name: "dashboards", rules }] }));
          return run(promtool, ["check", "rules", "--lint=none", join(folder, "rules.yml")]);
        };
        const { code, output } = await check(expressions.map(({ expr }) => substituted(expr, everyHost)));
        expect(code, output).to.equal(0);
        expect(output).to.include(`${expressions.length} rules found`);
        const wrongType = await check(["rate(sshreset_sshd_up)"]);
        expect(wrongType.code).to.equal(1);
        expect(wrongType.output).to.include("expected type range vector");
      } finally {
        await rm(folder, { recursive: true, force: true });
      }
    });
  }
});
