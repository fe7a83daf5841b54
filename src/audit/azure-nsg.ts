/**
 * Azure's effective network security groups, as `az network nic list-effective-nsg` prints them: the groups of the
 * subnet and of the interface must both admit; in each the lowest priority that matches decides; what is admitted is
 * tracked (Azure documentation, "Network security groups").
 */
import { contains, parsePorts, within } from "./address.ts";
import { type Answer, all, any, firstMatch, type ListedRule, type Question, type Truth, tracked } from "./answer.ts";
import { type JsonObject, list, number, object, text, texts } from "./shape.ts";

export function auditAzureNsg(document: JsonObject, question: Question): readonly Answer[] {
  return list(document["value"], "value").map((entry, index) => {
    const at = `value[${index}]`;
    const group = object(entry, at);
    const id = object(group["networkSecurityGroup"], `${at}.networkSecurityGroup`)["id"];
    const association = group["association"] === undefined ? {} : object(group["association"], `${at}.association`);
    const rules = list(group["effectiveSecurityRules"], `${at}.effectiveSecurityRules`)
      .map((rule, number) => ({ rule: object(rule, at), place: `${at}.effectiveSecurityRules[${number}]` }))
      .filter(({ rule }) => rule["direction"] === "Inbound")
      .map(({ rule, place }) => listed(rule, place, question))
      .sort((a, b) => a.priority - b.priority);
    return {
      of: `network security group ${lastPart(typeof id === "string" ? id : at)} of the ${association["subnet"] ? "subnet" : "interface"}`,
      connect: firstMatch(rules, { name: "no rule matches", decision: "dropped" }),
      reply: tracked("the network security group"),
      notes: [],
      idleTimeouts: [{ seconds: 240, by: "Azure's flow tracking and load balancer (4 minutes)" }],
    };
  });
}

const lastPart = (id: string): string => id.split("/").at(-1) ?? id;

function listed(rule: JsonObject, at: string, question: Question): ListedRule & { readonly priority: number } {
  const priority = number(rule["priority"], `${at}.priority`);
  const access = text(rule["access"], `${at}.access`);
  const protocol = text(rule["protocol"], `${at}.protocol`);
  const covered = ["tcp", "all", "*", "6"].includes(protocol.toLowerCase()) && coversPort(rule, at, question.port);
  return {
    name: `${lastPart(text(rule["name"], `${at}.name`))} (${access.toLowerCase()}, priority ${priority})`,
    matches: covered
      ? all([holds(rule, at, "source", question.peer), holds(rule, at, "destination", question.local)])
      : false,
    decision: access === "Allow" ? "pass" : "dropped",
    priority,
  };
}

function coversPort(rule: JsonObject, at: string, port: number): boolean {
  const one = rule["destinationPortRange"];
  const ranges = [
    ...texts(rule["destinationPortRanges"], `${at}.destinationPortRanges`),
    ...(typeof one === "string" ? [one] : []),
  ];
  return ranges.length === 0 || ranges.some((range) => within(port, parsePorts(range)));
}

/** A service tag (`Internet`, `VirtualNetwork`) is told only by its expansion, which Azure prints beside it. */
function holds(rule: JsonObject, at: string, side: "source" | "destination", address: string | undefined): Truth {
  const one = rule[`${side}AddressPrefix`];
  const expanded = expansion(rule, at, side);
  const named = [
    ...texts(rule[`${side}AddressPrefixes`], `${at}.${side}AddressPrefixes`),
    ...(typeof one === "string" ? [one] : []),
  ];
  if (expanded.length === 0 && named.length === 0) return true;
  return any([
    ...expanded.map((prefix) => matches(prefix, address)),
    ...named.map((prefix): Truth => {
      const isTag = !/^[*\d]|:/.test(prefix);
      if (!isTag) return matches(prefix, address);
      return expanded.length > 0
        ? false
        : { needs: `the addresses of the service tag "${prefix}" (az network list-service-tags)` };
    }),
  ]);
}

function expansion(rule: JsonObject, at: string, side: "source" | "destination"): readonly string[] {
  const name = `expanded${side === "source" ? "Source" : "Destination"}AddressPrefix`;
  return texts(rule[name], `${at}.${name}`);
}

function matches(prefix: string, address: string | undefined): Truth {
  if (prefix === "*" || prefix === "0.0.0.0/0")
    return address === undefined || prefix === "*" || contains(prefix, address);
  return address === undefined ? { needs: "--local ADDRESS of this host" } : contains(prefix, address);
}
