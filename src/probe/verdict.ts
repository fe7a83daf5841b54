/**
 * What a result means, in the words of the checklist (its steps 1 to 6, and what lies beyond them), and the lines that
 * `ssh -v` prints for it. Pure. The lines were taken from OpenSSH 9.2's client against the same faults.
 */
import { handshakePhases } from "./handshake.ts";
import type { ProbeResult } from "./probe.ts";
import type { FailureReason, ProbePhase } from "./session.ts";

export interface Verdict {
  /** One or two sentences: what happened. */
  readonly meaning: string;
  /** Who may have done it, the likeliest first. Empty when ok. */
  readonly suspects: readonly Suspect[];
  /** Where to look for each: `step 3, ...`. */
  readonly next: readonly string[];
  /** As `ssh -v` would print it. */
  readonly sshVerbose: readonly string[];
}

export const phaseTitles: Readonly<Record<ProbePhase, string>> = {
  dns: "dns",
  connect: "connect",
  banner: "banner",
  kex_init: "key exchange init",
  kex_reply: "key exchange reply",
  new_keys: "new keys",
};

/** Where to look, by the checklist's steps. */
const looks = {
  sshd: "step 1, sshd: is it up, did it crash or restart? systemctl status ssh; journalctl -u ssh",
  resources:
    "step 2, memory and CPU: OOM kills, no process or file left for sshd? dmesg | grep -i oom; journalctl -u ssh | grep -i fork",
  wrappers: 'step 3, TCP wrappers: "refused connect from" in the server\'s log? /etc/hosts.allow and /etc/hosts.deny',
  mtu: "step 4, path MTU: does the path eat large packets? probe --mtu; ping -M do -s 1472",
  path: "step 5, load balancer, firewall, connection tracking: who else sends a RST or drops on the way?",
  conntrack:
    'step 5, connection tracking: "table full, dropping packet" in dmesg of the server and of every router before it?',
  cloud: "step 6, cloud: security group, network ACL, instance allowances",
  throttling:
    'beyond, throttling: "drop connection" in sshd\'s log? MaxStartups, PerSourceMaxStartups, PerSourcePenalties (9.8+)',
  logins: "beyond, slow host or resolver: is sshd stuck before its banner? UseDNS, LoginGraceTime, load",
  network: "beyond, network: route, link, neighbour; ip route get, ip -s link",
  name: "the name: /etc/hosts, the resolver, its search domains",
  service: "the port: another service, or a proxy that speaks for sshd",
  algorithms: "sshd's configuration: sshd -T | grep -i algorithms",
} as const;
export type Suspect = keyof typeof looks;

interface Meaning {
  readonly says: string;
  readonly suspects: readonly Suspect[];
}

const afterBanner: Readonly<Partial<Record<FailureReason, Meaning>>> = {
  reset: {
    says: "sshd answered, then the connection was reset in the key exchange: a middlebox that looks into it, or sshd's process for this connection died.",
    suspects: ["path", "sshd", "resources"],
  },
  closed: {
    says: "sshd answered, then the connection was closed in the key exchange: its process for this connection ended, or a proxy did.",
    suspects: ["sshd", "resources", "path"],
  },
  timeout: {
    says: "sshd's banner came, then nothing more. The messages of the key exchange are the first large ones: the mark of a path that eats large packets.",
    suspects: ["mtu", "resources", "path"],
  },
  unreachable: { says: "The path broke in the key exchange.", suspects: ["network", "cloud"] },
  protocol: {
    says: "What came in the key exchange is no SSH that both sides share.",
    suspects: ["algorithms", "path"],
  },
};

const meanings: Readonly<Record<ProbePhase, Readonly<Partial<Record<FailureReason, Meaning>>>>> = {
  dns: {
    unreachable: { says: "The name has no address here. SSH was not tried.", suspects: ["name"] },
    timeout: { says: "The resolver did not answer in time. SSH was not tried.", suspects: ["name"] },
  },
  connect: {
    refused: {
      says: "The host answered that nothing listens on this port; a firewall that rejects says the same.",
      suspects: ["sshd", "path", "cloud"],
    },
    timeout: {
      says: "No answer to the SYN: dropped on the way or by the host, or the host is down. No log of sshd's has a line of it.",
      suspects: ["cloud", "conntrack", "sshd"],
    },
    unreachable: { says: "There is no way to this address from here.", suspects: ["network", "cloud"] },
  },
  banner: {
    reset: {
      says: "Connected, then reset before the banner: throttling whose text was lost, somebody on the way, or TCP wrappers.",
      suspects: ["throttling", "path", "wrappers", "sshd"],
    },
    closed: {
      says: "Connected, then closed before the banner without a word.",
      suspects: ["throttling", "resources", "wrappers", "path"],
    },
    timeout: {
      says: "Connected, but no banner. The kernel (or a proxy) accepted, sshd did not speak. TCP wrappers are silent for 5 s before they refuse: a shorter --timeout sees only that.",
      suspects: ["logins", "resources", "path", "wrappers"],
    },
    unreachable: { says: "The path broke before the banner.", suspects: ["network", "cloud"] },
    protocol: { says: "What answers on this port is no SSH server.", suspects: ["service", "path"] },
  },
  kex_init: afterBanner,
  kex_reply: afterBanner,
  new_keys: afterBanner,
};

/** Undefined for what cannot happen in this phase. */
export function meaningOf(phase: ProbePhase, reason: FailureReason): string | undefined {
  return meanings[phase][reason]?.says;
}

/** What sshd writes before it closes: `Exceeded MaxStartups` (8.2 to 9.7), `Not allowed at this time` (9.8+). */
export function saysThrottled({ text }: Pick<ProbeResult, "text">): boolean {
  return text.some((line) => line === "Exceeded MaxStartups" || line === "Not allowed at this time");
}

function isWrappersPause({ failure, phaseSeconds: { banner = 0 } }: ProbeResult): boolean {
  return (failure?.reason === "reset" || failure?.reason === "closed") && banner >= 4.9 && banner < 6;
}

export function verdict(result: ProbeResult): Verdict {
  const { says, suspects } = meaning(result);
  return { meaning: says, suspects, next: suspects.map((each) => looks[each]), sshVerbose: sshVerboseLines(result) };
}

function meaning(result: ProbeResult): Meaning {
  const { failure } = result;
  if (failure === undefined) {
    return {
      says: "Connect, banner and key exchange work from here, now. A reset that users see comes later (authentication, session), not always (--repeat), when idle (--idle), with large packets (--mtu), or from elsewhere.",
      suspects: [],
    };
  }
  if (failure.phase === "banner" && saysThrottled(result)) {
    return {
      says: `sshd itself refused: "${result.text[0]}". Too many connections that have not logged in, or a penalty for this source address (9.8+).`,
      suspects: ["throttling"],
    };
  }
  if (failure.phase === "banner" && isWrappersPause(result)) {
    return {
      says: "Connected, then cut after 5 s without a banner: so long do TCP wrappers sleep before they refuse (clean_exit() of libwrap).",
      suspects: ["wrappers", "path"],
    };
  }
  const known = meanings[failure.phase][failure.reason];
  return known ?? { says: `${failure.reason} in ${phaseTitles[failure.phase]}.`, suspects: ["network"] };
}

const connectErrors: Readonly<Record<string, string>> = {
  ECONNREFUSED: "Connection refused",
  ETIMEDOUT: "Connection timed out",
  EHOSTUNREACH: "No route to host",
  ENETUNREACH: "Network is unreachable",
};
const resolverErrors: Readonly<Record<string, string>> = {
  ENOTFOUND: "Name or service not known",
  EAI_AGAIN: "Temporary failure in name resolution",
};

function sshVerboseLines(result: ProbeResult): string[] {
  const { target, address = "", failure, text, banner } = result;
  const { host, port } = target;
  const at = `${address} port ${port}`;
  if (failure?.phase === "dns") {
    return [
      `ssh: Could not resolve hostname ${host}: ${resolverErrors[failure.errno ?? ""] ?? failure.errno ?? "timed out"}`,
    ];
  }
  const lines = [`debug1: Connecting to ${host} [${address}] port ${port}.`];
  if (failure?.phase === "connect") {
    const error =
      connectErrors[failure.errno ?? (failure.reason === "timeout" ? "ETIMEDOUT" : "")] ?? failure.errno ?? "";
    return [
      ...lines,
      `debug1: connect to address ${at}: ${error}`,
      `ssh: connect to host ${host} port ${port}: ${error}`,
    ];
  }
  const reached = failure === undefined ? handshakePhases.length : handshakePhases.indexOf(failure.phase);
  lines.push("debug1: Connection established.");
  lines.push(...text.map((line, i) => `debug1: kex_exchange_identification: banner line ${i}: ${line}`));
  if (reached >= 1) {
    const [, version, software] = /^SSH-([^-]*)-(.*)$/.exec(banner ?? "") ?? [];
    lines.push(`debug1: Remote protocol version ${version}, remote software version ${software}`);
    lines.push("debug1: SSH2_MSG_KEXINIT sent");
  }
  if (reached >= 2) lines.push("debug1: SSH2_MSG_KEXINIT received", "debug1: expecting SSH2_MSG_KEX_ECDH_REPLY");
  if (reached >= 3)
    lines.push(
      "debug1: SSH2_MSG_KEX_ECDH_REPLY received",
      "debug1: SSH2_MSG_NEWKEYS sent",
      "debug1: expecting SSH2_MSG_NEWKEYS",
    );
  if (reached >= 4) lines.push("debug1: SSH2_MSG_NEWKEYS received");
  return failure === undefined ? lines : [...lines, ...lastWords(failure.reason, failure.phase === "banner", at)];
}

/** A stall leaves no line: ssh waits. What is wrong in the protocol has a line of its own for each mistake. */
function lastWords(reason: FailureReason, banner: boolean, at: string): string[] {
  if (reason === "reset") {
    return [
      ...(banner ? ["kex_exchange_identification: read: Connection reset by peer"] : []),
      `Connection reset by ${at}`,
    ];
  }
  if (reason === "closed") {
    return [
      ...(banner ? ["kex_exchange_identification: Connection closed by remote host"] : []),
      `Connection closed by ${at}`,
    ];
  }
  return [];
}
