/**
 * The web servers: plain or TLS, with bounds on time, headers and connections. With `--web.config.file` its files are
 * looked at when a connection comes, at most once a second: a new certificate or password is in force without a restart,
 * and a broken file leaves what was in force before.
 */
import { once } from "node:events";
import { createServer, type RequestListener, type Server } from "node:http";
import { createServer as createTlsServer, type Server as TlsServer } from "node:https";
import type { Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import type { Handler } from "express";
import { ConfigError } from "../config/error.ts";
import type { ListenAddress } from "../config/listen-address.ts";
import { fingerprint, readWebConfig, type WebConfig } from "../config/web-config.ts";

const bounds = {
  requestTimeout: 10_000,
  headersTimeout: 5_000,
  keepAliveTimeout: 75_000,
  connectionsCheckingInterval: 1_000,
  maxHeaderSize: 16_384,
} as const;
/** Prometheus needs one; a thousand at once are an attack that still shall be answered. */
const maxConnections = 1_200;
const longestPipeline = 10;
const lookAgainMs = 1_000;

/** The web configuration in force. */
export class WebConfigInForce {
  #config: WebConfig;
  #lookedAtMs = 0;
  readonly #path: string;
  readonly #onWarning: (message: string) => void;
  /** Called when something new is in force. */
  readonly onChange: (() => void)[] = [];

  /** Throws ConfigError. */
  constructor(path: string, onWarning: (message: string) => void) {
    this.#path = path;
    this.#config = readWebConfig(path);
    this.#onWarning = onWarning;
  }

  get current(): WebConfig {
    return this.#config;
  }

  /** Reads the files again if one of them has changed. */
  refresh(nowMs = performance.now()): void {
    if (nowMs - this.#lookedAtMs < lookAgainMs) return;
    this.#lookedAtMs = nowMs;
    if (fingerprint(this.#config.files) === this.#config.fingerprint) return;
    try {
      const next = readWebConfig(this.#path);
      if ((next.tls === undefined) !== (this.#config.tls === undefined)) {
        throw new ConfigError(`${this.#path}: switching TLS on or off needs a restart`);
      }
      this.#config = next;
      for (const notify of this.onChange) notify();
    } catch (error) {
      this.#onWarning(`${(error as Error).message}; what was in force before stays so`);
      // Not again before it changes once more.
      this.#config = { ...this.#config, fingerprint: fingerprint(this.#config.files) };
    }
  }
}

/** Throws ConfigError when an address cannot be had; then none is. */
export async function listen(
  addresses: readonly ListenAddress[],
  app: RequestListener,
  web: WebConfigInForce | undefined,
): Promise<Server[]> {
  const servers: Server[] = [];
  const listener = withoutPipelines(app);
  for (const { host, port } of addresses) {
    const server = web?.current.tls === undefined ? createServer(bounds, listener) : tlsServer(web, listener);
    server.maxConnections = maxConnections;
    server.listen(host === undefined ? { port } : { port, host });
    try {
      await once(server, "listening");
    } catch (error) {
      await Promise.all(servers.map(close));
      throw listenError(error as NodeJS.ErrnoException, host, port);
    }
    servers.push(server);
  }
  return servers;
}

/** One segment holds a thousand requests. Whoever asks on and on without waiting for answers gets none. */
function withoutPipelines(app: RequestListener): RequestListener {
  const unanswered = new WeakMap<Socket, number>();
  return (request, response) => {
    const { socket } = request;
    const waiting = unanswered.get(socket) ?? 0;
    if (waiting >= longestPipeline) socket.destroy();
    if (socket.destroyed) return;
    unanswered.set(socket, waiting + 1);
    response.once("close", () => unanswered.set(socket, (unanswered.get(socket) ?? 1) - 1));
    app(request, response);
  };
}

function tlsServer(web: WebConfigInForce, app: RequestListener): Server {
  const clientAuth = web.current.tls?.clientAuth;
  let server: TlsServer;
  try {
    server = createTlsServer(
      {
        ...bounds,
        ...web.current.tls?.context,
        handshakeTimeout: 5_000,
        requestCert: clientAuth !== "NoClientCert",
        // Whether a certificate that is not the CA's may pass is judged by `clientCertificate`.
        rejectUnauthorized: clientAuth === "RequireAndVerifyClientCert",
      },
      app,
    );
  } catch (error) {
    throw new ConfigError(`${web.current.files.join(", ")}: ${(error as Error).message}`);
  }
  web.onChange.push(() => server.setSecureContext(web.current.tls?.context ?? {}));
  server.prependListener("connection", () => web.refresh());
  return server;
}

/** What TLS itself does not judge: that a certificate came, is the CA's where one came, and names somebody allowed. */
export function clientCertificate(web: WebConfigInForce): Handler {
  return (request, response, next) => {
    web.refresh();
    const tls = web.current.tls;
    if (tls === undefined || tls.clientAuth === "NoClientCert" || tls.clientAuth === "RequestClientCert") return next();
    const socket = request.socket as TLSSocket;
    const certificate = socket.getPeerCertificate();
    const given = certificate !== null && Object.keys(certificate).length > 0;
    const required = tls.clientAuth === "RequireAnyClientCert" || tls.clientAuth === "RequireAndVerifyClientCert";
    const verified = tls.clientAuth === "RequireAnyClientCert" || socket.authorized;
    const allowed =
      tls.allowedSans.length === 0 ||
      (given && namesOf(certificate.subjectaltname).some((name) => tls.allowedSans.includes(name)));
    if ((given || !required) && (!given || verified) && allowed) return next();
    response.status(403).type("text/plain").send("The client certificate is missing or not accepted.\n");
  };
}

/** `DNS:a.example, IP Address:192.0.2.1` */
function namesOf(subjectAltName: string | undefined): readonly string[] {
  return (subjectAltName ?? "").split(", ").map((name) => name.slice(name.indexOf(":") + 1));
}

function listenError(error: NodeJS.ErrnoException, host: string | undefined, port: number): ConfigError {
  const place = `--web.listen-address: cannot listen on ${host ?? ""}:${port}`;
  if (error.code === "EADDRINUSE") {
    return new ConfigError(`${place}: the port is taken; see who has it with: ss -ltnp "sport = :${port}"`);
  }
  return new ConfigError(`${place}: ${error.message}`);
}

export function addressOf(server: Server): string {
  const address = server.address();
  if (address === null || typeof address === "string") return String(address);
  return address.family === "IPv6" ? `[${address.address}]:${address.port}` : `${address.address}:${address.port}`;
}

/** Ends open connections too: a scraper's keep-alive must not hold up the end. */
export async function close(server: Server): Promise<void> {
  const closed = new Promise((resolve) => server.close(resolve));
  server.closeAllConnections();
  await closed;
}
