/** The shipped files through the tools of the oldest and the newest Prometheus and Alertmanager that apt can give. */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { catalogue } from "../../src/diagnosis/catalogue.ts";
import { ruleGroups } from "../../src/kit/rules.ts";
import { defaultSettings } from "../../src/kit/settings.ts";
import { debianOr, type Tool } from "../../tools/debian.ts";
import { rulesFile, run, runTests, stepSeconds } from "./promtool.ts";
import { faults, knownPeersReset } from "./scenarios.ts";
import { SimulatedHost } from "./simulated-host.ts";

const config = "alerts/alertmanager.yml";
const golden = "test/alerts/golden";

for (const suite of ["machine", "sid"] as const) {
  describe(`the tools of ${suite}`, () => {
    it("accept the rules, duplicates being fatal", async function () {
      const promtool = await debianOr(this, "promtool", suite);
      const { code, output } = await run(promtool, [
        "check",
        "rules",
        "--lint=duplicate-rules",
        "--lint-fatal",
        rulesFile,
      ]);
      expect(code, output).to.equal(0);
      const count = ruleGroups(defaultSettings).reduce((sum, { rules }) => sum + rules.length, 0);
      expect(output).to.include(`${count} rules found`);
    });

    it("accept a fleet's own kit: selector, thresholds, another place for runbooks", async function () {
      const promtool = await debianOr(this, "promtool", suite);
      const folder = await mkdtemp(join(tmpdir(), "ssh-reset-kit-"));
      try {
        const thresholds = join(folder, "thresholds.yml");
        await writeFile(thresholds, "conntrack_full: { entries: 0.7 }\npeer_reset: { peers: 5.5 }\n");
        const args = ["--import=tsx", "src/kit/main.ts", "--out", folder, "--selector", 'job="ssh",env=~"prod|stage"'];
        const node: Tool = { path: process.execPath, env: process.env, root: "" };
        const made = await run(node, [
          ...args,
          "--thresholds",
          thresholds,
          "--runbook-base",
          "https://wiki.example.org/ssh",
        ]);
        expect(made.code, made.output).to.equal(0);
        const file = join(folder, "alerts/ssh-reset-exporter.rules.yml");
        const { code, output } = await run(promtool, [
          "check",
          "rules",
          "--lint=duplicate-rules",
          "--lint-fatal",
          file,
        ]);
        expect(code, output).to.equal(0);
        const text = await readFile(file, "utf8");
        expect(text).to.include('sshreset_conntrack_entries{job="ssh",env=~"prod|stage"}').and.to.include("> 0.7");
        expect(text).to.include("https://wiki.example.org/ssh/SshdCrashed.md");
        expect(text).to.not.match(/sshreset_\w+(_total|_up|_bytes)(?!\w)(?![:{])/);
      } finally {
        await rm(folder, { recursive: true, force: true });
      }
    });

    it("accept the Alertmanager configuration with its templates", async function () {
      const amtool = await debianOr(this, "amtool", suite);
      const { code, output } = await run(amtool, ["check-config", config]);
      expect(code, output).to.equal(0);
      expect(output).to.match(/1 templates/);
    });

    it("route by severity and cause", async function () {
      const amtool = await debianOr(this, "amtool", suite);
      for (const { alert, id, severity } of catalogue) {
        const receiver = receiverOf(severity, id);
        const labels = [`alertname=${alert}`, `severity=${severity}`, `cause=${id}`, "job=ssh", "instance=a"];
        const { code, output } = await run(amtool, [
          "config",
          "routes",
          "test",
          `--config.file=${config}`,
          `--verify.receivers=${receiver}`,
          ...labels,
        ]);
        expect(code, `${id}: ${output}`).to.equal(0);
      }
    });

    for (const template of ["title", "text", "slack.text", "email.html"]) {
      it(`render ssh-reset.${template} as the golden page`, async function () {
        const amtool = await debianOr(this, "amtool", suite);
        const { code, output } = await run(amtool, [
          "template",
          "render",
          "--template.glob=alerts/templates/*.tmpl",
          `--template.text={{ template "ssh-reset.${template}" . }}`,
          `--template.data=${golden}/notification.json`,
        ]);
        expect(code, output).to.equal(0);
        await matches(`${golden}/${template}.golden`, output);
      });
    }
  });
}

function receiverOf(severity: string, id: string): string {
  if (severity === "info") return "ssh-reset-nobody";
  if (severity === "warning") return "ssh-reset-notify";
  const network = /^(?:mtu_blackhole|conntrack_full|middlebox_reset|proxy_protocol|cloud_limit|network_path)$/;
  return network.test(id) ? "ssh-reset-network" : "ssh-reset-page";
}

describe("the text of each page", () => {
  it("is the golden one: cause, numbers, what was not checked, and whether the fix is proven", async function () {
    const promtool = await debianOr(this, "promtool");
    this.timeout(120_000);
    const at = 600;
    const unseen = { metric: "cause_observable", labels: { cause: "middlebox_reset" }, at: 0, value: 0, until: 9e9 };
    const causes = [
      ...catalogue.map(({ id, alert }) => ({
        alert,
        changes: faults[id].changes(at),
        eval: at + faults[id].from + 15,
      })),
      { alert: "SshKnownPeersReset", changes: knownPeersReset(at, 4, "session"), eval: at + 195 },
    ];
    const tests = causes.map(({ alert, changes, eval: seconds }) => ({
      interval: `${stepSeconds}s`,
      input_series: new SimulatedHost([...changes, unseen]).inputSeries(seconds / stepSeconds + 2, stepSeconds, {
        job: "ssh",
        instance: "db1:10922",
      }),
      // Expected to be wrong: promtool then prints the whole alert.
      alert_rule_test: [{ eval_time: `${seconds}s`, alertname: alert, exp_alerts: [] }],
    }));
    const { output } = await runTests(promtool, tests);
    const pages = [...output.matchAll(/Labels:(\{.*?\})\s+Annotations:(\{.*\})/g)].map(
      ([, labels, annotations]) =>
        `${labels}\n${(annotations ?? "").replaceAll('", ', '",\n').replaceAll("\\n", "\n  ")}\n`,
    );
    expect(pages, output.slice(0, 2000)).to.have.length(causes.length);
    await matches(`${golden}/pages.golden`, pages.join("\n"));
  });
});

/** UPDATE_GOLDEN=1 writes the file anew: read the difference. */
async function matches(path: string, text: string): Promise<void> {
  if (process.env["UPDATE_GOLDEN"] === "1") await writeFile(path, text);
  expect(text).to.equal(await readFile(path, "utf8"));
}
