/** Which lines decide which cause: by what the line means, so that the report can quote them. */
import type { CauseId } from "../diagnosis/cause.ts";
import type { Event } from "../model/event.ts";

/** A cause of the catalogue, or the symptom that none explains. */
export type Subject = CauseId | "peer_reset";

/** The subjects that this event is evidence for; most events are for none. */
export function decides(event: Event): readonly Subject[] {
  switch (event.kind) {
    case "sshd.session_crash":
    case "unit.core_dump":
    case "kernel.crash":
      return ["sshd_crash"];
    case "unit.exited":
      return event.role === "daemon" && event.process === "main" && event.status !== 0
        ? ["sshd_crash", "sshd_down"]
        : [];
    case "unit.failed":
      if (event.role !== "daemon") return [];
      return event.result === "oom-kill" ? ["oom_kill", "sshd_down"] : ["sshd_crash", "sshd_down"];
    case "sshd.start_failed":
      return ["sshd_down"];
    case "unit.start_failed":
    case "unit.start_limit":
      return event.role === "daemon" ? ["sshd_down"] : [];
    case "sshd.signal":
    case "sshd.reload":
      return ["sshd_restart"];
    case "unit.stopping":
    case "unit.reloading":
      return event.role === "daemon" ? ["sshd_restart"] : [];
    case "oom.kill":
      return event.victim === "other" ? [] : ["oom_kill"];
    case "unit.oom_kill":
      return event.role === "daemon" ? ["oom_kill"] : [];
    case "sshd.resource_error":
      return event.resource === "terminal" ? [] : ["process_limit"];
    case "kernel.fork_rejected":
      return event.sshdCgroup ? ["process_limit"] : [];
    case "kernel.file_max":
    case "unit.fork_failed":
      return ["process_limit"];
    case "kernel.conntrack_full":
      return ["conntrack_full"];
    case "kernel.link":
      return event.up ? [] : ["network_path"];
    case "kernel.nic_reset":
      return ["network_path"];
    case "sshd.drop":
    case "sshd.drop_total":
    case "sshd.penalty":
      return ["connection_throttling"];
    case "flow":
      return event.action === "reject" && event.direction === "in" ? ["cloud_limit"] : [];
    case "proxy.ended":
      return event.stage === "data" && /^(?:client|server)_timeout$/.test(event.endedBy) ? ["idle_timeout"] : [];
    case "proxy.server":
      return event.up ? [] : ["balancer_throttled"];
    case "sshd.ended":
      return decidedByEnd(event);
    default:
      return [];
  }
}

function decidedByEnd({ detail, outcome }: Extract<Event, { kind: "sshd.ended" }>): readonly Subject[] {
  switch (detail) {
    case "tcp_wrappers":
      return ["tcp_wrappers"];
    case "login_grace":
      return ["login_timeout", "cpu_pressure"];
    case "proxy_header":
    case "empty_identification":
      return ["proxy_protocol"];
    case "client_alive":
      return ["login_timeout"];
    case "integrity":
      return ["network_path"];
    default:
      return outcome === "reset" ? ["peer_reset"] : [];
  }
}
