/** What a parser is: records of some identifiers to events, pure. */
import type { Event } from "./event.ts";
import type { LogRecord } from "./record.ts";

export interface Pattern {
  /** Unique, kebab-case, greppable in docs/messages.md. */
  readonly id: string;
  /** Which releases print it: `6.9+`, `8.4-9.9`, `4.19+`. */
  readonly versions: string;
  /** Where the text comes from: an OpenSSH file and function, a kernel document, a man page. */
  readonly origin: string;
  match(message: string, record: LogRecord): Event | undefined;
}

export interface Parser {
  readonly name: string;
  /** Identifiers it reads (`sshd`, `sshd-session`, `systemd`, `kernel`, trace event names). */
  readonly idents: readonly string[];
  readonly patterns: readonly Pattern[];
}
