/** What users build on changes only with a word in CHANGELOG.md: held against the list of the last release. */
import { readFileSync } from "node:fs";
import { expect } from "chai";
import { type Interface, publicInterface } from "../../src/kit/compatibility.ts";
import { changes, leastStep, since, stepBetween, unnamed } from "../../src/kit/compatibility-changes.ts";
import { objections, releases } from "../../src/kit/release.ts";

const changelog = readFileSync("CHANGELOG.md", "utf8");

describe("the public interface", () => {
  const [last] = releases();

  it("has the list of a release to be held against", () => {
    expect(last?.version).to.match(/^\d+\.\d+\.\d+$/);
  });

  it("differs from the last release only in what CHANGELOG.md names", () => {
    if (last === undefined) return;
    const missing = unnamed(changes(last.list, publicInterface()), since(changelog, last.version));
    expect(missing.map(({ name, what }) => `${name} ${what}: say so in CHANGELOG.md, with \`${name}\``)).to.deep.equal(
      [],
    );
  });

  it("holds what a page of the exporter, its help and its rules show", () => {
    const { metrics, options, commands, alerts, records, pages, dashboards } = publicInterface();
    expect(metrics["sshreset_connections_ended_total"]?.labels["phase"]).to.include("kex");
    expect(metrics["sshreset_peer_resets_received_total"]).to.deep.include({ type: "counter" });
    expect(options["web.listen-address"]).to.deep.equal({ type: "texts", default: [":10922"] });
    expect(options).to.have.property("collector.conntrack");
    expect(commands["audit"]?.exits[3]).to.include("cannot tell");
    expect(alerts["SshdCrashed"]?.labels).to.deep.equal({ severity: "critical", cause: "sshd_crash", step: "1" });
    expect(records).to.have.property("instance:sshreset_cause_evidence:bool");
    expect(Object.keys(pages)).to.include("/metrics");
    expect(dashboards).to.have.property("ssh-reset-host");
  });
});

describe("kit/compatibility-changes", () => {
  const now = publicInterface();
  const edited = (edit: (list: Draft) => void): Interface => {
    const draft = structuredClone(now) as unknown as Draft;
    edit(draft);
    return draft as unknown as Interface;
  };
  const name = "sshreset_connections_ended_total";

  const cases: readonly [string, (list: Draft) => void, readonly string[], boolean][] = [
    ["nothing", () => {}, [], false],
    [
      "a metric renamed",
      ({ metrics }) => {
        metrics["sshreset_ends_total"] = metrics[name];
        delete metrics[name];
      },
      [`${name} is gone`, "sshreset_ends_total is new"],
      true,
    ],
    [
      "another type",
      ({ metrics }) => set(metrics[name], "type", "gauge"),
      [`${name} type: "counter" became "gauge"`],
      true,
    ],
    ["a label more", ({ metrics }) => set(metrics[name].labels, "port", []), [`${name} labels port is new`], true],
    ["a label less", ({ metrics }) => delete metrics[name].labels.phase, [`${name} labels phase is gone`], true],
    [
      "a value more",
      ({ metrics }) => metrics[name].labels.phase.push("rekey"),
      [`${name} labels phase: rekey is new`],
      false,
    ],
    [
      "a value less",
      ({ metrics }) => metrics[name].labels.phase.shift(),
      [`${name} labels phase: connect is gone`],
      true,
    ],
    ["a flag gone", ({ options }) => delete options["sshd.port"], ["--sshd.port is gone"], true],
    [
      "another default",
      ({ options }) => set(options["peers.show"], "default", "all"),
      ['--peers.show default: "known" became "all"'],
      true,
    ],
    ["an exit code gone", ({ commands }) => delete commands["check"].exits[1], ["check exits 1 is gone"], true],
    [
      "another label of an alert",
      ({ alerts }) => set(alerts["SshdDown"].labels, "severity", "info"),
      ['SshdDown labels severity: "critical" became "info"'],
      true,
    ],
    ["an alert more", ({ alerts }) => set(alerts, "SshdTired", {}), ["SshdTired is new"], false],
    ["a page gone", ({ pages }) => delete pages["/-/ready"], ["/-/ready is gone"], true],
  ];
  for (const [title, edit, wanted, breaks] of cases) {
    it(`sees ${title}`, () => {
      const found = changes(now, edited(edit));
      expect(found.map((change) => `${change.name} ${change.what}`)).to.have.members([...wanted]);
      expect(found.some((change) => change.breaks)).to.equal(breaks);
      expect(leastStep(found, "1.2.3")).to.equal(breaks ? "major" : wanted.length > 0 ? "minor" : "patch");
    });
  }

  it("wants each difference named above the heading of the last release", () => {
    const found = changes(
      now,
      edited(({ options }) => delete options["sshd.port"]),
    );
    const text = (above: string, below: string): string =>
      `# Changelog\n\n## Unreleased\n\n${above}\n\n## 1.0.0 (2026-12-01)\n\n${below}\n`;
    expect(unnamed(found, since(text("- `--sshd.port` is gone.", ""), "1.0.0"))).to.have.length(0);
    expect(unnamed(found, since(text("- `--sshd.port=22` is gone.", ""), "1.0.0"))).to.have.length(0);
    expect(unnamed(found, since(text("- --sshd.port is gone.", ""), "1.0.0"))).to.have.length(1);
    expect(unnamed(found, since(text("", "- `--sshd.port` is new."), "1.0.0"))).to.have.length(1);
  });

  it("knows the step between two versions", () => {
    expect(stepBetween("1.2.3", "1.2.4")).to.equal("patch");
    expect(stepBetween("1.2.3", "1.3.0")).to.equal("minor");
    expect(stepBetween("1.9.3", "2.0.0-rc.1")).to.equal("major");
    expect([stepBetween("1.2.3", "1.2.3"), stepBetween("1.10.0", "1.9.0")]).to.deep.equal([undefined, undefined]);
  });

  it("objects to a release whose step is too small or whose changelog is silent", () => {
    const last = { version: "1.0.0", list: now };
    const list = edited(({ pages }) => delete pages["/-/ready"]);
    const named = "## 2.0.0\n\n- `/-/ready` is gone.\n\n## 1.0.0\n";
    expect(objections(list, last, "2.0.0", named)).to.deep.equal([]);
    expect(objections(list, last, "1.1.0", named)).to.deep.equal([
      "1.1.0 is not the major step after 1.0.0 that is due: /-/ready is gone",
    ]);
    expect(objections(list, last, "2.0.0", "## 1.0.0\n")).to.deep.equal([
      "CHANGELOG.md does not name `/-/ready` since 1.0.0: is gone",
    ]);
    expect(objections(now, last, "1.0.0", "")).to.deep.equal(["1.0.0 is not the patch step after 1.0.0 that is due"]);
  });
});

// biome-ignore lint/suspicious/noExplicitAny: edited as somebody might, without regard to its type.
type Draft = Record<keyof Interface, Record<string, any>>;

function set(object: Record<string, unknown>, key: string, value: unknown): void {
  object[key] = value;
}
