/**
 * Google Cloud VPC firewall rules, as `gcloud compute firewall-rules list --format=json` prints them: the lowest
 * priority number decides, a deny before an allow of the same number; ingress that no rule admits is denied, egress that
 * no rule denies is admitted; what is admitted is tracked (VPC documentation, "VPC firewall rules").
 */
import { contains, parsePorts, within } from "./address.ts";
import { type Answer, all, any, firstMatch, type ListedRule, type Question, type Truth, tracked } from "./answer.ts";
import { type Json, type JsonObject, list, object, text, texts } from "./shape.ts";

const defaultPriority = 1000;

export function auditGcpFirewall(document: readonly Json[], question: Question): readonly Answer[] {
  const rules = document.map((entry, index) => ({ rule: object(entry, `[${index}]`), at: `[${index}]` }));
  const networks = new Set(rules.map(({ rule }) => networkOf(rule)));
  return [...networks].map((network) => {
    const ingress = rules
      .filter(({ rule }) => networkOf(rule) === network && rule["direction"] !== "EGRESS" && rule["disabled"] !== true)
      .map(({ rule, at }) => listed(rule, at, question))
      .sort((a, b) => a.priority - b.priority || Number(a.decision === "pass") - Number(b.decision === "pass"));
    return {
      of: `firewall rules of network ${network}`,
      connect: firstMatch(ingress, { name: "implied: ingress that no rule admits is denied", decision: "dropped" }),
      reply: tracked("the VPC firewall"),
      notes: ["hierarchical and network firewall policies are not in this list"],
      idleTimeouts: [{ seconds: 600, by: "connection tracking of the VPC firewall" }],
    };
  });
}

function networkOf(rule: JsonObject): string {
  const network = rule["network"];
  return typeof network === "string" ? (network.split("/").at(-1) ?? "") : "default";
}

function listed(rule: JsonObject, at: string, question: Question): ListedRule & { readonly priority: number } {
  const allowed = rule["allowed"] !== undefined;
  const priority = typeof rule["priority"] === "number" ? rule["priority"] : defaultPriority;
  const parts = list(rule[allowed ? "allowed" : "denied"], `${at}.${allowed ? "allowed" : "denied"}`);
  const covers = parts.some((part, index) => coversPort(object(part, `${at}[${index}]`), question.port, at));
  return {
    name: `${text(rule["name"], `${at}.name`)} (${allowed ? "allow" : "deny"}, priority ${priority})`,
    matches: covers ? all([fromPeer(rule, at, question.peer), toInstance(rule, at, question)]) : false,
    decision: allowed ? "pass" : "dropped",
    priority,
  };
}

function coversPort(part: JsonObject, port: number, at: string): boolean {
  const protocol = text(part["IPProtocol"], `${at}.IPProtocol`).toLowerCase();
  if (protocol !== "tcp" && protocol !== "6" && protocol !== "all") return false;
  const ports = texts(part["ports"], `${at}.ports`);
  return ports.length === 0 || ports.some((each) => within(port, parsePorts(each)));
}

/** Ranges, tags and service accounts of a source are alternatives; none means everybody. */
function fromPeer(rule: JsonObject, at: string, peer: string): Truth {
  const ranges = texts(rule["sourceRanges"], `${at}.sourceRanges`);
  const tags = texts(rule["sourceTags"], `${at}.sourceTags`);
  const accounts = texts(rule["sourceServiceAccounts"], `${at}.sourceServiceAccounts`);
  if (ranges.length + tags.length + accounts.length === 0) return true;
  return any([
    ...ranges.map((range) => contains(range, peer)),
    ...tags.map((tag) => ({ needs: `whether the instance at ${peer} has the network tag "${tag}"` })),
    ...accounts.map((account) => ({ needs: `whether the instance at ${peer} runs as ${account}` })),
  ]);
}

function toInstance(rule: JsonObject, at: string, { tags: own, local }: Question): Truth {
  const tags = texts(rule["targetTags"], `${at}.targetTags`);
  const accounts = texts(rule["targetServiceAccounts"], `${at}.targetServiceAccounts`);
  const ranges = texts(rule["destinationRanges"], `${at}.destinationRanges`);
  const target =
    tags.length + accounts.length === 0
      ? true
      : any([
          ...tags.map(
            (tag): Truth => own?.includes(tag) ?? { needs: "--tag NAME for each network tag of this instance" },
          ),
          ...accounts.map((account) => ({ needs: `whether this instance runs as ${account}` })),
        ]);
  const destination =
    ranges.length === 0
      ? true
      : local === undefined
        ? { needs: "--local ADDRESS of this instance" }
        : any(ranges.map((range) => contains(range, local)));
  return all([target, destination]);
}
