/**
 * One TCP connection to a target, with the handshake on it: the edge where bytes, errors and time come in. What ends
 * it is one of seven results; the errno is the kernel's own (connect(2), tcp(7)).
 */
import { connect, type Socket } from "node:net";
import { performance } from "node:perf_hooks";
import { Handshake, type HandshakeOptions, type HandshakePhase, handshakePhases } from "./handshake.ts";
import { disconnectPacket, ProtocolError } from "./ssh-packet.ts";

export const probePhases = ["dns", "connect", ...handshakePhases] as const;
export type ProbePhase = (typeof probePhases)[number];

export const failures = ["refused", "reset", "closed", "timeout", "unreachable", "protocol"] as const;
export type FailureReason = (typeof failures)[number];

export interface Failure {
  readonly phase: ProbePhase;
  readonly reason: FailureReason;
  /** The kernel's or the resolver's name of the error, where there is one: ECONNREFUSED, ENOTFOUND. */
  readonly errno?: string;
  readonly detail?: string;
}

/** A server that means well needs 5 KiB for all of it. */
const receivedBytesLimit = 256 * 1024;
const closeTimeoutMs = 1000;

const reasons: Readonly<Record<string, FailureReason>> = {
  ECONNREFUSED: "refused",
  ECONNRESET: "reset",
  ECONNABORTED: "reset",
  EPIPE: "reset",
  ETIMEDOUT: "timeout",
};

export interface SessionOptions extends HandshakeOptions {
  readonly address: string;
  readonly port: number;
}

export class Session {
  readonly handshake: Handshake;
  /** How long each phase took, in seconds; the one that failed until it failed. */
  readonly phaseSeconds: Partial<Record<ProbePhase, number>> = {};
  failure: Failure | undefined;
  readonly startedMs = Date.now();
  /** Once connected. */
  local: { readonly address: string; readonly port: number } | undefined;
  readonly socket: Socket;
  #phase: ProbePhase | undefined = "connect";
  #phaseStart = performance.now();
  #receivedBytes = 0;
  #ended = false;
  #notify: () => void = () => {};

  constructor(options: SessionOptions) {
    this.handshake = new Handshake(options);
    this.socket = connect({
      host: options.address,
      port: options.port,
      noDelay: true,
      allowHalfOpen: true,
      autoSelectFamily: false,
    });
    this.socket.on("connect", () => {
      const { localAddress, localPort } = this.socket;
      if (localAddress !== undefined && localPort !== undefined)
        this.local = { address: localAddress, port: localPort };
      this.#enter("banner");
      this.socket.write(this.handshake.start());
    });
    this.socket.on("data", (chunk) => this.#receive(chunk));
    // libuv reports the end, not the error, when data and a RST arrive together (POLLHUP): a write tells them apart.
    this.socket.on("end", () => {
      if (this.#phase === undefined || this.failure !== undefined) return;
      this.#ended = true;
      this.socket.write(disconnectPacket("probe"), (error) => !error && this.#fail("closed"));
    });
    this.socket.on("error", (error: NodeJS.ErrnoException) => {
      const errno = error.code ?? error.message;
      // A RST to a SYN is ECONNREFUSED: with ECONNRESET the connection stood before this process had heard of it.
      if (this.#phase === "connect" && errno === "ECONNRESET") this.#enter("banner");
      // After a FIN the kernel tells a RST as EPIPE (tcp_reset(), TCP_CLOSE_WAIT): the peer closed first.
      if (this.#ended && errno === "EPIPE") this.#fail("closed");
      else this.#fail(reasons[errno] ?? "unreachable", { errno });
    });
  }

  /** Until `phase` is done (all of them: undefined), it failed, or time is over, which is a failure too. */
  async reach(phase: ProbePhase | undefined, deadlineMs: number): Promise<Failure | undefined> {
    const last = phase === undefined ? probePhases.length : probePhases.indexOf(phase) + 1;
    const done = (): boolean =>
      this.failure !== undefined ||
      (this.#phase === undefined ? probePhases.length : probePhases.indexOf(this.#phase)) >= last;
    await this.#until(done, deadlineMs);
    if (!done()) {
      this.#fail("timeout");
      this.abort();
    }
    return this.failure;
  }

  /** After `hold`: goes on with the key exchange. */
  proceed(): void {
    this.socket.write(this.handshake.proceed());
  }

  /** Until it fails or time is over, which is none. */
  async idle(untilMs: number): Promise<Failure | undefined> {
    await this.#until(() => this.failure !== undefined, untilMs);
    return this.failure;
  }

  async #until(done: () => boolean, deadlineMs: number): Promise<void> {
    if (done()) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, Math.max(0, deadlineMs - performance.now()));
      this.#notify = () => {
        if (!done()) return;
        clearTimeout(timer);
        resolve();
      };
    });
    this.#notify = () => {};
  }

  /**
   * Ends it where bytes may be stuck on the way: a FIN would stand in line behind them, and sshd would hold the
   * connection until LoginGraceTime, which has a penalty of its own. A RST is small.
   */
  abort(): void {
    this.#phase = undefined;
    this.socket.resetAndDestroy();
  }

  /** Ends it so that sshd logs a disconnect and never a reset: all is read, all is sent, then FIN. */
  async close(): Promise<void> {
    if (this.socket.destroyed) return;
    const closed = new Promise<void>((resolve) => this.socket.once("close", () => resolve()));
    if (this.failure === undefined && this.#phase !== undefined) this.socket.write(disconnectPacket("probe"));
    this.#phase = undefined;
    this.socket.end();
    const timer = setTimeout(() => this.socket.destroy(), closeTimeoutMs);
    await closed;
    clearTimeout(timer);
  }

  #receive(chunk: Buffer): void {
    if (this.failure !== undefined || this.#phase === undefined) return;
    this.#receivedBytes += chunk.length;
    let wrong: string | undefined;
    try {
      const reply = this.handshake.receive(chunk);
      if (reply.length > 0) this.socket.write(reply);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      wrong = error.message;
    }
    for (const phase of this.#passed()) this.#enter(phase);
    if (wrong === undefined && this.#receivedBytes > receivedBytesLimit)
      wrong = `more than ${receivedBytesLimit} bytes`;
    if (wrong !== undefined) this.#fail("protocol", { detail: wrong });
    if (this.handshake.disconnect !== undefined) {
      this.#fail("closed", { detail: `the server disconnected with reason ${this.handshake.disconnect}` });
    }
    if (this.failure !== undefined) this.socket.destroy();
  }

  /** The phases that this chunk has ended, as the ones that begin. */
  #passed(): (HandshakePhase | undefined)[] {
    const now = this.handshake.phase;
    const from = handshakePhases.indexOf(this.#phase as HandshakePhase) + 1;
    const to = now === undefined ? handshakePhases.length : handshakePhases.indexOf(now);
    const passed: (HandshakePhase | undefined)[] = handshakePhases.slice(from, to + 1);
    return now === undefined ? [...passed, undefined] : passed;
  }

  #enter(phase: ProbePhase | undefined): void {
    const now = performance.now();
    if (this.#phase !== undefined) this.phaseSeconds[this.#phase] = (now - this.#phaseStart) / 1000;
    this.#phase = phase;
    this.#phaseStart = now;
    this.#notify();
  }

  #fail(reason: FailureReason, more: { readonly errno?: string; readonly detail?: string } = {}): void {
    if (this.failure !== undefined || this.#phase === undefined) return;
    const phase = this.#phase;
    this.handshake.end();
    this.phaseSeconds[phase] = (performance.now() - this.#phaseStart) / 1000;
    this.failure = { phase, reason, ...more };
    this.#notify();
  }
}
