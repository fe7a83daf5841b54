/** The first and last lines about one subject, printable whatever a peer wrote into them; those of strangers are only counted. */
import type { CauseLines, EvidenceLine } from "../model/checklist.ts";
import type { Event } from "../model/event.ts";
import type { LogRecord } from "../model/record.ts";
import { decides, type Subject } from "./decisive.ts";
import { addressOf } from "./observation.ts";

/** Of the first ones, and of the last ones. */
const linesKept = 3;
const textLength = 300;

/** Without a line for so long, the next one is another story. */
const hourMs = 3_600_000;

/** The lines of all subjects in the last hour, for the status page of who may see them. */
export class EvidenceLines {
  readonly #lines = new Map<Subject, Lines>();

  take(event: Event, record: LogRecord, isKnown: (address: string) => boolean): void {
    for (const subject of decides(event)) {
      const address = addressOf(event);
      const before = this.#lines.get(subject);
      const lines = before === undefined || record.timeMs - before.latestMs > hourMs ? new Lines() : before;
      this.#lines.set(subject, lines);
      lines.add(event, record, address !== undefined && !isKnown(address));
    }
  }

  told(nowMs: number): ReadonlyMap<string, CauseLines> {
    const current = [...this.#lines].filter(([, { latestMs }]) => nowMs - latestMs <= hourMs);
    return new Map(current.map(([subject, lines]) => [subject, lines.told()]));
  }
}

export class Lines {
  latestMs = 0;
  #count = 0;
  #strangers = 0;
  readonly #first: EvidenceLine[] = [];
  readonly #last: EvidenceLine[] = [];

  add(event: Event, { timeMs, ident, pid, message, count }: LogRecord, stranger: boolean): void {
    this.#count += count;
    this.latestMs = timeMs;
    if (stranger) {
      this.#strangers += count;
      return;
    }
    const speaker = pid === 0 ? ident : `${ident}[${pid}]`;
    const line = { timeMs, speaker, text: printable(message === "" ? wordsOf(event) : message) };
    if (this.#first.length < linesKept) this.#first.push(line);
    else {
      this.#last.push(line);
      if (this.#last.length > linesKept) this.#last.shift();
    }
  }

  told(): CauseLines {
    return { lines: [...this.#first, ...this.#last], lineCount: this.#count, strangerLines: this.#strangers };
  }
}

/** For a terminal: no control, format or private characters, nothing that turns the direction of writing. */
export function printable(text: string): string {
  const safe = text
    .slice(0, textLength)
    .replace(/[\p{C}\p{Zl}\p{Zp}]/gu, (character) => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`);
  return text.length > textLength ? `${safe}...` : safe;
}

/** An event without its line, as from a bundle: `sshd.drop: max_startups, 240.0.0.1, 5555`. */
function wordsOf({ kind, ...rest }: Event): string {
  return `${kind}: ${Object.entries(rest)
    .map(([name, value]) => `${name} ${String(value)}`)
    .join(", ")}`;
}
