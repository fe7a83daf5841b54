/**
 * Lines of syslog files to records. Reads RFC 3164, RFC 3339 and RFC 5424 headers, `<PRI>`, busybox, OpenWrt,
 * journalctl's short forms, macOS, Solaris and socklog relays, mixed in one file.
 * A line is read from its start only, and everything but a wanted identifier is left undecoded: what a peer wrote
 * into a message can never be taken for a header.
 * Sources: RFC 3164, RFC 5424, rsyslogd(8), syslogd(8) of busybox and FreeBSD, journalctl(1).
 */
import { after, afterWord, type Block, blockOf, isDigit, Literal } from "../model/bytes.ts";
import type { ByteReader } from "../model/parser.ts";
import type { LogRecord } from "../model/record.ts";

/** A message is cut here: LogRecord's promise. */
const messageBytes = 8 * 1024;
/** A longer line is cut and counted as lost. */
export const lineBytes = 64 * 1024;
/** More repeats than any syslogd folds into one line: the number is read from a log, so it has a limit. */
const repeatsLimit = 100_000;
const dayMs = 86_400_000;
/** Of a header's beginning up to the seconds, and of its end behind them, kept to know the next line's by. */
const headerBytes = 64;

const NUL = 0;
const LF = 10;
const CR = 13;
const SPACE = 32;
const OPEN_PAREN = 40;
const CLOSE_PAREN = 41;
const COMMA = 44;
const DASH = 45;
const DOT = 46;
const SLASH = 47;
const ZERO = 48;
const ONE = 49;
const COLON = 58;
const LESS = 60;
const GREATER = 62;
const OPEN = 91;
const BACKSLASH = 92;
const CLOSE = 93;

const months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const facilityAndSeverity =
  /^(?:kern|user|mail|daemon|auth|syslog|lpr|news|uucp|cron|authpriv|ftp|ntp|security|console|local[0-7])\.(?:emerg|panic|alert|crit|err|error|warn|warning|notice|info|debug)$/;
const solarisMessageId = /^\[ID \d+ [a-z0-9]+\.[a-z]+\] /;
const rsyslogRepeat = /^message repeated (\d{1,9}) times?: \[ ?(.*)\]$/s;
const lastMessageRepeated = /^(?:--- )?last message repeated (\d{1,9}) times?(?: ---)?$/;

interface Wanted {
  readonly ident: string;
  readonly bytes: Uint8Array;
}

/** As `ByteReader`, for whoever wants all messages as text. */
const readsNothing: ByteReader = { idents: [], read: () => undefined, lineEnd: -1 };

/** Reads one file's lines, in order: `last message repeated` speaks of the line before. */
export class SyslogLines {
  /** Lines cut because they were longer than `lineBytes`. */
  cutLines = 0;
  readonly #wanted: (readonly Wanted[] | undefined)[] = [];
  readonly #nowMs: () => number;
  #previous: LogRecord | undefined;
  // What the header walk found; fields instead of a result object, as most lines come to nothing.
  #ident = "";
  #pid = 0;
  #timeStart = -1;
  #secondsStart = -1;
  #zoneStart = -1;
  #timeEnd = -1;
  // The minute (with its zone or year) of the line before, as bytes.
  readonly #cachedPrefix = new Uint8Array(32);
  #cachedPrefixLength = -1;
  readonly #cachedZone = new Uint8Array(8);
  #cachedZoneLength = -1;
  #cachedMinuteMs = Number.NaN;
  // The header before the identifier of a line before, less its seconds: nearly all lines have the same.
  readonly #head = new Literal(headerBytes);
  readonly #tail = new Literal(headerBytes);
  readonly #zone = new Uint8Array(8);
  #zoneLength = 0;
  #headerMs = 0;
  #hostStart = 0;
  #block: Block | undefined;
  readonly #reader: ByteReader;
  readonly #read: { readonly ident: string; readonly literal: Literal }[] = [];

  constructor(idents: readonly string[], nowMs: () => number = Date.now, reader: ByteReader = readsNothing) {
    this.#nowMs = nowMs;
    this.#reader = reader;
    for (const ident of idents) {
      const bytes = Uint8Array.from(Buffer.from(ident));
      const [first] = bytes;
      if (first !== undefined) this.#wanted[first] = [...(this.#wanted[first] ?? []), { ident, bytes }];
      if (reader.idents.includes(ident)) this.#read.push({ ident, literal: Literal.of(ident) });
    }
  }

  /** Appends the wanted records of all complete lines; returns the bytes they took, which is where the next line starts. */
  read(bytes: Buffer, records: LogRecord[]): number {
    const block = blockOf(bytes);
    this.#block = block;
    const end = bytes.lastIndexOf(LF);
    let start = 0;
    while (start <= end) {
      let newline = this.#quick(block, start, records);
      if (newline === -1) {
        newline = bytes.indexOf(LF, start);
        this.#add(bytes, start, newline, records);
      }
      start = newline + 1;
    }
    return start;
  }

  /** The same for one line without its end, as the last one of a file that nobody writes any more. */
  readLine(bytes: Buffer, records: LogRecord[]): void {
    this.#add(bytes, 0, bytes.length, records);
  }

  /**
   * A line with the header of a line before that is another program's, or a message that the reader knows: where it ends, or
   * -1 for a line to be read step by step. Nine of ten lines end here, for a fourth of what the steps cost.
   */
  #quick(block: Block, start: number, records: LogRecord[]): number {
    const { bytes } = block;
    const seconds = after(block, start, this.#head);
    if (seconds === -1) return -1;
    const tens = (bytes[seconds] as number) - ZERO;
    const ones = (bytes[seconds + 1] as number) - ZERO;
    if (!(tens >= 0 && tens <= 6 && ones >= 0 && ones <= 9)) return -1;
    let ms = (tens * 10 + ones) * 1000;
    let zone = seconds + 2;
    if (bytes[zone] === DOT) {
      zone++;
      for (let unit = 100; isDigit(bytes[zone]); zone++, unit /= 10) {
        if (unit >= 1) ms += ((bytes[zone] as number) - ZERO) * unit;
      }
    }
    let ident = after(block, zone, this.#tail);
    if (ident === -1) ident = this.#quickHost(block, zone);
    if (ident === -1) return -1;
    const timeMs = this.#headerMs + ms;
    let message = this.#quickIdent(block, ident);
    if (message !== -1) {
      const event = this.#reader.read(block, message);
      if (event !== undefined && this.#reader.lineEnd - start <= messageBytes) {
        this.#keep(
          { source: "logfile", timeMs, ident: this.#ident, pid: this.#pid, message: "", count: 1, event },
          records,
        );
        return this.#reader.lineEnd;
      }
    } else {
      const word = this.#quickWord(bytes, ident);
      if (word === 0) return -1;
      message = word;
    }
    const newline = bytes.indexOf(LF, Math.abs(message));
    if (newline - start > messageBytes) return -1;
    if (message < 0) this.#previous = undefined;
    else this.#keep(this.#record(bytes, message, bytes[newline - 1] === CR ? newline - 1 : newline, timeMs), records);
    return newline;
  }

  #keep(record: LogRecord, records: LogRecord[]): void {
    records.push(record);
    this.#previous = record;
  }

  /**
   * Another host than before, as in the log of many: the offset behind it, or -1 if it may be none. What starts with a digit
   * may be a year, which one form has there.
   */
  #quickHost(block: Block, zone: number): number {
    const { bytes } = block;
    const zoneEnd = skipBytes(bytes, zone, this.#zone, this.#zoneLength);
    if (zoneEnd === -1 || bytes[zoneEnd] !== SPACE) return -1;
    const host = skipSpaces(bytes, zoneEnd);
    const end = afterWord(bytes, host);
    const first = bytes[host];
    if (end === host || bytes[end] !== SPACE || bytes[end - 1] === COLON || isDigit(first)) return -1;
    if (this.#skipIdent(bytes, host, end + 1) !== -1) return -1;
    const ident = skipSpaces(bytes, end);
    this.#tail.set(block, zone, ident);
    this.#hostStart = first as number;
    return ident;
  }

  /** The offset of the message behind `sshd[1]: ` of whom the reader reads, or -1. */
  #quickIdent(block: Block, at: number): number {
    const { bytes } = block;
    if (this.#wanted[bytes[at] as number] === undefined) return -1;
    for (const { ident, literal } of this.#read) {
      const open = after(block, at, literal);
      if (open === -1 || bytes[open] !== OPEN) continue;
      let pid = 0;
      let end = open + 1;
      while (isDigit(bytes[end])) pid = pid * 10 + ((bytes[end++] as number) - ZERO);
      const digits = end - open - 1;
      if (digits < 1 || digits > 10) return -1;
      if (bytes[end] !== CLOSE || bytes[end + 1] !== COLON || bytes[end + 2] !== SPACE) return -1;
      this.#ident = ident;
      this.#pid = pid;
      return end + 3;
    }
    return -1;
  }

  /**
   * The first word behind the header: the offset of the message behind a wanted identifier, minus that of the word's end if it
   * makes the line another program's, 0 where more has to be looked at.
   */
  #quickWord(bytes: Buffer, word: number): number {
    const first = bytes[word] as number;
    // Nothing that starts in upper case may stand before an identifier, but the host's name again.
    if (first >= 65 && first <= 90 && first !== this.#hostStart && this.#wanted[first] === undefined) return -word;
    let end = word;
    while (bytes[end] !== SPACE && bytes[end] !== LF) end++;
    if (bytes[end] === LF || bytes[end - 1] !== COLON || bytes[end - 2] === COLON) return 0;
    const message = this.#skipIdent(bytes, word, end + 1);
    return message === -1 ? -end : message;
  }

  /** `start`: of the line; `host` and `ident`: of the words behind the time. */
  #rememberHeader(bytes: Buffer, start: number, host: number, ident: number): void {
    this.#timeMs(bytes);
    const block = this.#block?.bytes === bytes ? this.#block : blockOf(bytes);
    this.#head.set(block, start, Number.isNaN(this.#cachedMinuteMs) ? start : this.#secondsStart);
    this.#tail.set(block, this.#zoneStart, ident);
    this.#zone.set(this.#cachedZone);
    this.#zoneLength = this.#timeEnd - this.#zoneStart;
    this.#headerMs = this.#cachedMinuteMs;
    this.#hostStart = bytes[host] as number;
  }

  #add(bytes: Buffer, start: number, lineEnd: number, records: LogRecord[]): void {
    let end = lineEnd;
    if (end - start > lineBytes) {
      this.cutLines++;
      end = start + lineBytes;
    } else if (end > start && bytes[end - 1] === CR) end--;
    const record = this.#line(bytes, start, end);
    if (record !== undefined) records.push(record);
    this.#previous = record;
  }

  #line(bytes: Buffer, start: number, end: number): LogRecord | undefined {
    let at = start;
    // A writer without O_APPEND leaves a hole of NULs where copytruncate cut the file.
    while (bytes[at] === NUL && at < end) at++;
    if (bytes[at] === 0xef && bytes[at + 1] === 0xbb && bytes[at + 2] === 0xbf) at += 3;
    if (bytes[at] === LESS) {
      at++;
      while (isDigit(bytes[at])) at++;
      if (bytes[at++] !== GREATER) return undefined;
      if (bytes[at] === ONE && bytes[at + 1] === SPACE) return this.#rfc5424(bytes, at + 2, end);
    }
    let afterTime = this.#skipTime(bytes, at, end);
    if (afterTime === -1) {
      const relayed = this.#skipRelay(bytes, at, end);
      if (relayed === -1) return undefined;
      afterTime = relayed;
    }
    at = skipSpaces(bytes, afterTime);

    // [HOST [the same HOST]] [facility.severity] IDENT: what stands at none of these places is no identifier.
    let tokenStart = at;
    let previousStart = -1;
    let previousEnd = -1;
    for (let token = 0; token < 4 && tokenStart < end; token++) {
      const message = this.#skipIdent(bytes, tokenStart, end);
      if (message !== -1) return this.#record(bytes, message, end, this.#timeMs(bytes));
      const tokenEnd = skipWord(bytes, tokenStart, end);
      const first = bytes[tokenStart];
      if (first === 108 /* l */ || first === DASH) {
        const repeats = lastMessageRepeated.exec(bytes.toString("latin1", tokenStart, Math.min(end, tokenStart + 64)));
        if (repeats !== null) return this.#repeatPrevious(Number(repeats[1]));
      }
      if (bytes[tokenEnd - 1] === COLON && bytes[tokenEnd - 2] !== COLON) {
        const relayed = token === 0 ? this.#skipRelay(bytes, tokenStart, end) : -1;
        if (relayed === -1) return undefined; // another program's line
        tokenStart = skipSpaces(bytes, relayed);
        token = -1;
        continue;
      }
      const accepted =
        token === 0 ||
        sameBytes(bytes, tokenStart, tokenEnd, previousStart, previousEnd) ||
        facilityAndSeverity.test(bytes.toString("latin1", tokenStart, Math.min(tokenEnd, tokenStart + 24)));
      if (!accepted) return undefined;
      previousStart = tokenStart;
      previousEnd = tokenEnd;
      tokenStart = skipSpaces(bytes, tokenEnd);
      if (token === 0) this.#rememberHeader(bytes, start, previousStart, tokenStart);
    }
    return undefined;
  }

  /** `auth.info: ` before a second time (socklog, svlogd): the offset after that time, or -1. */
  #skipRelay(bytes: Buffer, at: number, end: number): number {
    const tokenEnd = skipWord(bytes, at, end);
    if (bytes[tokenEnd - 1] !== COLON || tokenEnd - at > 24) return -1;
    if (!facilityAndSeverity.test(bytes.toString("latin1", at, tokenEnd - 1))) return -1;
    return this.#skipTime(bytes, skipSpaces(bytes, tokenEnd), end);
  }

  /** The offset after the time at `at`, or -1 where there is none. The digits are checked only if the line is wanted. */
  #skipTime(bytes: Buffer, at: number, end: number): number {
    const first = bytes[at];
    let time = at;
    let weekday = false;
    if (isDigit(first)) {
      // 2026-11-22T13:28:59, with a space (macOS) or `_` (svlogd) instead of the T
      if (bytes[at + 4] !== DASH || bytes[at + 7] !== DASH) return -1;
      time = at + 11;
    } else {
      // `Nov 22 13:28:59`, `Nov  2`, `Nov 2`, and OpenWrt's `Mon Nov 22 13:28:59 2026`
      if (bytes[at + 3] !== SPACE) return -1;
      time = at + 4;
      weekday = bytes[at + 7] === SPACE && !isDigit(bytes[time]) && bytes[time] !== SPACE;
      if (weekday) time += 4;
      if (bytes[time] === SPACE) time++;
      if (!isDigit(bytes[time])) return -1;
      time++;
      if (isDigit(bytes[time])) time++;
      if (bytes[time++] !== SPACE) return -1;
    }
    if (bytes[time + 2] !== COLON || bytes[time + 5] !== COLON) return -1;
    let after = time + 8;
    if (bytes[after] === DOT || bytes[after] === COMMA) {
      after++;
      while (isDigit(bytes[after])) after++;
    }
    const zone = after;
    if (weekday) {
      if (bytes[after] === SPACE && isDigit(bytes[after + 1])) after += 5;
    } else if (bytes[after] === 90 /* Z */) after++;
    else if (bytes[after] === 43 /* + */ || bytes[after] === DASH) {
      after++;
      while (isDigit(bytes[after]) || bytes[after] === COLON) after++;
    }
    if (after > end || after - zone > this.#cachedZone.length) return -1;
    this.#timeStart = at;
    this.#secondsStart = time + 6;
    this.#zoneStart = zone;
    this.#timeEnd = after;
    return after;
  }

  /**
   * The offset of the message if a wanted identifier stands at `at`: `sshd[1]:`, `sshd:`, `[sshd]:`, `[sshd] `,
   * `sshd(pam_unix)[1]:`, `/usr/sbin/sshd[1]:`; else -1.
   */
  #skipIdent(bytes: Buffer, at: number, end: number): number {
    let start = at;
    const bracketed = bytes[start] === OPEN;
    if (bracketed) start++;
    else if (bytes[start] === SLASH) {
      for (let next = start; next < end; next++) {
        const byte = bytes[next];
        if (byte === SLASH) start = next + 1;
        else if (byte === OPEN || byte === COLON || byte === SPACE) break;
      }
    }
    const candidates = this.#wanted[bytes[start] as number];
    if (candidates === undefined) return -1;
    for (const { ident, bytes: name } of candidates) {
      let after = skipBytes(bytes, start, name);
      if (after === -1) continue;
      let pid = 0;
      if (bracketed) {
        if (bytes[after++] !== CLOSE) continue;
        if (bytes[after] === COLON) after++;
        if (bytes[after] !== SPACE) continue;
      } else {
        if (bytes[after] === OPEN_PAREN) {
          while (after < end && bytes[after] !== CLOSE_PAREN && bytes[after] !== SPACE) after++;
          if (bytes[after++] !== CLOSE_PAREN) continue;
        }
        if (bytes[after] === OPEN) {
          const digits = ++after;
          while (isDigit(bytes[after])) pid = pid * 10 + ((bytes[after++] as number) - ZERO);
          if (after === digits || after - digits > 10 || bytes[after++] !== CLOSE) continue;
        }
        if (bytes[after++] !== COLON) continue;
        // `kernel:[75215.92]` has no space
        if (after < end && bytes[after] !== SPACE && bytes[after] !== OPEN) continue;
      }
      if (bytes[after] === SPACE) after++;
      if (after > end) continue;
      this.#ident = ident;
      this.#pid = pid;
      return after;
    }
    return -1;
  }

  /** `TIME HOST APP PROCID MSGID SD MSG`, after `<PRI>1 `. */
  #rfc5424(bytes: Buffer, start: number, end: number): LogRecord | undefined {
    const timed = this.#skipTime(bytes, start, end);
    if (timed === -1) {
      if (bytes[start] !== DASH || bytes[start + 1] !== SPACE) return undefined;
      this.#timeStart = -1;
    }
    const host = (timed === -1 ? start + 1 : timed) + 1;
    const app = skipWord(bytes, host, end) + 1;
    const procid = skipWord(bytes, app, end) + 1;
    let name = app;
    for (let at = app; at < procid - 1; at++) if (bytes[at] === SLASH) name = at + 1;
    const wanted = this.#wanted[bytes[name] as number]?.find(
      (candidate) => skipBytes(bytes, name, candidate.bytes) === procid - 1,
    );
    if (wanted === undefined) return undefined;
    const msgid = skipWord(bytes, procid, end) + 1;
    const pid = Number(bytes.toString("latin1", procid, Math.min(msgid - 1, procid + 11)));
    let at = skipWord(bytes, msgid, end) + 1;
    if (bytes[at] === DASH) at++;
    else {
      while (bytes[at] === OPEN && at < end) {
        let quoted = false;
        for (at++; at < end && (quoted || bytes[at] !== CLOSE); at++) {
          if (bytes[at] === BACKSLASH) at++;
          else if (bytes[at] === 34 /* " */) quoted = !quoted;
        }
        at++;
      }
    }
    if (at >= end || bytes[at] !== SPACE) return undefined;
    at++;
    // rsyslog's own template keeps the space that stood after the tag.
    if (bytes[at] === SPACE) at++;
    if (bytes[at] === 0xef && bytes[at + 1] === 0xbb && bytes[at + 2] === 0xbf) at += 3;
    this.#ident = wanted.ident;
    this.#pid = Number.isSafeInteger(pid) && pid > 0 ? pid : 0;
    return this.#record(bytes, Math.min(at, end), end, this.#timeMs(bytes));
  }

  #record(bytes: Buffer, messageStart: number, end: number, timeMs: number): LogRecord {
    const ident = this.#ident;
    const start = ident === "kernel" ? skipKernelTime(bytes, messageStart, end) : messageStart;
    const stop = Math.min(end, start + messageBytes);
    let message = bytes.toString("utf8", start, stop);
    let count = 1;
    if (bytes[start] === OPEN) message = message.replace(solarisMessageId, "");
    else if (bytes[start] === 109 /* m */) {
      const [, repeats, repeated] = rsyslogRepeat.exec(message) ?? [];
      if (repeats !== undefined && repeated !== undefined) {
        count = boundedRepeats(Number(repeats));
        message = repeated;
      }
    }
    // rsyslog writes a newline as #012. sshd escapes newlines itself, so there #012 is the peer's own text.
    if (!ident.startsWith("sshd") && message.includes("#01"))
      message = message.replaceAll("#012", "\n").replaceAll("#011", "\t");
    return { source: "logfile", timeMs, ident, pid: this.#pid, message, count };
  }

  #repeatPrevious(repeats: number): LogRecord | undefined {
    return this.#previous && { ...this.#previous, count: boundedRepeats(repeats) };
  }

  #timeMs(bytes: Buffer): number {
    if (this.#timeStart === -1) return this.#nowMs();
    const seconds = this.#secondsStart;
    const zone = this.#zoneStart;
    const prefixLength = seconds - this.#timeStart;
    const zoneLength = this.#timeEnd - zone;
    if (
      prefixLength !== this.#cachedPrefixLength ||
      zoneLength !== this.#cachedZoneLength ||
      skipBytes(bytes, this.#timeStart, this.#cachedPrefix, prefixLength) === -1 ||
      skipBytes(bytes, zone, this.#cachedZone, zoneLength) === -1
    ) {
      this.#cachedPrefixLength = bytes.copy(this.#cachedPrefix, 0, this.#timeStart, seconds);
      this.#cachedZoneLength = bytes.copy(this.#cachedZone, 0, zone, this.#timeEnd);
      this.#cachedMinuteMs = minuteMs(
        bytes.toString("latin1", this.#timeStart, seconds),
        bytes.toString("latin1", zone, this.#timeEnd),
        this.#nowMs(),
      );
    }
    const tens = (bytes[seconds] as number) - ZERO;
    const ones = (bytes[seconds + 1] as number) - ZERO;
    let ms = (tens * 10 + ones) * 1000;
    for (let at = seconds + 3, unit = 100; at < zone && unit >= 1; at++, unit /= 10) {
      ms += ((bytes[at] as number) - ZERO) * unit;
    }
    const timeMs = this.#cachedMinuteMs + ms;
    return tens >= 0 && tens <= 6 && ones >= 0 && ones <= 9 && !Number.isNaN(timeMs) ? timeMs : this.#nowMs();
  }
}

/** A minute in ms since 1970 from `Nov 22 13:28:` and ` 2026` or ``, or from `2026-11-22T13:28:` and its zone; else NaN. */
export function minuteMs(minute: string, zone: string, nowMs: number): number {
  const iso = /^(\d{4})-(\d\d)-(\d\d)[Tt _](\d\d):(\d\d):$/.exec(minute);
  if (iso !== null) {
    const [year, month, day, hour, minutes] = iso.slice(1).map(Number) as [number, number, number, number, number];
    if (month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 || minutes > 59) return Number.NaN;
    if (zone === "") return new Date(year, month - 1, day, hour, minutes).getTime();
    const utc = Date.UTC(year, month - 1, day, hour, minutes);
    if (zone === "Z") return utc;
    const [, sign, zoneHours, zoneMinutes] = /^([+-])(\d\d):?(\d\d)?$/.exec(zone) ?? [];
    if (sign === undefined) return Number.NaN;
    const offsetMs = (Number(zoneHours) * 60 + Number(zoneMinutes ?? 0)) * 60_000;
    return sign === "+" ? utc - offsetMs : utc + offsetMs;
  }
  const traditional = /^(?:[A-Z][a-z]{2} )?([A-Z][a-z]{2}) {1,2}(\d{1,2}) (\d\d):(\d\d):$/.exec(minute);
  const month = months.indexOf(traditional?.[1] ?? "");
  if (traditional === null || month === -1) return Number.NaN;
  const day = Number(traditional[2]);
  const hour = Number(traditional[3]);
  const minutes = Number(traditional[4]);
  if (day < 1 || hour > 23 || minutes > 59) return Number.NaN;
  if (zone !== "") return new Date(Number(zone), month, day, hour, minutes).getTime();
  // No year: the latest one in which this is not the future. A day of grace for a writer whose clock is ahead, also
  // over New Year; eight years back for 29 February.
  const thisYear = new Date(nowMs).getFullYear();
  for (let year = thisYear + 1; year >= thisYear - 8; year--) {
    const date = new Date(year, month, day, hour, minutes);
    if (date.getMonth() === month && date.getTime() <= nowMs + dayMs) return date.getTime();
  }
  return Number.NaN;
}

function boundedRepeats(repeats: number): number {
  return Math.min(Math.max(repeats, 1), repeatsLimit);
}

/** `[ 5864.708440] `, which Debian keeps in kern.log. */
function skipKernelTime(bytes: Buffer, start: number, end: number): number {
  if (bytes[start] !== OPEN) return start;
  let at = skipSpaces(bytes, start + 1);
  const digits = at;
  while (isDigit(bytes[at]) || bytes[at] === DOT) at++;
  if (at === digits || bytes[at++] !== CLOSE) return start;
  if (bytes[at] === SPACE) at++;
  return Math.min(at, end);
}

function skipSpaces(bytes: Buffer, start: number): number {
  let at = start;
  while (bytes[at] === SPACE) at++;
  return at;
}

function skipWord(bytes: Buffer, start: number, end: number): number {
  let at = start;
  while (at < end && bytes[at] !== SPACE) at++;
  return at;
}

function skipBytes(bytes: Buffer, start: number, expected: Uint8Array, length = expected.length): number {
  for (let at = 0; at < length; at++) if (bytes[start + at] !== expected[at]) return -1;
  return start + length;
}

function sameBytes(bytes: Buffer, start: number, end: number, otherStart: number, otherEnd: number): boolean {
  if (end - start !== otherEnd - otherStart) return false;
  for (let at = 0; at < end - start; at++) if (bytes[start + at] !== bytes[otherStart + at]) return false;
  return true;
}
