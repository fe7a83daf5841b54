/** One flow to or from sshd's port, as a cloud's flow log tells it; what the log's own format is does not show any more. */
import { isIP } from "node:net";
import type { FlowEvent } from "../model/event.ts";

export interface Flow extends Omit<FlowEvent, "kind"> {
  readonly timeMs: number;
  /** Which rule decided, where the log names it: for diagnose, never for a label. */
  readonly rule?: string;
}

/** Fields as the log has them, the client told from the server by sshd's ports. */
export interface RawFlow {
  readonly provider: Flow["provider"];
  readonly action: Flow["action"];
  readonly source: string;
  readonly sourcePort: number;
  readonly destination: string;
  readonly destinationPort: number;
  readonly timeMs: number;
  /** TCP flags of all segments together; undefined where the log has none. */
  readonly tcpFlags?: number;
  /** Where the log itself tells beginnings; else the flags do. */
  readonly begins?: boolean;
  readonly rule?: string;
}

const syn = 2;
const reset = 4;

/** Undefined for a flow that is not SSH's, or whose address is none. */
export function sshFlow(raw: RawFlow, ports: ReadonlySet<number>): Flow | undefined {
  const inbound = ports.has(raw.destinationPort);
  if (!inbound && !ports.has(raw.sourcePort)) return undefined;
  const address = inbound ? raw.source : raw.destination;
  if (isIP(address) === 0 || !Number.isFinite(raw.timeMs)) return undefined;
  const { provider, action, timeMs, tcpFlags = 0, rule } = raw;
  return {
    provider,
    action,
    direction: inbound ? "in" : "out",
    address,
    reset: (tcpFlags & reset) !== 0,
    // Nothing but SYNs in the whole time that the record stands for.
    unanswered: inbound && action === "accept" && tcpFlags === syn,
    begins: raw.begins ?? (tcpFlags & syn) !== 0,
    timeMs,
    ...(rule !== undefined && { rule: rule.slice(0, 200) }),
  };
}

/** A file that cannot be read as a flow log: said with its name. */
export class FlowLogError extends Error {}

/** Fields of a JSON value that may be anything. */
export type Fields = Readonly<Record<string, unknown>>;
export const fieldsOf = (value: unknown): Fields =>
  typeof value === "object" && value !== null ? (value as Fields) : {};
