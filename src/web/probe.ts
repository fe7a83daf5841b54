/**
 * `/probe?target=&module=`: one probe, as metrics of the target (the multi-target pattern). Only targets of the
 * allow-list, which is empty unless set. The name is resolved once; that address is judged, and connected to.
 */
import { lookup } from "node:dns/promises";
import { performance } from "node:perf_hooks";
import type { Handler, Request, Response } from "express";
import { contentTypes, expose, negotiate } from "../metrics/exposition.ts";
import { probeMetrics, probeSamples } from "../probe/metrics.ts";
import { limit, Pace, TooSoon } from "../probe/pace.ts";
import { isResult, type LookUp, type ProbeResult, probeAddress, resolve } from "../probe/probe.ts";
import { type AllowEntry, allowList, formatTarget, parseTarget, TargetError } from "../probe/target.ts";

export interface ProbeHandlerOptions {
  /** By parseAllowEntry; none: every target is refused. */
  readonly allow: readonly AllowEntry[];
  /** `SSH-2.0-ssh-reset-exporter_VERSION`: the probe says who it is. */
  readonly identification: string;
  /** Between two connections to one address; younger results are given again. */
  readonly minimumIntervalMs?: number;
  readonly timeoutMs?: number;
  readonly concurrency?: number;
  /** For the exporter's log: the page itself does not say what a name resolves to. */
  readonly onRefused?: (target: string, reason: string) => void;
}

/** The only module: to the new keys. --mtu and --idle hold connections for long, so they are the command line's alone. */
const modules = ["ssh"];
/** getaddrinfo(3) takes one of node's four worker threads, which the exporter's files need too. */
const lookups = 2;
/** Time to answer before Prometheus gives up. */
const answerMs = 500;
/** Requests in line, and targets remembered: beyond it is 503. */
const waitingLimit = 256;
const targetsLimit = 1024;

interface Recent {
  readonly sinceMs: number;
  readonly result: Promise<ProbeResult>;
}

export function probeHandler(options: ProbeHandlerOptions): Handler {
  const { minimumIntervalMs = 2000, timeoutMs = 10_000, concurrency = 16 } = options;
  const allowed = allowList(options.allow);
  const pace = new Pace(minimumIntervalMs);
  const atATime = limit(concurrency);
  const lookupsAtATime = limit(lookups);
  const lookUp: LookUp = (host, how) => lookupsAtATime(() => lookup(host, how));
  const recent = new Map<string, Recent>();
  let waiting = 0;

  /** One probe serves everybody who asks for its target within the interval, while it runs and after. */
  const probeOnce = async (text: string, deadlineMs: number): Promise<ProbeResult> => {
    const askedMs = performance.now();
    const target = parseTarget(text);
    const key = formatTarget(target);
    const known = recent.get(key);
    if (known !== undefined && performance.now() - known.sinceMs < minimumIntervalMs) return known.result;
    const refuse = (reason: string): never => {
      options.onRefused?.(key, reason);
      throw new Refused();
    };
    const run = async (): Promise<ProbeResult> => {
      // As in probeAddress: with less than half of the time left a timeout would be no fault of the target's.
      if (performance.now() > (askedMs + deadlineMs) / 2)
        throw new TooSoon(`in line too long: ${concurrency} probes at a time`);
      const resolved = await resolve(target, deadlineMs, 0, lookUp);
      if (isResult(resolved)) return resolved;
      const reason = allowed.refusal(target, resolved.address);
      if (reason !== undefined) return refuse(reason);
      return probeAddress(target, resolved, { ...options, timeoutMs, pace }, deadlineMs);
    };
    if (!allowed.mayResolve(target)) return refuse("no entry can admit it");
    // In the order of their age: the first young one ends it.
    for (const [other, { sinceMs }] of recent) {
      if (askedMs - sinceMs < minimumIntervalMs) break;
      recent.delete(other);
    }
    if (recent.size >= targetsLimit)
      throw new TooSoon(`${targetsLimit} targets within ${minimumIntervalMs / 1000} s already`);
    const result = atATime(run);
    recent.delete(key);
    recent.set(key, { sinceMs: askedMs, result });
    return result;
  };

  return async (request, response) => {
    try {
      const { target, timeout } = parseRequest(request, timeoutMs);
      if (waiting >= waitingLimit) throw new TooSoon(`${waitingLimit} probes are waiting already`);
      waiting += 1;
      const result = await probeOnce(target, performance.now() + timeout).finally(() => {
        waiting -= 1;
      });
      const format = negotiate(request.get("accept"));
      const text = await expose(probeMetrics, probeSamples(result), format);
      response.set({ "Content-Type": contentTypes[format], Vary: "Accept" }).end(text);
    } catch (error) {
      refuseRequest(response, error);
    }
  };
}

class Refused extends Error {
  override name = "Refused";
}
class BadRequest extends Error {
  override name = "BadRequest";
}

function parseRequest(request: Request, longestMs: number): { readonly target: string; readonly timeout: number } {
  const query = new URL(request.originalUrl, "http://localhost").searchParams;
  const targets = query.getAll("target");
  const [target = ""] = targets;
  if (targets.length !== 1 || target === "")
    throw new BadRequest("exactly one target is needed: /probe?target=HOST:PORT");
  const module = query.get("module") ?? "ssh";
  if (!modules.includes(module)) {
    throw new BadRequest(`unknown module ${JSON.stringify(module.slice(0, 100))}; there are: ${modules.join(", ")}`);
  }
  const header = request.get("x-prometheus-scrape-timeout-seconds") ?? "";
  if (header === "") return { target, timeout: longestMs };
  const seconds = /^\d+(\.\d+)?$/.test(header) ? Number(header) : Number.NaN;
  if (!(seconds > 0)) {
    throw new BadRequest(`X-Prometheus-Scrape-Timeout-Seconds: ${JSON.stringify(header.slice(0, 100))} is no time`);
  }
  return { target, timeout: Math.min(longestMs, Math.max(seconds * 1000 - answerMs, seconds * 500)) };
}

function refuseRequest(response: Response, error: unknown): void {
  if (!(error instanceof Error)) throw error;
  const status = statuses[error.name];
  if (status === undefined) throw error;
  const text = error instanceof Refused ? "the target is not in the allow-list of this exporter" : error.message;
  response.status(status).type("text/plain").send(`${text}\n`);
}

const statuses: Readonly<Record<string, number>> = {
  [TargetError.name]: 400,
  [BadRequest.name]: 400,
  [Refused.name]: 403,
  [TooSoon.name]: 503,
};
