/**
 * sshd: connections dropped at accept by MaxStartups, PerSourceMaxStartups (same text) and PerSourcePenalties.
 * Gives sshd.drop, sshd.drop_total, sshd.penalty. Texts: openssh sshd.c (should_drop_connection, drop_connection),
 * srclimit.c. The lines are rate-limited in every release: the totals say what they left out.
 */
import type { DropLimit, Event, SshdDropTotal } from "../model/event.ts";
import { canonicalAddress, readBracketedPeer } from "./address.ts";
import { noted, readCount, type Said, sshdSays } from "./wording.ts";

export const sshdAdmission = [
  sshdSays({
    id: "sshd-drop-connection",
    versions: "7.4+",
    origin: "sshd.c drop_connection; VERBOSE up to 8.3",
    starts: ["drop connection #"],
    read: dropConnection,
  }),
  sshdSays({
    id: "sshd-throttling-begins",
    versions: "8.4-9.9",
    origin: "sshd.c should_drop_connection",
    starts: ["beginning MaxStartups throttling"],
    read: ({ rest }) => (rest === "" ? dropTotal("max_startups", "begin", 0) : undefined),
  }),
  sshdSays({
    id: "sshd-throttling-runs",
    versions: "8.4-9.9",
    origin: "sshd.c should_drop_connection, every 5 minutes",
    starts: ["in MaxStartups throttling for "],
    read: (said) => throttling(said, "running"),
  }),
  sshdSays({
    id: "sshd-throttling-ends",
    versions: "8.4-9.9",
    origin: "sshd.c should_drop_connection, at a later accept",
    starts: ["exited MaxStartups throttling after "],
    read: (said) => throttling(said, "total"),
  }),
  sshdSays({
    id: "sshd-drops-rate-limited",
    versions: "10.0+",
    origin: "sshd.c, log.c ratelimit",
    starts: ["Maxstartups logging rate-limited: additional ", "PerSourcePenalties logging rate-limited: additional "],
    read({ rest, record }) {
      const count = rest.endsWith(" connections dropped") ? readCount(rest.slice(0, -20)) : undefined;
      if (count === undefined) return undefined;
      const limit = record.message.includes("PerSource") ? "per_source_penalty" : "max_startups";
      return dropTotal(limit, "additional", count);
    },
  }),
  sshdSays({
    id: "sshd-penalty",
    versions: "9.8+",
    origin: "srclimit.c srclimit_penalise; VERBOSE up to 10.0",
    starts: ["srclimit_penalise: "],
    read: penalty,
  }),
];

/** `N from [A]:P on [LA]:LP⟦ past⟧ MaxStartups` (any case), `... penalty: REASON`, `... too many penalised addresses`. */
function dropConnection({ rest }: Said): Event | undefined {
  const from = rest.indexOf(" from ");
  const on = rest.indexOf(" on ", from);
  if (from === -1 || on === -1) return undefined;
  const unauthenticated = readCount(rest.slice(0, from));
  const peer = readBracketedPeer(rest.slice(from + 6, on));
  const local = rest.indexOf(" ", on + 4);
  const limit = local === -1 ? undefined : dropLimit(rest.slice(local + 1));
  if (unauthenticated === undefined || peer === undefined || limit === undefined) return undefined;
  return { kind: "sshd.drop", limit, unauthenticated, ...peer };
}

function dropLimit(reason: string): DropLimit | undefined {
  if (/^(?:past )?Max[Ss]tartups$/.test(reason)) return "max_startups";
  if (reason.startsWith("penalty: ")) return "per_source_penalty";
  return reason === "too many penalised addresses" ? "penalty_table_full" : undefined;
}

function throttling({ rest }: Said, scope: "running" | "total"): Event | undefined {
  const comma = rest.indexOf(", ");
  if (comma === -1 || !/^[0-9:wdhms]{2,20}$/.test(rest.slice(0, comma)) || !rest.endsWith(" connections dropped")) {
    return undefined;
  }
  const count = readCount(rest.slice(comma + 2, -20));
  return count === undefined ? undefined : dropTotal("max_startups", scope, count);
}

function dropTotal(limit: DropLimit, scope: SshdDropTotal["scope"], count: number): SshdDropTotal {
  return { kind: "sshd.drop_total", limit, scope, count };
}

/**
 * `ipvN: new A/MASK active penalty of S seconds for penalty: REASON`, `A/MASK: activating ipvN penalty of ...`. Deferred
 * ones drop nobody yet. Of an IPv6 net, its first address.
 */
function penalty({ rest }: Said): Event | undefined {
  if (/^ipv[46] penalty table full, cannot penalise /.test(rest)) return noted;
  const found =
    /^(?:ipv[46]: new (\S{2,64})\/\d{1,3} (active|deferred) penalty|(\S{2,64})\/\d{1,3}: activating ipv[46] penalty) of [\d.]{1,12} seconds for penalty: [\w -]{1,80}$/.exec(
      rest,
    );
  const address = canonicalAddress(found?.[1] ?? found?.[3] ?? "");
  if (found === null || address === undefined) return undefined;
  return found[2] === "deferred" ? noted : { kind: "sshd.penalty", address };
}
