/**
 * How a pattern is written: the words that its message starts with, and a reading of the rest. The words are what the
 * dispatch in index.ts looks at, so that no expression runs over a line before its beginning is known.
 * sshd's own decoration is taken off here: `error: ` and `fatal: ` in front (openssh log.c), ` [preauth]` at the end (monitor.c).
 */
import type { Event, NotedEvent } from "../model/event.ts";
import type { Pattern } from "../model/parser.ts";
import type { LogRecord } from "../model/record.ts";

/** What a message says after the words that it starts with. */
export interface Said {
  readonly rest: string;
  /** Said by the unprivileged process before authentication. */
  readonly preauth: boolean;
  /** Of the whole message. */
  readonly length: number;
  readonly record: LogRecord;
}

export interface WordedPattern extends Pattern {
  /** Literal beginnings, without level. An empty one is tried on every message. */
  readonly starts: readonly string[];
}

export interface Wording {
  readonly id: string;
  readonly versions: string;
  readonly origin: string;
  readonly starts: readonly string[];
  readonly read: (said: Said) => Event | undefined;
}

export const noted: NotedEvent = { kind: "noted" };

const preauthSuffix = " [preauth]";

/** Where the text begins after `error: ` or `fatal: `. */
export function levelEnd(message: string): number {
  return message.startsWith("error: ") || message.startsWith("fatal: ") ? 7 : 0;
}

/** A pattern of sshd's own messages. */
export function sshdSays({ id, versions, origin, starts, read }: Wording): WordedPattern {
  return {
    id,
    versions,
    origin,
    starts,
    match(message, record) {
      const from = levelEnd(message);
      for (const start of starts) {
        if (!message.startsWith(start, from)) continue;
        const preauth = message.endsWith(preauthSuffix);
        const end = preauth ? Math.max(from + start.length, message.length - preauthSuffix.length) : message.length;
        return read({ rest: message.slice(from + start.length, end), preauth, length: message.length, record });
      }
      return undefined;
    },
  };
}

/** A pattern of anybody else's messages: nothing is taken off. */
export function says({ id, versions, origin, starts, read }: Wording): WordedPattern {
  return {
    id,
    versions,
    origin,
    starts,
    match(message, record) {
      for (const start of starts) {
        if (!message.startsWith(start)) continue;
        return read({ rest: message.slice(start.length), preauth: false, length: message.length, record });
      }
      return undefined;
    },
  };
}

/** At least one character, decimal digits only. */
export function isDigits(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code < 48 || code > 57) return false;
  }
  return text.length > 0;
}

/** A whole number of at most nine digits; undefined for anything else. */
export function readCount(text: string): number | undefined {
  return text.length <= 9 && isDigits(text) ? Number(text) : undefined;
}

/** A process id: 1 to 2^22, the kernel's PID_MAX_LIMIT. */
export function readPid(text: string): number | undefined {
  const pid = readCount(text);
  return pid !== undefined && pid >= 1 && pid <= 4194304 ? pid : undefined;
}

/** A signal number: 1 to 64. */
export function readSignal(text: string): number | undefined {
  const signal = readCount(text);
  return signal !== undefined && signal >= 1 && signal <= 64 ? signal : undefined;
}
