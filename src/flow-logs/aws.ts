/**
 * AWS VPC flow logs: fields in the order of the file's header line, whatever was chosen when the log was made; without a
 * header only version 2's default order is taken (Amazon VPC User Guide, "Flow log records").
 */
import { type Flow, FlowLogError, sshFlow } from "./flow.ts";

const version2: readonly string[] =
  "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status".split(
    " ",
  );
const needed = ["srcaddr", "dstaddr", "srcport", "dstport", "protocol", "action"] as const;
const tcp = "6";

/** A line to its flow; undefined for what is not SSH's, or no record (NODATA, SKIPDATA). */
export type LineReader = (line: string) => Flow | undefined;

/** Names of the header in `${field}` form are the same. Throws FlowLogError that names what the header lacks. */
export function awsReader(firstLine: string, ports: ReadonlySet<number>): { read: LineReader; isHeader: boolean } {
  const words = firstLine
    .replace(/\$\{([\w-]+)\}/g, "$1")
    .trim()
    .split(/\s+/);
  const isHeader = words.some((word) => version2.includes(word));
  if (!isHeader && (words[0] !== "2" || words.length !== 14))
    throw new FlowLogError(
      `no header line, and ${JSON.stringify(firstLine.slice(0, 60))} is no record of version 2 in its default order`,
    );
  const names = isHeader ? words : version2;
  const lacking = needed.filter((name) => !names.includes(name));
  if (lacking.length > 0) throw new FlowLogError(`the header line lacks ${lacking.join(", ")}`);
  const at = (name: string): number => names.indexOf(name);
  const [source, destination, sourcePort, destinationPort, protocol, action] = needed.map(at) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  const start = at("start");
  const flags = at("tcp-flags");
  const wanted = [...ports].map((port) => ` ${port}`);
  const read: LineReader = (line) => {
    // Most lines are not SSH's: found out before they are taken apart.
    if (!wanted.some((port) => line.includes(port)) && !wanted.some((port) => line.startsWith(port.slice(1))))
      return undefined;
    const fields = line.split(" ");
    if (fields[protocol] !== tcp) return undefined;
    const verdict = fields[action];
    if (verdict !== "ACCEPT" && verdict !== "REJECT") return undefined;
    return sshFlow(
      {
        provider: "aws",
        action: verdict === "ACCEPT" ? "accept" : "reject",
        source: fields[source] ?? "",
        sourcePort: Number(fields[sourcePort]),
        destination: fields[destination] ?? "",
        destinationPort: Number(fields[destinationPort]),
        timeMs: start === -1 ? 0 : Number(fields[start]) * 1000,
        ...(flags !== -1 && { tcpFlags: Number(fields[flags]) || 0 }),
      },
      ports,
    );
  };
  return { read, isHeader };
}
