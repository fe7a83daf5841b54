/**
 * Basic authentication (RFC 7617) against bcrypt hashes. A hash takes some 60 ms on purpose, so good answers are
 * remembered (under a keyed digest, never the password) and few comparisons run at a time. An unknown user costs the
 * same time as a wrong password.
 */
import { createHmac, randomBytes } from "node:crypto";
import { compare } from "bcryptjs";
import type { Handler, Response } from "express";

const comparisonsAtATime = 4;
/** Beyond these an answer is 429 at once: comparing costs processor time that the host needs. */
const comparisonsWaiting = 32;
const remembered = 100;

export function basicAuth(users: () => ReadonlyMap<string, string>): Handler {
  const key = randomBytes(32);
  const good = new Map<string, string>();
  let running = 0;
  const waiting: (() => void)[] = [];

  async function limited(work: () => Promise<boolean>): Promise<boolean> {
    if (running >= comparisonsAtATime) await new Promise<void>((resolve) => waiting.push(resolve));
    running++;
    try {
      return await work();
    } finally {
      running--;
      waiting.shift()?.();
    }
  }

  return async (request, response, next) => {
    const known = users();
    if (known.size === 0) return next();
    const credentials = parseBasic(request.get("authorization"));
    if (credentials === undefined) return refuse(response);
    const { user, password } = credentials;
    const hash = known.get(user);
    // Keyed by the hash too: a changed password file forgets what was good before.
    const digest = createHmac("sha256", key).update(`${hash}\0${user}\0${password}`).digest("base64");
    if (hash !== undefined && good.has(digest)) return next();
    if (waiting.length >= comparisonsWaiting) {
      response.status(429).set("Retry-After", "1").type("text/plain").send("Too many attempts at a time.\n");
      return;
    }
    // Somebody else's hash for an unknown user: it costs as much.
    const [anyHash = ""] = known.values();
    const matches = await limited(() => compare(password, hash ?? anyHash));
    if (hash === undefined || !matches) return refuse(response);
    good.set(digest, user);
    const [oldest] = good.keys();
    if (good.size > remembered && oldest !== undefined) good.delete(oldest);
    next();
  };
}

/** Undefined for anything but well-formed credentials of a sane length; bcrypt reads 72 bytes of a password. */
export function parseBasic(header: string | undefined): { user: string; password: string } | undefined {
  const [, encoded] = /^Basic ([A-Za-z0-9+/]{1,2048}={0,2})$/i.exec(header ?? "") ?? [];
  if (encoded === undefined) return undefined;
  const decoded = Buffer.from(encoded, "base64").toString("utf8");
  const colon = decoded.indexOf(":");
  return colon === -1 ? undefined : { user: decoded.slice(0, colon), password: decoded.slice(colon + 1) };
}

function refuse(response: Response): void {
  response.status(401).set("WWW-Authenticate", 'Basic realm="ssh-reset-exporter", charset="UTF-8"');
  response.type("text/plain").send("Unauthorized.\n");
}
