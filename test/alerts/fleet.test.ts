/**
 * The fleet's rules by promtool, over the shipped files: which networks, balancers and versions are blamed for what their
 * hosts show, when, and which are not. Hosts have only the series that matter here.
 */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { fleetAlerts } from "../../src/kit/fleet.ts";
import { defaultSettings } from "../../src/kit/settings.ts";
import { debianOr, type Tool } from "../../tools/debian.ts";
import { fleetRulesFile, rulesFile, run, runTests, stepSeconds } from "./promtool.ts";

type Labels = Readonly<Record<string, string>>;
interface Host {
  readonly labels?: Labels;
  /** Known peers active within the hour. */
  readonly active?: number;
  /** From when on (seconds) four known peers have been reset, for `lasts` seconds. */
  readonly loses?: number;
  readonly lasts?: number;
  /** Where they were; in the middle of a session if not said. */
  readonly phase?: string;
  /** When sshd crashed. */
  readonly crashes?: number;
  /** When sessions that came through a proxy are cut, and how many. */
  readonly proxied?: readonly [number, number];
  readonly kernel?: string;
  readonly sshd?: string;
  /** From when on the exporter does not answer. */
  readonly down?: number;
  /** From when on it is gone with its target. */
  readonly gone?: number;
  /** From when on these of its two sources do not read. */
  readonly unread?: number;
  readonly unreadSources?: readonly string[];
}

const at = 300;

const hosts = (count: number, host: Host): Host[] => Array.from({ length: count }, () => host);
const n1: Labels = { cluster: "c1", network: "n1" };
const behind = (load_balancer: string, labels = n1): Labels => ({ ...labels, load_balancer });

interface Case {
  readonly title: string;
  readonly hosts: readonly Host[];
  /** Seconds, and `alert place` of what fires then. */
  readonly fires: readonly (readonly [number, readonly string[]])[];
}

const networkLost = "SshFleetNetworkLosesPeers c1/n1";
const never = [
  [at + 75, []],
  [at + 300, []],
] as const;

const cases: readonly Case[] = [
  {
    title: "blames a network where many hosts lose known peers at once, and for as long as their alerts last",
    hosts: [...hosts(4, { labels: n1, loses: at, lasts: 600 }), ...hosts(20, { labels: n1 })],
    fires: [
      [at - 15, []],
      [at + 75, [networkLost]],
      [at + 600 + 840, [networkLost]],
      [at + 600 + 960, []],
    ],
  },
  {
    title: "does not blame it for two hosts",
    hosts: [...hosts(2, { labels: n1, loses: at }), ...hosts(6, { labels: n1 })],
    fires: never,
  },
  {
    title: "does not blame it for less than a tenth of its hosts",
    hosts: [...hosts(4, { labels: n1, loses: at }), ...hosts(40, { labels: n1 })],
    fires: never,
  },
  {
    title: "leaves out of the tenth the hosts that nobody uses",
    hosts: [...hosts(4, { labels: n1, loses: at }), ...hosts(40, { labels: n1, active: 0 })],
    fires: [[at + 75, [networkLost]]],
  },
  {
    title: "does not add up hosts of different networks, nor of the same name in another cluster",
    hosts: [
      ...hosts(2, { labels: n1, loses: at }),
      ...hosts(2, { labels: { ...n1, network: "n2" }, loses: at }),
      ...hosts(2, { labels: { ...n1, cluster: "c2" }, loses: at }),
    ],
    fires: never,
  },
  {
    title: "judges a fleet that labels only networks, or only clusters",
    hosts: [
      ...hosts(3, { labels: { network: "n1" }, loses: at }),
      ...hosts(3, { labels: { cluster: "c7" }, loses: at }),
    ],
    fires: [[at + 75, ["SshFleetNetworkLosesPeers /n1", "SshFleetNetworkLosesPeers c7/"]]],
  },
  {
    title: "says nothing of hosts without labels, whatever they lose",
    hosts: hosts(12, { loses: at, down: at + 900 }),
    fires: [...never, [at + 1500, []]],
  },
  {
    title: "does not blame the network for what each host's own cause explains",
    hosts: hosts(6, { labels: n1, loses: at, phase: "kex", crashes: at - 15 }),
    fires: [[at + 75, []]],
  },
  {
    title: "blames a balancer when all hosts behind it lose peers and those beside it do not",
    hosts: [...hosts(5, { labels: behind("lb1"), loses: at, lasts: 600 }), ...hosts(10, { labels: n1 })],
    fires: [
      [at - 15, []],
      [at + 75, ["SshFleetBalancerLosesPeers c1/lb1"]],
      [at + 600 + 840, ["SshFleetBalancerLosesPeers c1/lb1"]],
      [at + 600 + 960, []],
    ],
  },
  {
    title: "blames a balancer that hides the peers for the sessions that it cuts",
    hosts: [...hosts(3, { labels: behind("lb1"), proxied: [at, 5] }), ...hosts(10, { labels: n1 })],
    fires: [[at + 75, ["SshFleetBalancerLosesPeers c1/lb1"]]],
  },
  {
    title: "does not blame a balancer for two sessions on each host, for one host, or for half of its hosts",
    hosts: [
      ...hosts(3, { labels: behind("lb1"), proxied: [at, 2] }),
      ...hosts(1, { labels: behind("lb2"), loses: at }),
      ...hosts(4, { labels: behind("lb3") }),
      ...hosts(4, { labels: behind("lb3"), proxied: [at, 5] }),
      ...hosts(20, { labels: n1 }),
    ],
    fires: never,
  },
  {
    title: "blames the network alone when hosts beside the balancer lose peers too",
    hosts: [...hosts(4, { labels: behind("lb1"), loses: at }), ...hosts(4, { labels: n1, loses: at + 15 })],
    fires: [
      [at + 90, [networkLost]],
      [at + 600, [networkLost]],
    ],
  },
  {
    title: "blames the network alone when two balancers fail at once",
    hosts: [...hosts(4, { labels: behind("lb1"), loses: at }), ...hosts(4, { labels: behind("lb2"), loses: at })],
    fires: [[at + 75, [networkLost]]],
  },
  {
    title: "blames a kernel that crashes sshd more often than the others do, and marks its hosts only",
    hosts: [
      ...hosts(4, { kernel: "6.12", crashes: at }),
      ...hosts(16, { kernel: "6.12" }),
      ...hosts(1, { kernel: "6.1", crashes: at }),
      ...hosts(60, { kernel: "6.1" }),
    ],
    fires: [
      [at - 15, []],
      [
        at + 30,
        ["SshFleetRolloutCrashes kernel 6.12", ...[0, 1, 2, 3].map((index) => `SshFleetRolloutHost host ${index}`)],
      ],
    ],
  },
  {
    title: "blames a release of sshd",
    hosts: [
      ...hosts(3, { sshd: "10.0p2", crashes: at, labels: n1 }),
      ...hosts(10, { sshd: "10.0p2", labels: n1 }),
      ...hosts(30, { sshd: "9.2p1", labels: n1 }),
    ],
    fires: [
      [
        at + 30,
        ["SshFleetRolloutCrashes sshd 10.0p2", ...[0, 1, 2].map((index) => `SshFleetRolloutHost host ${index}`)],
      ],
    ],
  },
  {
    title: "does not blame a version when the others crash as often",
    hosts: [
      ...hosts(4, { kernel: "6.12", crashes: at }),
      ...hosts(16, { kernel: "6.12" }),
      ...hosts(6, { kernel: "6.1", crashes: at }),
      ...hosts(54, { kernel: "6.1" }),
    ],
    fires: never,
  },
  {
    title: "does not blame the only version, nor one that has too few others to be compared with",
    hosts: [
      ...hosts(6, { kernel: "6.1", sshd: "9.2p1", crashes: at }),
      ...hosts(10, { kernel: "6.1", sshd: "9.2p1" }),
      ...hosts(2, { kernel: "6.12", sshd: "9.2p1" }),
    ],
    fires: never,
  },
  {
    title: "does not blame a version for two hosts, or for three of sixty-four",
    hosts: [
      ...hosts(2, { sshd: "10.0p2", crashes: at }),
      ...hosts(3, { kernel: "6.1", crashes: at }),
      ...hosts(61, { kernel: "6.1" }),
      ...hosts(70, { kernel: "5.10", sshd: "9.2p1" }),
    ],
    fires: never,
  },
  {
    title: "tells that a network is blind, after four minutes: exporters down, or no source that reads",
    hosts: [
      ...hosts(2, { labels: n1, down: at }),
      ...hosts(2, { labels: n1, unread: at }),
      ...hosts(20, { labels: n1 }),
    ],
    fires: [
      [at + 225, []],
      [at + 285, ["SshFleetBlind c1/n1"]],
    ],
  },
  {
    title: "does not call hosts blind that have one source left",
    hosts: [...hosts(6, { labels: n1, unread: at, unreadSources: ["kmsg"] }), ...hosts(6, { labels: n1 })],
    fires: [[at + 600, []]],
  },
  {
    title: "does not call a network blind for two hosts",
    hosts: [...hosts(2, { labels: n1, down: at }), ...hosts(6, { labels: n1 })],
    fires: [[at + 600, []]],
  },
  {
    title: "tells that nothing arrives from a network any more, for an hour",
    hosts: [...hosts(5, { labels: n1, gone: at }), ...hosts(5, { labels: { ...n1, network: "n2" } })],
    fires: [
      [at + 200, []],
      // Prometheus itself gives a series up after five minutes where nobody says that its target is gone.
      [at + 600, ["SshFleetBlind c1/n1"]],
    ],
  },
];

describe("the fleet's rules", () => {
  for (const { title, hosts: own, fires } of cases) {
    it(title, async function () {
      const promtool = await debianOr(this, "promtool");
      this.timeout(120_000);
      const got = await firing(
        promtool,
        own,
        fires.map(([seconds]) => seconds),
      );
      expect(got).to.deep.equal(fires.map(([seconds, alerts]) => [seconds, [...alerts].sort()]));
    });
  }

  it("say how many hosts, which, and by which cause; and when it is over, whether all are well", async function () {
    const promtool = await debianOr(this, "promtool");
    const lose = hosts(4, { labels: n1, loses: at, lasts: 300 });
    const test = testOf([...lose, ...hosts(8, { labels: n1 })], at + 900);
    const asked = [at + 90, at + 900].map((seconds) => ({
      eval_time: `${seconds}s`,
      alertname: "SshFleetNetworkLosesPeers",
      exp_alerts: [],
    }));
    const { output } = await runTests(promtool, [{ ...test, alert_rule_test: asked }], [rulesFile, fleetRulesFile]);
    expect(output).to.include(
      "4 of 12 hosts in network n1 of cluster c1 where SSH was used within the hour lose known peers",
    );
    expect(output).to.match(/Hosts:( h\d+){4}\./);
    expect(output).to.include("Not yet proven: 4 hosts still lose peers.");
    expect(output).to.include("Proven: none of its hosts lose peers any more.");
  });
});

describe("who is told of a fleet", () => {
  const receivers = {
    SshFleetNetworkLosesPeers: "ssh-reset-network",
    SshFleetBalancerLosesPeers: "ssh-reset-network",
    SshFleetRolloutCrashes: "ssh-reset-page",
    SshFleetRolloutHost: "ssh-reset-nobody",
    SshFleetBlind: "ssh-reset-notify",
  };

  it("is the people of the network, on-call, or a chat", async function () {
    const amtool = await debianOr(this, "amtool");
    const alerts = fleetAlerts(defaultSettings);
    expect(alerts.map(({ alert }) => alert).sort()).to.deep.equal(Object.keys(receivers).sort());
    for (const { alert, labels } of alerts) {
      const receiver = receivers[alert as keyof typeof receivers];
      const own = Object.entries(labels).map(([label, value]) => `${label}=${value}`);
      const test = ["config", "routes", "test", "--config.file=alerts/alertmanager.yml"];
      const { code, output } = await run(amtool, [
        ...test,
        `--verify.receivers=${receiver}`,
        `alertname=${alert}`,
        ...own,
        "cluster=c1",
      ]);
      expect(code, `${alert}: ${output}`).to.equal(0);
    }
  });

  it("reads the place in the title", async function () {
    const amtool = await debianOr(this, "amtool");
    const folder = await mkdtemp(join(tmpdir(), "ssh-reset-title-"));
    try {
      for (const [labels, title] of [
        [{ cause: "fleet_network", cluster: "c1", network: "n1" }, "fleet_network on network n1 (c1)"],
        [{ cause: "fleet_balancer", load_balancer: "lb1" }, "fleet_balancer on balancer lb1"],
        [{ cause: "fleet_rollout", kind: "kernel", version: "6.12" }, "fleet_rollout on version 6.12"],
        [{ cause: "sshd_crash", instance: "h1:10922", cluster: "c1", network: "n1" }, "sshd_crash on h1:10922 (c1)"],
      ] as const) {
        const data = join(folder, "data.json");
        const alert = { status: "firing", labels, annotations: {}, startsAt: "2026-01-01T00:00:00Z" };
        await writeFile(data, JSON.stringify({ receiver: "x", status: "firing", alerts: [alert] }));
        const { output } = await run(amtool, [
          ...["template", "render", "--template.glob=alerts/templates/*.tmpl", `--template.data=${data}`],
          '--template.text={{ template "ssh-reset.title" . }}',
        ]);
        expect(output.trim()).to.equal(`[FIRING] ${title}`);
      }
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});

async function firing(promtool: Tool, own: readonly Host[], times: readonly number[]) {
  const test = {
    ...testOf(own, Math.max(...times)),
    // Expected to be wrong: promtool then prints what it got.
    promql_expr_test: times.map((seconds) => ({
      expr: 'ALERTS{alertstate="firing",cause=~"fleet_.*"} or vector(0)',
      eval_time: `${seconds}s`,
      exp_samples: [{ labels: '{never="true"}', value: 1 }],
    })),
  };
  const { output } = await runTests(promtool, [test], [rulesFile, fleetRulesFile]);
  const answers = [...output.matchAll(/got: (.*)$/gm)].map(([, got = ""]) => got);
  if (answers.length !== times.length) throw new Error(output.slice(0, 3000));
  return times.map((seconds, index) => [
    seconds,
    [...(answers[index] ?? "").matchAll(/__name__="ALERTS"([^}]*)/g)].map(([, labels = ""]) => told(labels)).sort(),
  ]);
}

function told(labels: string): string {
  const label = (name: string): string => new RegExp(`\\b${name}="([^"]*)"`).exec(labels)?.[1] ?? "";
  const alert = label("alertname");
  if (alert === "SshFleetRolloutCrashes") return `${alert} ${label("kind")} ${label("version")}`;
  if (alert === "SshFleetRolloutHost") return `${alert} host ${label("instance").slice(1)}`;
  return `${alert} ${label("cluster")}/${label("load_balancer") || label("network")}`;
}

function testOf(own: readonly Host[], lastSeconds: number) {
  const steps = lastSeconds / stepSeconds + 1;
  return {
    interval: `${stepSeconds}s`,
    input_series: own.flatMap((host, index) =>
      seriesOf(host, { job: "ssh", instance: `h${index}`, ...host.labels }, steps),
    ),
  };
}

/** promtool's notation: values by step; nothing once the exporter is down. */
function seriesOf(host: Host, target: Labels, steps: number): { series: string; values: string }[] {
  const { down = Number.POSITIVE_INFINITY, gone = Number.POSITIVE_INFINITY } = host;
  const over = (valueAt: (seconds: number) => number, end: number): string =>
    Array.from({ length: steps }, (_, step) => (step * stepSeconds < end ? valueAt(step * stepSeconds) : "_")).join(
      " ",
    );
  const series = (name: string, labels: Labels, valueAt: (seconds: number) => number) => ({
    series: `${name}{${Object.entries({ ...target, ...labels })
      .map(([label, value]) => `${label}="${value}"`)
      .join(",")}}`,
    values: over(valueAt, Math.min(down, gone)).replaceAll("_", down < gone ? "stale" : "_"),
  });
  const from =
    (begin: number | undefined, value: number, end = Number.POSITIVE_INFINITY) =>
    (seconds: number) =>
      begin !== undefined && seconds >= begin && seconds < end ? value : 0;
  const { active = 8, loses, lasts = 9e9, phase = "session", crashes, proxied, kernel, sshd, unread } = host;
  const unreadSources = host.unreadSources ?? ["journal", "kmsg"];
  return [
    { ...series("up", {}, () => 1), values: over((seconds) => (seconds >= down ? 0 : 1), gone) },
    series("sshreset_build_info", { version: "0.1.0", node: "v20" }, () => 1),
    ...["journal", "kmsg"].map((source) =>
      series("sshreset_source_up", { source }, (seconds) =>
        unread !== undefined && seconds >= unread && unreadSources.includes(source) ? 0 : 1,
      ),
    ),
    series("sshreset_known_peers_active", {}, () => active),
    series("sshreset_known_peers_reset", {}, from(loses, 4, (loses ?? 0) + lasts)),
    series("sshreset_connections_ended_total", { phase, outcome: "reset", peer_class: "known" }, from(loses, 4)),
    ...(crashes === undefined ? [] : [series("sshreset_sshd_stops_total", { reason: "crash" }, from(crashes, 1))]),
    ...(proxied === undefined
      ? []
      : [
          series(
            "sshreset_connections_ended_total",
            { phase: "session", outcome: "reset", peer_class: "proxy" },
            from(...proxied),
          ),
        ]),
    ...(kernel === undefined ? [] : [series("sshreset_host_info", { kernel, cloud: "none" }, () => 1)]),
    ...(sshd === undefined ? [] : [series("sshreset_sshd_info", { version: sshd }, () => 1)]),
  ];
}
