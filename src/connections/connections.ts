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
import {
  amount,
  anything,
  flag,
  list,
  object,
  optional,
  type Shape,
  text,
  time,
  tuple,
  whole,
} from "../model/saved.ts";
import { oldest, Recent } from "./bounded.ts";
import {
  type Connection,
  connectionShape,
  detailOf,
  type Ending,
  outcomeOf,
  phaseOf,
  type SavedConnection,
} from "./verdict.ts";

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
/** How many held ends are looked at for a partner that has no port or no address. */
const partnerScan = 256;

/** What is remembered of an ended connection. */
interface Ended {
  timeMs: number;
  pid: number;
  authenticated: boolean;
  received: boolean;
  /** Under an address alone: ends without a port that no kernel event has claimed yet. */
  unclaimed: number;
}

const endedRow = tuple(time, whole, flag, flag, amount);
const endedShape: Shape<Ended> = (value, place) => {
  const [timeMs, pid, authenticated, received, unclaimed] = endedRow(value, place);
  return { timeMs, pid, authenticated, received, unclaimed };
};

function* places(connections: Iterable<Connection>): Generator<number> {
  for (const { place } of connections) yield place;
}
const keyOf = (address: string, port: number): string => `${address} ${port}`;
const addressOf = (key: string): string => key.slice(0, key.indexOf(" "));
const portOf = (key: string): number => Number(key.slice(key.indexOf(" ") + 1));

export class Connections {
  readonly #options: ConnectionsOptions;
  readonly #capacity: number;
  readonly #byKey = new Map<string, Connection>();
  readonly #byPid = new Map<number, Connection>();
  /** Oldest first: what a flood displaces. */
  readonly #preauth = new Set<Connection>();
  readonly #ending = new Set<Connection>();
  readonly #ended = new Recent<string, Ended>(10_000);
  /** To the time of the end. */
  readonly #endedPids = new Recent<number, number>(20_000);
  #unkeyed = 0;
  /** No end without a port is remembered after this. */
  #portlessUntilMs = 0;
  #nowMs = 0;
  /** Own time of the latest log record before which everything was told. */
  #logMs = 0;
  #turnedMs = 0;
  #turnedLogMs = 0;
  #sweptMs = 0;
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
    for (const connection of this.#byKey.values()) {
      if (connection.phase && !connection.ending) counts[connection.phase]++;
    }
    return counts;
  }

  /** Addresses of open authenticated connections, with repeats. */
  *sessionAddresses(): Generator<string> {
    for (const { address, phase, ending } of this.#byKey.values()) {
      if (address !== undefined && phase === "session" && !ending) yield address;
    }
  }

  handle(event: Event, record: LogRecord): void {
    if (record.timeMs - this.#logMs > sameEndMs && isLog(record)) this.#tellBefore(record.timeMs);
    switch (event.kind) {
      case "sshd.connection":
        this.#begin(event.address, event.port, "banner", record);
        return;
      case "sshd.accepted":
        this.#begin(event.address, event.port, "session", record);
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
        this.#dropped(event.address, event.port, record);
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
      for (const { ending } of this.#ending) if (ending) ending.deadlineMs += gap;
      if (gap < 0) this.#turnedMs = this.#sweptMs = nowMs;
    }
    this.#nowMs = nowMs;
    for (const connection of this.#ending) {
      if (connection.ending && connection.ending.deadlineMs <= nowMs) this.#tell(this.#settled(connection));
    }
    if (nowMs - this.#turnedMs >= turnMs) this.#turn(nowMs);
    if (nowMs - this.#sweptMs >= sweepMs) {
      this.#sweep();
      this.#sweptMs = nowMs;
    }
  }

  /** What ended long ago is forgotten by the log's time too: a log read late holds hours in one tick. */
  #turn(nowMs: number): void {
    this.#ended.turn();
    this.#endedPids.turn();
    this.#turnedMs = nowMs;
    this.#turnedLogMs = this.#logMs;
  }

  /** The log has moved on: no more lines come for ends long before. */
  #tellBefore(logMs: number): void {
    this.#logMs = logMs;
    if (logMs - this.#turnedLogMs >= turnMs) this.#turn(this.#nowMs);
    for (const connection of this.#ending) {
      const { ending } = connection;
      if (ending && (ending.logged || ending.sessionClosed) && logMs - ending.timeMs > sameEndMs) {
        this.#tell(this.#settled(connection));
      }
    }
  }

  /** JSON-safe, good until the next change: restored, it goes on exactly as if nothing had happened. */
  snapshot(): unknown {
    const rows = new Rows();
    rows.add(this.#byKey.values());
    rows.add(this.#byPid.values());
    rows.add(this.#ending);
    return {
      nowMs: this.#nowMs,
      logMs: this.#logMs,
      turnedMs: this.#turnedMs,
      turnedLogMs: this.#turnedLogMs,
      sweptMs: this.#sweptMs,
      portlessUntilMs: this.#portlessUntilMs,
      evicted: this.#evicted,
      connections: new LongList(() => rows.saved()),
      // By place in `connections`, in their own order.
      ending: new LongList(() => places(this.#ending)),
      preauth: new LongList(() => places(this.#preauth)),
      pids: new LongList(() => this.#byPid.keys()),
      byPid: new LongList(() => places(this.#byPid.values())),
      ended: this.#ended.snapshot(({ timeMs, pid, authenticated, received, unclaimed }) => [
        timeMs,
        pid,
        authenticated,
        received,
        unclaimed,
      ]),
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
    const rows = state.connections.map((connection): Connection => {
      const address = connection.key === "" ? connection.address : addressOf(connection.key);
      return { ...connection, address, place: -1 };
    });
    for (const connection of rows) if (connection.key !== "") this.#byKey.set(connection.key, connection);
    for (const [i, pid] of state.pids.entries()) this.#byPid.set(pid, at(rows, state.byPid[i] ?? -1));
    for (const place of state.ending) {
      const connection = at(rows, place);
      if (connection.ending === undefined) throw new Error(`connections[${place}] is said to end and does not`);
      this.#ending.add(connection);
    }
    for (const place of state.preauth) this.#preauth.add(at(rows, place));
    this.#unkeyed = [...this.#ending].filter(({ key }) => key === "").length;
    this.#ended.restore(state.ended, text, endedShape, "connections.ended");
    this.#endedPids.restore(state.endedPids, whole, time, "connections.endedPids");
  }

  #begin(address: string, port: number | undefined, phase: "banner" | "auth" | "session", record: LogRecord): void {
    const key = port === undefined ? "" : keyOf(address, port);
    let connection = key === "" ? this.#byPid.get(record.pid) : this.#byKey.get(key);
    if (connection && !this.#continues(connection, phase, record)) {
      this.#vanish(connection, record);
      connection = undefined;
    }
    if (!connection && key !== "") {
      const ended = this.#endedOf(key, record);
      if (ended && ended.pid === 0 && record.timeMs <= ended.timeMs) {
        // The kernel told this one's end before the log told its beginning.
        ended.pid = record.pid;
        ended.authenticated ||= phase === "session";
        this.#endedPids.set(record.pid, record.timeMs);
        return;
      }
      if (ended) this.#ended.delete(key);
    }
    connection ??= this.#add(key, address);
    if (connection.phase !== "session" && !(connection.phase === "auth" && phase === "banner")) {
      connection.phase = phase;
      if (phase === "session") this.#preauth.delete(connection);
    }
    if (record.pid !== 0 && connection.pid !== record.pid) {
      if (this.#byPid.get(connection.pid) === connection) this.#byPid.delete(connection.pid);
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
    const connection = this.#findEnded(event.address, event.port, pid, record);
    if (!connection) return;
    const ending = connection.ending ?? this.#startEnding(connection, record);
    if (!ending.logged) {
      ending.outcome = event.outcome;
      ending.detail = event.detail;
      ending.logged = true;
    }
    // Up to 7.4 `kex` means "before authentication ended": any other line of the same end knows better.
    if (event.phase !== undefined && (ending.phase === undefined || ending.phase === "kex")) ending.phase = event.phase;
    if (connection.key === "" && connection.address !== undefined) this.#joinPartner(connection);
  }

  /** The connection that a line about an end speaks of; undefined when that end was told already. */
  #findEnded(
    address: string | undefined,
    port: number | undefined,
    pid: number,
    record: LogRecord,
  ): Connection | undefined {
    const key = address !== undefined && port !== undefined ? keyOf(address, port) : "";
    const companion = pid === 0 ? undefined : this.#byPid.get(pid);
    if (key !== "") {
      const connection = this.#byKey.get(key);
      const another = connection?.ending?.logged && connection.phase !== "session" && differ(connection.pid, pid);
      if (connection && another) {
        this.#tell(connection);
      } else if (connection) {
        // The kernel told of it before its companion line, which has no address, did.
        if (companion && companion !== connection && companion.key === "") this.#merge(companion, connection);
        if (connection.pid === 0) {
          connection.pid = pid;
          if (pid !== 0) this.#byPid.set(pid, connection);
        }
        return connection;
      }
    }
    const ended = key === "" ? undefined : this.#endedOf(key, record);
    const reused = ended && !ended.authenticated && differ(ended.pid, pid) && record.timeMs >= ended.timeMs;
    if (ended && !reused) {
      if (companion?.key === "") this.#forget(companion);
      if (pid !== 0) this.#endedPids.set(pid, record.timeMs);
      return undefined;
    }
    if (companion) {
      if (address === undefined || companion.key === key) return companion;
      if (companion.key !== "" && port === undefined && companion.address === address) return companion;
      if (companion.key === "" && (companion.address === undefined || companion.address === address)) {
        companion.address ??= address;
        if (key !== "") this.#giveKey(companion, key);
        return companion;
      }
    }
    if (key === "" && this.#endedBefore(pid, record)) return undefined;
    const connection = this.#add(key, address);
    connection.pid = pid;
    if (pid !== 0 && !companion) this.#byPid.set(pid, connection);
    return connection;
  }

  #dropped(address: string | undefined, port: number | undefined, record: LogRecord): void {
    const key = address !== undefined && port !== undefined ? keyOf(address, port) : "";
    let connection = this.#byKey.get(key);
    if (connection && (connection.phase || connection.ending?.logged)) {
      this.#vanish(connection, record);
      connection = undefined;
    }
    const ended = this.#endedOf(key, record);
    if (!connection && ended?.pid === 0 && !ended.authenticated && record.timeMs <= ended.timeMs) return;
    connection ??= this.#add(key, address);
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
    let latest: Ending | undefined;
    for (const { ending, phase } of this.#ending) {
      const postauth = !ending?.phase || ending.phase === "session";
      if (ending && !phase && postauth && !ending.sessionClosed && near(ending.timeMs, record.timeMs)) latest = ending;
    }
    if (latest) {
      latest.sessionClosed = true;
      if (record.pid !== 0) this.#endedPids.set(record.pid, record.timeMs);
      return;
    }
    const unseen = this.#add("", undefined);
    unseen.pid = record.pid;
    this.#startEnding(unseen, record).sessionClosed = true;
  }

  /** Up to 7.6 the child's timeout and write errors have no address, and its pid is linked only at VERBOSE. */
  #adoptNameless(connection: Connection, record: LogRecord): Ending | undefined {
    if (this.#unkeyed === 0) return undefined;
    for (const other of this.#ending) {
      const ending = other.ending;
      if (!ending || other.key !== "" || other.address !== undefined || other.phase) continue;
      if ((ending.phase && ending.phase !== "session") || !near(ending.timeMs, record.timeMs)) continue;
      this.#merge(other, connection);
      return ending;
    }
    return undefined;
  }

  /** A process of this connection died. `told`: by sshd itself, so that it counts even for a pid not seen before. */
  #crashed(pid: number, address: string | undefined, told: boolean, record: LogRecord): void {
    let connection = pid === 0 ? undefined : this.#byPid.get(pid);
    if (!connection) {
      if (!told || this.#endedBefore(pid, record)) return;
      connection = this.#add("", address);
      connection.pid = pid;
      if (pid !== 0) this.#byPid.set(pid, connection);
    }
    const ending = connection.ending ?? this.#startEnding(connection, record);
    ending.crashed = true;
  }

  #kernelReset(event: TcpResetEvent, record: LogRecord): void {
    if (event.address === undefined || event.port === undefined) return;
    const received = event.kind === "tcp.reset_received";
    const key = keyOf(event.address, event.port);
    let connection = this.#byKey.get(key);
    if (received && connection?.ending?.received) {
      // A socket is reset once: this is the next connection on the same port.
      this.#tell(connection);
      connection = undefined;
    } else if (!connection) {
      const ended = this.#endedOf(key, record);
      if (ended && !(received && ended.received)) {
        ended.received ||= received;
        return;
      }
    }
    if (!connection) {
      // An answer to a stray segment, where no connection was or none is left, ends nothing.
      if (!received && answers.has(event.reason ?? "not_specified")) return;
      const portless = this.#nowMs <= this.#portlessUntilMs ? this.#endedOf(event.address, record) : undefined;
      if (portless && portless.unclaimed > 0) {
        portless.unclaimed--;
        return;
      }
      connection = this.#add(key, event.address);
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
    const portless = connection.key === "";
    if (!portless && this.#unkeyed === 0) return connection;
    let scanned = 0;
    for (const other of this.#ending) {
      if ((other.key === "") === portless) continue;
      const [line, reset] = portless ? [connection, other] : [other, connection];
      if (isUntoldReset(reset) && near(line.ending?.timeMs ?? 0, reset.ending?.timeMs ?? 0)) {
        const same = line.address === reset.address;
        if (same || (windowOver && isNamelessReset(line) && reset.ending?.received)) {
          this.#merge(line, reset);
          return reset;
        }
      }
      if (++scanned >= partnerScan) break;
    }
    return connection;
  }

  /** Two that turn out to be one: what the first was told goes over to the second. */
  #merge(from: Connection, into: Connection): void {
    this.#forget(from);
    if (from.pid !== 0) {
      if (into.pid === 0) into.pid = from.pid;
      else if (into.childPid === 0) into.childPid = from.pid;
      if (into.pid === from.pid || into.childPid === from.pid) this.#byPid.set(from.pid, into);
      else this.#endedPids.set(from.pid, into.ending?.timeMs ?? 0);
    }
    const { ending } = from;
    if (!ending) return;
    if (!into.ending) {
      into.ending = ending;
      this.#ending.add(into);
      return;
    }
    const { received, sent, timeMs } = into.ending;
    if (ending.logged && !into.ending.logged) Object.assign(into.ending, ending);
    into.ending.received ||= received;
    into.ending.sent ||= sent;
    into.ending.timeMs = Math.min(timeMs, ending.timeMs);
  }

  #add(key: string, address: string | undefined): Connection {
    // All fields from the start: objects of one shape are what V8 is fast with.
    const connection: Connection = {
      key,
      address,
      pid: 0,
      childPid: 0,
      phase: undefined,
      bornMs: this.#nowMs,
      ending: undefined,
      place: -1,
    };
    if (key !== "") {
      this.#byKey.set(key, connection);
      if (this.#byKey.size > this.#capacity) {
        for (const displaced of oldest(this.#preauth.size > 0 ? this.#preauth : this.#byKey.values(), this.#capacity)) {
          if (displaced.ending) this.#tell(displaced);
          else this.#evict(displaced);
        }
      }
    }
    this.#preauth.add(connection);
    return connection;
  }

  #giveKey(connection: Connection, key: string): void {
    if (connection.ending) this.#unkeyed--;
    connection.key = key;
    this.#byKey.set(key, connection);
  }

  #startEnding(connection: Connection, record: LogRecord): Ending {
    const heardMs =
      this.#nowMs === 0 ? record.timeMs : Math.min(Math.max(record.timeMs, this.#nowMs), this.#nowMs + 60_000);
    const ending: Ending = {
      timeMs: record.timeMs,
      deadlineMs: heardMs + joinWindowMs,
      outcome: undefined,
      detail: "other",
      phase: undefined,
      count: record.count,
      logged: false,
      received: false,
      sent: false,
      sessionClosed: false,
      crashed: false,
      idleMs: undefined,
    };
    if (connection.phase === "session" && connection.key !== "" && connection.address !== undefined) {
      ending.idleMs = this.#options.idleMsOf?.(connection.address, portOf(connection.key));
    }
    connection.ending = ending;
    this.#ending.add(connection);
    if (connection.key === "") this.#unkeyed++;
    if (this.#ending.size > endingCapacity) {
      for (const early of oldest(this.#ending, endingCapacity)) this.#tell(early);
    }
    return ending;
  }

  /** When the window is over, what has no address has had its chance to get one. */
  #settled(connection: Connection): Connection {
    const incomplete = connection.key === "" ? isNamelessReset(connection) : isUntoldReset(connection);
    return incomplete ? this.#joinPartner(connection, true) : connection;
  }

  #tell(connection: Connection): void {
    const { ending } = connection;
    if (!ending) return;
    this.#forget(connection);
    this.#remember(connection, ending);
    const { key, address } = connection;
    const end = {
      timeMs: ending.timeMs,
      phase: phaseOf(connection, ending),
      outcome: outcomeOf(connection, ending, this.#options.kernelVisible()),
      detail: detailOf(ending),
      peerClass: address === undefined ? "unknown" : this.#options.classify(address, ending.timeMs),
      count: ending.count,
      address,
      port: key === "" ? undefined : portOf(key),
      idleMs: ending.idleMs,
    };
    this.#options.onEnd(end, { kernelReset: ending.received || ending.sent });
  }

  #remember(connection: Connection, ending: Ending): void {
    const { key, pid, childPid } = connection;
    if (pid !== 0) this.#endedPids.set(pid, ending.timeMs);
    if (childPid !== 0) this.#endedPids.set(childPid, ending.timeMs);
    const authenticated = connection.phase === "session" || ending.sessionClosed;
    if (key !== "") {
      this.#ended.set(key, { timeMs: ending.timeMs, pid, authenticated, received: ending.received, unclaimed: 0 });
    } else if (connection.address !== undefined) {
      const unclaimed = (this.#ended.get(connection.address)?.unclaimed ?? 0) + 1;
      this.#ended.set(connection.address, { timeMs: ending.timeMs, pid, authenticated, received: false, unclaimed });
      this.#portlessUntilMs = this.#nowMs + 2 * turnMs;
    }
  }

  /** What ended under this key lately, by the record's own time. */
  #endedOf(key: string, { timeMs }: LogRecord): Ended | undefined {
    const ended = this.#ended.get(key);
    return ended && timeMs - ended.timeMs <= 2 * turnMs ? ended : undefined;
  }

  #endedBefore(pid: number, { timeMs }: LogRecord): boolean {
    const endMs = pid === 0 ? undefined : this.#endedPids.get(pid);
    return endMs !== undefined && timeMs - endMs <= 2 * turnMs;
  }

  #evict(connection: Connection): void {
    this.#evicted++;
    this.#forget(connection);
  }

  #forget(connection: Connection): void {
    if (connection.ending && connection.key === "") this.#unkeyed--;
    if (this.#byKey.get(connection.key) === connection) this.#byKey.delete(connection.key);
    if (this.#byPid.get(connection.pid) === connection) this.#byPid.delete(connection.pid);
    if (this.#byPid.get(connection.childPid) === connection) this.#byPid.delete(connection.childPid);
    this.#preauth.delete(connection);
    this.#ending.delete(connection);
  }

  #sweep(): void {
    for (const connection of [...this.#preauth]) {
      if (!connection.ending && this.#nowMs - connection.bornMs > preauthMaxAgeMs) this.#evict(connection);
    }
    for (const connection of new Set([...this.#byKey.values(), ...this.#byPid.values()])) {
      if (!connection.ending && this.#nowMs - connection.bornMs > sessionMaxAgeMs) this.#evict(connection);
    }
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

/** Connections in a snapshot, each once; each remembers its place. No set or map: the scrape waits for this. */
class Rows {
  readonly #connections: Connection[] = [];

  add(connections: Iterable<Connection>): void {
    for (const connection of connections) {
      if (this.#connections[connection.place] === connection) continue;
      connection.place = this.#connections.length;
      this.#connections.push(connection);
    }
  }

  *saved(): Generator<SavedConnection> {
    for (const { key, address, pid, childPid, phase, bornMs, ending } of this.#connections) {
      // The key has the address.
      yield { key, address: key === "" ? address : undefined, pid, childPid, phase, bornMs, ending };
    }
  }
}

function at<T>(rows: readonly T[], place: number): T {
  const row = rows[place];
  if (row === undefined) throw new Error(`connections: no entry ${place} in a snapshot of ${rows.length}`);
  return row;
}
