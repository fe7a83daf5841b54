/** What must be readable for causes to be judged, and the step that grants it. */
import type { Cause } from "./cause.ts";
import { and, type Condition, gauge, or, series, type Thresholds } from "./condition.ts";

type Observable = Pick<Cause, "observable" | "grant">;

/** Thresholds that observability conditions name; in force for every cause. */
export const observableThresholds: Thresholds = {
  readable: { value: 0, unit: "sources or collectors reading", reason: "One is enough." },
  present: { value: -1, unit: "whatever the value", reason: "The series is there at all." },
};

const source = (...names: readonly string[]): Condition =>
  gauge(series("source_up", { source: names }), ">", "readable");

/** Available, and its last reading did not fail. */
export const collector = (name: string): Condition =>
  and(
    gauge(series("scrape_collector_available", { collector: [name] }), ">", "readable"),
    gauge(series("scrape_collector_success", { collector: [name] }), ">", "readable"),
  );

export const journalOrFiles: Observable = {
  observable: source("journal", "logfile"),
  grant: "let it read the logs: group systemd-journal, or adm (Debian) for /var/log/auth.log",
};

export const kernelLog: Observable = {
  observable: source("kmsg", "journal", "logfile"),
  grant: "let it read the kernel's log: CAP_SYSLOG for /dev/kmsg, group systemd-journal, or adm for kern.log",
};

export const resetEvents: Observable = {
  observable: or(source("tcp_trace"), source("journal", "logfile")),
  grant: "let it trace the kernel's reset events: CAP_DAC_READ_SEARCH and CAP_SYS_ADMIN or root with tracefs mounted",
};

export const cloudWitness: Observable = {
  observable: or(collector("cloud"), source("flow_log")),
  grant: "an instance whose driver counts allowances (AWS ENA 2.2.10 or later) and ethtool, or --source.flow-log",
};

export const idleWitness: Observable = {
  observable: or(collector("sockets"), source("haproxy")),
  grant:
    "the program ss (iproute2), run as root or with CAP_NET_ADMIN where hidepid is set; or haproxy's log, --source.haproxy-log",
};

export const collected = (name: string, grant: string): Observable => ({ observable: collector(name), grant });
