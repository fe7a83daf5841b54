/** Records of the source flow_log, which has read the clouds' own formats: PROVIDER ACTION DIRECTION ADDRESS MARKS RULE. */
import { type Event, flowActions, flowProviders } from "../model/event.ts";
import { canonicalAddress } from "./address.ts";
import { says } from "./wording.ts";

export const flowLog = [
  says({
    id: "flow-log",
    versions: "all",
    origin:
      "AWS VPC, Azure VNet and NSG flow logs, Google Cloud firewall and VPC flow logs, as src/flow-logs reads them",
    starts: [...flowProviders],
    read: ({ record }) => flowEvent(record.message),
  }),
];

function flowEvent(message: string): Event | undefined {
  const [first, second, third, address = "", reset, beginning, rule] = message.split(" ", 7);
  const provider = flowProviders.find((name) => name === first);
  const action = flowActions.find((name) => name === second);
  const canonical = canonicalAddress(address);
  if (provider === undefined || action === undefined || canonical === undefined || !rule) return undefined;
  return {
    kind: "flow",
    provider,
    action,
    direction: third === "in" ? "in" : "out",
    address: canonical,
    reset: reset === "reset",
    unanswered: beginning === "unanswered",
    // What nobody answered has just begun.
    begins: beginning !== "-",
  };
}
