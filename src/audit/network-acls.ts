/**
 * AWS network ACLs, as `aws ec2 describe-network-acls` prints them: numbered rules, the lowest that matches decides, and
 * nothing is tracked: answers go to the client's port and need a rule of their own (Amazon VPC User Guide, "Network
 * ACLs", "Ephemeral ports").
 */
import { contains, type Ports, within } from "./address.ts";
import { type Answer, firstMatch, type ListedRule, type Outcome, type Question, unique } from "./answer.ts";
import { type JsonObject, list, number, object, text } from "./shape.ts";

/** Linux takes 32768 to 60999, Windows, macOS and the RFC 6335 range 49152 to 65535; NAT gateways 1024 to 65535. */
const clients: Ports = { first: 32_768, last: 65_535 };
const gateways: Ports = { first: 1024, last: 32_767 };

export function auditNetworkAcls(document: JsonObject, question: Question): readonly Answer[] {
  return list(document["NetworkAcls"], "NetworkAcls").map((entry, index) => {
    const at = `NetworkAcls[${index}]`;
    const acl = object(entry, at);
    const entries = list(acl["Entries"], `${at}.Entries`)
      .map((rule, number) => parseEntry(object(rule, `${at}.Entries[${number}]`), `${at}.Entries[${number}]`))
      .sort((a, b) => a.number - b.number);
    const subnets = list(acl["Associations"], `${at}.Associations`).flatMap((each) => {
      const subnet = object(each, `${at}.Associations`)["SubnetId"];
      return typeof subnet === "string" ? [subnet] : [];
    });
    const inbound = entries.filter(({ egress }) => !egress);
    const outbound = entries.filter(({ egress }) => egress);
    const reply = decidePorts(outbound, question.peer, clients);
    const forGateways = decidePorts(outbound, question.peer, gateways);
    const gatewayNote =
      reply.decision === "pass" && forGateways.decision !== "pass"
        ? [`answers to client ports below ${clients.first} are not admitted; peers behind an AWS NAT gateway use them`]
        : [];
    return {
      of: `network ACL ${text(acl["NetworkAclId"], `${at}.NetworkAclId`)}${subnets.length > 0 ? ` of ${unique(subnets).join(", ")}` : ""}`,
      connect: decide(inbound, question.peer, question.port),
      reply,
      notes: gatewayNote,
    };
  });
}

interface Entry {
  readonly number: number;
  readonly egress: boolean;
  readonly allow: boolean;
  readonly prefix: string;
  /** Undefined: another protocol than TCP. */
  readonly ports: Ports | undefined;
  readonly name: string;
}

function parseEntry(rule: JsonObject, at: string): Entry {
  const ruleNumber = number(rule["RuleNumber"], `${at}.RuleNumber`);
  const protocol = text(rule["Protocol"], `${at}.Protocol`);
  const action = text(rule["RuleAction"], `${at}.RuleAction`);
  const prefix = text(rule["CidrBlock"] ?? rule["Ipv6CidrBlock"], `${at}.CidrBlock`);
  const range = rule["PortRange"] === undefined ? undefined : object(rule["PortRange"], `${at}.PortRange`);
  const ports =
    range === undefined
      ? { first: 0, last: 65_535 }
      : { first: number(range["From"], `${at}.PortRange.From`), last: number(range["To"], `${at}.PortRange.To`) };
  const egress = rule["Egress"] === true;
  return {
    number: ruleNumber,
    egress,
    allow: action === "allow",
    prefix,
    ports: protocol === "6" || protocol === "-1" ? ports : undefined,
    // 32767 is the default rule that AWS shows as `*`.
    name: `${egress ? "outbound" : "inbound"} rule ${ruleNumber === 32_767 ? "*" : ruleNumber} (${action} ${prefix} ports ${ports.first}-${ports.last})`,
  };
}

function decide(entries: readonly Entry[], peer: string, port: number): Outcome {
  const rules = entries.map(
    ({ name, allow, prefix, ports }): ListedRule => ({
      name,
      matches: ports !== undefined && within(port, ports) && contains(prefix, peer),
      decision: allow ? "pass" : "dropped",
    }),
  );
  return firstMatch(rules, { name: "no rule matches", decision: "dropped" });
}

/** One decision for a range of ports: asked once between each two borders that rules draw. */
function decidePorts(entries: readonly Entry[], peer: string, range: Ports): Outcome {
  const relevant = entries.filter(({ prefix, ports }) => ports !== undefined && contains(prefix, peer));
  const borders = relevant.flatMap(({ ports }) => (ports === undefined ? [] : [ports.first, ports.last + 1]));
  const starts = [...new Set([range.first, ...borders.filter((port) => within(port, range))])].sort((a, b) => a - b);
  // Beyond this many borders nobody wrote the rules by hand; each one costs a pass over all rules.
  const outcomes = starts.slice(0, 1000).map((port) => ({ port, outcome: decide(relevant, peer, port) }));
  const rules = unique(outcomes.flatMap(({ outcome }) => outcome.rules));
  const decisions = new Set(outcomes.map(({ outcome }) => outcome.decision));
  if (decisions.size === 1) return { decision: outcomes[0]?.outcome.decision ?? "unknown", rules, needs: [] };
  const refused = outcomes.filter(({ outcome }) => outcome.decision !== "pass");
  const parts = refused.slice(0, 5).map(({ port }) => {
    const next = starts[starts.indexOf(port) + 1] ?? range.last + 1;
    return `${port}-${next - 1}`;
  });
  return { decision: "partly", rules: [...rules, `refused for client ports ${parts.join(", ")}`], needs: [] };
}
