/**
 * Log corpora for benches: the same bytes for the same seed, and how many events of each kind are in them.
 * 60 % sshd (OpenSSH 9.2's own words), the rest cron, sudo, logind and kernel, RFC 3164 headers, 3 % IPv6 peers.
 */
import { closeSync, openSync, writeSync } from "node:fs";

export interface CorpusOptions {
  readonly path: string;
  readonly lines: number;
  readonly seed: number;
  /** Zipf over so many peers; `each`: every connection comes from a peer of its own. */
  readonly peers: number | "each";
}

/** What is in it, by what a reader counts. */
export interface Truth {
  lines: number;
  bytes: number;
  failed: number;
  accepted: number;
  reset: number;
  closed: number;
  disconnected: number;
  peers: number;
}

/** A small generator of numbers in [0, 1), the same for the same seed (mulberry32). */
export function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

const users = ["admin", "oracle", "test", "ubuntu", "postgres", "git", "user", "ftpuser"];
const logins = ["deploy", "alice", "bob", "backup"];
const months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const fingerprint = "SHA256:uVLXdvW3xUeQk4hmaFmQ4x8rW3jUyI9k0lqTt3yWbRk";

/** Lines of one connection, without header and line end. */
export interface Conversation {
  readonly peer: string;
  readonly messages: readonly string[];
  readonly counts: Partial<Truth>;
}

export function conversation(random: () => number, peer: string, port: number): Conversation {
  const kind = random();
  const at = `${peer} port ${port}`;
  const user = users[Math.floor(random() * users.length)] ?? "admin";
  if (kind < 0.35) {
    const messages = [
      `Invalid user ${user} from ${at}`,
      "pam_unix(sshd:auth): check pass; user unknown",
      `pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=${peer}`,
      `Failed password for invalid user ${user} from ${at} ssh2`,
      `Connection closed by invalid user ${user} ${at} [preauth]`,
    ];
    return { peer, messages, counts: { failed: 1, closed: 1 } };
  }
  if (kind < 0.6) {
    const messages = [
      `pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=${peer}  user=root`,
      `Failed password for root from ${at} ssh2`,
      `Connection reset by authenticating user root ${at} [preauth]`,
    ];
    return { peer, messages, counts: { failed: 1, reset: 1 } };
  }
  if (kind < 0.75) {
    const messages = [
      `Failed password for root from ${at} ssh2`,
      `Received disconnect from ${at}:11: Bye Bye [preauth]`,
      `Disconnected from authenticating user root ${at} [preauth]`,
    ];
    return { peer, messages, counts: { failed: 1, disconnected: 1 } };
  }
  if (kind < 0.87) {
    const messages = ["kex_exchange_identification: read: Connection reset by peer", `Connection reset by ${at}`];
    return { peer, messages, counts: { reset: 1 } };
  }
  const login = logins[Math.floor(random() * logins.length)] ?? "deploy";
  const messages = [
    `Accepted publickey for ${login} from ${at} ssh2: ED25519 ${fingerprint}`,
    `pam_unix(sshd:session): session opened for user ${login}(uid=1000) by (uid=0)`,
    `Received disconnect from ${at}:11: disconnected by user`,
    `Disconnected from user ${login} ${at}`,
    `pam_unix(sshd:session): session closed for user ${login}`,
  ];
  return { peer, messages, counts: { accepted: 1, disconnected: 1 } };
}

/** Conversations of 20 peers at a time, without end, as a running sshd logs them; each call gives so many lines of now. */
export function liveLines(seed: number): (lines: number) => { readonly text: string; readonly failed: number } {
  const random = randomFrom(seed);
  const open: { messages: readonly string[]; next: number; pid: number }[] = [];
  let serial = 0;
  return (lines) => {
    const header = `${stamp(Date.now())} bastion `;
    let text = "";
    let failed = 0;
    for (let i = 0; i < lines; i++) {
      while (open.length < 20) {
        const { messages } = conversation(random, peerOf(Math.floor(100_000 ** random())), 1024 + (serial % 60_000));
        open.push({ messages, next: 0, pid: 300 + (serial++ % 4_000_000) });
      }
      const place = Math.floor(random() * open.length);
      const current = open[place] as (typeof open)[number];
      const message = current.messages[current.next++] ?? "";
      if (message.startsWith("Failed ")) failed++;
      text += `${header}sshd[${current.pid}]: ${message}\n`;
      if (current.next === current.messages.length) open.splice(place, 1);
    }
    return { text, failed };
  };
}

/** The n-th peer: an address of its own for each of the first 13 million. */
export function peerOf(n: number): string {
  const low = `${(n >>> 8) & 255}.${n & 255}`;
  if (n % 33 === 7) return `2001:db8:${(n >>> 16).toString(16)}:${(n & 0xffff).toString(16)}::1`;
  return `${20 + (n >>> 16)}.${low}.9`;
}

/** Writes the corpus; connections overlap as on a real host. Ends half an hour ago, so that no time lies ahead. */
export function writeCorpus({ path, lines, seed, peers }: CorpusOptions): Truth {
  const random = randomFrom(seed);
  const truth: Truth = { lines: 0, bytes: 0, failed: 0, accepted: 0, reset: 0, closed: 0, disconnected: 0, peers: 0 };
  const seen = new Set<string>();
  const fd = openSync(path, "w");
  const open: { messages: readonly string[]; next: number; pid: number }[] = [];
  let buffer = "";
  let serial = 0;
  const perSecond = 60;
  const firstMs = Math.floor(Date.now() / 1000) * 1000 - 1_800_000 - (lines / perSecond) * 1000;
  let header = "";
  const begin = (): void => {
    const n = peers === "each" ? serial : Math.floor(peers ** random());
    const peer = peerOf(n);
    const { messages, counts } = conversation(random, peer, 1024 + ((serial * 7919) % 60_000));
    for (const [name, count] of Object.entries(counts)) truth[name as keyof Truth] += count;
    seen.add(peer);
    open.push({ messages, next: 0, pid: 300 + ((serial * 3) % 4_000_000) });
    serial++;
  };
  const flush = (): void => {
    truth.bytes += writeSync(fd, buffer, null, "latin1");
    buffer = "";
  };
  while (truth.lines < lines) {
    if (truth.lines % perSecond === 0) header = `${stamp(firstMs + (truth.lines / perSecond) * 1000)} bastion `;
    if (random() < 0.6) {
      if (open.length < 20) begin();
      const place = Math.floor(random() * open.length);
      const current = open[place];
      if (current === undefined) continue;
      buffer += `${header}sshd[${current.pid}]: ${current.messages[current.next++]}\n`;
      if (current.next === current.messages.length) open.splice(place, 1);
    } else buffer += `${header}${other(random)}\n`;
    truth.lines++;
    if (buffer.length > 1 << 20) flush();
  }
  // What is open is told to its end, so that the counts are whole.
  for (const { messages, next, pid } of open) {
    for (const message of messages.slice(next)) {
      buffer += `${header}sshd[${pid}]: ${message}\n`;
      truth.lines++;
    }
  }
  flush();
  closeSync(fd);
  truth.peers = seen.size;
  return truth;
}

export function stamp(timeMs: number): string {
  const time = new Date(timeMs);
  const day = String(time.getDate()).padStart(2);
  return `${months[time.getMonth()]} ${day} ${time.toTimeString().slice(0, 8)}`;
}

function other(random: () => number): string {
  const kind = random();
  const pid = 1000 + Math.floor(random() * 30_000);
  if (kind < 0.4) return `CRON[${pid}]: pam_unix(cron:session): session opened for user root(uid=0) by (uid=0)`;
  if (kind < 0.7) return `CRON[${pid}]: pam_unix(cron:session): session closed for user root`;
  if (kind < 0.85)
    return `sudo:   deploy : TTY=pts/0 ; PWD=/home/deploy ; USER=root ; COMMAND=/usr/bin/systemctl status app`;
  if (kind < 0.95) return `systemd-logind[612]: New session ${pid} of user deploy.`;
  return `kernel: [${pid}.482113] IPv6: ADDRCONF(NETDEV_CHANGE): veth${pid}: link becomes ready`;
}
