/**
 * What an audit answers, and the logic it answers with: every condition holds, does not hold, or cannot be told without
 * something that the files do not have. A rule that may or may not match never becomes a guess.
 */

export interface Question {
  /** The client's address, as the rule set's place sees it. */
  readonly peer: string;
  readonly port: number;
  /** The server's own address and interface, where rules ask for them. */
  readonly local?: string;
  readonly interface?: string;
  /** Network tags of the instance (Google Cloud). */
  readonly tags?: readonly string[];
}

/** `rejected`: answered with ICMP unreachable. `partly`: only for some of the client's ports. */
export type Decision = "pass" | "dropped" | "reset" | "rejected" | "partly" | "unknown";

export interface Outcome {
  readonly decision: Decision;
  /** The rules that decided, in the order in which they were asked. */
  readonly rules: readonly string[];
  /** What would tell, where it is unknown. */
  readonly needs: readonly string[];
}

export interface Answer {
  /** Which rule set: `security groups sg-1, sg-2`. */
  readonly of: string;
  /** May the peer's SYN reach the port? */
  readonly connect: Outcome;
  /** May sshd's answers get back? */
  readonly reply: Outcome;
  /** May the peer's later segments reach it? Only where that is judged apart. */
  readonly established?: Outcome;
  readonly notes: readonly string[];
  /** Idle connections are forgotten after these. */
  readonly idleTimeouts?: readonly IdleTimeout[];
}

export interface IdleTimeout {
  readonly seconds: number;
  readonly by: string;
}

export interface Unknown {
  readonly needs: string;
}
export type Truth = boolean | Unknown;

export const isUnknown = (truth: Truth): truth is Unknown => typeof truth === "object";

export function not(truth: Truth): Truth {
  return isUnknown(truth) ? truth : !truth;
}

/** One false decides; else the first unknown. */
export function all(truths: readonly Truth[]): Truth {
  if (truths.includes(false)) return false;
  return truths.find(isUnknown) ?? true;
}

/** One true decides; else the first unknown. */
export function any(truths: readonly Truth[]): Truth {
  if (truths.includes(true)) return true;
  return truths.find(isUnknown) ?? false;
}

/** Several outcomes are possible: what they agree on, or what would tell. */
export function settle(possible: readonly Outcome[]): Outcome {
  const last = possible.at(-1);
  if (last === undefined) throw new RangeError("an outcome of no possibilities");
  if (last.decision !== "unknown" && possible.every(({ decision }) => decision === last.decision))
    return { ...last, needs: [] };
  return {
    decision: "unknown",
    rules: unique(possible.flatMap(({ rules }) => rules)),
    needs: unique(possible.flatMap(({ needs }) => needs)),
  };
}

/** Long lists of rules that may match say nothing more after the first ones. */
const maxListed = 12;

export function unique(texts: readonly string[]): string[] {
  const all = [...new Set(texts)];
  return all.length <= maxListed ? all : [...all.slice(0, maxListed), `and ${all.length - maxListed} more`];
}

/** A rule of an ordered list whose first match decides. */
export interface ListedRule {
  readonly name: string;
  readonly matches: Truth;
  readonly decision: Decision;
}

/** `otherwise` decides where none matches. */
export function firstMatch(rules: Iterable<ListedRule>, otherwise: Omit<ListedRule, "matches">): Outcome {
  const possible: Outcome[] = [];
  for (const { name, matches, decision } of rules) {
    if (matches === false) continue;
    const needs = isUnknown(matches) ? [matches.needs] : [];
    possible.push({ decision, rules: [name], needs });
    if (matches === true) return settle(possible);
  }
  return settle([...possible, { decision: otherwise.decision, rules: [otherwise.name], needs: [] }]);
}

/** A connection that the rule set tracks: what follows an admitted SYN passes in both directions. */
export const tracked = (by: string): Outcome => ({ decision: "pass", rules: [`tracked by ${by}`], needs: [] });
