/**
 * All parsers, and the one function that turns a record into an event. A record's identifier and the first character of
 * its message choose the few patterns that are tried; nothing is searched in a line before that.
 */
import type { Event } from "../model/event.ts";
import type { Parser } from "../model/parser.ts";
import type { LogRecord } from "../model/record.ts";
import { libwrap } from "./libwrap.ts";
import { pam } from "./pam.ts";
import { sshdAdmission } from "./sshd-admission.ts";
import { sshdAuth } from "./sshd-auth.ts";
import { sshdBanner } from "./sshd-banner.ts";
import { sshdConnection } from "./sshd-connection.ts";
import { sshdLife } from "./sshd-life.ts";
import { sshdProtocol } from "./sshd-protocol.ts";
import { isTrusted, withinRights } from "./trust.ts";
import { levelEnd, noted, type WordedPattern } from "./wording.ts";

export { isTrusted } from "./trust.ts";

interface WordedParser extends Parser {
  readonly patterns: readonly WordedPattern[];
}

/** sshd speaks under three names since 9.8 and 10.0; some loggers put its path or PAM service there. */
const sshdIdents = ["sshd", "sshd-session", "sshd-auth"];

export const parsers: readonly WordedParser[] = [
  { name: "sshd-connection", idents: sshdIdents, patterns: sshdConnection },
  { name: "sshd-banner", idents: sshdIdents, patterns: sshdBanner },
  { name: "sshd-protocol", idents: sshdIdents, patterns: sshdProtocol },
  { name: "sshd-auth", idents: sshdIdents, patterns: sshdAuth },
  { name: "sshd-admission", idents: sshdIdents, patterns: sshdAdmission },
  { name: "sshd-life", idents: sshdIdents, patterns: sshdLife },
  { name: "libwrap", idents: sshdIdents, patterns: libwrap },
  { name: "pam", idents: sshdIdents, patterns: pam },
];

/** Every identifier that some parser reads: a source may skip all others. */
export const idents: readonly string[] = [...new Set(parsers.flatMap((parser) => parser.idents))];

/** Patterns by identifier, then by the message's first character code. */
type Dispatch = ReadonlyMap<string, readonly (readonly WordedPattern[])[]>;
const dispatch: Dispatch = new Map(idents.map((ident) => [ident, byFirstCharacter(ident)]));

function byFirstCharacter(ident: string): readonly (readonly WordedPattern[])[] {
  const patterns = parsers.filter((parser) => parser.idents.includes(ident)).flatMap((parser) => parser.patterns);
  return Array.from({ length: 128 }, (_, code) =>
    patterns.filter(({ starts }) => starts.some((start) => start === "" || start.charCodeAt(0) === code)),
  );
}

/** What a record means. Undefined: no pattern knows it, or `isTrusted` says that it is not who it claims to be. */
export function parse(record: LogRecord): Event | undefined {
  const byCode = dispatch.get(record.ident);
  if (byCode === undefined || !isTrusted(record)) return undefined;
  const event = firstMatch(byCode, record, record.message);
  if (event === undefined || withinRights(event, record)) return event;
  return noted;
}

function firstMatch(
  byCode: readonly (readonly WordedPattern[])[],
  record: LogRecord,
  message: string,
): Event | undefined {
  const candidates = byCode[message.charCodeAt(levelEnd(message))];
  if (candidates === undefined) return undefined;
  for (const pattern of candidates) {
    const event = pattern.match(message, record);
    if (event !== undefined) return event;
  }
  return undefined;
}
