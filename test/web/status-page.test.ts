import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { expect } from "chai";
import type { Browser, Page } from "playwright-core";
import { cloudLimit } from "../../src/diagnosis/causes/cloud-limit.ts";
import { middleboxReset } from "../../src/diagnosis/causes/middlebox-reset.ts";
import { type Status, sparkline, statusPage } from "../../src/web/status-page.ts";
import { debianOr } from "../../tools/debian.ts";
import { launch, type Served, serve } from "./browser.ts";
import { type Scene, scene, scenes } from "./scenes.ts";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const links = { telemetryPath: "/metrics" };

describe("web/status-page", function () {
  this.timeout(60_000);
  const made = new Map<string, Scene>();
  before(async () => {
    for (const [name, make] of Object.entries(scenes)) made.set(name, await make());
  });
  const of = (name: string): Scene => {
    const found = made.get(name);
    if (found === undefined) throw new Error(`no scene ${name}`);
    return found;
  };
  const pageOf = ({ status, report }: Scene, more: Partial<Status> = {}): string =>
    statusPage({ ...status, ...more }, report, links);

  it("says of a healthy host what was judged and what was not", () => {
    const { conclusion } = of("healthy").report;
    expect(conclusion.verdict).to.equal("nothing");
    expect(conclusion.because).to.deep.equal([
      "16 of 18 causes judged, and clear.",
      `Not checked, so not excluded: ${middleboxReset.title}; ${cloudLimit.title}.`,
    ]);
    expect(pageOf(of("healthy"))).not.to.include("✗");
  });

  for (const [name, cause] of [
    ["crash", "sshd_crash"],
    ["throttling", "connection_throttling"],
    ["conntrack-full", "conntrack_full"],
  ] as const) {
    it(`names the cause of a recorded fault: ${name}`, () => {
      const { report } = of(name);
      expect([report.conclusion.verdict, report.conclusion.cause]).to.deep.equal(["cause", cause]);
      const found = report.steps.flatMap(({ causes }) => causes).find((each) => each.cause === cause);
      expect(found?.episodes).to.have.length.above(0);
      expect(found?.evidence).to.have.length.above(0);
      expect(pageOf(of(name))).to.include(`id="found-${cause}"`);
    });
  }

  it("shows what is quoted in a sentence as code", () => {
    expect(pageOf(of("conntrack-full"))).to.include("<li>Messages <code>table full</code> in 5 minutes: 24 (evidence:");
  });

  it("draws each cause's leading number of the last hour: a share as it was, counts by the minute", () => {
    const trendOf = (name: string, cause: string) =>
      of(name)
        .report.steps.flatMap(({ causes }) => causes)
        .find((each) => each.cause === cause)?.trend;
    const table = trendOf("conntrack-full", "conntrack_full");
    expect([table?.counts, table?.threshold, table?.values.length]).to.deep.equal([false, 0.85, 60]);
    expect(table?.values[0]).to.equal(null);
    expect(table?.values.at(-1)).to.equal(1);
    expect(table?.values).to.include(150_000 / 262_144);
    const stops = trendOf("crash", "sshd_crash");
    expect([stops?.counts, stops?.values.filter((value) => value === 1)]).to.deep.equal([true, [1]]);
  });

  it("shows no line, user or address unless lines are handed in", async () => {
    for (const name of ["throttling", "conntrack-full"]) {
      const page = pageOf(of(name)) + JSON.stringify(of(name).report);
      expect(page, name).not.to.match(/10\.77\.|labuser|Accepted|past Maxstartups from/);
    }
    expect(pageOf(await scene("c1-maxstartups", [], true))).to.match(/drop connection .* from \[10\.77\.1\.2\]/);
  });

  it("escapes whatever it shows", () => {
    const { report, status } = of("crash");
    const hostile = "<img src=x onerror=alert(1)>\"'&";
    const steps = report.steps.map((step) => ({
      ...step,
      title: hostile,
      causes: step.causes.map((cause) => ({
        ...cause,
        title: hostile,
        grant: hostile,
        lines: [{ timeMs: 0, speaker: hostile, text: hostile }],
        next: [{ run: hostile, shows: `\`${hostile}\`` }],
      })),
    }));
    const conclusion = { ...report.conclusion, sentence: hostile, because: [hostile] };
    const parts = [{ name: hostile, state: "failed" as const, note: hostile, grant: hostile }];
    const page = pageOf(
      { report: { ...report, steps, conclusion }, status },
      { host: hostile, version: hostile, sources: parts, collectors: parts },
    );
    expect(page).not.to.include("<img");
    expect(page.match(/onerror=alert/g)).to.have.length.above(10);
    expect(page.match(/"[^"<>]*onerror/g)).to.equal(null);
  });

  it("draws gaps where there were no samples, and says the numbers", () => {
    const svg = sparkline({ what: "logins", values: [null, 0, 2, null, 1], threshold: 0, counts: true });
    expect(svg).to.include('aria-label="logins, by the minute, last hour: from 0 to 2, now 1"');
    expect(svg.match(/M/g)).to.have.length(2);
    expect(sparkline({ what: "x", values: [null], threshold: 0, counts: true })).to.equal("");
  });

  describe("in headless Chromium", () => {
    let browser: Browser;
    let served: Served;
    before(async function () {
      browser = await launch(await debianOr(this, "chromium"));
    });
    after(() => browser?.close());
    beforeEach(async () => {
      served = await serve(of("healthy"));
    });
    afterEach(() => served.close());

    async function open(options: Parameters<Browser["newPage"]>[0] = {}): Promise<Page> {
      const page = await browser.newPage(options);
      await page.goto(served.url);
      return page;
    }

    for (const colorScheme of ["light", "dark"] as const) {
      it(`axe finds nothing, ${colorScheme}`, async () => {
        for (const name of Object.keys(scenes)) {
          served.show(of(name));
          // axe itself is no part of the page: the policy would keep it out.
          const page = await open({ colorScheme, bypassCSP: true });
          for (const summary of await page.locator("summary").all()) await summary.click();
          await page.evaluate(axe);
          const violations = await page.evaluate(
            "axe.run().then(({ violations }) => violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)]))",
          );
          expect(violations, name).to.deep.equal([]);
          await page.close();
        }
      });
    }

    it("asks nobody else for anything, and breaks none of its own policy", async () => {
      const page = await browser.newPage();
      const asked: string[] = [];
      const said: string[] = [];
      page.on("request", (request) => asked.push(request.url()));
      page.on("console", (message) => said.push(message.text()));
      page.on("pageerror", (error) => said.push(error.message));
      served.show(of("crash"));
      await page.goto(served.url);
      await page.waitForLoadState("networkidle");
      expect(asked.filter((url) => !url.endsWith("/favicon.ico")).sort()).to.deep.equal([
        served.url,
        `${served.url}refresh.js`,
        `${served.url}style.css`,
      ]);
      expect(said.filter((text) => !text.includes("404"))).to.deep.equal([]);
      await page.close();
    });

    it("shows what is new by itself, and keeps what is opened and focused", async () => {
      served.show(of("crash"));
      const page = await browser.newPage();
      await page.clock.install();
      await page.goto(served.url);
      await page.locator("#summary-sshd_crash").focus();
      await page.keyboard.press("Enter");
      served.show(
        (await scenes["crash"]?.().then(({ report, status }) => ({ report: { ...report, toMs: 0 }, status }))) as Scene,
      );
      await page.clock.runFor(16_000);
      await page.getByText("00:00:00 UTC").waitFor({ timeout: 5_000 });
      expect(await page.locator("#next-sshd_crash").getAttribute("open")).not.to.equal(null);
      expect(await page.evaluate("document.activeElement.id")).to.equal("summary-sshd_crash");
      served.show(of("healthy"));
      await page.clock.runFor(16_000);
      await page.getByText("No cause found, and no connection").waitFor({ timeout: 5_000 });
      expect(await page.title()).to.equal("Nothing found · web1 · ssh-reset-exporter");
      await page.close();
    });

    it("says so when the exporter is gone", async () => {
      const page = await browser.newPage();
      await page.clock.install();
      await page.goto(served.url);
      await served.close();
      await page.clock.runFor(16_000);
      await page.getByText("The exporter does not answer").waitFor({ timeout: 5_000 });
      await page.close();
    });

    it("reads the same without its script", async () => {
      served.show(of("conntrack-full"));
      const page = await open({ javaScriptEnabled: false });
      expect(await page.locator(".sentence").textContent()).to.equal("The connection-tracking table is full.");
      expect(await page.locator("noscript").isVisible()).to.equal(true);
      await page.close();
    });

    it("fits a narrow screen", async () => {
      served.show(of("crash"));
      const page = await open({ viewport: { width: 360, height: 700 } });
      expect(await page.evaluate("document.documentElement.scrollWidth")).to.be.at.most(360);
      await page.close();
    });
  });
});
