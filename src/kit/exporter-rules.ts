/** Alerts about the kit itself: whoever trusts the pages must know when they can no longer come. */
import { duration } from "../diagnosis/to-promql.ts";
import { dashboardUrl, uids } from "./dashboards/uids.ts";
import { lastAnswer } from "./host-records.ts";
import type { AlertRule } from "./rules.ts";
import type { KitSettings } from "./settings.ts";

interface ExporterAlert {
  readonly alert: string;
  readonly summary: string;
  readonly description: string;
  readonly expr: string;
  readonly forSeconds: number;
  readonly severity: "warning" | "info";
  readonly next: string;
}

export function exporterRules(settings: KitSettings): AlertRule[] {
  return exporterAlerts(settings).map(({ alert, summary, description, expr, forSeconds, severity, next }) => ({
    alert,
    expr,
    ...(forSeconds === 0 ? {} : { for: duration(forSeconds, settings) }),
    labels: { severity, cause: "exporter", step: "itself" },
    annotations: {
      summary,
      description,
      next,
      runbook_url: `${settings.runbookBase}/${alert}.md`,
      dashboard: dashboardUrl(uids.exporter, settings),
    },
  }));
}

function exporterAlerts(settings: KitSettings): readonly ExporterAlert[] {
  const { matchers, hostLabels } = settings;
  const own = (metric: string): string => (matchers === "" ? metric : `${metric}{${matchers}}`);
  const over = (metric: string, seconds: number): string => `${own(metric)}[${duration(seconds, settings)}]`;
  const lag = "sshreset_source_lag_bytes";
  return [
    {
      alert: "SshResetExporterDown",
      summary: "Prometheus cannot scrape ssh-reset-exporter.",
      description: "{{ $labels.instance }} answered within the last day and does not any more: no cause can be told.",
      expr: `${own("up")} == 0\nand on (${hostLabels}) ${lastAnswer}`,
      forSeconds: 600,
      severity: "warning",
      next: "1. systemctl status ssh-reset-exporter\n   Whether it runs, and its last lines.\n2. journalctl -u ssh-reset-exporter -n 50\n   Why it ended.\n3. curl -sf http://INSTANCE/-/healthy\n   From Prometheus' host: network or exporter.",
    },
    {
      alert: "SshResetSourceNotReading",
      summary: "A source of ssh-reset-exporter is not reading.",
      description:
        "{{ $labels.source }} on {{ $labels.instance }} is there and cannot be read: causes that need it cannot be told.",
      expr: `${own("sshreset_source_up")} == 0`,
      forSeconds: 300,
      severity: "warning",
      next: "1. curl -s http://INSTANCE/\n   The reason and the grant that it needs.\n2. ls -l /var/log/auth.log /var/log/secure\n   Owner and mode; the group of the log (adm) is the usual grant.\n3. id ssh-reset-exporter\n   Its groups.",
    },
    {
      alert: "SshResetRecordsLost",
      summary: "ssh-reset-exporter lost log records.",
      description:
        '{{ $value | printf "%.0f" }} records of {{ $labels.source }} on {{ $labels.instance }} were lost within 15 minutes, at least: counters are too low.',
      expr: `sum by (${hostLabels}, source) (increase(${over("sshreset_source_lost_records_total", 900)})) > 0.5`,
      forSeconds: 0,
      severity: "warning",
      next: "1. journalctl -u ssh-reset-exporter --since -30min\n   What was lost, and where.\n2. journalctl --disk-usage\n   A journal so small that it is vacuumed before it is read.\n3. journalctl -u systemd-journald -u rsyslog --since -30min | grep -iE 'suppressed|lost'\n   The logger's own rate limits.",
    },
    {
      alert: "SshResetSourceLagging",
      summary: "ssh-reset-exporter does not keep up with a log.",
      description:
        "{{ $value | humanize1024 }}B of {{ $labels.source }} on {{ $labels.instance }} wait to be read, and it does not become less: what pages tell is late.",
      expr: `${own(lag)} > 1048576\nand ${own(lag)} >= ${own(lag)} offset ${duration(600, settings)}\nand min_over_time(${over(lag, 600)}) > 1048576`,
      forSeconds: 300,
      severity: "warning",
      next: "1. top -p $(systemctl show -P MainPID ssh-reset-exporter)\n   Whether it runs at its CPU limit.\n2. ls -l /var/log/auth.log /var/log/secure\n   How fast the log grows.\n3. journalctl -u ssh-reset-exporter --since -30min\n   Retries of reading.",
    },
    {
      alert: "SshResetCollectorFailing",
      summary: "A collector of ssh-reset-exporter fails.",
      description:
        "{{ $labels.collector }} on {{ $labels.instance }} fails: it is there and cannot be read or understood.",
      expr: `${own("sshreset_scrape_collector_success")} == 0`,
      forSeconds: 600,
      severity: "warning",
      next: "1. curl -s http://INSTANCE/\n   The error, with the value and the place.\n2. journalctl -u ssh-reset-exporter --since -30min\n   The same, over time.\n3. curl -s 'http://INSTANCE/metrics?collect[]=NAME'\n   Only this collector.",
    },
    {
      alert: "SshResetStateNotSaved",
      summary: "ssh-reset-exporter cannot save its state.",
      description:
        "The state directory on {{ $labels.instance }} cannot be written: after a restart the log is read again from an older position.",
      expr: `${own("sshreset_state_commit_success")} == 0`,
      forSeconds: 600,
      severity: "warning",
      next: "1. journalctl -u ssh-reset-exporter --since -30min\n   The path and the error.\n2. df -h /var/lib; df -i /var/lib\n   Space and inodes.\n3. ls -ld /var/lib/ssh-reset-exporter\n   Owner and mode (0700).",
    },
    {
      alert: "SshResetConfigNotReloaded",
      summary: "ssh-reset-exporter runs with an old configuration.",
      description: "The last reload on {{ $labels.instance }} failed: the configuration before it is in force.",
      expr: `${own("sshreset_config_last_reload_successful")} == 0`,
      forSeconds: 300,
      severity: "warning",
      next: "1. ssh-reset-exporter --config.check\n   The bad value and its place.\n2. journalctl -u ssh-reset-exporter --since -1h\n   When the reload failed.\n3. systemctl reload ssh-reset-exporter\n   After the fix.",
    },
    {
      alert: "SshResetRecordsUnmatched",
      summary: "ssh-reset-exporter does not recognise what is logged.",
      description:
        "{{ $value | humanizePercentage }} of the records of {{ $labels.source }} on {{ $labels.instance }} match no pattern: a release that prints something new, and resets may be missed.",
      expr: `sum by (${hostLabels}, source) (increase(${over("sshreset_source_unmatched_records_total", 3600)}))\n  / sum by (${hostLabels}, source) (increase(${over("sshreset_source_records_total", 3600)})) > 0.5\nand sum by (${hostLabels}, source) (increase(${over("sshreset_source_unmatched_records_total", 3600)})) > 99.5`,
      forSeconds: 0,
      severity: "info",
      next: "1. sshd -V; systemctl --version | head -1\n   Which release prints it.\n2. journalctl -u ssh -u sshd -n 50\n   What it prints.\n3. less docs/messages.md\n   What is known.",
    },
  ];
}
