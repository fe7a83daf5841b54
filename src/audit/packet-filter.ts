/**
 * A host's own packet filter asked for one peer: its SYN in, sshd's SYN-ACK out, and a later segment in: a filter that
 * admits new connections only cuts the third.
 */
import type { Answer, IdleTimeout, Question } from "./answer.ts";
import { type Hook, type Packet, pass, type Ruleset } from "./netfilter.ts";

const arriving: readonly Hook[] = ["ingress", "prerouting", "input"];
const leaving: readonly Hook[] = ["output", "postrouting"];
const clientPorts = { first: 1024, last: 65_535 };

export function auditPacketFilter(
  of: string,
  ruleset: Ruleset,
  { peer, port, local, interface: name }: Question,
  idleTimeouts: readonly IdleTimeout[],
): Answer {
  const family = peer.includes(":") ? 6 : 4;
  const sshd = { first: port, last: port };
  const arrives: Omit<Packet, "flags" | "state"> = {
    family,
    source: peer,
    destination: local,
    sourcePorts: clientPorts,
    destinationPorts: sshd,
    direction: "in",
    interface: name,
    mark: 0,
  };
  const leaves: Packet = {
    ...arrives,
    source: local,
    destination: peer,
    sourcePorts: sshd,
    destinationPorts: clientPorts,
    direction: "out",
    flags: ["syn", "ack"],
    state: "established",
  };
  const connect = pass(ruleset, arriving, { ...arrives, flags: ["syn"], state: "new" });
  const reply = pass(ruleset, leaving, leaves);
  const later = pass(ruleset, arriving, { ...arrives, flags: ["ack"], state: "established" });
  const redirected = connect.packet.destinationPorts;
  return {
    of,
    connect: connect.outcome,
    reply: reply.outcome,
    established: later.outcome,
    notes: [
      ...(redirected !== undefined && redirected.first !== port
        ? [`it is redirected to port ${redirected.first}`]
        : []),
      ...new Set([...connect.limits, ...reply.limits, ...later.limits]),
    ],
    idleTimeouts,
  };
}
