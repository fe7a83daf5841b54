/**
 * AWS security groups, as `aws ec2 describe-security-groups` prints them: one rule of any group that admits is enough,
 * and what it admits is tracked, so that answers pass whatever the egress rules say (Amazon VPC User Guide, "Control
 * traffic to your AWS resources using security groups"). Prefix lists and referenced groups come from
 * `describe-prefix-lists` and `describe-network-interfaces`.
 */
import { contains, within } from "./address.ts";
import { type Answer, any, firstMatch, isUnknown, type Outcome, type Question, type Truth, tracked } from "./answer.ts";
import { type Json, type JsonObject, list, number, object, text, texts } from "./shape.ts";

/** What other files tell: prefix lists by id, and the addresses of each security group's interfaces. */
export interface AwsReferences {
  readonly prefixLists: ReadonlyMap<string, readonly string[]>;
  readonly members: ReadonlyMap<string, ReadonlySet<string>>;
}

export function auditSecurityGroups(document: JsonObject, question: Question, references: AwsReferences): Answer {
  const groups = list(document["SecurityGroups"], "SecurityGroups").map((group, index) =>
    object(group, `SecurityGroups[${index}]`),
  );
  const names = groups.map((group, index) => text(group["GroupId"], `SecurityGroups[${index}].GroupId`));
  const rules = groups.flatMap((group, index) => ruleList(group, `SecurityGroups[${index}]`, question, references));
  const connect = admitted(rules);
  const everybody = rules.some(({ name }) => /from (0\.0\.0\.0\/0|::\/0)/.test(name));
  return {
    of: `security groups ${names.slice(0, 8).join(", ")}${names.length > 8 ? ", ..." : ""}`,
    connect,
    reply: tracked("the security group"),
    notes: [
      ...(groups.length > 1 ? ["judged as if all groups of the file were attached to the instance"] : []),
      ...(everybody ? ["a rule admits everybody: with an egress rule for everybody its flows are not tracked"] : []),
    ],
    idleTimeouts: [{ seconds: 350, by: "connection tracking of security groups on Nitro v6 instances" }],
  };
}

interface NamedTruth {
  readonly name: string;
  readonly matches: Truth;
}

/** No order, and no rule that denies: any match admits. */
function admitted(rules: readonly NamedTruth[]): Outcome {
  const sure = rules.filter(({ matches }) => matches === true);
  const unsure = rules.filter(({ matches }) => isUnknown(matches));
  const asked = sure.length > 0 ? sure : unsure;
  return firstMatch(
    asked.map((rule) => ({ ...rule, decision: "pass" })),
    { name: "no rule of these groups admits it", decision: "dropped" },
  );
}

function ruleList(group: JsonObject, place: string, question: Question, references: AwsReferences): NamedTruth[] {
  const id = text(group["GroupId"], `${place}.GroupId`);
  return list(group["IpPermissions"], `${place}.IpPermissions`).flatMap((permission, index) => {
    const at = `${place}.IpPermissions[${index}]`;
    const rule = object(permission, at);
    if (!coversPort(rule, question.port, at)) return [];
    return sources(rule, at, question.peer, references).map(({ name, matches }) => ({
      name: `${id}: ${protocolText(rule, at)} from ${name}`,
      matches,
    }));
  });
}

function coversPort(rule: JsonObject, port: number, at: string): boolean {
  const protocol = text(rule["IpProtocol"], `${at}.IpProtocol`);
  if (protocol === "-1") return true;
  if (protocol !== "tcp" && protocol !== "6") return false;
  return within(port, {
    first: number(rule["FromPort"], `${at}.FromPort`),
    last: number(rule["ToPort"], `${at}.ToPort`),
  });
}

function protocolText(rule: JsonObject, at: string): string {
  const protocol = text(rule["IpProtocol"], `${at}.IpProtocol`);
  return protocol === "-1" ? "all traffic" : `tcp ${rule["FromPort"]}-${rule["ToPort"]}`;
}

function sources(rule: JsonObject, at: string, peer: string, references: AwsReferences): NamedTruth[] {
  const named = (key: string, field: string): string[] =>
    list(rule[key], `${at}.${key}`).map((entry, index) =>
      text(object(entry, `${at}.${key}[${index}]`)[field], `${at}.${key}[${index}].${field}`),
    );
  const prefixes = [...named("IpRanges", "CidrIp"), ...named("Ipv6Ranges", "CidrIpv6")];
  return [
    ...prefixes.map((prefix) => ({ name: prefix, matches: contains(prefix, peer) })),
    ...named("PrefixListIds", "PrefixListId").map((id) => ({
      name: `prefix list ${id}`,
      matches: inPrefixList(id, peer, references),
    })),
    ...named("UserIdGroupPairs", "GroupId").map((id) => ({
      name: `members of ${id}`,
      matches: inGroup(id, peer, references),
    })),
  ];
}

function inPrefixList(id: string, peer: string, { prefixLists }: AwsReferences): Truth {
  const prefixes = prefixLists.get(id);
  if (prefixes === undefined) return { needs: `aws ec2 describe-prefix-lists --prefix-list-ids ${id}` };
  return any(prefixes.map((prefix) => contains(prefix, peer)));
}

function inGroup(id: string, peer: string, { members }: AwsReferences): Truth {
  const addresses = members.get(id);
  if (addresses === undefined)
    return { needs: `aws ec2 describe-network-interfaces --filters Name=group-id,Values=${id}` };
  return addresses.has(peer);
}

/** `aws ec2 describe-prefix-lists`: AWS's own lists with their prefixes. */
export function prefixListsOf(document: JsonObject): Map<string, readonly string[]> {
  const lists = list(document["PrefixLists"], "PrefixLists").map((entry, index) => {
    const at = `PrefixLists[${index}]`;
    const { PrefixListId: id, Cidrs: prefixes } = object(entry, at);
    return [text(id, `${at}.PrefixListId`), texts(prefixes, `${at}.Cidrs`)] as const;
  });
  return new Map(lists);
}

/** `aws ec2 describe-network-interfaces`: private addresses by security group; rules that name a group mean those. */
export function membersOf(document: JsonObject): Map<string, Set<string>> {
  const members = new Map<string, Set<string>>();
  for (const [index, entry] of list(document["NetworkInterfaces"], "NetworkInterfaces").entries()) {
    const at = `NetworkInterfaces[${index}]`;
    const card = object(entry, at);
    const fields = (key: string, field: string): string[] =>
      list(card[key], `${at}.${key}`).map((each: Json) => text(object(each, `${at}.${key}`)[field], `${at}.${key}`));
    const addresses = [...fields("PrivateIpAddresses", "PrivateIpAddress"), ...fields("Ipv6Addresses", "Ipv6Address")];
    for (const id of fields("Groups", "GroupId")) members.set(id, new Set([...(members.get(id) ?? []), ...addresses]));
  }
  return members;
}
