/**
 * Alerts on the results of /probe: what a client sees, which no log on the server can know. They come under a scrape job
 * of their own, whose `instance` is the target. A reset in the handshake that the target's own exporter proves not to
 * have sent came from between; both sides are joined by the host's name, `instance` without its port.
 */
import { duration } from "../diagnosis/to-promql.ts";
import { handshakePhases } from "../probe/handshake.ts";
import { failures, probePhases } from "../probe/session.ts";
import { meaningOf } from "../probe/verdict.ts";
import { query, sameHost } from "./annotations.ts";
import { fleetUrl } from "./dashboards/uids.ts";
import type { AlertRule, RecordingRule } from "./rules.ts";
import type { KitSettings } from "./settings.ts";

const failingSeconds = 180;
const hostSeconds = 300;
const onPath = "instance:sshreset_probe_reset_on_path:bool";

export function probeRules(settings: KitSettings): (RecordingRule | AlertRule)[] {
  return [{ record: onPath, expr: resetOnPath(settings) }, ...probeAlerts(settings)];
}

export function probeAlerts(settings: KitSettings): AlertRule[] {
  const { hostLabels } = settings;
  const runbook = (alert: string): string => `${settings.runbookBase}/${alert}.md`;
  return [
    {
      alert: "SshResetProbeFailed",
      labels: { severity: "warning", cause: "probe_failed", step: "client" },
      expr: `${failing(settings)}\nunless on (${hostLabels}) ${onPath}`,
      annotations: {
        summary: "SSH does not work from where the probe looks.",
        description: `${seen} ${meanings()}{{ with ${query(`sshreset_probe_throttled{${sameHost}} == 1`)} }}sshd said itself before its banner that it drops connections: MaxStartups or a penalty. {{ end }}`,
        next: "1. ssh-reset-exporter probe {{ $labels.instance }}\n   Phases, the errno, what it means, and where to look next.\n2. ssh-reset-exporter probe --mtu {{ $labels.instance }}\n   After a timeout in the key exchange: the size that the path eats.\n3. journalctl -u ssh -u sshd --since -15min\n   On the host: whether sshd knows of these connections.",
        runbook_url: runbook("SshResetProbeFailed"),
        dashboard: fleetUrl(settings),
      },
    },
    {
      alert: "SshResetProbeBlamesPath",
      labels: { severity: "warning", cause: "probe_path", step: "client" },
      expr: `${onPath} == 1`,
      annotations: {
        summary: "A probe is reset in the handshake, and the host has sent no reset.",
        description: `${seen} In the last ${hostSeconds / 60} minutes the exporter on that host saw its kernel send no reset from sshd's ports, no drop and no refusal, and sshd was listening: the reset was made between the probe and the host.`,
        next: "1. ssh-reset-exporter probe --repeat 10 {{ $labels.instance }}\n   Always, or now and then? From another network, too.\n2. tcpdump -nvi any 'tcp port 22 and tcp[tcpflags] & tcp-rst != 0'\n   On both ends: a reset that reaches the client and never left the host; its TTL tells how far away it was made.\n3. ssh-reset-exporter observe show\n   On the host: resets that came in with a TTL that the peer's segments never had.",
        runbook_url: runbook("SshResetProbeBlamesPath"),
        dashboard: fleetUrl(settings),
      },
    },
  ];
}

const seen = `Every probe of {{ $labels.instance }} failed for ${failingSeconds / 60} minutes, now with {{ $labels.reason }} in {{ $labels.phase }}.`;

const selector = (metric: string, ...matchers: readonly string[]): string => {
  const all = matchers.filter((each) => each !== "").join(",");
  return all === "" ? metric : `${metric}{${all}}`;
};

/** The failure of now, where no probe succeeded for minutes: at least two of them. */
function failing(settings: KitSettings, ...matchers: readonly string[]): string {
  const { probeMatchers, hostLabels } = settings;
  const successes = `${selector("probe_success", probeMatchers)}[${duration(failingSeconds, settings)}]`;
  return [
    `${selector("sshreset_probe_failure", probeMatchers, ...matchers)} == 1`,
    `and on (${hostLabels}) max_over_time(${successes}) == 0`,
    `and on (${hostLabels}) count_over_time(${successes}) >= 2`,
  ].join("\n");
}

/**
 * After connect: a reset of the SYN is a closed port, or a firewall that says so, on the host or before it. A host
 * without trace events proves nothing: its resets cannot be seen.
 */
function resetOnPath(settings: KitSettings): string {
  const { hostLabels } = settings;
  const own = (metric: string, ...matchers: readonly string[]): string =>
    selector(metric, settings.matchers, ...matchers);
  const some = (metric: string, ...matchers: readonly string[]): string =>
    `sum by (${hostLabels}) (increase(${own(metric, ...matchers)}[${duration(hostSeconds, settings)}])) > 0.5`;
  const always = (series: string): string =>
    `min by (${hostLabels}) (min_over_time(${series}[${duration(hostSeconds, settings)}])) == 1`;
  const innocent = [
    always(own("sshreset_sshd_up")),
    `and on (${hostLabels}) ${always(own("sshreset_source_up", 'source="tcp_trace"'))}`,
    ...[
      some("sshreset_tcp_resets_sent_total"),
      some("sshreset_connections_dropped_total"),
      some("sshreset_tcp_wrappers_refusals_total"),
    ].map((guilty) => `unless on (${hostLabels}) ${guilty}`),
  ];
  const probe = failing(settings, 'reason="reset"', `phase=~"${handshakePhases.join("|")}"`);
  return `group by (${hostLabels}, phase, reason) (\n${hostName(probe)}\nand on (probed_host)\n${hostName(innocent.join("\n"))}\n)`;
}

/** `bastion:22` and `bastion:10922` are one host; so are `[2001:db8::1]:22` and `[2001:db8::1]:10922`. */
const hostName = (vector: string): string =>
  `label_replace(\n${vector},\n"probed_host", "$1", "instance", "(\\\\[[^\\\\]]+\\\\]|[^:]+)(?::[0-9]+)?")`;

/** What each failure means, in the words of `probe`; one text may stand for several phases. */
function meanings(): string {
  const texts = new Map<string, string[]>();
  for (const phase of probePhases) {
    for (const reason of failures) {
      const text = meaningOf(phase, reason);
      if (text === undefined) continue;
      const holds = `(and (eq $labels.phase "${phase}") (eq $labels.reason "${reason}"))`;
      texts.set(text, [...(texts.get(text) ?? []), holds]);
    }
  }
  return [...texts]
    .map(([text, holds]) => `{{ if ${holds.length === 1 ? holds[0] : `(or ${holds.join(" ")})`} }}${text} {{ end }}`)
    .join("");
}
