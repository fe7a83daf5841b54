/**
 * The view that only a fleet has, as rules: hosts that lose known peers at once, by network and by load balancer; versions
 * that crash more than others; hosts that nobody watches any more. Facts about single hosts (fleetFacts) are recorded
 * where these are scraped; what counts hosts (fleetGroup) needs them all in one place. Hosts without fleet labels are
 * counted by version only.
 */
import type { CauseId } from "../diagnosis/cause.ts";
import type { Thresholds } from "../diagnosis/condition.ts";
import { symptom } from "../diagnosis/symptom.ts";
import { duration } from "../diagnosis/to-promql.ts";
import { fleetUrl } from "./dashboards/uids.ts";
import { fleetLabels } from "./fleet-labels.ts";
import { bool, evidence, held, lastAnswer, unexplained } from "./host-records.ts";
import type { AlertRule, RecordingRule, RuleGroup } from "./rules.ts";
import type { KitSettings } from "./settings.ts";

export const fleetIds = ["fleet_network", "fleet_balancer", "fleet_rollout", "fleet_blind"] as const;
export type FleetId = (typeof fleetIds)[number];

/** Causes whose reason lies between hosts and their peers: what many hosts can have at once through no fault of theirs. */
export const lostOnTheWay: readonly CauseId[] = [
  "mtu_blackhole",
  "idle_timeout",
  "middlebox_reset",
  "cloud_limit",
  "network_path",
];

export const fleetThresholds = {
  fleet_network: {
    hosts: {
      value: 2.5,
      unit: "hosts of one network that lose known peers, beyond those behind the balancer that is hit most",
      reason: "At least three: two are still two faults. A balancer that takes its own hosts along is no network.",
    },
    share: {
      value: 0.0999,
      unit: "of the hosts of that network where somebody used SSH within the hour",
      reason:
        "A tenth: single hosts lose peers by chance once in weeks, a tenth of them in the same ten minutes never do.",
    },
  },
  fleet_balancer: {
    hosts: { value: 1.5, unit: "hosts behind one balancer that lose peers", reason: "One host is its own fault." },
    share: {
      value: 0.799,
      unit: "of the hosts behind that balancer where somebody used SSH within the hour",
      reason: "All of them but one of five: the last session there may be over.",
    },
    proxied: {
      value: 2.5,
      unit: "sessions or logins through the balancer's own address reset or timed out in 10 minutes",
      reason: "Behind a balancer that hides the peers nobody is known; three at once, as for known peers.",
    },
  },
  fleet_rollout: {
    hosts: {
      value: 2.5,
      unit: "hosts with this version whose sshd crashed within the hour",
      reason: "At least three: one host's broken disk or library is no version's.",
    },
    share: {
      value: 0.05,
      unit: "of the hosts with this version",
      reason: "A twentieth: in a fleet of thousands three hosts crash by chance.",
    },
    expected: {
      value: 2.5,
      unit: "hosts with other versions that should have crashed at the same rate",
      reason: "At least three: with fewer hosts to compare with, nothing is proven.",
    },
    times: { value: 3, unit: "times as often as the hosts with other versions", reason: "Chance makes it one or two." },
  },
  fleet_blind: {
    hosts: { value: 2.5, unit: "blind hosts of one network", reason: "Up to two have their own alerts." },
    share: { value: 0.0999, unit: "of the hosts of that network", reason: "A tenth: fewer are being rebooted." },
  },
} satisfies Record<FleetId, Thresholds>;

const { cluster, network, loadBalancer } = fleetLabels;
const networkLabels = `${cluster}, ${network}`;
const balancerLabels = `${cluster}, ${loadBalancer}`;

const peersLost = "instance:sshreset_peers_lost:bool";
const inUse = "instance:sshreset_in_use:bool";
const blind = "instance:sshreset_blind:bool";
const crashed = "instance:sshreset_crashed:bool";

/**
 * One host's part, for the end of the group that judges its causes. What nothing explains counts only after a
 * minute: vmalert shows what a rule has recorded to the next rule one evaluation later, and an explanation is three
 * rules away.
 */
export function fleetFacts(settings: KitSettings): RecordingRule[] {
  const { hostLabels, fleetThresholds: thresholds } = settings;
  const own = (metric: string, ...matchers: readonly string[]): string =>
    selector(metric, settings.matchers, ...matchers);
  const cut = own(
    "sshreset_connections_ended_total",
    'peer_class="proxy"',
    'phase=~"kex|auth|session"',
    'outcome=~"reset|timeout"',
  );
  const increase = (series: string, seconds: number): string =>
    `sum by (${hostLabels}) (increase(${series}[${duration(seconds, settings)}]))`;
  const silent = `${own("up")} == 0 and on (${hostLabels}) ${lastAnswer}`;
  const reading = `${own("sshreset_build_info")} unless on (${hostLabels}) ${own("sshreset_source_up")} == 1`;
  return [
    {
      record: peersLost,
      expr: bool(
        [
          `(${unexplained} and ${unexplained} offset ${duration(60, settings)})`,
          `${evidence}{cause=~"${lostOnTheWay.join("|")}"}`,
          `${increase(cut, 600)} > ${thresholds.fleet_balancer["proxied"]?.value}`,
        ].join("\n  or "),
        settings,
      ),
    },
    {
      record: inUse,
      expr: bool(
        [
          `${own("sshreset_known_peers_active")} > 0`,
          `${own("sshreset_ssh_sockets", 'state="established"')} > 0`,
          peersLost,
        ].join("\n  or "),
        settings,
      ),
    },
    { record: blind, expr: bool(`(${silent})\n  or (${reading})`, settings) },
    {
      record: crashed,
      expr: bool(`max_over_time(${evidence}{cause="sshd_crash"}[${duration(3600, settings)}])`, settings),
    },
  ];
}

export function fleetGroup(settings: KitSettings, interval: string): RuleGroup {
  return {
    name: "ssh-reset-exporter.fleet",
    interval,
    rules: [...counts(settings), ...verdicts(settings), ...fleetAlerts(settings)],
  };
}

interface Level {
  readonly name: string;
  readonly by: string;
  /** Hosts without the label do not form a group of their own. */
  readonly present: readonly string[];
}

/** A network is named by cluster and network; a fleet that labels only one of the two is judged by that. */
const levels: readonly Level[] = [
  { name: "cluster", by: cluster, present: [cluster] },
  { name: "network", by: networkLabels, present: [cluster, network] },
  { name: "load_balancer", by: balancerLabels, present: [loadBalancer] },
];

function counts({ hostLabels }: KitSettings): RecordingRule[] {
  return levels.flatMap(({ name, by, present }) => {
    const of = (series: string): string => present.map((label) => `${series}{${label}!=""}`).join(" or ");
    const count = (what: string, vector: string): RecordingRule => ({
      record: `${name}:sshreset_${what}:count`,
      expr: `count by (${by}) (${vector})`,
    });
    return [
      count("hosts", `group by (${hostLabels}) (${of("sshreset_build_info")} or ${of(blind)})`),
      count("hosts_in_use", of(inUse)),
      count("hosts_losing_peers", of(peersLost)),
      count("hosts_blind", of(blind)),
      { record: `${name}:sshreset_hosts_with_cause:count`, expr: `count by (${by}, cause) (${of(evidence)})` },
      {
        record: `${name}:sshreset_known_peers_reset:sum`,
        expr: `sum by (${by}) (${of("sshreset_known_peers_reset")})`,
      },
    ];
  });
}

/** The label that tells the version, by what has one. */
const kinds = { kernel: ["sshreset_host_info", "kernel"], sshd: ["sshreset_sshd_info", "version"] } as const;

const networkLost = "network:sshreset_peers_lost:bool";
const balancerLost = "load_balancer:sshreset_peers_lost:bool";
const balancerInNetwork = "load_balancer:sshreset_network_lost:bool";
const networkBlind = "network:sshreset_blind:bool";
const versionHosts = "version:sshreset_hosts:count";
const versionCrashed = "version:sshreset_hosts_crashed:count";
const otherHosts = "version:sshreset_other_hosts:count";
const otherCrashed = "version:sshreset_other_hosts_crashed:count";
const suspect = "version:sshreset_suspect:bool";

/** Firing goes on for as long as the alerts that it inhibits do after their evidence. */
const keepSeconds = 900;

function verdicts(settings: KitSettings): RecordingRule[] {
  const { hostLabels } = settings;
  const at = (id: FleetId, name: string): string => String(settings.fleetThresholds[id][name]?.value);
  const losing = "network:sshreset_hosts_losing_peers:count";
  const behindOne = `max by (${networkLabels}) (count by (${networkLabels}, ${loadBalancer}) (${peersLost}{${loadBalancer}!=""}))`;
  const behind = "load_balancer:sshreset_hosts_losing_peers:count";
  const watched = "network:sshreset_hosts:count";
  const rate = `${versionCrashed} / ${versionHosts}`;
  const lostNow = grouped(
    networkLabels,
    `(${losing} - (${behindOne} or ${losing} * 0) > ${at("fleet_network", "hosts")})\n  and (${losing} / network:sshreset_hosts_in_use:count > ${at("fleet_network", "share")})`,
  );
  return [
    { record: networkLost, expr: lostNow },
    {
      // The network's own evidence again, not its record alone: vmalert would know of that too late.
      record: balancerInNetwork,
      expr: grouped(
        balancerLabels,
        `${peersLost}{${loadBalancer}!=""} and on (${networkLabels}) (${lostNow} or max_over_time(${networkLost}[${duration(keepSeconds, settings)}]))`,
      ),
    },
    {
      record: balancerLost,
      expr: grouped(
        balancerLabels,
        `(${behind} > ${at("fleet_balancer", "hosts")})\n  and (${behind} / load_balancer:sshreset_hosts_in_use:count > ${at("fleet_balancer", "share")})`,
      ),
    },
    {
      record: networkBlind,
      expr: grouped(
        networkLabels,
        `((network:sshreset_hosts_blind:count > ${at("fleet_blind", "hosts")})\n  and (network:sshreset_hosts_blind:count / ${watched} > ${at("fleet_blind", "share")}))\n  or ((max_over_time(${watched}[${duration(3600, settings)}]) unless ${watched}) > ${at("fleet_blind", "hosts")})`,
      ),
    },
    ...Object.entries(kinds).flatMap(([kind, [info, label]]): RecordingRule[] => [
      { record: versionHosts, labels: { kind }, expr: byVersion(info, label) },
      { record: versionCrashed, labels: { kind }, expr: byVersion(`${info} and on (${hostLabels}) ${crashed}`, label) },
    ]),
    { record: otherHosts, expr: others(versionHosts) },
    { record: otherCrashed, expr: others(versionCrashed) },
    {
      record: suspect,
      expr: grouped(
        "kind, version",
        [
          `(${versionCrashed} > ${at("fleet_rollout", "hosts")})`,
          `(${rate} > ${at("fleet_rollout", "share")})`,
          `(${rate} * ${otherHosts} > ${at("fleet_rollout", "expected")})`,
          `(${otherCrashed} * ${at("fleet_rollout", "times")} < ${rate} * ${otherHosts})`,
        ].join("\n  and "),
      ),
    },
  ];
}

const grouped = (by: string, expr: string): string => `group by (${by}) (\n  ${expr}\n)`;

/** How many hosts, by version. */
function byVersion(info: string, label: string): string {
  if (label === "version") return `count by (version) (${info})`;
  return `sum by (version) (label_replace(count by (${label}) (${info}), "version", "$1", "${label}", "(.+)"))`;
}

/** The same number of all other versions. */
const others = (count: string): string => `sum by (kind) (${count}) - on (kind) group_right () ${count}`;

interface FleetAlert {
  readonly alert: string;
  readonly id: FleetId;
  readonly severity: "critical" | "warning" | "info";
  readonly expr: string;
  readonly forSeconds: number;
  readonly summary: string;
  readonly description: string;
  /** Read on the resolved page: its last evaluation comes when firing has been kept up. */
  readonly recovery?: string;
  readonly next: readonly string[];
}

export const rolloutHostAlert = "SshFleetRolloutHost";

/** What a blind fleet explains: alerts about single exporters. */
export const blindHostAlerts = ["SshResetExporterDown", "SshResetSourceNotReading"] as const;

/** What losses on the way explain on single hosts: these causes, what follows from them, the symptom, and probes. */
export const lostHostCauses: readonly string[] = [
  ...lostOnTheWay,
  "login_timeout",
  symptom.id,
  "probe_failed",
  "probe_path",
];

export function fleetAlerts(settings: KitSettings): AlertRule[] {
  return definitions(settings).map(
    ({ alert, id, severity, expr, forSeconds, summary, description, recovery, next }) => ({
      alert,
      expr,
      ...(forSeconds === 0 ? {} : { for: duration(forSeconds, settings) }),
      labels: { severity, cause: id, step: "fleet" },
      annotations: {
        summary,
        description,
        ...(recovery === undefined ? {} : { recovery }),
        next: next.map((each, index) => `${index + 1}. ${each}`).join("\n"),
        runbook_url: `${settings.runbookBase}/${alert}.md`,
        dashboard: fleetUrl(settings),
      },
    }),
  );
}

function definitions(settings: KitSettings): readonly FleetAlert[] {
  const { hostLabels } = settings;
  const keeps = (series: string, alert: string, on: string): string => held(series, alert, keepSeconds, settings, on);
  return [
    {
      alert: "SshFleetNetworkLosesPeers",
      id: "fleet_network",
      severity: "critical",
      expr: keeps(networkLost, "SshFleetNetworkLosesPeers", networkLabels),
      forSeconds: 0,
      summary: "Many hosts of one network lose known peers at the same time.",
      description: `${hostsOf("network:sshreset_hosts_losing_peers:count", "network:sshreset_hosts_in_use:count", networkLabels)}in ${place(network)} where SSH was used within the hour lose known peers: the network between, not the hosts. {{ with ${ask(`topk(3, count by (peer) (increase(sshreset_peer_resets_received_total{${same(networkLabels)},peer_class="known",peer!="other"}[${duration(600, settings)}]) > 0.5) > 2)`, networkLabels)} }}The same peers on many hosts:{{ range . }} {{ .Labels.peer }} ({{ .Value }} hosts){{ end }}. {{ end }}${causesOf("network", networkLabels)}${examples(networkLabels)}`,
      recovery: recovery("network:sshreset_hosts_losing_peers:count", networkLabels, "lose peers"),
      next: [
        "mtr -n -T -P 22 HOST\n   From a peer to two of the hosts: where the paths part, and where packets are lost.",
        "ssh-reset-exporter probe --mtu HOST\n   From outside: the phase that fails, and the size that the path takes.",
        "ssh-reset-exporter diagnose --since 30m\n   On two of the hosts: what they have in common.",
      ],
    },
    {
      alert: "SshFleetBalancerLosesPeers",
      id: "fleet_balancer",
      severity: "critical",
      expr: `(${keeps(balancerLost, "SshFleetBalancerLosesPeers", balancerLabels)})\nunless on (${balancerLabels}) ${balancerInNetwork}`,
      forSeconds: 0,
      summary: "All hosts behind one load balancer lose peers, and hosts beside it do not.",
      description: `${hostsOf("load_balancer:sshreset_hosts_losing_peers:count", "load_balancer:sshreset_hosts_in_use:count", balancerLabels)}behind the balancer {{ $labels.${loadBalancer} }} where SSH was used within the hour lose peers: the balancer, not the hosts. ${causesOf("load_balancer", balancerLabels)}${examples(balancerLabels)}`,
      recovery: recovery("load_balancer:sshreset_hosts_losing_peers:count", balancerLabels, "lose peers"),
      next: [
        "ssh-reset-exporter probe --repeat 10 BALANCER\n   Through it; then the same to a host behind it: only one of the two fails.",
        "journalctl -u haproxy --since -30min\n   On the balancer: restarts, failovers, backends marked down, its idle timeout.",
        "ssh-reset-exporter diagnose --since 30m\n   On one of the hosts: ages at which sessions were cut.",
      ],
    },
    {
      alert: "SshFleetRolloutCrashes",
      id: "fleet_rollout",
      severity: "critical",
      expr: `${suspect} == 1`,
      forSeconds: 0,
      summary: "One version crashes sshd more often than the others do.",
      description: `${ofVersion(versionCrashed)} of ${ofVersion(versionHosts)} hosts with {{ $labels.kind }} {{ $labels.version }} had sshd crash within the hour; of the others ${ofVersion(otherCrashed)} of ${ofVersion(otherHosts)}.`,
      next: [
        "Stop the rollout of {{ $labels.kind }} {{ $labels.version }}\n   Before looking for the reason.",
        "coredumpctl info sshd\n   On one of the hosts: the signal and the stack.",
        "journalctl -u ssh -u sshd --since -1h -p warning\n   What sshd and systemd said of it.",
      ],
    },
    {
      alert: rolloutHostAlert,
      id: "fleet_rollout",
      severity: "info",
      expr: `${crashed} == 1\nand on (${hostLabels}) (\n  ${Object.entries(kinds)
        .map(
          ([kind, [info, label]]) =>
            `(${label === "version" ? info : `label_replace(${info}, "version", "$1", "${label}", "(.+)")`} and on (version) ${suspect}{kind="${kind}"})`,
        )
        .join("\n  or ")}\n)`,
      forSeconds: 0,
      summary: "sshd crashed on this host, and SshFleetRolloutCrashes says why.",
      description:
        "{{ $labels.instance }} has a version that crashes sshd more often than the others do: this tells Alertmanager not to page for it again.",
      next: [
        "Read SshFleetRolloutCrashes\n   It names the version.",
        "journalctl -u ssh -u sshd --since -1h\n   On the host: when.",
        "apt-cache policy openssh-server\n   What to go back to.",
      ],
    },
    {
      alert: "SshFleetBlind",
      id: "fleet_blind",
      severity: "warning",
      expr: keeps(networkBlind, "SshFleetBlind", networkLabels),
      forSeconds: 240,
      summary: "Many hosts of one network cannot be judged: their exporters do not answer, or read nothing.",
      description: `${hostsOf("network:sshreset_hosts_blind:count", "network:sshreset_hosts:count", networkLabels)}in ${place(network)} are blind: no cause can be told there. Where no number stands, nothing at all arrives from there.`,
      recovery: recovery("network:sshreset_hosts_blind:count", networkLabels, "are blind"),
      next: [
        'up{job=~"ssh.*"} == 0\n   In Prometheus: which targets, with the error on its page of targets.',
        "systemctl status ssh-reset-exporter\n   On one of the hosts; after a rollout of its configuration on two.",
        "curl -sf http://HOST:10922/-/ready\n   From Prometheus' host: network, firewall or exporter.",
      ],
    },
  ];
}

/** A Go template pipeline; `%q` of the query are filled with the alert's own labels, in that order. */
function ask(promql: string, labels: string): string {
  const names = labels.split(", ").map((label) => `(or $labels.${label} "")`);
  return `printf \`${promql}\` ${names.join(" ")} | query`;
}
const same = (labels: string): string =>
  labels
    .split(", ")
    .map((label) => `${label}=%q`)
    .join(",");

/** The value of the series with the alert's own labels; nothing where there is none. */
const number = (series: string, labels: string): string =>
  `{{ with ${ask(`${series}{${same(labels)}}`, labels)} }}{{ . | first | value | printf "%.0f" }}{{ end }}`;

const ofVersion = (series: string): string => number(series, "kind, version");

/** `4 of 12 hosts `. */
const hostsOf = (some: string, all: string, labels: string): string =>
  `${number(some, labels)} of ${number(all, labels)} hosts `;

const recovery = (some: string, labels: string, what: string): string =>
  `{{ with ${ask(`${some}{${same(labels)}}`, labels)} }}Not yet proven: {{ . | first | value | printf "%.0f" }} hosts still ${what}.{{ else }}Proven: none of its hosts ${what} any more.{{ end }}`;

const place = (label: string): string =>
  `{{ with $labels.${label} }}network {{ . }}{{ end }}{{ with $labels.${cluster} }} of cluster {{ . }}{{ end }}`;

const causesOf = (level: string, labels: string): string =>
  `{{ with ${ask(`topk(3, ${level}:sshreset_hosts_with_cause:count{${same(labels)},cause=~"${lostOnTheWay.join("|")}"})`, labels)} }}Their own causes:{{ range . }} {{ .Labels.cause }} ({{ .Value }}){{ end }}. {{ end }}`;

const examples = (labels: string): string =>
  `{{ with ${ask(`topk(10, ${peersLost}{${same(labels)}})`, labels)} }}Hosts:{{ range . }} {{ .Labels.instance }}{{ end }}. {{ end }}`;

const selector = (metric: string, ...matchers: readonly string[]): string => {
  const all = matchers.filter((each) => each !== "").join(",");
  return all === "" ? metric : `${metric}{${all}}`;
};
