/** What a parser is: records of some identifiers to events, pure. */
import type { Block } from "./bytes.ts";
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

/** Reads messages straight from the bytes of a line, where they are of the commonest forms. */
export interface ByteReader {
  /** Whose messages it reads. */
  readonly idents: readonly string[];
  /**
   * What the message at `start` means, and nothing but what the patterns say; undefined leaves it to them. A line feed has to
   * follow somewhere. Sets `lineEnd` where it gives an event.
   */
  read(block: Block, start: number): Event | undefined;
  /** Where the line feed of the message read last stands. */
  readonly lineEnd: number;
}
