/**
 * `nft -j list ruleset` to rules that the walk understands (libnftables-json(5)). A statement or expression that is not
 * known here makes its rule one that may match, never one that is left out; rules that iptables-nft made are opaque in
 * this output (`xt`): iptables-save tells them.
 */
import { contains, type Ports } from "./address.ts";
import { all, any, type IdleTimeout, not, type Truth } from "./answer.ts";
import {
  ask,
  type BaseChain,
  type Chain,
  type Family,
  type FilterRule,
  type Hook,
  type Packet,
  type Ruleset,
  type Statement,
  type Verdict,
} from "./netfilter.ts";
import { AuditError, isObject, type Json, type JsonObject, list, number, object, text } from "./shape.ts";

export interface NftRuleset {
  readonly chains: Ruleset;
  readonly idleTimeouts: readonly IdleTimeout[];
  /** Some rules are iptables' own. */
  readonly fromIptables: boolean;
}

const families: Readonly<Record<string, readonly Family[]>> = { ip: [4], ip6: [6], inet: [4, 6], netdev: [4, 6] };
const hookNames: readonly string[] = ["ingress", "prerouting", "input", "output", "postrouting"] satisfies Hook[];

interface Table {
  readonly prefix: string;
  readonly sets: ReadonlyMap<string, readonly Json[]>;
}

/** `withoutIptables`: leave out tables with rules that iptables made, where iptables-save tells them. */
export function parseNft(document: JsonObject, withoutIptables: boolean): NftRuleset {
  const objects = list(document["nftables"], "nftables").map((entry, index) => object(entry, `nftables[${index}]`));
  const opaque = new Set(
    objects.flatMap(({ rule }) => (isObject(rule) && hasXt(rule) ? [tableKey(rule, "rule")] : [])),
  );
  const sets = setsOf(objects);
  const chains = new Map<string, Chain>();
  for (const [index, { chain }] of objects.entries()) {
    if (!isObject(chain)) continue;
    const at = `nftables[${index}].chain`;
    if (withoutIptables && opaque.has(tableKey(chain, at))) continue;
    const name = `${tableKey(chain, at)} ${text(chain["name"], `${at}.name`)}`;
    chains.set(name, { name, rules: [], ...baseOf(chain, at) });
  }
  for (const [index, { rule }] of objects.entries()) {
    if (!isObject(rule)) continue;
    const at = `nftables[${index}].rule`;
    const prefix = tableKey(rule, at);
    if (withoutIptables && opaque.has(prefix)) continue;
    const chain = chains.get(`${prefix} ${text(rule["chain"], `${at}.chain`)}`);
    if (chain === undefined) throw new AuditError(`${at}: its chain "${rule["chain"]}" is not in the file`);
    chain.rules.push(ruleOf(rule, chain, { prefix, sets }, at));
  }
  return { chains, idleTimeouts: timeoutsOf(objects), fromIptables: opaque.size > 0 };
}

const tableKey = (part: JsonObject, at: string): string =>
  `${text(part["family"], `${at}.family`)} ${text(part["table"], `${at}.table`)}`;

const hasXt = (rule: JsonObject): boolean =>
  list(rule["expr"], "rule.expr").some((statement) => isObject(statement) && "xt" in statement);

function setsOf(objects: readonly JsonObject[]): Map<string, readonly Json[]> {
  const sets = new Map<string, readonly Json[]>();
  for (const [index, { set, map }] of objects.entries()) {
    const one = set ?? map;
    if (!isObject(one)) continue;
    const at = `nftables[${index}].set`;
    sets.set(`${tableKey(one, at)} @${text(one["name"], `${at}.name`)}`, list(one["elem"], `${at}.elem`));
  }
  return sets;
}

function baseOf(chain: JsonObject, at: string): { readonly base?: BaseChain } {
  const { hook, type } = chain;
  if (typeof hook !== "string" || !hookNames.includes(hook)) return {};
  return {
    base: {
      hook: hook as Hook,
      priority: number(chain["prio"], `${at}.prio`),
      policy: chain["policy"] === "drop" ? "drop" : "accept",
      nat: type === "nat",
      families: families[text(chain["family"], `${at}.family`)] ?? [],
    },
  };
}

function timeoutsOf(objects: readonly JsonObject[]): IdleTimeout[] {
  return objects.flatMap(({ "ct timeout": timeout }) => {
    if (!isObject(timeout) || !isObject(timeout["policy"])) return [];
    const seconds = timeout["policy"]["established"];
    return typeof seconds === "number" ? [{ seconds, by: `ct timeout "${timeout["name"]}" of nftables` }] : [];
  });
}

function ruleOf(rule: JsonObject, chain: Chain, table: Table, at: string): FilterRule {
  const expressions = list(rule["expr"], `${at}.expr`).map((each, index) => object(each, `${at}.expr[${index}]`));
  const comment = typeof rule["comment"] === "string" ? ` "${rule["comment"].slice(0, 80)}"` : "";
  const verdict = expressions.map((each) => Object.keys(each)[0] ?? "").filter((key) => verdictKeys.has(key));
  return {
    name: `${chain.name} rule ${chain.rules.length + 1} (handle ${rule["handle"]}${comment})`,
    statements: expressions.flatMap((each) => statementsOf(each, table, verdict.at(-1) ?? "goes on", at)),
  };
}

const verdictKeys = new Set(["accept", "drop", "reject", "return", "jump", "goto", "queue"]);
/** Statements that note, count or change what no rule here asks for. */
const passing = new Set([
  "counter",
  "log",
  "last",
  "quota",
  "ct helper",
  "ct timeout",
  "ct expectation",
  "dup",
  "secmark",
  "masquerade",
  "snat",
  "flow",
]);

const constant =
  (verdict: Verdict): Statement =>
  () =>
    verdict;
const unclear = (what: unknown, needs = "what this host makes of"): Statement => {
  const shown = `${needs} ${JSON.stringify(what).slice(0, 100)}`;
  return () => ({ needs: shown });
};

function statementsOf(statement: JsonObject, table: Table, target: string, at: string): Statement[] {
  const [key = ""] = Object.keys(statement);
  const value = statement[key];
  if (passing.has(key)) return [];
  switch (key) {
    case "match":
      return [match(object(value, at), table, at)];
    case "limit":
      return [limit(object(value, at), target, at)];
    case "ct count": {
      const { val, inv } = object(value, at);
      const says =
        inv === true
          ? `beyond ${val} connections: ${target}`
          : `${target} up to ${val} connections, then the rule does not match`;
      return [constant({ kind: "limit", below: inv !== true, says })];
    }
    // The meter's own limit, and that of a dynamic set, decide whether the rule goes on.
    case "meter":
    case "set":
      return several(object(value, at)["stmt"]).flatMap((each) => statementsOf(object(each, at), table, target, at));
    case "notrack":
      return [constant({ kind: "change", to: { state: "untracked" } })];
    case "mangle":
      return mangle(object(value, at));
    case "vmap":
      return [verdictMap(object(value, at), table, at)];
    case "redirect":
      return redirect(value, at);
    case "dnat":
    case "tproxy":
    case "fwd":
    case "queue":
    case "synproxy":
      return [constant({ kind: "unknown", needs: `where "${key}" leads: ${JSON.stringify(value).slice(0, 100)}` })];
    case "xt":
      return [() => ({ needs: "iptables-save: this rule was made by iptables" })];
    default: {
      const verdict = verdictOf(statement, table, at);
      return [verdict === undefined ? unclear(statement) : constant(verdict)];
    }
  }
}

/** A list, or (older releases) its only member. */
const several = (value: Json | undefined): readonly Json[] =>
  value === undefined ? [] : Array.isArray(value) ? (value as readonly Json[]) : [value];

function verdictOf(statement: JsonObject, table: Table, at: string): Verdict | undefined {
  const [key = ""] = Object.keys(statement);
  const value = statement[key];
  switch (key) {
    case "accept":
    case "drop":
    case "return":
      return { kind: key };
    case "reject":
      return { kind: "reject", decision: isObject(value) && value["type"] === "tcp reset" ? "reset" : "rejected" };
    case "jump":
    case "goto":
      return { kind: key, chain: `${table.prefix} ${text(object(value, at)["target"], `${at}.${key}.target`)}` };
    default:
      return undefined;
  }
}

function limit(value: JsonObject, target: string, at: string): Statement {
  const rate = `${number(value["rate"], `${at}.limit.rate`)} a ${value["per"] ?? "second"}`;
  const below = value["inv"] !== true;
  const says = below ? `${target} at most ${rate}, then the rule does not match` : `beyond ${rate}: ${target}`;
  return constant({ kind: "limit", below, says });
}

function mangle({ key }: JsonObject): Statement[] {
  const meta = isObject(key) && isObject(key["meta"]) ? key["meta"]["key"] : undefined;
  return meta === "mark" ? [constant({ kind: "change", to: { mark: undefined } })] : [];
}

function redirect(value: Json | undefined, at: string): Statement[] {
  const port = isObject(value) ? value["port"] : undefined;
  const accept = constant({ kind: "accept" });
  if (port === undefined) return [accept];
  const to = number(port, `${at}.redirect.port`);
  return [constant({ kind: "change", to: { destinationPorts: { first: to, last: to } } }), accept];
}

function verdictMap({ key, data }: JsonObject, table: Table, at: string): Statement {
  const pairs = elements(data, table, at);
  if (pairs === undefined) return unclear(data, "the map");
  return (packet) => {
    const possible: string[] = [];
    for (const pair of pairs) {
      const [element, statement] = list(pair, `${at}.vmap`);
      const holds = equals(key, element ?? null, table, packet, at);
      if (holds === false) continue;
      const verdict = verdictOf(object(statement, `${at}.vmap`), table, at);
      if (verdict === undefined) return { kind: "unknown", needs: `the verdict ${JSON.stringify(statement)}` };
      if (holds === true && possible.length === 0) return verdict;
      if (holds !== true) possible.push(holds.needs);
    }
    const [needs] = possible;
    return needs === undefined ? false : { kind: "unknown", needs };
  };
}

/** The elements of `@name`, `{"set": [...]}` or one value; undefined where the set is not in the file. */
function elements(right: Json | undefined, table: Table, at: string): readonly Json[] | undefined {
  if (typeof right === "string" && right.startsWith("@")) return table.sets.get(`${table.prefix} ${right}`);
  if (isObject(right) && "set" in right)
    return Array.isArray(right["set"]) ? list(right["set"], at) : [right["set"] ?? null];
  return right === undefined ? [] : [right];
}

function match({ op, left, right }: JsonObject, table: Table, at: string): Statement {
  if (typeof op === "string" && ["<", ">", "<=", ">="].includes(op)) {
    const ports = portsBy(op, right);
    if (ports === undefined) return unclear({ op, left, right });
    return (packet) => equals(left, { range: [ports.first, ports.last] }, table, packet, at);
  }
  const wanted = elements(right, table, at);
  if (wanted === undefined) return unclear(right, "the elements of the set");
  const anyOf = op === "in" && Array.isArray(right) ? (right as readonly Json[]) : wanted;
  return (packet) => {
    // Flags without a mask: any of them.
    if (op === "in" && isFlags(left)) return packet.flags.some((flag) => flagsOf(right).includes(flag));
    const holds = any(anyOf.map((value) => equals(left, value, table, packet, at)));
    return op === "!=" ? not(holds) : holds;
  };
}

function portsBy(op: string, right: Json | undefined): Ports | undefined {
  if (typeof right !== "number") return undefined;
  if (op === "<") return { first: 0, last: right - 1 };
  if (op === "<=") return { first: 0, last: right };
  return { first: op === ">" ? right + 1 : right, last: 65_535 };
}

const isFlags = (left: Json | undefined): boolean =>
  isObject(left) &&
  isObject(left["payload"]) &&
  left["payload"]["protocol"] === "tcp" &&
  left["payload"]["field"] === "flags";

/** `"syn"`, `["fin", "syn"]`, `{"|": ["fin", "syn"]}`, 0 for none. */
function flagsOf(value: Json | undefined): readonly string[] {
  if (isObject(value)) return flagsOf(value["|"]);
  if (Array.isArray(value)) return (value as readonly Json[]).flatMap(flagsOf);
  return typeof value === "string" ? [value] : [];
}

const unsaid = (left: Json | undefined): Truth => ({
  needs: `what this host makes of ${JSON.stringify(left ?? null).slice(0, 100)}`,
});

/** Whether an expression has this value: a number, a text, a prefix, a range, or a concatenation of them. */
function equals(left: Json | undefined, value: Json, table: Table, packet: Packet, at: string): Truth {
  const wanted = isObject(value) && isObject(value["elem"]) ? (value["elem"]["val"] ?? null) : value;
  if (wanted === "*") return true;
  if (!isObject(left)) return unsaid(left);
  const [kind = ""] = Object.keys(left);
  const parts = left[kind];
  if (kind === "concat") {
    const values = list(isObject(wanted) ? wanted["concat"] : undefined, `${at}.concat`);
    return all(list(parts, at).map((part, index) => equals(part, values[index] ?? null, table, packet, at)));
  }
  if (kind === "&" && Array.isArray(parts)) return masked(parts as readonly Json[], wanted, packet);
  if (!isObject(parts)) return unsaid(left);
  const truth = field(kind, parts, wanted, packet);
  return truth ?? unsaid(left);
}

/** `tcp flags & (fin | syn) == syn`, `meta mark & 0xff == 1`. */
function masked([left, mask]: readonly Json[], wanted: Json, packet: Packet): Truth {
  if (isFlags(left)) return ask.flags(packet, flagsOf(mask), flagsOf(wanted));
  if (isObject(left) && isObject(left["meta"]) && left["meta"]["key"] === "mark" && typeof wanted === "number")
    return ask.mark(packet, wanted, Number(mask));
  return unsaid(left);
}

const unicastPackets: readonly Json[] = ["host", "unicast"];

function field(kind: string, parts: JsonObject, wanted: Json, packet: Packet): Truth | undefined {
  const { protocol, field: name, key } = parts;
  if (kind === "payload") {
    if (name === "saddr" || name === "daddr") {
      if (protocol !== (packet.family === 4 ? "ip" : "ip6"))
        return protocol === "ip" || protocol === "ip6" ? false : undefined;
      return address(name === "saddr" ? "source" : "destination", wanted, packet);
    }
    if (protocol === "tcp" || protocol === "th") {
      if (name === "sport" || name === "dport")
        return ports(name === "sport" ? "sourcePorts" : "destinationPorts", wanted, packet);
      if (name === "flags") return ask.flags(packet, ["fin", "syn", "rst", "psh", "ack", "urg"], flagsOf(wanted));
    }
    if (protocol === "ip" && name === "protocol") return packet.family === 4 && isTcp(wanted);
    if (protocol === "ip6" && name === "nexthdr") return packet.family === 6 && isTcp(wanted);
    return typeof protocol === "string" && /^(udp|icmp|icmpv6|sctp|dccp|arp|igmp|udplite|esp|ah)$/.test(protocol)
      ? false
      : undefined;
  }
  if (kind === "meta") return meta(key, wanted, packet);
  if (kind === "ct" && key === "state") return ask.state(packet, [String(wanted)]);
  if (kind === "ct" && key === "direction") return (packet.direction === "in") === (wanted === "original");
  // Of a packet to this host; where the answer goes is no address of its own.
  if (kind === "fib" && parts["result"] === "type" && String(parts["flags"]) === "daddr")
    return packet.direction === "in" ? wanted === "local" : wanted === "unicast";
  return undefined;
}

function meta(key: Json | undefined, wanted: Json, packet: Packet): Truth | undefined {
  const version = packet.family === 4;
  switch (key) {
    case "l4proto":
      return isTcp(wanted);
    case "nfproto":
      return wanted === (version ? "ipv4" : "ipv6");
    case "protocol":
      return wanted === (version ? "ip" : "ip6");
    case "iif":
    case "iifname":
      return ask.interface("in", packet, String(wanted));
    case "oif":
    case "oifname":
      return ask.interface("out", packet, String(wanted));
    case "mark":
      return typeof wanted === "number" ? ask.mark(packet, wanted) : undefined;
    case "pkttype":
      return unicastPackets.includes(wanted);
    default:
      return undefined;
  }
}

const isTcp = (value: Json): boolean => value === "tcp" || value === 6;

function address(side: "source" | "destination", wanted: Json, packet: Packet): Truth | undefined {
  const range = prefixText(wanted);
  return range === undefined ? undefined : ask.address(side, packet, (each) => contains(range, each));
}

/** `"A"`, `{"prefix": {"addr": "A", "len": N}}`, `{"range": ["A", "B"]}`. */
function prefixText(value: Json): string | undefined {
  if (typeof value === "string") return value;
  if (!isObject(value)) return undefined;
  const { prefix, range } = value;
  if (isObject(prefix)) return `${prefix["addr"]}/${prefix["len"]}`;
  return Array.isArray(range) ? range.join("-") : undefined;
}

function ports(side: "sourcePorts" | "destinationPorts", wanted: Json, packet: Packet): Truth | undefined {
  if (typeof wanted === "number") return ask.ports(side, packet, { first: wanted, last: wanted });
  if (!isObject(wanted) || !Array.isArray(wanted["range"])) return undefined;
  const [first, last] = wanted["range"] as readonly Json[];
  return typeof first === "number" && typeof last === "number" ? ask.ports(side, packet, { first, last }) : undefined;
}
