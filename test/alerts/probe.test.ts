/** Alerts on probe results, by promtool over the shipped rules: what pages, what does not, and who is blamed. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { stringify } from "yaml";
import { probeRules } from "../../src/kit/probe-rules.ts";
import { defaultSettings } from "../../src/kit/settings.ts";
import { debianOr, type Tool } from "../../tools/debian.ts";
import { runTests } from "./promtool.ts";

interface Series {
  readonly series: string;
  readonly values: string;
}

/** Forty probes, 15 s each; the failure of all of them. */
const probe = (instance: string, phase: string, reason: string, success = "0+0x40"): Series[] => [
  { series: `probe_success{job="ssh-probe",instance="${instance}"}`, values: success },
  {
    series: `sshreset_probe_failure{job="ssh-probe",instance="${instance}",phase="${phase}",reason="${reason}"}`,
    values: success
      .split(" ")
      .map((part) => (part.startsWith("0") ? part.replace("0", "1") : part.replace("1", "0")))
      .join(" "),
  },
];

interface HostSees {
  readonly up?: string;
  readonly trace?: string | null;
  readonly sent?: string;
  readonly dropped?: string;
  readonly refused?: string;
}

const host = (instance: string, { up, trace, sent, dropped, refused }: HostSees = {}): Series[] =>
  (
    [
      ["sshreset_sshd_up", "", up ?? "1+0x40"],
      ["sshreset_source_up", ',source="tcp_trace"', trace === undefined ? "1+0x40" : trace],
      ["sshreset_tcp_resets_sent_total", ',reason="no_socket"', sent ?? "0+0x40"],
      ["sshreset_connections_dropped_total", ',limit="max_startups"', dropped ?? "0+0x40"],
      ["sshreset_tcp_wrappers_refusals_total", "", refused ?? "0+0x40"],
    ] as const
  ).flatMap(([metric, labels, values]) =>
    values === null ? [] : [{ series: `${metric}{job="ssh",instance="${instance}"${labels}}`, values }],
  );

const target = "bastion.example.com:22";
const exporter = "bastion.example.com:10922";
const failed = (phase: string, reason: string, instance = target): string =>
  `SshResetProbeFailed ${instance} ${phase} ${reason}`;
const blamed = (phase: string, instance = target): string => `SshResetProbeBlamesPath ${instance} ${phase} reset`;

const cases: readonly { title: string; series: readonly Series[]; fires: readonly string[] }[] = [
  {
    title: "tells phase and reason of a target that fails for three minutes",
    series: probe(target, "kex_reply", "timeout"),
    fires: [failed("kex_reply", "timeout")],
  },
  {
    title: "says nothing of a target that answers now and then",
    series: probe(target, "banner", "reset", "0+0x8 1 0+0x30"),
    fires: [],
  },
  { title: "says nothing of a target that works", series: probe(target, "banner", "reset", "1+0x40"), fires: [] },
  {
    title: "says nothing of another prober's targets",
    series: [{ series: `probe_success{job="blackbox",instance="${target}"}`, values: "0+0x40" }],
    fires: [],
  },
  {
    title: "blames the path when the host sent no reset",
    series: [...probe(target, "kex_init", "reset"), ...host(exporter)],
    fires: [blamed("kex_init")],
  },
  {
    title: "joins IPv6 addresses and names without a port",
    series: [
      ...probe("[2001:db8::1]:22", "banner", "reset"),
      ...host("[2001:db8::1]:10922"),
      ...probe("db2", "banner", "reset"),
      ...host("db2:10922"),
    ],
    fires: [blamed("banner", "[2001:db8::1]:22"), blamed("banner", "db2")],
  },
  {
    title: "blames nobody where the host is another one",
    series: [...probe(target, "kex_init", "reset"), ...host("bastion.example.org:10922"), ...host("[2001:db8::1]:22")],
    fires: [failed("kex_init", "reset")],
  },
  ...(
    [
      ["sent a reset", { sent: "0+0x10 1+0x30" }],
      ["dropped connections", { dropped: "0+0x10 1+0x30" }],
      ["refused by TCP wrappers", { refused: "0+0x10 1+0x30" }],
      ["did not listen for a moment", { up: "1+0x10 0 1+0x30" }],
      ["cannot read its kernel's reset events", { trace: "0+0x40" }],
      ["has no source of reset events", { trace: null }],
    ] as const
  ).map(([title, sees]) => ({
    title: `does not blame the path when the host ${title}`,
    series: [...probe(target, "kex_init", "reset"), ...host(exporter, sees)],
    fires: [failed("kex_init", "reset")],
  })),
  ...(["refused", "timeout"] as const).map((reason) => ({
    title: `does not blame the path for ${reason} in connect`,
    series: [...probe(target, "connect", reason), ...host(exporter)],
    fires: [failed("connect", reason)],
  })),
];

describe("the alerts on probe results", () => {
  // 15 rounds of 15 s: what happened at the tenth is still within every window.
  const evalTime = "225s";

  for (const { title, series, fires } of cases) {
    it(title, async function () {
      const promtool = await debianOr(this, "promtool");
      expect(await firing(promtool, series)).to.deep.equal([...fires].sort());
    });
  }

  it("follow the selectors of the kit", async function () {
    const promtool = await debianOr(this, "promtool");
    const folder = await mkdtemp(join(tmpdir(), "ssh-reset-probe-"));
    try {
      const rules = join(folder, "rules.yml");
      const settings = { ...defaultSettings, matchers: 'job="ssh"', probeMatchers: 'job="ssh-probe"' };
      await writeFile(rules, stringify({ groups: [{ name: "probe", rules: probeRules(settings) }] }));
      const series = [...probe(target, "banner", "reset"), ...host(exporter)];
      const others = series.map((each) => ({ ...each, series: each.series.replace(/job="[^"]+"/, 'job="other"') }));
      expect(await firing(promtool, series, rules)).to.deep.equal([blamed("banner")]);
      expect(await firing(promtool, others, rules)).to.deep.equal([]);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it("say on the page what the failure means, and that sshd said it itself", async function () {
    const promtool = await debianOr(this, "promtool");
    const throttled = { series: `sshreset_probe_throttled{job="ssh-probe",instance="${target}"}`, values: "1+0x40" };
    const { output } = await runTests(promtool, [
      {
        interval: "15s",
        input_series: [...probe(target, "banner", "closed"), throttled],
        alert_rule_test: [{ eval_time: evalTime, alertname: "SshResetProbeFailed", exp_alerts: [] }],
      },
    ]);
    expect(output)
      .to.include(
        "now with closed in banner. Connected, then closed before the banner without a word. sshd said itself",
      )
      .and.to.include(`1. ssh-reset-exporter probe ${target}`);
  });

  async function firing(promtool: Tool, series: readonly Series[], rules?: string): Promise<string[]> {
    const wrong = { expr: 'ALERTS{alertstate="firing",cause=~"probe_.*"} or vector(0)', eval_time: evalTime };
    const test = {
      interval: "15s",
      input_series: series,
      // Expected to be wrong: promtool then prints what it got.
      promql_expr_test: [{ ...wrong, exp_samples: [{ labels: '{never="true"}', value: 1 }] }],
    };
    const { output } = await runTests(promtool, [test], rules);
    const got = /got: (.*)/.exec(output)?.[1] ?? expect.fail(output);
    const label = (labels: string, name: string): string => new RegExp(`\\b${name}="([^"]*)"`).exec(labels)?.[1] ?? "";
    return [...got.matchAll(/__name__="ALERTS"([^}]*)/g)]
      .map(([, labels = ""]) =>
        ["alertname", "instance", "phase", "reason"].map((name) => label(labels, name)).join(" "),
      )
      .sort();
  }
});
