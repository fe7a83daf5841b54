/** "SSH resets: host": the checklist, one row a step: its verdict in one line, and the evidence for it. */
import type { Dashboard } from "@grafana/grafana-foundation-sdk/dashboard";
import type { Cause, CauseId } from "../../diagnosis/cause.ts";
import { symptom } from "../../diagnosis/symptom.ts";
import type { KitSettings } from "../settings.ts";
import { dashboard, type Row } from "./layout.ts";
import { bad, good, notJudged, okabeIto, plain, valueColours, warning } from "./palette.ts";
import { graph, heat, mapped, type Placed, stat, states, table } from "./panels.ts";
import { increase, max, min, own, rate, sum, total } from "./query.ts";
import { uids } from "./uids.ts";
import {
  causeMappings,
  causeNumber,
  listens,
  named,
  ofStep,
  runbookLink,
  runbooks,
  stepMappings,
  stepNumber,
  threshold,
} from "./verdicts.ts";

const notScraped = "No exporter answered in the time shown";

/** What the panels of one step share: the catalogue's numbers and runbooks. */
class Evidence {
  readonly settings: KitSettings;

  constructor(settings: KitSettings) {
    this.settings = settings;
  }

  runbooks(...ids: readonly CauseId[]): readonly string[] {
    return runbooks(
      this.settings.causes.filter(({ id }) => ids.includes(id)),
      this.settings,
    );
  }

  threshold(id: CauseId, name: string): number {
    return threshold(this.settings.causes, id, name);
  }
}

export function hostDashboard(settings: KitSettings): Dashboard {
  const evidence = new Evidence(settings);
  return dashboard({
    uid: uids.host,
    title: "SSH resets: host",
    description:
      "The troubleshooting checklist of one host, walked already: each step's verdict over the time shown, and its evidence.",
    from: "now-3h",
    annotated: true,
    rows: [
      { panels: [...numbers(evidence), strip(settings)] },
      { title: "Connections: in which phase, how, and whose", panels: connections(evidence) },
      step(
        settings,
        1,
        "Step 1: did sshd crash or restart?",
        "no crash, no restart that somebody asked for, never down for a minute.",
        [...sshdLife(evidence)],
      ),
      step(
        settings,
        2,
        "Step 2: memory, CPU, limits of processes and files",
        "nothing of sshd was killed, and nothing is short.",
        resources(evidence),
      ),
      step(settings, 3, "Step 3: does hosts.deny refuse?", "no known peer was refused.", tcpWrappers(evidence)),
      step(
        settings,
        4,
        "Step 4: does the path eat large packets?",
        "full-size segments arrive, or their loss is not that of a blackhole.",
        mtu(evidence),
      ),
      step(
        settings,
        5,
        "Step 5: connection tracking, firewalls, balancers, IDS",
        "the table has room, no reset is forged, no idle age repeats.",
        middleboxes(evidence),
      ),
      step(settings, 6, "Step 6: limits of the cloud", "the instance stays within its allowances.", cloud(evidence)),
      step(
        settings,
        "beyond",
        "Beyond the checklist: throttling, timeouts, the network",
        "sshd turns no known peer away, and the network is sound.",
        beyond(evidence),
      ),
      { title: "What this view is made of", panels: sources(evidence) },
    ],
  });
}

function numbers(evidence: Evidence): readonly Placed[] {
  const single = { unit: "none", width: 4 };
  return [
    stat({
      ...single,
      title: "Cause now",
      shows: "What the exporter sees at work; of several the one that the others follow from.",
      good: "Nothing seen.",
      act: "The strip below tells since when; the step's row has the evidence.",
      empty: "The exporter does not answer",
      width: 8,
      sentence: true,
      queries: [{ expr: `max(${causeNumber(evidence.settings.causes, "job, instance")})`, legend: "cause" }],
      steps: [{ from: null, colour: good }],
      mappings: causeMappings(evidence.settings.causes),
    }),
    stat({
      ...single,
      title: "sshd",
      good: "It listens on all of its ports.",
      act: "Step 1.",
      empty: "The exporter does not answer, or may not read the table of sockets",
      queries: [{ expr: min(own("sshd_up")), legend: "sshd" }],
      ...listens,
    }),
    stat({
      ...single,
      title: "Known peers reset now",
      shows: "Distinct ones, within 10 minutes.",
      good: "0 or 1.",
      act: "From 3 on, or a fifth of the active ones, it pages unless a cause explains it.",
      runbooks: runbooks([symptom], evidence.settings),
      empty: "The exporter does not answer",
      queries: [{ expr: sum(own("known_peers_reset")), legend: "known peers" }],
      steps: [
        { from: null, colour: good },
        { from: Math.ceil(evidence.settings.symptomThresholds["fewPeers"]?.value ?? 0), colour: warning },
        { from: Math.ceil(evidence.settings.symptomThresholds["peers"]?.value ?? 0), colour: bad },
      ],
    }),
    stat({
      ...single,
      title: "Known peers",
      shows: "That authenticated within 30 days, and that were active within the last hour.",
      good: "As many as people and programs use this host.",
      act: "0 after a new installation: the exporter learns them from logins, and from 30 days of logs.",
      empty: "The exporter does not answer",
      queries: [
        { expr: sum(own("known_peers")), legend: "known" },
        { expr: sum(own("known_peers_active")), legend: "active" },
      ],
      steps: plain,
    }),
    stat({
      ...single,
      title: "Logins and resets",
      shows: "Logins, and resets of known peers, within the time shown.",
      good: "Logins go on after a fix, resets do not.",
      act: "No logins: nobody can, or nobody tried.",
      empty: "The exporter does not answer",
      queries: [
        { expr: sum(total(own("connections_accepted_total"))), legend: "logins" },
        {
          expr: sum(total(own("connections_ended_total", 'outcome="reset",peer_class="known"'))),
          legend: "resets",
        },
      ],
      steps: plain,
    }),
  ];
}

const steps = [1, 2, 3, 4, 5, 6, "beyond"] as const;

/** Every cause over time, in the checklist's order. */
function strip(settings: KitSettings): Placed {
  return states({
    title: "Every cause of the checklist, over time",
    shows: "As the exporter itself judges it, by the same conditions as the alerts.",
    good: "Nothing but green, and now and then a restart.",
    act: "The name of a cause links to its runbook. Grey is not green: a grant is missing, `ssh-reset-exporter check` names it.",
    runbooks: runbooks(settings.causes, settings),
    empty: notScraped,
    width: 24,
    height: 12,
    legend: true,
    showValues: false,
    // 1 at work, 0 nothing seen, -1 cannot be judged. A query for each step: so they stand in the checklist's order.
    queries: steps.map((each) => {
      const ids = ofStep(settings.causes, each).map(({ id }) => id);
      const matcher = `cause=~"${ids.join("|")}"`;
      return {
        expr: max(`${own("cause_active", matcher)} + ${own("cause_observable", matcher)} - 1`, "cause"),
        legend: "{{cause}}",
      };
    }),
    states: [
      { value: 1, text: "at work", colour: bad },
      { value: 0, text: "nothing seen", colour: good },
      { value: -1, text: "cannot be judged", colour: notJudged },
    ],
    rows: settings.causes.map((cause) => ({
      name: cause.id,
      label: named(cause),
      link: runbookLink(cause, settings),
    })),
  });
}

/** A step's row: its verdict over the whole width, then its evidence. */
function step(
  settings: KitSettings,
  of: Cause["step"],
  title: string,
  healthy: string,
  panels: readonly Placed[],
): Row {
  const causes = ofStep(settings.causes, of);
  const verdict = stat({
    title: "",
    shows: `Verdict over the time shown, of: ${causes.map((cause) => cause.title).join("; ")}.`,
    good: `No: ${healthy}`,
    act: `The runbook, and the panels below. ${causes.map(({ title: name, explanation }) => `*${name}*: ${explanation}`).join(" ")}`,
    runbooks: runbooks(causes, settings),
    empty: notScraped,
    width: 24,
    height: 2,
    unit: "none",
    sentence: true,
    queries: [{ expr: stepNumber(causes), legend: "verdict" }],
    steps: [{ from: null, colour: good }],
    mappings: stepMappings(causes, healthy),
  });
  return { title, panels: [verdict, ...panels] };
}

function connections(evidence: Evidence): readonly Placed[] {
  const ended = (matchers: string): string => own("connections_ended_total", matchers);
  return [
    graph({
      title: "Known peers' abnormal ends, by phase",
      shows:
        "Resets, timeouts, drops, refusals and errors. `connect` and `banner`: turned away at the door. `kex`: the first large packets. `session`: cut later.",
      good: "Nothing, or single ones.",
      act: "connect, banner: steps 1, 2, 3 and throttling. kex: step 4. session: steps 1, 2, 5.",
      runbooks: runbooks([symptom], evidence.settings),
      empty: notScraped,
      queries: [
        {
          expr: sum(increase(ended('peer_class="known",outcome!~"closed|disconnect"')), "phase"),
          legend: "{{phase}}",
        },
      ],
      unit: "none",
      bars: true,
      width: 8,
    }),
    graph({
      title: "Known peers' ends, by outcome",
      good: "`disconnect`, in peace.",
      act: "`dropped`: throttling. `refused`: step 3. `timeout`: step 4 and login timeouts. `reset`: see the direction.",
      empty: notScraped,
      queries: [{ expr: sum(increase(ended('peer_class="known"')), "outcome"), legend: "{{outcome}}" }],
      unit: "none",
      bars: true,
      width: 8,
    }),
    graph({
      title: "Resets, by class of peer",
      shows: "`unknown` peers never logged in here: scanners, mostly.",
      good: "Known peers near 0; the rest is noise.",
      act: "Health checks that look like resets: configure their addresses (`peers.health_check`).",
      empty: notScraped,
      queries: [{ expr: sum(increase(ended('outcome="reset"')), "peer_class"), legend: "{{peer_class}}" }],
      unit: "none",
      decimals: 0,
      logarithmic: true,
      width: 8,
    }),
    graph({
      title: "Who sent the resets",
      shows:
        "From the kernel's own events: `received` came from the peer, or in its name from the path; the others this host sent, by the kernel's reason (6.10 and newer).",
      good: "A floor of scanners' `tcp_abort_on_close` and `no_socket`.",
      act: "`tcp_abort_on_data`: a session's process died (steps 1, 2). `no_socket`: nothing listened. `received` with known peers: step 5.",
      empty: "No exporter answered. Where the kernel's trace events are not granted these stay at 0",
      queries: [
        { expr: sum(increase(own("tcp_resets_received_total"))), legend: "received" },
        {
          expr: `${sum(increase(own("tcp_resets_sent_total")), "reason")} > 0 or ${sum(increase(own("tcp_resets_sent_total", 'reason="not_specified"')), "reason")}`,
          legend: "sent: {{reason}}",
        },
      ],
      unit: "none",
      bars: true,
      width: 8,
      colours: { received: okabeIto.skyBlue },
    }),
    table({
      title: "Peers with the most resets",
      shows: "Within the time shown; received from them, sent to them. Up to 50 peers have series of their own.",
      good: "Unknown peers only, or none.",
      act: "A known peer at the top: `ssh -v` from there names the phase; one peer alone is its own affair.",
      empty: "No peer was reset in the time shown",
      width: 8,
      height: 8,
      sortBy: "Received",
      columns: [
        { label: "peer", title: "Peer" },
        {
          label: "peer_class",
          title: "Class",
          width: 90,
          mappings: [mapped([{ value: "known", text: "known", colour: bad }])],
        },
        {
          expr: `topk(15, sum by (peer, peer_class) (${total(own("peer_resets_received_total"))}) > 0.5)`,
          title: "Received",
          width: 85,
          decimals: 0,
        },
        {
          expr: `topk(15, sum by (peer, peer_class) (${total(own("peer_resets_sent_total"))}) > 0.5)`,
          title: "Sent",
          width: 65,
          decimals: 0,
        },
      ],
    }),
    graph({
      title: "Logins and open connections",
      good: "Logins go on; few connections wait in banner or auth.",
      act: "Many in `banner` or `auth`: a slow login (PAM, DNS, directory), or scanners that hold them.",
      empty: notScraped,
      queries: [
        { expr: sum(increase(own("connections_accepted_total"))), legend: "logins" },
        { expr: sum(own("connections_open"), "phase"), legend: "open: {{phase}}" },
      ],
      unit: "none",
      decimals: 0,
      width: 8,
      colours: { logins: okabeIto.green, "open: session": okabeIto.blue },
    }),
  ];
}

function sshdLife(evidence: Evidence): readonly Placed[] {
  return [
    states({
      title: "sshd listens",
      good: "One unbroken strip.",
      act: "`systemctl status ssh` (`sshd` on RHEL), `sshd -t`.",
      runbooks: evidence.runbooks("sshd_down"),
      empty: `${notScraped}, or it may not read the table of sockets`,
      width: 8,
      height: 7,
      queries: [{ expr: min(own("sshd_up"), "instance"), legend: "{{instance}}" }],
      states: [
        { value: 1, text: "listens", colour: good },
        { value: 0, text: "down", colour: bad },
      ],
    }),
    graph({
      title: "Starts, and stops by reason",
      shows: "`requested` and `reload` were asked for; `crash`, `oom_kill`, `error` were not.",
      good: "Nothing, or a planned restart: one stop, one start.",
      act: "`journalctl -u ssh -u sshd --since -15min` around the bar.",
      runbooks: evidence.runbooks("sshd_crash", "sshd_restart"),
      empty: notScraped,
      queries: [
        { expr: sum(increase(own("sshd_starts_total"))), legend: "starts" },
        { expr: sum(increase(own("sshd_stops_total")), "reason"), legend: "{{reason}}" },
      ],
      unit: "none",
      bars: true,
      width: 8,
      height: 7,
      colours: { starts: good },
    }),
    graph({
      title: "Failed starts, crashed sessions",
      good: "Nothing.",
      act: "`configuration`, `host_keys`: `sshd -t` prints the bad line. Crashed sessions: `coredumpctl list sshd sshd-session`.",
      runbooks: evidence.runbooks("sshd_down", "sshd_crash"),
      empty: notScraped,
      queries: [
        { expr: sum(increase(own("sshd_session_crashes_total"))), legend: "crashed sessions" },
        { expr: sum(increase(own("sshd_start_failures_total")), "reason"), legend: "start: {{reason}}" },
      ],
      unit: "none",
      bars: true,
      width: 8,
      height: 7,
    }),
  ];
}

function resources(evidence: Evidence): readonly Placed[] {
  const share = (of: string, limit: string): string => max(`${own(of)} / ${own(limit)}`);
  return [
    graph({
      title: "Processes killed for memory",
      shows: "By whom: `sshd` and `sshd_session` (anything in sshd's own cgroup) reset peers, `other` does not.",
      good: "Nothing.",
      act: "`journalctl -k | grep -i 'out of memory'`: a cgroup's limit, or the whole host's.",
      runbooks: evidence.runbooks("oom_kill"),
      empty: notScraped,
      queries: [{ expr: sum(increase(own("oom_kills_total")), "victim"), legend: "{{victim}}" }],
      unit: "none",
      bars: true,
      width: 8,
      height: 7,
    }),
    graph({
      title: "Memory available",
      shows: "The smallest share of the hosts chosen.",
      good: "Above both lines: below the lower one with stalls it is memory pressure, above the upper one it is over.",
      act: "`ps -eo pid,rss,comm --sort=-rss | head`",
      runbooks: evidence.runbooks("memory_pressure"),
      empty: notScraped,
      queries: [{ expr: min(`${own("memory_available_bytes")} / ${own("memory_total_bytes")}`), legend: "available" }],
      unit: "percentunit",
      max: 1,
      width: 8,
      height: 7,
      limits: [
        { from: evidence.threshold("memory_pressure", "available"), colour: bad },
        { from: evidence.threshold("memory_pressure", "availableAgain"), colour: warning },
      ],
    }),
    graph({
      title: "Time that tasks wait",
      shows: "Pressure stall information: the share of time in which somebody waited; the worst of the hosts chosen.",
      good: "Memory near 0. CPU may be anything as long as logins work. The line is memory's.",
      act: "Memory: the runbook. CPU: matters only with login timeouts below.",
      runbooks: evidence.runbooks("memory_pressure", "cpu_pressure"),
      empty: "This kernel runs without PSI (boot with psi=1), or no exporter answered",
      queries: [{ expr: max(rate(own("pressure_stalled_seconds_total")), "resource"), legend: "{{resource}}" }],
      unit: "percentunit",
      width: 8,
      height: 7,
      limits: [{ from: evidence.threshold("memory_pressure", "stalled") / 300, colour: bad }],
    }),
    graph({
      title: "How much of its limits is used",
      shows:
        "Tasks of sshd's unit (TasksMax) and open files of its main process, and load per CPU in units of its limit.",
      good: "Below the line. A unit without a limit has no line of its own.",
      act: "`systemctl show ssh -p TasksCurrent -p TasksMax`, `prlimit --pid $(pgrep -o -x sshd)`.",
      runbooks: evidence.runbooks("process_limit", "cpu_pressure"),
      empty: "No limits are set, or no exporter answered",
      queries: [
        { expr: share("sshd_tasks", "sshd_tasks_limit"), legend: "tasks" },
        { expr: share("sshd_open_files", "sshd_open_files_limit"), legend: "open files" },
        { expr: share("sshd_memory_bytes", "sshd_memory_limit_bytes"), legend: "memory of its group" },
        {
          expr: max(`${own("load1")} / ${own("cpus")} / ${evidence.threshold("cpu_pressure", "loadPerCpu")}`),
          legend: "load",
        },
      ],
      unit: "percentunit",
      width: 12,
      height: 7,
      limits: [{ from: evidence.threshold("process_limit", "tasks"), colour: bad }],
    }),
    graph({
      title: "Refused to sshd",
      shows:
        "What sshd says it could not get, forks that its control group refused, and that group's memory limit met.",
      good: "Nothing.",
      act: "`process`, forks: TasksMax. `files`: LimitNOFILE. Memory limit: MemoryMax of the unit.",
      runbooks: evidence.runbooks("process_limit", "oom_kill"),
      empty: notScraped,
      queries: [
        { expr: sum(increase(own("sshd_resource_errors_total")), "resource"), legend: "{{resource}}" },
        { expr: sum(increase(own("sshd_forks_refused_total"))), legend: "forks refused" },
        { expr: sum(increase(own("sshd_memory_events_total", 'event="max"'))), legend: "memory limit met" },
      ],
      unit: "none",
      bars: true,
      width: 12,
      height: 7,
      colours: { "forks refused": bad, "memory limit met": okabeIto.yellow },
    }),
  ];
}

function tcpWrappers(evidence: Evidence): readonly Placed[] {
  return [
    graph({
      title: "Refusals, by class of peer",
      shows: "libwrap's `refused connect from`. Scanners that are refused are what the rules are for.",
      good: "No known peer.",
      act: "`tcpdmatch sshd ADDRESS` names the rule that refuses.",
      runbooks: evidence.runbooks("tcp_wrappers"),
      empty: notScraped,
      queries: [
        {
          expr: sum(increase(own("connections_ended_total", 'outcome="refused"')), "peer_class"),
          legend: "{{peer_class}}",
        },
      ],
      unit: "none",
      bars: true,
      width: 16,
      height: 6,
    }),
    stat({
      title: "Whether TCP wrappers can refuse at all",
      good: "Not linked: look elsewhere. Linked: no malformed lines, and deny rules that somebody knows of.",
      act: "`ldd $(command -v sshd) | grep libwrap`; `grep -vE '^ *(#|$)' /etc/hosts.allow /etc/hosts.deny`.",
      runbooks: evidence.runbooks("tcp_wrappers"),
      empty: "The exporter does not answer, or may not read sshd's program",
      queries: [
        { expr: max(own("tcp_wrappers_linked")), legend: "sshd is linked" },
        { expr: max(own("tcp_wrappers_deny_rules")), legend: "deny rules" },
        { expr: max(own("tcp_wrappers_malformed_lines")), legend: "malformed lines" },
      ],
      unit: "none",
      width: 8,
      height: 6,
      steps: plain,
    }),
  ];
}

function mtu(evidence: Evidence): readonly Placed[] {
  return [
    graph({
      title: "Hanging connections",
      shows:
        "`full-size lost`: our full-size segments time out again and again while small ones arrive. `stuck in kex`: the peer's large packets may not arrive.",
      good: "0. Single ones that are stuck in kex are dead clients.",
      act: "`ping -M do -s 1472 PEER` fails where `-s 1372` is answered: the path is narrower than its ends believe.",
      runbooks: evidence.runbooks("mtu_blackhole"),
      empty: "The program ss (iproute2) is not there, or no exporter answered",
      queries: [
        {
          expr: sum(own("ssh_sockets_full_size_stuck", 'small_segments="delivered"')),
          legend: "full-size lost, small delivered",
        },
        {
          expr: sum(own("ssh_sockets_full_size_stuck", 'small_segments="not_seen"')),
          legend: "full-size lost, peer silent",
        },
        { expr: sum(own("ssh_sockets_kex_stuck")), legend: "stuck in kex" },
        { expr: sum(own("known_peers_stuck_in_kex")), legend: "known peers stuck in kex" },
        { expr: sum(own("ssh_sockets_in_backoff")), legend: "in backoff" },
      ],
      unit: "none",
      decimals: 0,
      width: 6,
      limits: [{ from: evidence.threshold("mtu_blackhole", "sockets") + 1, colour: bad }],
      colours: {
        "full-size lost, small delivered": bad,
        "full-size lost, peer silent": notJudged,
        "stuck in kex": okabeIto.skyBlue,
        "known peers stuck in kex": warning,
        "in backoff": okabeIto.purple,
      },
    }),
    graph({
      title: "MTU of interfaces and paths",
      shows: "In bytes. The smallest path MTU of open SSH connections against the interfaces' own.",
      good: "A path MTU below the interface's was learned: healthy. Equal ones are healthy too, unless connections hang.",
      act: "`tracepath -n PEER`; `ip route get PEER` shows a learned `mtu`.",
      runbooks: evidence.runbooks("mtu_blackhole"),
      empty: notScraped,
      queries: [
        { expr: min(own("interface_mtu_bytes", 'interface!="lo"')), legend: "smallest interface" },
        { expr: min(own("ssh_socket_path_mtu_bytes")), legend: "smallest path of SSH" },
        { expr: min(own("path_mtu_learned_min_bytes")), legend: "smallest learned" },
      ],
      unit: "none",
      decimals: 0,
      softMin: 1200,
      width: 6,
    }),
    graph({
      title: "Messages about packet size",
      shows:
        "All TCP of this host: probes that failed (only with tcp_mtu_probing), packets that could not be fragmented, ICMP that came.",
      good: "ICMP that comes is healthy: the path says what it takes.",
      act: "Connections hang and no ICMP comes: it is filtered on the way.",
      runbooks: evidence.runbooks("mtu_blackhole"),
      empty: notScraped,
      queries: [
        { expr: sum(increase(own("path_mtu_failures_total"))), legend: "probes failed" },
        { expr: sum(increase(own("ip_fragmentation_failures_total"))), legend: "cannot be fragmented" },
        { expr: sum(increase(own("icmp_packet_too_big_received_total"))), legend: "too big (IPv6), received" },
        {
          expr: sum(increase(own("icmp_destination_unreachable_received_total", 'family="ipv4"'))),
          legend: "unreachable (IPv4), received",
        },
      ],
      unit: "none",
      bars: true,
      width: 6,
    }),
    stat({
      title: "Learned and misfit MTUs",
      shows:
        "Destinations whose path MTU was learned from ICMP; interfaces whose MTU does not fit the one they run over.",
      good: "Any number of learned ones: they are healthy. No mismatches.",
      act: "`ip -d link`: a bridge, VLAN or tunnel larger than what carries it eats packets on this very host.",
      runbooks: evidence.runbooks("mtu_blackhole"),
      empty: "The exporter does not answer",
      queries: [
        { expr: sum(own("path_mtu_learned_routes")), legend: "learned" },
        { expr: sum(own("interface_mtu_mismatches")), legend: "mismatches" },
        { expr: max(own("tcp_mtu_probing")), legend: "tcp_mtu_probing" },
      ],
      unit: "none",
      width: 6,
      height: 8,
      steps: plain,
    }),
  ];
}

function middleboxes(evidence: Evidence): readonly Placed[] {
  return [
    graph({
      title: "Connection tracking: how full",
      shows: "The fullest of the hosts chosen. It pages at the upper line and is over below the lower one.",
      good: "Below both lines.",
      act: "`conntrack -L | awk '{print $3, $4}' | sort | uniq -c`: who fills it; raise nf_conntrack_max meanwhile.",
      runbooks: evidence.runbooks("conntrack_full"),
      empty: "nf_conntrack is not loaded here: it cannot be full. Or no exporter answered",
      queries: [{ expr: max(`${own("conntrack_entries")} / ${own("conntrack_entries_limit")}`), legend: "entries" }],
      unit: "percentunit",
      max: 1,
      width: 8,
      limits: [
        { from: evidence.threshold("conntrack_full", "entriesAgain"), colour: warning },
        { from: evidence.threshold("conntrack_full", "entries"), colour: bad },
      ],
    }),
    graph({
      title: "Connection tracking: packets dropped",
      shows: "`table full` is the kernel's own line, rate-limited: a lower bound.",
      good: "Nothing.",
      act: "New connections hang meanwhile; those that stand keep their entry.",
      runbooks: evidence.runbooks("conntrack_full"),
      empty: "nf_conntrack is not loaded here, or no exporter answered",
      queries: [
        { expr: sum(increase(own("conntrack_drops_total"))), legend: "dropped" },
        { expr: sum(increase(own("conntrack_table_full_total"))), legend: "table full" },
        { expr: sum(increase(own("conntrack_early_drops_total"))), legend: "thrown out early" },
      ],
      unit: "none",
      bars: true,
      width: 8,
      colours: { dropped: bad, "table full": okabeIto.purple, "thrown out early": warning },
    }),
    graph({
      title: "Resets that the peer did not send",
      shows: "Resets whose TTL the same connection's segments never had, of those compared.",
      good: "Nothing forged.",
      act: "`ssh-reset-exporter observe show`; the difference of the TTLs is how far away the device is.",
      runbooks: evidence.runbooks("middlebox_reset"),
      empty:
        "TTLs are not observed here (off by default): `ssh-reset-exporter observe install`, `--collector.reset_ttl`",
      queries: [
        { expr: sum(increase(own("middlebox_resets_total"))), legend: "forged" },
        { expr: sum(increase(own("resets_ttl_compared_total"))), legend: "compared" },
        { expr: sum(increase(own("resets_ttl_unknown_total"))), legend: "not comparable" },
      ],
      unit: "none",
      bars: true,
      stacked: false,
      width: 8,
      colours: { forged: bad, compared: okabeIto.skyBlue, "not comparable": notJudged },
    }),
    heat({
      title: "How long sessions had been idle when they were cut",
      shows: "Sessions that ended without an SSH disconnect, by the time since the peer's last segment.",
      good: "Scattered, mostly below a minute.",
      act: "A band at one age is a device's timeout: set ClientAliveInterval below it.",
      runbooks: evidence.runbooks("idle_timeout"),
      empty: "The program ss (iproute2) is not there, so idle times are not known; or no exporter answered",
      expr: `sum by (le) (${increase(own("session_idle_at_end_seconds_bucket", 'outcome!="disconnect"'))})`,
      unit: "s",
      width: 16,
    }),
    graph({
      title: "Sessions cut at a well-known idle age",
      shows:
        "240 s: Azure. 350 s: AWS. 600 s: Google Cloud, nginx. All: docs/idle-timeouts.md. `other`: an age that repeats.",
      good: "Nothing, or single ones by chance.",
      act: "`sshd -T | grep -i clientalive`: keepalives below that age end it.",
      runbooks: evidence.runbooks("idle_timeout"),
      empty: notScraped,
      queries: [{ expr: sum(increase(own("sessions_cut_idle_total")), "timeout"), legend: "{{timeout}}" }],
      unit: "none",
      bars: true,
      width: 8,
    }),
    graph({
      title: "Who ended the proxy's sessions",
      shows: "By haproxy's own log. `client_timeout`, `server_timeout`: its own timeouts. setup: before sshd answered.",
      good: "`nobody`: both sides closed when all was said.",
      act: "`server setup`: sshd refuses or drops the proxy. Timeouts: ClientAliveInterval below them.",
      runbooks: evidence.runbooks("idle_timeout", "balancer_throttled"),
      empty: "No haproxy log is read here (--source.haproxy-log), or no exporter answered",
      queries: [
        {
          expr: sum(increase(own("proxy_sessions_ended_total")), "ended_by, stage"),
          legend: "{{ended_by}} {{stage}}",
        },
      ],
      unit: "none",
      bars: true,
      width: 12,
    }),
    graph({
      title: "Balancers that sshd turned away",
      shows:
        "Connections of health checks and configured proxies that sshd dropped; servers that haproxy took for down.",
      good: "Nothing.",
      act: "PerSourcePenaltyExemptList with the balancer's networks; fewer checks.",
      runbooks: evidence.runbooks("balancer_throttled"),
      empty: notScraped,
      queries: [
        {
          expr: sum(
            increase(own("connections_ended_total", 'outcome="dropped",peer_class=~"health_check|proxy"')),
            "peer_class",
          ),
          legend: "{{peer_class}} dropped",
        },
        { expr: sum(increase(own("proxy_server_changes_total", 'to="down"'))), legend: "taken for down" },
      ],
      unit: "none",
      bars: true,
      width: 6,
    }),
    graph({
      title: "PROXY headers that sshd refused",
      shows: "Connections that began with the PROXY protocol's header, or with the empty line of its version 2.",
      good: "Nothing; scanners' (`unknown`) mean nothing.",
      act: "The balancer's `send-proxy` or `proxy_protocol_v2.enabled` must be off for sshd.",
      runbooks: evidence.runbooks("proxy_protocol"),
      empty: notScraped,
      queries: [
        {
          expr: sum(increase(own("proxy_headers_refused_total")), "header, peer_class"),
          legend: "{{header}} {{peer_class}}",
        },
      ],
      unit: "none",
      bars: true,
      width: 6,
    }),
  ];
}

function cloud(evidence: Evidence): readonly Placed[] {
  return [
    graph({
      title: "Packets beyond the instance's allowances",
      shows: "Dropped or queued by the cloud, outside of this host; counted by the driver (AWS ENA).",
      good: "Nothing. Bandwidth may be met for a while: that queues, and cuts nobody.",
      act: "`ethtool -S IFACE | grep exceeded`; a larger instance, or fewer connections.",
      runbooks: evidence.runbooks("cloud_limit"),
      empty:
        "This host's network driver counts no allowances: no cloud, or one whose limits cannot be seen from inside",
      queries: [{ expr: sum(increase(own("cloud_allowance_exceeded_total")), "allowance"), legend: "{{allowance}}" }],
      unit: "none",
      bars: true,
      width: 8,
      height: 6,
    }),
    graph({
      title: "Connections that the cloud still tracks",
      shows: "How many more, before it drops new ones; the lowest of the hosts chosen (AWS ENA).",
      good: "Far from 0.",
      act: "Fewer connections through this instance, or a larger one.",
      runbooks: evidence.runbooks("cloud_limit"),
      empty: "This host's network driver does not tell (AWS ENA 2.8.1 and later does)",
      queries: [{ expr: min(own("cloud_conntrack_available")), legend: "available" }],
      unit: "short",
      width: 8,
      height: 6,
    }),
    table({
      title: "What these hosts are",
      shows: "Read once, at the exporter's start.",
      good: "The cloud is named where there is one.",
      act: "Security groups and network ACLs leave no trace on the host: the runbook has the cloud's own logs.",
      runbooks: evidence.runbooks("cloud_limit"),
      empty: notScraped,
      width: 8,
      height: 6,
      hidden: ["virtualization", "distribution_version", "Value"],
      columns: [
        { label: "instance", title: "Host" },
        { label: "cloud", title: "Cloud", width: 90 },
        { label: "distribution", title: "Distribution", width: 110 },
        { label: "kernel", title: "Kernel" },
        {
          expr: `max by (instance, cloud, distribution, kernel) (${own("host_info")})`,
          title: "1",
          width: 1,
        },
      ],
    }),
    graph({
      title: "Flows to sshd by the cloud's own logs",
      shows: "Rejected and admitted, by class of peer, as flow logs say; they come up to a quarter of an hour late.",
      good: "No `reject known`. Strangers are rejected all day: that is what the rules are for.",
      act: "`ssh-reset-exporter diagnose` names the peers and the rules; `audit` says which rule would.",
      runbooks: evidence.runbooks("cloud_limit"),
      empty: "No flow log is read here (--source.flow-log), or no exporter answered",
      queries: [
        {
          expr: sum(increase(own("cloud_flows_total")), "action, peer_class"),
          legend: "{{action}} {{peer_class}}",
        },
      ],
      unit: "none",
      bars: true,
      width: 8,
      height: 6,
    }),
    graph({
      title: "Admitted by the cloud, and not seen here",
      shows: "unseen: nothing of the address was heard here around that time. unanswered: nothing but SYNs (AWS).",
      good: "No `known`. A stranger's bare connect leaves no line at LogLevel INFO.",
      act: "It is lost between the cloud and sshd: the host's own filter (`audit` with nft), connection tracking, a full backlog.",
      runbooks: evidence.runbooks("cloud_limit"),
      empty: "No flow log is read here (--source.flow-log), or no exporter answered",
      queries: [
        { expr: sum(increase(own("cloud_flows_unseen_total")), "peer_class"), legend: "unseen {{peer_class}}" },
        { expr: sum(increase(own("cloud_flows_unanswered_total")), "peer_class"), legend: "unanswered {{peer_class}}" },
      ],
      unit: "none",
      bars: true,
      width: 8,
      height: 6,
    }),
    graph({
      title: "Resets that the cloud saw",
      shows: "Flows with a TCP reset: in = from the client's side, out = from this host (AWS with tcp-flags).",
      good: "As many as this host counts itself.",
      act: "Seen by the cloud and not by this host: something in between sends them.",
      runbooks: evidence.runbooks("cloud_limit"),
      empty: "No flow log is read here (--source.flow-log), or no exporter answered",
      queries: [{ expr: sum(increase(own("cloud_flow_resets_total")), "direction"), legend: "{{direction}}" }],
      unit: "none",
      bars: true,
      width: 8,
      height: 6,
    }),
  ];
}

function beyond(evidence: Evidence): readonly Placed[] {
  return [
    graph({
      title: "Connections that sshd dropped, by limit",
      shows:
        "MaxStartups, PerSourceMaxStartups (same text), PerSourcePenalties. Before 10.0 sshd names one of many: a lower bound.",
      good: "Scanners only: no known peer in the panel beside.",
      act: "`sshd -T | grep -iE 'maxstartups|persource'`; raise MaxStartups, or keep scanners away.",
      runbooks: evidence.runbooks("connection_throttling"),
      empty: notScraped,
      queries: [{ expr: sum(increase(own("connections_dropped_total")), "limit"), legend: "{{limit}}" }],
      unit: "none",
      bars: true,
      width: 8,
    }),
    graph({
      title: "Connections not yet logged in, against MaxStartups",
      shows: "From `begin` on new ones are dropped at random, from `full` on all of them.",
      good: "Far below `begin`.",
      act: "Who holds them: `ss -Htn state established '( sport = :22 )'`.",
      runbooks: evidence.runbooks("connection_throttling"),
      empty: "sshd's process title or settings cannot be read here, or no exporter answered",
      queries: [
        { expr: max(own("sshd_unauthenticated_connections")), legend: "not logged in" },
        { expr: min(own("sshd_max_startups_begin")), legend: "begin" },
        { expr: min(own("sshd_max_startups_full")), legend: "full" },
      ],
      unit: "none",
      decimals: 0,
      width: 8,
      colours: { "not logged in": okabeIto.blue, begin: warning, full: bad },
    }),
    graph({
      title: "Timeouts of logins and sessions",
      shows: "`login_grace`: LoginGraceTime ran out. `client_alive`: no answer. Below them those of known peers.",
      good: "Scanners' `login_grace`; no known peers.",
      act: "`ssh -v HOST true` from a client: the line after which it hangs. UseDNS, PAM and directories make logins slow.",
      runbooks: evidence.runbooks("login_timeout", "cpu_pressure"),
      empty: notScraped,
      queries: [
        { expr: sum(increase(own("timeouts_total")), "timeout"), legend: "{{timeout}}" },
        {
          expr: sum(increase(own("connections_ended_total", 'outcome="timeout",peer_class="known"'))),
          legend: "known peers",
        },
      ],
      unit: "none",
      bars: true,
      stacked: false,
      width: 8,
      colours: { "known peers": bad, login_grace: notJudged },
    }),
    graph({
      title: "SSH connections that send again and again",
      shows: "Of the connections that are open now: those whose last retransmission timed out too.",
      good: "0, or a dead client for a while.",
      act: "Half of all and more: the path is broken. `mtr -rwzc 100 PEER`.",
      runbooks: evidence.runbooks("network_path"),
      empty: "The program ss (iproute2) is not there, or no exporter answered",
      queries: [
        { expr: sum(own("ssh_sockets", 'state="established"')), legend: "established" },
        { expr: sum(own("ssh_sockets_in_backoff")), legend: "in backoff" },
        { expr: sum(own("ssh_socket_lost_segments")), legend: "segments lost" },
      ],
      unit: "none",
      decimals: 0,
      width: 8,
      colours: { established: okabeIto.skyBlue, "in backoff": warning, "segments lost": bad },
    }),
    graph({
      title: "Links and damaged packets",
      shows: "Links that went down, network cards that were reset, connections ended by damaged packets.",
      good: "Nothing. Scanners' garbage counts as damaged, too.",
      act: "`journalctl -k | grep -Ei 'link is|reset adapter'`, `ethtool -S IFACE`.",
      runbooks: evidence.runbooks("network_path"),
      empty: notScraped,
      queries: [
        { expr: sum(increase(own("link_down_total"))), legend: "link down" },
        { expr: sum(increase(own("nic_resets_total"))), legend: "card reset" },
        { expr: sum(increase(own("interface_carrier_changes_total"))), legend: "carrier changes" },
        { expr: sum(increase(own("interface_driver_resets_total"))), legend: "driver resets" },
        { expr: sum(increase(own("integrity_errors_total"))), legend: "damaged" },
      ],
      unit: "none",
      bars: true,
      width: 8,
      colours: {
        "link down": bad,
        "card reset": warning,
        "carrier changes": okabeIto.skyBlue,
        damaged: okabeIto.purple,
        "driver resets": okabeIto.yellow,
      },
    }),
    graph({
      title: "Round-trip times of SSH connections",
      good: "Steady.",
      act: "A median that jumps: the path changed, or a queue fills.",
      runbooks: evidence.runbooks("network_path"),
      empty: "The program ss (iproute2) is not there, or nobody is connected",
      queries: [
        { expr: max(own("ssh_socket_rtt_median_seconds")), legend: "median" },
        { expr: max(own("ssh_socket_rtt_max_seconds")), legend: "longest" },
      ],
      unit: "s",
      width: 8,
    }),
  ];
}

function sources(evidence: Evidence): readonly Placed[] {
  return [
    states({
      title: "Sources",
      shows: "Absent ones are not wanted on this host.",
      good: "Every one is reading.",
      act: "The exporter's page names the reason and the grant.",
      empty: notScraped,
      width: 8,
      height: 6,
      queries: [{ expr: min(own("source_up"), "source"), legend: "{{source}}" }],
      states: [
        { value: 1, text: "reading", colour: good },
        { value: 0, text: "not reading", colour: bad },
      ],
    }),
    graph({
      title: "Records lost, and not understood",
      good: "None lost. Few that no pattern knows.",
      act: "Lost: a log that is vacuumed or rate-limited. Not understood: a release that prints something new.",
      empty: notScraped,
      queries: [
        { expr: sum(increase(own("source_lost_records_total"))), legend: "lost" },
        { expr: sum(increase(own("source_unmatched_records_total"))), legend: "not understood" },
      ],
      unit: "none",
      bars: true,
      width: 8,
      height: 6,
      colours: { lost: bad, "not understood": notJudged },
    }),
    stat({
      title: "Causes that can be judged here",
      shows: "Of all that the catalogue has.",
      good: `All ${evidence.settings.causes.length}, or all but the cloud's.`,
      act: "`ssh-reset-exporter check` prints the grant that each of the others needs.",
      empty: "The exporter does not answer",
      queries: [
        { expr: `count(${max(own("cause_observable"), "cause")} == 1)`, legend: "can be judged" },
        { expr: `count(${max(own("cause_observable"), "cause")} == 0)`, legend: "cannot" },
      ],
      unit: "none",
      width: 8,
      height: 6,
      steps: [{ from: null, colour: valueColours["cpu"] ?? "" }],
    }),
  ];
}
