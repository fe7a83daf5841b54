/** "SSH resets: fleet": is it bad, for whom, and by which cause; one click from there to the host. */
import type { Dashboard } from "@grafana/grafana-foundation-sdk/dashboard";
import { symptom } from "../../diagnosis/symptom.ts";
import { fleetLabels } from "../fleet-labels.ts";
import type { KitSettings } from "../settings.ts";
import { dashboard } from "./layout.ts";
import { bad, good, notJudged, okabeIto, plain, warning } from "./palette.ts";
import { type Column, type DataLink, graph, mapped, type Placed, stat, states, table, variable } from "./panels.ts";
import { probeRow } from "./probe.ts";
import { any, everIn, increase, max, own, sum, total, worst } from "./query.ts";
import { uids } from "./uids.ts";
import { causeMappings, causeNumber, causeStates, colourOf, listens, named, runbooks } from "./verdicts.ts";

/** As many hosts as a strip shows without becoming unreadable. */
const shownHosts = 20;
const host = "job, instance";

const toHost = (job: string, instance: string): DataLink => ({
  title: "Why: this host's checklist",
  url: `/d/${uids.host}?${variable("datasource:queryparam")}&var-job=${job}&var-instance=${instance}&${variable("__url_time_range")}`,
});
const ofSeries = toHost(variable("__field.labels.job"), variable("__field.labels.instance"));
const ofRow = toHost(variable("__data.fields.Job"), variable("__data.fields.Host"));

export function fleet(settings: KitSettings): Dashboard {
  return dashboard({
    uid: uids.fleet,
    title: "SSH resets: fleet",
    description:
      "Whose SSH connections are reset, on which hosts, and the cause that each host's exporter sees. A click on a host opens its checklist.",
    from: "now-6h",
    annotated: false,
    rows: [
      { panels: [...numbers(), ...strips(settings)] },
      { title: "Networks and balancers", panels: places() },
      { title: "Who is reset", panels: who(settings) },
      { title: "Which cause", panels: causes(settings) },
      probeRow,
      { title: "Hosts that cannot be judged", panels: blind(settings) },
    ],
  });
}

function numbers(): readonly Placed[] {
  const single = { unit: "none", width: 4 };
  return [
    stat({
      ...single,
      title: "Known peers reset now",
      shows: "Distinct addresses that have logged in here before and were reset within the last 10 minutes.",
      good: "0, or one or two laptops that closed their lid.",
      act: "Look below for the hosts, and open the one with the most.",
      empty: "No exporter answers",
      queries: [{ expr: sum(own("known_peers_reset")), legend: "known peers" }],
      steps: [
        { from: null, colour: good },
        { from: 1, colour: warning },
        { from: 3, colour: bad },
      ],
    }),
    stat({
      ...single,
      title: "Hosts with a cause",
      shows: "Hosts whose exporter sees a cause at work now, planned restarts left out.",
      good: "0.",
      act: "The strips below name the cause of each host.",
      empty: "No exporter answers",
      queries: [
        {
          expr: `count(${max(own("cause_active", 'cause!="sshd_restart"'), host)} == 1) or 0 * count(${own("build_info")})`,
          legend: "hosts",
        },
      ],
      steps: [
        { from: null, colour: good },
        { from: 1, colour: bad },
      ],
    }),
    stat({
      ...single,
      title: "sshd not listening",
      shows: "Hosts, now.",
      good: "0.",
      act: "Open the host: step 1 tells how sshd stopped.",
      empty: "No exporter answers",
      queries: [{ expr: `count(${own("sshd_up")} == 0) or 0 * count(${own("build_info")})`, legend: "hosts" }],
      steps: [
        { from: null, colour: good },
        { from: 1, colour: bad },
      ],
    }),
    stat({
      ...single,
      title: "Known peers' resets",
      shows: "Connections of known peers that ended by a reset within the time shown.",
      good: "Near 0: single ones are laptops and broken lines.",
      act: "See which hosts below: many hosts at once are the network's, one host is its own.",
      empty: "No exporter answers",
      queries: [
        {
          expr: sum(total(own("connections_ended_total", 'outcome="reset",peer_class="known"'))),
          legend: "connections",
        },
      ],
      steps: plain,
    }),
    stat({
      ...single,
      title: "Logins",
      shows: "Logins within the time shown.",
      good: "As many as usual: people and programs get in.",
      act: "0 where there were some: nobody gets in, or nothing is read (last row).",
      empty: "No exporter answers",
      queries: [{ expr: sum(total(own("connections_accepted_total"))), legend: "logins" }],
      steps: [
        { from: null, colour: notJudged },
        { from: 1, colour: okabeIto.skyBlue },
      ],
    }),
    stat({
      ...single,
      title: "Hosts watched",
      shows: "Exporters that answer now; of those chosen above.",
      good: "All of them.",
      act: "The last row lists those that do not answer.",
      empty: "No exporter answers",
      queries: [{ expr: `count(${own("build_info")})`, legend: "hosts" }],
      steps: plain,
    }),
  ];
}

function strips(settings: KitSettings): readonly Placed[] {
  const worstHosts = sum(`sum_over_time(${own("cause_active")}[$__range] @ end())`, host);
  return [
    states({
      title: "Verdict of each host",
      shows: `The cause that each host's exporter sees; of several the one that the others follow from. The ${shownHosts} hosts with the most of it in the time shown. Colours are the checklist's steps.`,
      good: "Every strip says: nothing seen. A planned restart is shown and pages nobody.",
      act: "Click on a strip: the host's checklist has the evidence and the runbook.",
      runbooks: runbooks(settings.causes, settings),
      empty: "No exporter answered in the time shown: see the last row",
      width: 24,
      height: 10,
      queries: [
        { expr: worst(shownHosts, host, causeNumber(settings.causes, host), worstHosts), legend: "{{instance}}" },
      ],
      states: causeStates(settings.causes),
      link: ofSeries,
    }),
  ];
}

/** From alerts/fleet.rules.yml: counts of hosts, whatever hosts are chosen above. */
function places(): readonly Placed[] {
  const { cluster, network, loadBalancer } = fleetLabels;
  const rules =
    "Nothing recorded. Needs alerts/fleet.rules.yml and targets with the labels cluster, network or load_balancer";
  const columns = (level: string, labels: readonly (readonly [string, string])[]): readonly Column[] => [
    ...labels.map(([label, title]) => ({ label, title })),
    { expr: `${level}:sshreset_hosts:count`, title: "Hosts", width: 75 },
    { expr: `${level}:sshreset_hosts_in_use:count`, title: "In use", width: 75 },
    {
      expr: `${level}:sshreset_hosts_losing_peers:count or 0 * ${level}:sshreset_hosts:count`,
      title: "Lose peers",
      width: 100,
      steps: [
        { from: null, colour: good },
        { from: 1, colour: warning },
        { from: 3, colour: bad },
      ],
    },
    {
      expr: `${level}:sshreset_hosts_blind:count or 0 * ${level}:sshreset_hosts:count`,
      title: "Blind",
      width: 75,
      steps: [
        { from: null, colour: good },
        { from: 1, colour: warning },
      ],
    },
  ];
  return [
    table({
      title: "Networks now",
      shows:
        "Hosts that lose known peers for a reason that lies on the way; in use: somebody has used SSH there within the hour. Blind: the exporter does not answer, or reads nothing.",
      good: "Nobody loses peers, nobody is blind.",
      act: "A tenth of a network's hosts at once is the network: SshFleetNetworkLosesPeers. One or two are hosts: open them.",
      empty: rules,
      width: 12,
      height: 8,
      sortBy: "Lose peers",
      columns: columns("network", [
        [cluster, "Cluster"],
        [network, "Network"],
      ]),
    }),
    table({
      title: "Load balancers now",
      shows: "The same of the hosts behind each balancer.",
      good: "Nobody loses peers.",
      act: "All hosts behind one balancer at once: the balancer.",
      empty: rules,
      width: 12,
      height: 8,
      sortBy: "Lose peers",
      columns: columns("load_balancer", [
        [cluster, "Cluster"],
        [loadBalancer, "Balancer"],
      ]),
    }),
    graph({
      title: "Hosts that lose peers, by network",
      good: "Near 0.",
      act: "Many hosts of one network begin in the same minute: what they share was changed then.",
      empty: rules,
      queries: [
        {
          expr: `network:sshreset_hosts_losing_peers:count or 0 * network:sshreset_hosts:count`,
          legend: `{{${cluster}}} {{${network}}}`,
        },
      ],
      unit: "none",
      decimals: 0,
      width: 12,
    }),
    table({
      title: "Versions whose sshd crashed within the hour",
      shows: "Hosts with each version of kernel and sshd, and how many of them crashed.",
      good: "None crashed.",
      act: "One version crashes more often than the others: SshFleetRolloutCrashes.",
      empty: "Nothing recorded. Needs alerts/fleet.rules.yml",
      width: 12,
      height: 8,
      sortBy: "Crashed",
      columns: [
        { label: "kind", title: "Of", width: 80 },
        { label: "version", title: "Version" },
        { expr: "version:sshreset_hosts:count", title: "Hosts", width: 75 },
        {
          expr: "version:sshreset_hosts_crashed:count or 0 * version:sshreset_hosts:count",
          title: "Crashed",
          width: 85,
          steps: [
            { from: null, colour: good },
            { from: 1, colour: bad },
          ],
        },
      ],
    }),
  ];
}

function who(settings: KitSettings): readonly Placed[] {
  const harmed = own("connections_ended_total", 'outcome="reset",peer_class="known"');
  return [
    states({
      title: "Known peers being reset, by host",
      shows: `Distinct known peers reset within 10 minutes; the 10 hosts with the most. Red is where ${symptom.alert} begins.`,
      good: "0 or 1 on each host.",
      act: "Two hosts or more at the same time: the network between, or a rollout. One host: open it.",
      runbooks: runbooks([symptom], settings),
      empty: "No exporter answered in the time shown",
      queries: [
        {
          expr: worst(
            10,
            host,
            sum(own("known_peers_reset"), host),
            sum(`sum_over_time(${own("known_peers_reset")}[$__range] @ end())`, host),
          ),
          legend: "{{instance}}",
        },
      ],
      width: 12,
      height: 8,
      steps: [
        { from: null, colour: good },
        { from: Math.ceil(settings.symptomThresholds["fewPeers"]?.value ?? 0), colour: warning },
        { from: Math.ceil(settings.symptomThresholds["peers"]?.value ?? 0), colour: bad },
      ],
      link: ofSeries,
    }),
    graph({
      title: "Resets by class of peer",
      shows:
        "Connections that ended by a reset, all hosts. Unknown peers are scanners, mostly: noise that never stops.",
      good: "Known peers near 0. Any number of unknown peers and health checks.",
      act: "Only the line of known peers matters here.",
      empty: "No exporter answered in the time shown",
      queries: [
        {
          expr: sum(increase(own("connections_ended_total", 'outcome="reset"')), "peer_class"),
          legend: "{{peer_class}}",
        },
      ],
      unit: "none",
      decimals: 0,
      logarithmic: true,
      width: 12,
    }),
    table({
      title: "Hosts, by known peers' resets",
      shows:
        "Resets of known peers and of others: within the time shown. Cause now; known peers reset now, and active within the last hour.",
      good: "No resets of known peers, no cause, sshd listens.",
      act: "A click on a host opens its checklist with this time range.",
      empty: "No exporter answers",
      width: 16,
      height: 10,
      sortBy: "Known resets",
      columns: [
        { label: "instance", title: "Host", width: 125, link: ofRow },
        { label: "job", title: "Job", width: 60 },
        {
          expr: causeNumber(settings.causes, host),
          title: "Cause now",
          steps: [{ from: null, colour: good }],
          mappings: causeMappings(settings.causes),
        },
        { expr: sum(total(harmed), host), title: "Known resets", width: 110, decimals: 0 },
        { expr: sum(own("known_peers_reset"), host), title: "Reset now", width: 95 },
        { expr: sum(own("known_peers_active"), host), title: "Active", width: 70 },
        {
          expr: sum(total(own("connections_ended_total", 'outcome="reset",peer_class!="known"')), host),
          title: "Others' resets",
          width: 105,
          decimals: 0,
        },
        {
          expr: `min by (${host}) (${own("sshd_up")})`,
          title: "sshd",
          width: 75,
          ...listens,
        },
      ],
    }),
    graph({
      title: "Resets by direction",
      shows:
        "From the kernel: received ones were sent by the peer, or in its name by something on the path; sent ones come from the host itself.",
      good: "A steady floor of scanners' resets in both directions.",
      act: "Sent ones rise: the reasons are beside the causes. Received ones of known peers: middleboxes, step 5 of a host.",
      empty: "No exporter answered. Where the kernel's trace events are not granted these stay at 0",
      queries: [
        { expr: sum(increase(own("tcp_resets_received_total"))), legend: "received" },
        { expr: sum(increase(own("tcp_resets_sent_total"))), legend: "sent" },
      ],
      unit: "none",
      bars: true,
      stacked: false,
      width: 8,
      height: 10,
    }),
  ];
}

function causes(settings: KitSettings): readonly Placed[] {
  return [
    table({
      title: "Causes in the time shown",
      shows: "On how many hosts, and how long all together.",
      good: "Empty, or planned restarts only.",
      act: "Open the runbook of the topmost; the strips above tell the hosts.",
      runbooks: runbooks(settings.causes, settings),
      empty: "No cause was seen on any of these hosts in the time shown",
      width: 12,
      height: 9,
      sortBy: "Hosts",
      columns: [
        {
          label: "cause",
          title: "Cause",
          mappings: [mapped(settings.causes.map((cause) => ({ value: cause.id, text: named(cause) })))],
        },
        { expr: `count by (cause) (${everIn(own("cause_active"))} == 1)`, title: "Hosts", width: 90 },
        {
          expr: `sum by (cause) (avg_over_time(${own("cause_active")}[$__range])) * $__range_s > 0`,
          title: "Time at work",
          unit: "s",
          width: 150,
          decimals: 1,
        },
      ],
    }),
    graph({
      title: "Hosts by cause",
      good: "Nothing but now and then a restart.",
      shows: "Colours are the checklist's steps.",
      act: "Many hosts begin at the same minute: a rollout, or the network. One host: its own fault.",
      empty: "No cause was seen on any of these hosts in the time shown",
      queries: [{ expr: `${sum(own("cause_active"), "cause")} > 0`, legend: "{{cause}}" }],
      unit: "none",
      decimals: 0,
      bars: true,
      colours: Object.fromEntries(settings.causes.map((cause) => [cause.id, colourOf(cause)])),
      width: 12,
      height: 9,
    }),
    graph({
      title: "Resets sent, by the kernel's reason",
      shows:
        "Why this fleet's hosts send resets (Linux 6.10 and newer; `not_specified` before). `no_socket`: nothing listens, or sshd was restarted. `tcp_abort_on_data`: a session's process ended with data under way. `tcp_abort_on_close`: closed with data unread, as MaxStartups and TCP wrappers do.",
      good: "A floor of scanners' `tcp_abort_on_close` and `no_socket`.",
      act: "A reason that jumps tells who cut: open the hosts with resets of known peers.",
      empty: "No exporter answered. Where the kernel's trace events are not granted these stay at 0",
      queries: [
        {
          expr: `${sum(increase(own("tcp_resets_sent_total")), "reason")} > 0 or ${sum(increase(own("tcp_resets_sent_total", 'reason="not_specified"')), "reason")}`,
          legend: "{{reason}}",
        },
      ],
      unit: "none",
      bars: true,
      width: 12,
    }),
    graph({
      title: "Ends of known peers' connections, by outcome",
      shows: "`disconnect` is how SSH ends in peace.",
      good: "Nearly all of them `disconnect`.",
      act: "`reset`, `timeout`, `dropped` or `refused` rise: the host view tells in which phase.",
      empty: "No exporter answered in the time shown",
      queries: [
        {
          expr: sum(increase(own("connections_ended_total", 'peer_class="known"')), "outcome"),
          legend: "{{outcome}}",
        },
      ],
      unit: "none",
      bars: true,
      width: 12,
    }),
  ];
}

function blind(settings: KitSettings): readonly Placed[] {
  return [
    table({
      title: "Exporters that do not answer",
      good: "Empty.",
      act: "`systemctl status ssh-reset-exporter` on the host; then the network between Prometheus and it.",
      empty: "Every exporter answers",
      width: 8,
      height: 7,
      columns: [
        { label: "instance", title: "Host", link: ofRow },
        { label: "job", title: "Job", width: 110 },
        {
          expr: `${sum(any("up"), host)} == 0`,
          title: "Scrape",
          width: 90,
          mappings: [mapped([{ value: 0, text: "fails" }])],
        },
      ],
    }),
    table({
      title: "Sources that are there and not read, records lost",
      shows: "Of the time shown: lost records. Now: sources that are not reading.",
      good: "Empty.",
      act: "The exporter's page names the grant; lost records mean counts that are too low.",
      empty: "Every source is read, no record was lost",
      width: 8,
      height: 7,
      hidden: ["__name__"],
      columns: [
        { label: "instance", title: "Host", link: ofRow },
        { label: "job", title: "Job", width: 110 },
        { label: "source", title: "Source", width: 90 },
        {
          expr: `sum by (${host}, source) (${own("source_up")}) == 0`,
          title: "Reading",
          width: 80,
          mappings: [mapped([{ value: 0, text: "no" }])],
        },
        {
          expr: `sum by (${host}, source) (${total(own("source_lost_records_total"))}) > 0.5`,
          title: "Lost",
          width: 80,
          decimals: 0,
        },
      ],
    }),
    table({
      title: "Causes that cannot be judged",
      shows: "What these hosts do not grant: not seen is not absent.",
      good: "Empty, or only what this fleet does not have (a cloud's limits on bare metal).",
      act: "`ssh-reset-exporter check` on the host prints the grant for each.",
      empty: "Every cause can be judged on every host",
      width: 8,
      height: 7,
      sortBy: "Hosts",
      columns: [
        {
          label: "cause",
          title: "Cause",
          mappings: [mapped(settings.causes.map((cause) => ({ value: cause.id, text: named(cause) })))],
        },
        { expr: `count by (cause) (${own("cause_observable")} == 0)`, title: "Hosts", width: 90 },
      ],
    }),
  ];
}
