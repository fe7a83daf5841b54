/**
 * Joins events into connections with one end each: by pid before authentication, by (address, port) after it.
 * Every end is held for a short join window, so that all lines and kernel events of it are heard whatever their order;
 * then it is told once, and remembered so that what comes later adds nothing.
 * Source: OpenSSH sshd.c, sshd-session.c, packet.c, serverloop.c, kex.c (who logs what with which pid); pam_unix(8);
 * the kernel's tcp_receive_reset and tcp_send_reset trace events.
 */
import type { ConnectionEnd, PeerClass } from "../model/connection.ts";
import type { Event, SshdEnded, TcpResetEvent } from "../model/event.ts";
import { LongList } from "../model/long-list.ts";
import type { LogRecord } from "../model/record.ts";
import { amount, anything, list, object, optional, time, whole } from "../model/saved.ts";
import { oldest, Recent } from "./bounded.ts";
import { Connection, connectionShape, Ending, type SavedConnection, saved } from "./held.ts";
import { PeerTable, peerOf } from "./peer-table.ts";
import { Pool } from "./pool.ts";
import { Queue } from "./queue.ts";
import { type Ended, RecentEnds } from "./recent-ends.ts";
import { detailOf, outcomeOf, phaseOf } from "./verdict.ts";

/** What the end rests on, beside its own text. */
export interface EndEvidence {
  /** A kernel reset event belongs to this end: the reset was counted when the kernel told it. */
  readonly kernelReset: boolean;
}

export interface ConnectionsOptions {
  readonly onEnd: (end: ConnectionEnd, evidence: EndEvidence) => void;
  readonly classify: (address: string, timeMs: number) => PeerClass;
  /** Whether the kernel's reset events are readable: a session that closed without one was then not reset. */
  readonly kernelVisible: () => boolean;
  /** Time since the last segment received from the peer; undefined where sockets are not watched. */
  readonly idleMsOf?: (address: string, port: number) => number | undefined;
  /** Connections kept, 25,000 unless told: systemd's own limit of tasks allows a host some 10,000. */
  readonly capacity?: number;
}

/** How long an end waits for its other lines and events; wall time between ticks. */
const joinWindowMs = 1_000;
/** An end is remembered for one to two turns. A socket in FIN_WAIT_2 can be reset for 60 s (tcp_fin_timeout). */
const turnMs = 30_000;
/** So far apart, by their own times, lines and events cannot tell the same end: a log read late holds hours in one tick. */
const sameEndMs = 10_000;
/** A longer gap between ticks means that this process did not run: it does not count against the join window. */
const stalledMs = 5_000;
const sweepMs = 60_000;
const preauthMaxAgeMs = 10 * 60_000;
const sessionMaxAgeMs = 30 * 24 * 3_600_000;
const endingCapacity = 20_000;
/** Reasons of resets that the kernel answers a segment with (include/net/rstreason.h), not those that end a socket. */
const answers: ReadonlySet<string> = new Set([
  "no_socket",
  "tcp_timewait_socket",
  "invalid_syn",
  "tcp_invalid_ack_sequence",
  "tcp_rfc7323_paws",
  "tcp_too_old_ack",
  "tcp_ack_unsent_data",
  "tcp_flags",
  "tcp_old_ack",
]);
/** What is due at once is done in slices, of some 10 ms: so many at a tick, the rest at the next one. */
const toldAtTick = 2_500;
const evictedAtSweep = 10_000;
/** A late log's ends are told as it is read on, from a budget that grows with each of its records; few are not worth a look. */
const mostToldAtRecord = 500;
const fewestToldAtRecord = 100;
const toldForRecord = 5;
/** How many held ends are looked at for one that a line without port, address or known process belongs to. */
const partnerScan = 256;

function* placesOf(connections: Iterable<Connection>): Generator<number> {
  for (const { place } of connections) yield place;
}

export class Connections {
  readonly #options: ConnectionsOptions;
  readonly #capacity: number;
  /** Those whose port is known. */
  readonly #byPeer = new PeerTable<Connection>();
  readonly #byPid = new Map<number, Connection>();
  /** Not authenticated. Oldest first: what a flood displaces. */
  readonly #preauth = new Queue<Connection>();
  readonly #sessions = new Queue<Connection>();
  readonly #all = [this.#preauth, this.#sessions] as const;
  readonly #ending = new Queue<Ending>();
  /** Of those that end, the ones without a port. */
  readonly #portless = new Set<Connection>();
  readonly #ended = new RecentEnds(10_000);
  /** To the time of the end. */
  readonly #endedPids = new Recent<number, number>(10_000);
  readonly #connectionPool = new Pool(() => new Connection());
  readonly #endingPool = new Pool(() => new Ending());
  /** No end without a port is remembered after this. */
  #portlessUntilMs = 0;
  #nowMs = 0;
  /** Own time of the latest log record before which everything was told. */
  #logMs = 0;
  #turnedMs = 0;
  #turnedLogMs = 0;
  #sweptMs = 0;
  #budget = mostToldAtRecord;
  #evicted = 0;

  constructor(options: ConnectionsOptions) {
    this.#options = options;
    this.#capacity = options.capacity ?? 25_000;
  }

  /** Connections forgotten without a seen end: too many, too old, or their process id was given to another. */
  get evicted(): number {
    return this.#evicted;
  }

  /** Open connections by the phase last proved; those waiting for the rest of their end are not open. */
  open(): { banner: number; auth: number; session: number } {
    const counts = { banner: 0, auth: 0, session: 0 };
    for (const queue of this.#all) {
      for (let connection = queue.first; connection !== undefined; connection = connection.after) {
        const { port, phase, ending } = connection;
        if (port !== 0 && phase && !ending) counts[phase]++;
      }
    }
    return counts;
  }

  /** Addresses of open authenticated connections, with repeats. */
  *sessionAddresses(): Generator<string> {
    for (const { address, port, ending } of this.#sessions) {
      if (address !== undefined && port !== 0 && !ending) yield address;
    }
  }

  *#saved(): Generator<SavedConnection> {
    for (const queue of this.#all) for (const connection of queue) yield saved(connection);
  }

  handle(event: Event, record: LogRecord): void {
    if (isLog(record)) {
      this.#budget = Math.min(mostToldAtRecord, this.#budget + toldForRecord);
      const movedOn = record.timeMs - this.#logMs > sameEndMs;
      if (movedOn && this.#budget >= fewestToldAtRecord) this.#tellBefore(record.timeMs);
    }
    switch (event.kind) {
      case "sshd.connection":
        this.#begin(event.address, event.port, "banner", record);
        return;
      case "sshd.accepted":
        this.#begin(event.address, event.port ?? 0, "session", record);
        return;
      case "sshd.authentication_failed":
        if (event.address !== undefined && event.port !== undefined) {
          this.#begin(event.address, event.port, "auth", record);
        } else {
          const connection = this.#byPid.get(record.pid);
          if (connection?.phase === "banner") connection.phase = "auth";
        }
        return;
      case "sshd.ended":
        this.#logged(event, record);
        return;
      case "sshd.drop":
        this.#dropped(event.address, event.address === undefined ? 0 : (event.port ?? 0), record);
        return;
      case "sshd.session_closed":
        this.#sessionClosed(record);
        return;
      case "sshd.user_child": {
        const connection = this.#byPid.get(record.pid);
        if (!connection || event.childPid === record.pid) return;
        if (this.#byPid.get(connection.childPid) === connection) this.#byPid.delete(connection.childPid);
        connection.childPid = event.childPid;
        this.#takePid(event.childPid, connection, record);
        return;
      }
      case "sshd.session_crash":
        this.#crashed(event.pid ?? record.pid, event.address, true, record);
        return;
      case "kernel.crash":
        this.#crashed(event.pid, undefined, false, record);
        return;
      case "oom.kill":
        if (event.victim !== "other") this.#crashed(event.pid, undefined, false, record);
        return;
      case "tcp.reset_received":
      case "tcp.reset_sent":
        this.#kernelReset(event, record);
        return;
    }
  }

  /** Call at least once a second, with the wall clock: ends are told here. */
  tick(nowMs: number): void {
    const gap = nowMs - this.#nowMs;
    if (this.#nowMs !== 0 && (gap > stalledMs || gap < 0)) {
      for (const ending of this.#ending) ending.deadlineMs += gap;
      if (gap < 0) this.#turnedMs = this.#sweptMs = nowMs;
    }
    this.#nowMs = nowMs;
    this.#tellDue(nowMs);
    if (nowMs - this.#turnedMs >= turnMs) this.#turn(nowMs, this.#logMs);
    if (nowMs - this.#sweptMs >= sweepMs) this.#sweep(nowMs);
  }

  #tellDue(nowMs: number): void {
    let told = 0;
    for (let ending = this.#ending.first; ending !== undefined; ending = ending.after) {
      if (ending.queue === undefined || ending.deadlineMs > nowMs) continue;
      if (++told > toldAtTick) return;
      this.#tell(this.#settled(ending.connection));
    }
  }

  /** What ended long ago is forgotten by the log's time too: a log read late holds hours in one tick. */
  #turn(nowMs: number, logMs: number): void {
    this.#ended.turn();
    this.#endedPids.turn();
    this.#turnedMs = nowMs;
    this.#turnedLogMs = logMs;
  }

  /** The log has moved on: no more lines come for ends long before. */
  #tellBefore(logMs: number): void {
    if (logMs - this.#turnedLogMs >= turnMs) this.#turn(this.#nowMs, logMs);
    for (let ending = this.#ending.first; ending !== undefined; ending = ending.after) {
      if (ending.queue === undefined || !(ending.logged || ending.sessionClosed) || logMs - ending.timeMs <= sameEndMs)
        continue;
      // A later record goes on.
      if (this.#budget === 0) return;
      this.#budget--;
      this.#tell(this.#settled(ending.connection));
    }
    this.#logMs = logMs;
  }

  /** JSON-safe, good until the next change: restored, it goes on exactly as if nothing had happened. */
  snapshot(): unknown {
    let place = 0;
    for (const queue of this.#all) {
      for (let connection = queue.first; connection !== undefined; connection = connection.after) {
        connection.place = place++;
      }
    }
    return {
      nowMs: this.#nowMs,
      logMs: this.#logMs,
      turnedMs: this.#turnedMs,
      turnedLogMs: this.#turnedLogMs,
      sweptMs: this.#sweptMs,
      portlessUntilMs: this.#portlessUntilMs,
      evicted: this.#evicted,
      connections: new LongList(() => this.#saved()),
      // By place in `connections`, in their own order.
      ending: new LongList(() => placesOf(this.#endingConnections())),
      preauth: new LongList(() => placesOf(this.#preauth)),
      pids: new LongList(() => this.#byPid.keys()),
      byPid: new LongList(() => placesOf(this.#byPid.values())),
      ended: this.#ended.snapshot(),
      endedPids: this.#endedPids.snapshot((timeMs) => timeMs),
    };
  }

  /** Into a new instance only. Throws on anything but a snapshot. */
  restore(saved: unknown): void {
    const most = 4 * this.#capacity + 2 * endingCapacity;
    const state = object({
      nowMs: time,
      logMs: time,
      turnedMs: time,
      turnedLogMs: optional(time),
      sweptMs: time,
      portlessUntilMs: time,
      evicted: amount,
      connections: list(connectionShape, most),
      ending: list(whole, most),
      preauth: list(whole, most),
      pids: list(whole, most),
      byPid: list(whole, most),
      ended: anything,
      endedPids: anything,
    })(saved, "connections");
    this.#nowMs = state.nowMs;
    this.#logMs = state.logMs;
    this.#turnedMs = state.turnedMs;
    this.#turnedLogMs = state.turnedLogMs ?? 0;
    this.#sweptMs = state.sweptMs;
    this.#portlessUntilMs = state.portlessUntilMs;
    this.#evicted = state.evicted;
    const rows = state.connections.map((row, i) => this.#restored(row, `connections[${i}]`));
    for (const [i, pid] of state.pids.entries()) {
      const connection = at(rows, state.byPid[i] ?? -1);
      if (pid === 0 || (connection.pid !== pid && connection.childPid !== pid)) {
        throw new Error(`connections: process ${pid} is not its own`);
      }
      this.#byPid.set(pid, connection);
    }
    // Those in their own order, and whom a damaged list forgets or names twice.
    for (const connection of [...state.preauth.map((place) => at(rows, place)), ...rows]) {
      if (connection.queue === undefined) {
        (connection.phase === "session" ? this.#sessions : this.#preauth).add(connection);
      }
    }
    for (const place of state.ending) {
      const { ending } = at(rows, place);
      if (ending === undefined) throw new Error(`connections[${place}] is said to end and does not`);
      if (ending.queue !== undefined) throw new Error(`connections[${place}] is said to end twice`);
      this.#ending.add(ending);
      if (ending.connection.port === 0) this.#portless.add(ending.connection);
    }
    this.#ended.restore(state.ended, "connections.ended");
    this.#endedPids.restore(state.endedPids, whole, time, "connections.endedPids");
  }

  #restored(row: SavedConnection, place: string): Connection {
    const connection = new Connection();
    const { pid, childPid, phase, bornMs, key, address, ending } = row;
    Object.assign(connection, { pid, childPid, phase, bornMs, address });
    if (ending) {
      connection.ending = new Ending();
      connection.ending.connection = connection;
      connection.ending.hear(ending);
    }
    if (key !== "") {
      const peer = peerOf(key, place);
      if (peer.port === 0 || this.#byPeer.get(peer.address, peer.port)) throw new Error(`${place}: no peer of its own`);
      this.#byPeer.add(connection, peer.address, peer.port);
    }
    return connection;
  }

  /** `ofPid`: the one of the line's process, which is right for most lines. */
  #find(address: string, port: number, ofPid: Connection | undefined): Connection | undefined {
    return ofPid?.port === port && ofPid.address === address ? ofPid : this.#byPeer.get(address, port);
  }

  /** `port` 0: the line has none. */
  #begin(address: string, port: number, phase: "banner" | "auth" | "session", record: LogRecord): void {
    // Nothing could ever be joined to it.
    if (port === 0 && record.pid === 0) return;
    const ofPid = this.#byPid.get(record.pid);
    let connection = port === 0 ? ofPid : this.#find(address, port, ofPid);
    if (connection && !this.#continues(connection, phase, record)) {
      this.#vanish(connection, record);
      connection = undefined;
    }
    if (!connection && port !== 0) {
      const ended = this.#endedOf(address, port, record);
      if (ended && ended.pid === 0 && record.timeMs <= ended.timeMs) {
        // The kernel told this one's end before the log told its beginning.
        ended.pid = record.pid;
        ended.authenticated ||= phase === "session";
        this.#endedPids.set(record.pid, record.timeMs);
        return;
      }
      if (ended) this.#ended.delete(ended);
    }
    connection ??= this.#add(address, port);
    if (connection.phase !== "session" && !(connection.phase === "auth" && phase === "banner")) {
      connection.phase = phase;
      if (phase === "session") {
        this.#preauth.delete(connection);
        this.#sessions.add(connection);
      }
    }
    if (record.pid !== 0 && connection.pid !== record.pid) {
      if (connection.pid !== 0 && this.#byPid.get(connection.pid) === connection) this.#byPid.delete(connection.pid);
      connection.pid = record.pid;
      this.#takePid(record.pid, connection, record);
    }
  }

  /** Whether a line about a beginning or an attempt belongs to this connection, or to a new one on the same port. */
  #continues(connection: Connection, phase: string, record: LogRecord): boolean {
    // The kernel can be faster than the log: lines from before its reset still belong to it.
    if (connection.ending) return !connection.ending.logged && record.timeMs <= connection.ending.timeMs;
    if (connection.pid !== 0 && record.pid !== 0 && connection.pid !== record.pid) return false;
    return !(phase === "banner" && connection.phase === "session");
  }

  /** A process id belongs to one process: whoever had it before is gone. */
  #takePid(pid: number, connection: Connection, record: LogRecord): void {
    if (pid === 0) return;
    const before = this.#byPid.get(pid);
    if (before && before !== connection) this.#vanish(before, record);
    this.#endedPids.delete(pid);
    this.#byPid.set(pid, connection);
    if (this.#byPid.size > 3 * this.#capacity) {
      for (const displaced of oldest(this.#byPid.values(), this.#capacity)) this.#evict(displaced);
    }
  }

  /** It ended and nobody said so: a session's end is told as what it looks like, anything else is only forgotten. */
  #vanish(connection: Connection, record: LogRecord): void {
    if (connection.ending) {
      this.#tell(connection);
    } else if (connection.phase === "session") {
      this.#startEnding(connection, record).sessionClosed = true;
      this.#tell(connection);
    } else {
      this.#evict(connection);
    }
  }

  #logged(event: SshdEnded, record: LogRecord): void {
    const pid = event.subjectPid ?? record.pid;
    const port = event.address === undefined ? 0 : (event.port ?? 0);
    const connection = this.#findEnded(event.address, port, pid, record);
    if (!connection) return;
    const ending = connection.ending ?? this.#startEnding(connection, record);
    if (!ending.logged) {
      ending.outcome = event.outcome;
      ending.detail = event.detail;
      ending.logged = true;
    }
    // Up to 7.4 `kex` means "before authentication ended": any other line of the same end knows better.
    if (event.phase !== undefined && (ending.phase === undefined || ending.phase === "kex")) ending.phase = event.phase;
    if (connection.port === 0 && connection.address !== undefined) this.#joinPartner(connection);
  }

  /** The connection that a line about an end speaks of; undefined when that end was told already. */
  #findEnded(address: string | undefined, port: number, pid: number, record: LogRecord): Connection | undefined {
    const keyed = address !== undefined && port !== 0;
    const companion = pid === 0 ? undefined : this.#byPid.get(pid);
    if (keyed) {
      const connection = this.#find(address, port, companion);
      const another =
        connection?.ending?.logged &&
        connection !== companion &&
        connection.phase !== "session" &&
        differ(connection.pid, pid);
      if (connection && another) {
        this.#tell(connection);
      } else if (connection) {
        // The kernel told of it before its companion line, which has no address, did.
        if (companion && companion !== connection && companion.port === 0) this.#merge(companion, connection);
        if (connection.pid === 0) {
          connection.pid = pid;
          if (pid !== 0) this.#byPid.set(pid, connection);
        }
        return connection;
      }
    }
    const ended = keyed ? this.#endedOf(address, port, record) : undefined;
    const reused = ended && !ended.authenticated && differ(ended.pid, pid) && record.timeMs >= ended.timeMs;
    if (ended && !reused) {
      if (companion?.port === 0) this.#forget(companion);
      if (pid !== 0) this.#endedPids.set(pid, record.timeMs);
      return undefined;
    }
    if (companion) {
      if (address === undefined || (companion.port === 0 && port === 0)) return companion;
      if (companion.port !== 0 && port === 0 && companion.address === address) return companion;
      if (companion.port === 0 && (companion.address === undefined || companion.address === address)) {
        this.#givePeer(companion, address, port);
        return companion;
      }
    }
    if (!keyed && this.#endedBefore(pid, record)) return undefined;
    const connection = this.#add(address, port);
    connection.pid = pid;
    if (pid !== 0 && !companion) this.#byPid.set(pid, connection);
    return connection;
  }

  #dropped(address: string | undefined, port: number, record: LogRecord): void {
    const keyed = address !== undefined && port !== 0;
    let connection = keyed ? this.#byPeer.get(address, port) : undefined;
    if (connection && (connection.phase || connection.ending?.logged)) {
      this.#vanish(connection, record);
      connection = undefined;
    }
    const ended = keyed ? this.#endedOf(address, port, record) : undefined;
    if (!connection && ended?.pid === 0 && !ended.authenticated && record.timeMs <= ended.timeMs) return;
    connection ??= this.#add(address, port);
    const ending = connection.ending ?? this.#startEnding(connection, record);
    ending.outcome = "dropped";
    ending.detail = "drop";
    ending.logged = true;
  }

  /** pam_unix's line: the last thing a session says, after its disconnect if it had one. */
  #sessionClosed(record: LogRecord): void {
    const connection = this.#byPid.get(record.pid);
    if (connection) {
      const ending =
        connection.ending ?? this.#adoptNameless(connection, record) ?? this.#startEnding(connection, record);
      ending.sessionClosed = true;
      return;
    }
    if (this.#endedBefore(record.pid, record)) return;
    // A session from before the start. Its own line, if it had one, came just before from the child's pid.
    const latest = this.#latestUntoldSession(record);
    if (latest) {
      latest.sessionClosed = true;
      if (record.pid !== 0) this.#endedPids.set(record.pid, record.timeMs);
      return;
    }
    const unseen = this.#add(undefined, 0);
    unseen.pid = record.pid;
    this.#startEnding(unseen, record).sessionClosed = true;
  }

  #latestUntoldSession({ timeMs }: LogRecord): Ending | undefined {
    let ending = this.#ending.last;
    for (let scanned = 0; ending !== undefined && scanned < partnerScan; scanned++) {
      const postauth = !ending.connection.phase && (!ending.phase || ending.phase === "session");
      if (postauth && !ending.sessionClosed && near(ending.timeMs, timeMs)) return ending;
      ending = ending.before;
    }
    return undefined;
  }

  /** Up to 7.6 the child's timeout and write errors have no address, and its pid is linked only at VERBOSE. */
  #adoptNameless(connection: Connection, record: LogRecord): Ending | undefined {
    let scanned = 0;
    for (const other of this.#portless) {
      if (++scanned > partnerScan) break;
      const ending = other.ending;
      if (!ending || other.address !== undefined || other.phase) continue;
      if ((ending.phase && ending.phase !== "session") || !near(ending.timeMs, record.timeMs)) continue;
      this.#merge(other, connection);
      return connection.ending;
    }
    return undefined;
  }

  /** A process of this connection died. `told`: by sshd itself, so that it counts even for a pid not seen before. */
  #crashed(pid: number, address: string | undefined, told: boolean, record: LogRecord): void {
    let connection = pid === 0 ? undefined : this.#byPid.get(pid);
    if (!connection) {
      if (!told || this.#endedBefore(pid, record)) return;
      connection = this.#add(address, 0);
      connection.pid = pid;
      if (pid !== 0) this.#byPid.set(pid, connection);
    }
    const ending = connection.ending ?? this.#startEnding(connection, record);
    ending.crashed = true;
  }

  #kernelReset(event: TcpResetEvent, record: LogRecord): void {
    if (event.address === undefined || event.port === undefined) return;
    const received = event.kind === "tcp.reset_received";
    let connection = this.#byPeer.get(event.address, event.port);
    if (received && connection?.ending?.received) {
      // A socket is reset once: this is the next connection on the same port.
      this.#tell(connection);
      connection = undefined;
    } else if (!connection) {
      const ended = this.#endedOf(event.address, event.port, record);
      if (ended && !(received && ended.received)) {
        ended.received ||= received;
        return;
      }
    }
    if (!connection) {
      // An answer to a stray segment, where no connection was or none is left, ends nothing.
      if (!received && answers.has(event.reason ?? "not_specified")) return;
      const portless = this.#nowMs <= this.#portlessUntilMs ? this.#endedOf(event.address, 0, record) : undefined;
      if (portless && portless.unclaimed > 0) {
        portless.unclaimed--;
        return;
      }
      connection = this.#add(event.address, event.port);
    }
    const ending = connection.ending ?? this.#startEnding(connection, record);
    if (received) ending.received = true;
    else ending.sent = true;
    if (!connection.phase && !ending.logged) this.#joinPartner(connection);
  }

  /**
   * Joins a line without a port (`refused connect from A`) and the kernel's reset of some port of that address; at the
   * end of the window also a reset without any address (up to 8.2) and one that no line has told.
   */
  #joinPartner(connection: Connection, windowOver = false): Connection {
    const portless = connection.port === 0;
    let scanned = 0;
    for (const other of portless ? this.#endingConnections() : this.#portless) {
      if (++scanned > partnerScan) break;
      if ((other.port === 0) === portless) continue;
      const [line, reset] = portless ? [connection, other] : [other, connection];
      if (!isUntoldReset(reset) || !near(line.ending?.timeMs ?? 0, reset.ending?.timeMs ?? 0)) continue;
      if (line.address === reset.address || (windowOver && isNamelessReset(line) && reset.ending?.received)) {
        this.#merge(line, reset);
        return reset;
      }
    }
    return connection;
  }

  *#endingConnections(): Generator<Connection> {
    for (const { connection } of this.#ending) yield connection;
  }

  /** Two that turn out to be one: what the first was told goes over to the second. */
  #merge(from: Connection, into: Connection): void {
    const { pid, ending } = from;
    const endMs = into.ending?.timeMs ?? 0;
    if (ending && into.ending) {
      const { received, sent, timeMs } = into.ending;
      if (ending.logged && !into.ending.logged) into.ending.hear(ending);
      into.ending.received ||= received || ending.received;
      into.ending.sent ||= sent || ending.sent;
      into.ending.timeMs = Math.min(timeMs, ending.timeMs);
    } else if (ending) {
      this.#hold(into).hear(ending);
    }
    this.#forget(from);
    if (pid === 0) return;
    if (into.pid === 0) into.pid = pid;
    else if (into.childPid === 0) into.childPid = pid;
    if (into.pid === pid || into.childPid === pid) this.#byPid.set(pid, into);
    else this.#endedPids.set(pid, endMs);
  }

  #add(address: string | undefined, port: number): Connection {
    const connection = this.#connectionPool.take();
    connection.begin(this.#nowMs);
    if (address !== undefined && port !== 0) {
      this.#byPeer.add(connection, address, port);
      if (this.#byPeer.size > this.#capacity) this.#makeRoom();
    } else {
      connection.address = address;
    }
    this.#preauth.add(connection);
    return connection;
  }

  #makeRoom(): void {
    for (const displaced of oldest(this.#preauth.size > 0 ? this.#preauth : this.#sessions, this.#capacity)) {
      if (displaced.ending) this.#tell(displaced);
      else this.#evict(displaced);
    }
  }

  /** A line has told the address of one that had none, or its port too. */
  #givePeer(connection: Connection, address: string, port: number): void {
    connection.address = address;
    if (port === 0) return;
    this.#portless.delete(connection);
    this.#byPeer.add(connection, address, port);
  }

  #startEnding(connection: Connection, record: LogRecord): Ending {
    const heardMs =
      this.#nowMs === 0 ? record.timeMs : Math.min(Math.max(record.timeMs, this.#nowMs), this.#nowMs + 60_000);
    const ending = this.#hold(connection);
    ending.begin(record.timeMs, heardMs + joinWindowMs, record.count);
    if (connection.phase === "session" && connection.port !== 0 && connection.address !== undefined) {
      ending.idleMs = this.#options.idleMsOf?.(connection.address, connection.port);
    }
    if (this.#ending.size > endingCapacity) {
      for (const early of oldest(this.#ending, endingCapacity)) this.#tell(early.connection);
    }
    return ending;
  }

  #hold(connection: Connection): Ending {
    const ending = this.#endingPool.take();
    ending.connection = connection;
    connection.ending = ending;
    this.#ending.add(ending);
    if (connection.port === 0) this.#portless.add(connection);
    return ending;
  }

  /** When the window is over, what has no address has had its chance to get one. */
  #settled(connection: Connection): Connection {
    const incomplete = connection.port === 0 ? isNamelessReset(connection) : isUntoldReset(connection);
    return incomplete ? this.#joinPartner(connection, true) : connection;
  }

  #tell(connection: Connection): void {
    const { ending } = connection;
    if (!ending) return;
    this.#forget(connection);
    this.#remember(connection, ending);
    const { address, port } = connection;
    const end = {
      timeMs: ending.timeMs,
      phase: phaseOf(connection, ending),
      outcome: outcomeOf(connection, ending, this.#options.kernelVisible()),
      detail: detailOf(ending),
      peerClass: address === undefined ? "unknown" : this.#options.classify(address, ending.timeMs),
      count: ending.count,
      address,
      port: port === 0 ? undefined : port,
      idleMs: ending.idleMs,
    };
    this.#options.onEnd(end, { kernelReset: ending.received || ending.sent });
  }

  #remember(connection: Connection, ending: Ending): void {
    const { address, port, pid, childPid } = connection;
    if (pid !== 0) this.#endedPids.set(pid, ending.timeMs);
    if (childPid !== 0) this.#endedPids.set(childPid, ending.timeMs);
    if (address === undefined) return;
    const ended = port === 0 ? this.#ended.renew(address, 0) : this.#ended.renew(address, port, connection.hash);
    ended.timeMs = ending.timeMs;
    ended.pid = pid;
    ended.authenticated = connection.phase === "session" || ending.sessionClosed;
    ended.received = port !== 0 && ending.received;
    if (port !== 0) return;
    ended.unclaimed++;
    this.#portlessUntilMs = this.#nowMs + 2 * turnMs;
  }

  /** What ended with this peer lately, by the record's own time. */
  #endedOf(address: string, port: number, { timeMs }: LogRecord): Ended | undefined {
    const ended = this.#ended.get(address, port);
    return ended && timeMs - ended.timeMs <= 2 * turnMs ? ended : undefined;
  }

  #endedBefore(pid: number, { timeMs }: LogRecord): boolean {
    const endMs = pid === 0 ? undefined : this.#endedPids.get(pid);
    return endMs !== undefined && timeMs - endMs <= 2 * turnMs;
  }

  #evict(connection: Connection): void {
    if (connection.queue === undefined) return;
    this.#evicted++;
    this.#forget(connection);
  }

  /** What it was can be read until the next connection begins, which has its memory. */
  #forget(connection: Connection): void {
    const { queue, ending } = connection;
    if (queue === undefined) return;
    queue.delete(connection);
    if (connection.port !== 0) this.#byPeer.delete(connection);
    const { pid, childPid } = connection;
    if (pid !== 0 && this.#byPid.get(pid) === connection) this.#byPid.delete(pid);
    if (childPid !== 0 && this.#byPid.get(childPid) === connection) this.#byPid.delete(childPid);
    if (ending) {
      this.#ending.delete(ending);
      if (connection.port === 0) this.#portless.delete(connection);
      connection.ending = undefined;
      this.#endingPool.give(ending);
    }
    this.#connectionPool.give(connection);
  }

  #sweep(nowMs: number): void {
    let evicted = 0;
    for (const queue of this.#all) {
      const mostMs = queue === this.#preauth ? preauthMaxAgeMs : sessionMaxAgeMs;
      for (let connection = queue.first; connection !== undefined; connection = connection.after) {
        if (connection.ending || nowMs - connection.bornMs <= mostMs) continue;
        if (++evicted > evictedAtSweep) return;
        this.#evict(connection);
      }
    }
    this.#sweptMs = nowMs;
  }
}

/** 8.0 to 8.2 tell a reset before the banner without an address, older ones any reset. */
function isNamelessReset(connection: Connection): boolean {
  return connection.address === undefined && connection.ending?.outcome === "reset";
}

/** Only the kernel has told of it. */
function isUntoldReset({ phase, ending }: Connection): boolean {
  return phase === undefined && ending !== undefined && !ending.logged && (ending.received || ending.sent);
}

/** sshd's own log; the kernel's is read apart from it. */
const isLog = ({ source }: LogRecord): boolean => source === "journal" || source === "logfile";
const near = (oneMs: number, otherMs: number): boolean => Math.abs(oneMs - otherMs) <= sameEndMs;
const differ = (one: number, other: number): boolean => one !== 0 && other !== 0 && one !== other;

function at<T>(rows: readonly T[], place: number): T {
  const row = rows[place];
  if (row === undefined) throw new Error(`connections: no entry ${place} in a snapshot of ${rows.length}`);
  return row;
}
