/**
 * The express app: /metrics, the status page, health and readiness. It computes nothing: what it serves is handed in.
 * 404 and 405 say what would work; no header tells the framework.
 */
import { gzipSync } from "node:zlib";
import express, { type Express, type NextFunction, type Request, type Response } from "express";
import { contentTypes, type Format, negotiate } from "../metrics/exposition.ts";
import type { ChecklistReport } from "../model/checklist.ts";
import { pages } from "./pages.ts";
import { refreshScript, styleSheet } from "./status-assets.ts";
import { type Status, statusPage } from "./status-page.ts";

export interface Site {
  readonly telemetryPath: string;
  /** The whole page in this format; `collect` names the only collectors wanted. Throws UnknownCollector. */
  expose(format: Format, collect: readonly string[] | undefined): Promise<string>;
  status(): Status;
  /** Of the last hour; with log lines only where the site may show them. */
  checklist(): ChecklistReport;
  /** Where runbooks are served. */
  readonly runbookBase?: string | undefined;
  /** Undefined when ready, else why not. */
  notReady(): string | undefined;
  onError(error: unknown, path: string): void;
  /** Who may come in: asked in this order, before any page. */
  readonly gates: readonly express.Handler[];
  /** Headers of every answer, beside and above our own. */
  headers(): Readonly<Record<string, string>>;
  /** `/probe`. */
  readonly probe: express.Handler;
}

/** `?collect[]=` names a collector that does not exist or is off. */
export class UnknownCollector extends Error {
  override name = "UnknownCollector";
}

export function createApp(site: Site): Express {
  const app = express();
  app.disable("x-powered-by");
  app.disable("etag");
  app.set("query parser", (query: string | null) => new URLSearchParams((query ?? "").slice(0, 4096)));
  app.set("case sensitive routing", true);
  app.set("strict routing", true);
  app.use(securityHeaders(site), ...site.gates, onlyReading);
  app.get("/", (_request, response) => {
    const { telemetryPath, runbookBase } = site;
    const links = { telemetryPath, ...(runbookBase !== undefined && { runbookBase }) };
    response.type("html").send(statusPage(site.status(), site.checklist(), links));
  });
  app.get("/style.css", (_request, response) => asset(response, "text/css", styleSheet));
  app.get("/refresh.js", (_request, response) => asset(response, "text/javascript", refreshScript));
  app.get("/api/v1/diagnosis", (_request, response) => {
    response.json(site.checklist());
  });
  app.get(site.telemetryPath, (request, response) => metrics(site, request, response));
  app.get("/-/healthy", (_request, response) => plain(response, 200, "ssh-reset-exporter is healthy."));
  app.get("/-/ready", (_request, response) => {
    const reason = site.notReady();
    plain(response, reason === undefined ? 200 : 503, reason ?? "ssh-reset-exporter is ready.");
  });
  app.get("/probe", site.probe);
  app.use((_request, response) => {
    const paths = pages(site.telemetryPath).map(({ path }) => path);
    plain(response, 404, `Not found. There are: ${paths.join(", ")}`);
  });
  app.use((error: Error & { status?: number }, request: Request, response: Response, next: NextFunction) => {
    if (response.headersSent) return next(error);
    const status = error.status ?? 500;
    if (status >= 500) site.onError(error, request.path);
    plain(response, status, status >= 500 ? "Internal error; the exporter's log has it." : "Bad request.");
  });
  return app;
}

function securityHeaders(site: Site): express.Handler {
  return (_request, response, next) => {
    response.set({
      "Content-Security-Policy":
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
      "X-Content-Type-Options": "nosniff",
      "Referrer-Policy": "no-referrer",
      "Cache-Control": "no-store",
      ...site.headers(),
    });
    next();
  };
}

function onlyReading(request: Request, response: Response, next: NextFunction): void {
  if (request.method === "GET" || request.method === "HEAD") {
    next();
    return;
  }
  response.set("Allow", "GET, HEAD");
  plain(response, 405, "Method not allowed. Only GET and HEAD are.");
}

async function metrics(site: Site, request: Request, response: Response): Promise<void> {
  const format = negotiate(request.get("accept"));
  const collect = (request.query as unknown as URLSearchParams).getAll("collect[]");
  let text: string;
  try {
    text = await site.expose(format, collect.length > 0 ? collect : undefined);
  } catch (error) {
    if (error instanceof UnknownCollector) return plain(response, 400, error.message);
    throw error;
  }
  response.set({ "Content-Type": contentTypes[format], Vary: "Accept, Accept-Encoding" });
  if (!acceptsGzip(request.get("accept-encoding"))) {
    response.end(text);
    return;
  }
  response.set("Content-Encoding", "gzip").end(compressed(text));
}

/** Not asynchronous: that costs twice as much, and a page takes less than a millisecond. */
function compressed(text: string): Buffer {
  if (text !== latest.text) {
    latest = { text, bytes: gzipSync(text, { level: 1 }) };
  }
  return latest.bytes;
}

/** Those who ask at the same time get the same page. */
let latest = { text: "", bytes: gzipSync("") };

/** RFC 9110, 12.5.3: `gzip` or `*`, unless its weight is 0. */
export function acceptsGzip(header: string | undefined): boolean {
  return (header ?? "")
    .slice(0, 1000)
    .split(",")
    .some((part) => {
      const [coding = "", weight = "q=1"] = part.split(";").map((piece) => piece.trim().toLowerCase());
      return (coding === "gzip" || coding === "*") && Number(weight.replace(/^q=/, "")) > 0;
    });
}

/** Small, and changed with the release: asked for again with a page that is opened. */
function asset(response: Response, type: string, text: string): void {
  response.set("Cache-Control", "no-cache").type(type).send(text);
}

function plain(response: Response, status: number, text: string): void {
  response.status(status).type("text/plain").send(`${text}\n`);
}
