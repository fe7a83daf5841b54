/**
 * Google Cloud: log entries of firewall rules (what was admitted or denied, by which rule) and of VPC flows (only what
 * passed), one JSON object each (VPC documentation, "Firewall Rules Logging", "VPC Flow Logs").
 */
import { type Flow, fieldsOf, sshFlow } from "./flow.ts";

const tcp = 6;

/** Empty for other entries: a bucket may hold many logs. */
export function gcpFlows(entry: unknown, ports: ReadonlySet<number>): Flow[] {
  const { jsonPayload, timestamp } = fieldsOf(entry);
  const { connection, disposition, rule_details: details, start_time: start } = fieldsOf(jsonPayload);
  const { src_ip, dest_ip, src_port, dest_port, protocol } = fieldsOf(connection);
  if (Number(protocol) !== tcp || typeof src_ip !== "string" || typeof dest_ip !== "string") return [];
  const { reference } = fieldsOf(details);
  const flow = sshFlow(
    {
      provider: "gcp",
      action: disposition === "DENIED" ? "reject" : "accept",
      source: src_ip,
      destination: dest_ip,
      sourcePort: Number(src_port),
      destinationPort: Number(dest_port),
      // Firewall rules log a connection once, where it begins; VPC flows as long as it lasts.
      begins: disposition !== undefined,
      timeMs: Date.parse(String(start ?? timestamp)),
      ...(typeof reference === "string" && { rule: reference }),
    },
    ports,
  );
  return flow === undefined ? [] : [flow];
}
