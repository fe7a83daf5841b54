/**
 * Walks the rules of a host's own packet filter, nftables or iptables, as the kernel does: hooks in the order of their
 * priority, a drop ends, an accept ends its base chain only, rules in order within a chain (nft(8), iptables(8)).
 * Where a condition cannot be told, both ways are walked and their outcomes settled.
 */
import type { Ports } from "./address.ts";
import { type Outcome, settle, type Truth, unique } from "./answer.ts";

export type Family = 4 | 6;
export type State = "new" | "established" | "untracked";
export type TcpFlag = "fin" | "syn" | "rst" | "psh" | "ack" | "urg" | "ecn" | "cwr";

/** One segment of the peer's connection; rules before may have changed it. */
export interface Packet {
  readonly family: Family;
  readonly source: string | undefined;
  readonly destination: string | undefined;
  readonly sourcePorts: Ports;
  readonly destinationPorts: Ports | undefined;
  readonly flags: readonly TcpFlag[];
  readonly direction: "in" | "out";
  readonly interface: string | undefined;
  /** These three are undefined where a rule that may have matched changes them. */
  readonly state: State | undefined;
  readonly mark: number | undefined;
}

export type Verdict =
  | { readonly kind: "accept" | "drop" | "return" }
  | { readonly kind: "reject"; readonly decision: "reset" | "rejected" }
  | { readonly kind: "jump" | "goto"; readonly chain: string }
  /** Another program or host decides. */
  | { readonly kind: "unknown"; readonly needs: string }
  /** Changes the packet and goes on. */
  | { readonly kind: "change"; readonly to: Changes }
  /** Holds below (or only beyond) a rate or a count: a peer within its limits is judged, what happens beyond is told. */
  | { readonly kind: "limit"; readonly below: boolean; readonly says: string };
export type Changes = Partial<Pick<Packet, "state" | "mark" | "destinationPorts">>;

/** A condition, a verdict, or what picks one by the packet; in the order in which the rule has them. */
export type Statement = (packet: Packet) => Truth | Verdict;

export interface FilterRule {
  readonly name: string;
  readonly statements: readonly Statement[];
}

export type Hook = "ingress" | "prerouting" | "input" | "output" | "postrouting";

export interface BaseChain {
  readonly hook: Hook;
  readonly priority: number;
  readonly policy: "accept" | "drop";
  /** A NAT chain sees only the first packet of a connection. */
  readonly nat: boolean;
  readonly families: readonly Family[];
}

export interface Chain {
  readonly name: string;
  readonly rules: FilterRule[];
  readonly base?: BaseChain;
}

export type Ruleset = ReadonlyMap<string, Chain>;

/** More rules than any packet passes; chains that jump to each other twice each would double it at every level. */
const maxSteps = 200_000;

export interface Passage {
  readonly outcome: Outcome;
  /** As it leaves the last hook. */
  readonly packet: Packet;
  readonly limits: readonly string[];
}

/** The packet's way through these hooks, in this order. */
export function pass(ruleset: Ruleset, hooks: readonly Hook[], packet: Packet): Passage {
  const walk: Walk = { ruleset, packet, limits: [], steps: 0 };
  const possible: Outcome[] = [];
  const rules: string[] = [];
  for (const { chain, base } of baseChains(ruleset, hooks, packet)) {
    if (base.nat && walk.packet.state === "established") {
      translate(chain, base, walk);
      continue;
    }
    const outcome = passBase(chain, base, walk);
    if (outcome.decision === "pass") rules.push(...outcome.rules);
    else if (outcome.decision === "unknown") possible.push(outcome);
    else return { outcome, packet: walk.packet, limits: unique(walk.limits) };
  }
  const through: Outcome = { decision: "pass", rules: rules.length > 0 ? rules : ["no rule stops it"], needs: [] };
  return { outcome: settle([...possible, through]), packet: walk.packet, limits: unique(walk.limits) };
}

/** Later segments are translated as the first one was; a NAT chain does not see, and cannot stop, them. */
function translate(chain: Chain, base: BaseChain, walk: Walk): void {
  const { state } = walk.packet;
  if (walk.packet.direction === "out") return;
  walk.packet = { ...walk.packet, state: "new" };
  passBase(chain, base, walk);
  walk.packet = { ...walk.packet, state };
}

interface Walk {
  readonly ruleset: Ruleset;
  packet: Packet;
  readonly limits: string[];
  steps: number;
}

function baseChains(ruleset: Ruleset, hooks: readonly Hook[], { family }: Packet) {
  return [...ruleset.values()]
    .flatMap((chain) => (chain.base === undefined ? [] : [{ chain, base: chain.base }]))
    .filter(({ base }) => hooks.includes(base.hook) && base.families.includes(family))
    .sort((a, b) => hooks.indexOf(a.base.hook) - hooks.indexOf(b.base.hook) || a.base.priority - b.base.priority);
}

function passBase(chain: Chain, base: BaseChain, walk: Walk): Outcome {
  const { endings, open } = passChain(chain, walk, 0);
  const policy: Outcome = {
    decision: base.policy === "accept" ? "pass" : "dropped",
    rules: [`policy ${base.policy} of ${chain.name}`],
    needs: [],
  };
  return settle(open ? [...endings, policy] : endings);
}

interface ChainPassage {
  /** The ways in which it may end here, one for each decision. */
  readonly endings: readonly Outcome[];
  /** It may come to the chain's end. */
  readonly open: boolean;
}

/** The kernel's own bound (NFT_JUMP_STACK_SIZE). */
const maxDepth = 16;

function passChain(chain: Chain, walk: Walk, depth: number): ChainPassage {
  let endings: readonly Outcome[] = [];
  let mayReturn = false;
  for (const rule of chain.rules) {
    if (++walk.steps > maxSteps || depth > maxDepth)
      return { endings: [...endings, undecided(rule.name, "a rule set with fewer jumps")], open: false };
    const { verdict, needs } = evaluate(rule, walk);
    if (verdict === undefined) continue;
    const sure = needs.length === 0;
    const passage = follow(rule.name, verdict, walk, depth);
    endings = merged(endings, passage.endings, needs);
    if (!sure) {
      mayReturn ||= verdict.kind === "return" || (verdict.kind === "goto" && passage.open);
      continue;
    }
    if (!passage.open) return { endings, open: mayReturn };
    if (verdict.kind === "return" || verdict.kind === "goto") return { endings, open: true };
  }
  return { endings, open: true };
}

/** Bounded: chains that jump to each other would multiply their endings. */
function merged(before: readonly Outcome[], more: readonly Outcome[], needs: readonly string[]): readonly Outcome[] {
  const byDecision = new Map(before.map((ending) => [ending.decision, ending]));
  for (const ending of more) {
    const same = byDecision.get(ending.decision);
    byDecision.set(ending.decision, {
      decision: ending.decision,
      rules: unique([...(same?.rules ?? []), ...ending.rules]),
      needs: unique([...(same?.needs ?? []), ...needs, ...ending.needs]),
    });
  }
  return [...byDecision.values()];
}

/** Where a verdict leads. */
function follow(rule: string, verdict: Verdict, walk: Walk, depth: number): ChainPassage {
  switch (verdict.kind) {
    case "accept":
      return ended("pass", rule);
    case "drop":
      return ended("dropped", rule);
    case "reject":
      return ended(verdict.decision, rule);
    case "unknown":
      return { endings: [undecided(rule, verdict.needs)], open: false };
    case "jump":
    case "goto": {
      const target = walk.ruleset.get(verdict.chain);
      if (target === undefined)
        return { endings: [undecided(rule, `the chain "${verdict.chain}", which is not in the file`)], open: false };
      const { endings, open } = passChain(target, walk, depth + 1);
      return { endings: endings.map((ending) => ({ ...ending, rules: unique([rule, ...ending.rules]) })), open };
    }
    default:
      return { endings: [], open: true };
  }
}

const ended = (decision: Outcome["decision"], rule: string): ChainPassage => ({
  endings: [{ decision, rules: [rule], needs: [] }],
  open: false,
});
const undecided = (rule: string, needs: string): Outcome => ({ decision: "unknown", rules: [rule], needs: [needs] });

/** The rule's verdict where all its conditions hold or may hold, with what would tell. */
function evaluate(rule: FilterRule, walk: Walk): { readonly verdict?: Verdict; readonly needs: readonly string[] } {
  const needs: string[] = [];
  for (const statement of rule.statements) {
    const result = statement(walk.packet);
    if (result === true) continue;
    if (result === false) return { needs };
    if (!("kind" in result)) needs.push(result.needs);
    else if (result.kind === "change") change(walk, result.to, needs.length === 0);
    else if (result.kind !== "limit") return { verdict: result, needs };
    else {
      walk.limits.push(`${rule.name}: ${result.says}`);
      if (!result.below) return { needs };
    }
  }
  return { needs };
}

/** A change that may not have happened leaves the field unknown. */
function change(walk: Walk, to: Changes, sure: boolean): void {
  const values = sure ? to : Object.fromEntries(Object.keys(to).map((key) => [key, undefined]));
  walk.packet = { ...walk.packet, ...values };
}

/** How the conditions of both programs hold for a packet. */
export const ask = {
  address(side: "source" | "destination", packet: Packet, holds: (address: string) => boolean): Truth {
    const address = packet[side];
    return address === undefined ? { needs: "--local ADDRESS of this host" } : holds(address);
  },
  /** The client's own port is any of a range. */
  ports(side: "sourcePorts" | "destinationPorts", packet: Packet, wanted: Ports): Truth {
    const ports = packet[side];
    if (ports === undefined) return { needs: "which port a redirect chose" };
    if (ports.first >= wanted.first && ports.last <= wanted.last) return true;
    if (ports.last < wanted.first || ports.first > wanted.last) return false;
    return { needs: `the client's own port: a rule asks for ${wanted.first}-${wanted.last}` };
  },
  /** `eth+` (iptables) and `eth*` (nftables) stand for all that begin so. */
  interface(direction: "in" | "out", packet: Packet, name: string): Truth {
    if (packet.direction !== direction) return name === "";
    if (packet.interface === undefined) return { needs: "--interface NAME that the peer's packets come in by" };
    return /[+*]$/.test(name) ? packet.interface.startsWith(name.slice(0, -1)) : packet.interface === name;
  },
  state({ state }: Packet, states: readonly string[]): Truth {
    return state === undefined
      ? { needs: "whether a rule before ends the tracking (notrack)" }
      : states.includes(state);
  },
  mark({ mark }: Packet, value: number, mask = 0xffff_ffff): Truth {
    return mark === undefined ? { needs: "the packet mark that a rule before sets" } : (mark & mask) >>> 0 === value;
  },
  /** TCP flags under a mask. */
  flags({ flags }: Packet, mask: readonly string[], set: readonly string[]): boolean {
    return mask.every((flag) => (flags as readonly string[]).includes(flag) === set.includes(flag));
  },
};
