/**
 * Azure: records of VNet flow logs and of the older NSG flow logs (versions 1 and 2; no new ones since 2025-06-30, retired
 * 2027-09-30), as they stand in PT1H.json (Azure documentation, "VNet flow logs", "NSG flow logs").
 */
import { type Fields, type Flow, FlowLogError, fieldsOf, sshFlow } from "./flow.ts";

/** Throws FlowLogError for a version or a category that is not known. */
export function azureFlows(record: unknown, ports: ReadonlySet<number>): Flow[] {
  const { category, properties, flowRecords, flowLogVersion } = fieldsOf(record);
  if (category === "NetworkSecurityGroupFlowEvent") return nsgFlows(fieldsOf(properties), ports);
  if (category !== "FlowLogFlowEvent") throw new FlowLogError(`a record of unknown category ${shown(category)}`);
  if (flowLogVersion !== 4) throw new FlowLogError(`VNet flow log of unknown version ${shown(flowLogVersion)}`);
  return listOf(fieldsOf(flowRecords)["flows"]).flatMap((flow) =>
    listOf(fieldsOf(flow)["flowGroups"]).flatMap((group) => {
      const { rule, flowTuples } = fieldsOf(group);
      return listOf(flowTuples).flatMap((tuple) => flowOf(vnetTuple, tuple, rule, ports));
    }),
  );
}

function nsgFlows({ Version: version, flows }: Fields, ports: ReadonlySet<number>): Flow[] {
  if (version !== 1 && version !== 2) throw new FlowLogError(`NSG flow log of unknown version ${shown(version)}`);
  return listOf(flows).flatMap((byRule) => {
    const { rule, flows: byCard } = fieldsOf(byRule);
    return listOf(byCard).flatMap((card) =>
      listOf(fieldsOf(card)["flowTuples"]).flatMap((tuple) => flowOf(nsgTuple, tuple, rule, ports)),
    );
  });
}

interface Tuple {
  readonly timeMs: number;
  readonly tcp: boolean;
  readonly rejected: boolean;
  /** Counted once, where the flow begins or is refused; what goes on and ends is the same flow. */
  readonly begins: boolean;
}

/** `SECONDS,SOURCE,DESTINATION,PORT,PORT,T|U,I|O,A|D` and, in version 2, `B|C|E` and counts. */
const nsgTuple = (fields: readonly string[]): Tuple => ({
  timeMs: Number(fields[0]) * 1000,
  tcp: fields[5] === "T",
  rejected: fields[7] === "D",
  begins: fields[8] === undefined || fields[8] === "" || fields[8] === "B" || fields[7] === "D",
});
/** `MILLISECONDS,SOURCE,DESTINATION,PORT,PORT,6,I|O,B|C|E|D,ENCRYPTION` and counts. */
const vnetTuple = (fields: readonly string[]): Tuple => ({
  timeMs: Number(fields[0]),
  tcp: fields[5] === "6",
  rejected: fields[7] === "D",
  begins: fields[7] === "B" || fields[7] === "D",
});

function flowOf(read: (fields: readonly string[]) => Tuple, tuple: unknown, rule: unknown, ports: ReadonlySet<number>) {
  const fields = typeof tuple === "string" ? tuple.split(",") : [];
  const { timeMs, tcp, rejected, begins } = read(fields);
  if (!tcp || !begins) return [];
  const flow = sshFlow(
    {
      provider: "azure",
      action: rejected ? "reject" : "accept",
      source: fields[1] ?? "",
      destination: fields[2] ?? "",
      sourcePort: Number(fields[3]),
      destinationPort: Number(fields[4]),
      timeMs,
      // Version 1 of NSG's logs has a record for each new flow only.
      begins: true,
      ...(typeof rule === "string" && { rule }),
    },
    ports,
  );
  return flow === undefined ? [] : [flow];
}

const listOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);
const shown = (value: unknown): string => JSON.stringify(value)?.slice(0, 40) ?? "nothing";
