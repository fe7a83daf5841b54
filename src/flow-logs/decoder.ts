/**
 * The bytes of one flow log file, in pieces, to flows: told by its first bytes as lines of AWS, lines of JSON (Google
 * Cloud), or one document of records (Azure; `gcloud logging read --format=json`). Holds one line or record at a time.
 */
import { deeperThan } from "../model/json-depth.ts";
import { awsReader, type LineReader } from "./aws.ts";
import { azureFlows } from "./azure.ts";
import { type Flow, FlowLogError } from "./flow.ts";
import { gcpFlows } from "./gcp.ts";

/** A longer line or record is counted as unreadable and passed over. */
const maxItemBytes = 4 * 1024 * 1024;
/** As deep as any record nests; beyond it nothing is parsed. */
const maxDepth = 64;

/** Enough to tell what a file is: a whole line, or the first name of a document and what begins behind it. */
const isTelling = /^\s*(?:[^\s{].*\n|\{\s*"[^"]*"\s*:\s*\S)/;
const headBytes = 4096;

const newline = 10;
const quote = 34;
const backslash = 92;
const open = [91, 123];
const close = [93, 125];

/** An item is a line, or a record of a document. */
type ItemReader = (text: string) => readonly Flow[];

export class FlowLogDecoder {
  /** Items seen so far: where to go on when the file has grown. */
  items = 0;
  unreadable = 0;
  /** Why the last one was unreadable. */
  reason: string | undefined;
  readonly #ports: ReadonlySet<number>;
  readonly #skip: number;
  #splitter: Splitter | undefined;
  #read: ItemReader | undefined;
  #head = Buffer.alloc(0);

  /** `skip`: items that were read before, and give nothing. */
  constructor(ports: ReadonlySet<number>, skip = 0) {
    this.#ports = ports;
    this.#skip = skip;
  }

  /** Flows of the items that this piece completes. Throws FlowLogError for a file that is no flow log. */
  push(piece: Buffer): readonly Flow[] {
    if (this.#splitter !== undefined) return this.#decode(this.#splitter.push(piece));
    this.#head = Buffer.concat([this.#head, piece]);
    const known = this.#head.length >= headBytes || isTelling.test(this.#head.toString("latin1"));
    return known ? this.#begin() : [];
  }

  /** Flows of a last line without its end. */
  end(): readonly Flow[] {
    const before = this.#splitter === undefined && this.#head.length > 0 ? this.#begin() : [];
    const rest = this.#splitter instanceof Lines ? this.#splitter.rest() : undefined;
    return rest === undefined ? before : [...before, ...this.#decode([rest])];
  }

  #begin(): readonly Flow[] {
    const head = this.#head.toString("latin1").trimStart();
    if (/^\{\s*"records"\s*:\s*\[/.test(head))
      this.#use(new Records(3), (text) => azureFlows(this.#json(text), this.#ports));
    else if (head.startsWith("[")) this.#use(new Records(2), (text) => gcpFlows(this.#json(text), this.#ports));
    else if (head.startsWith("{")) this.#use(new Lines(), (text) => gcpFlows(this.#json(text), this.#ports));
    else this.#use(new Lines(), this.#awsLines(head.split("\n", 1)[0] ?? ""));
    const first = this.#head;
    this.#head = Buffer.alloc(0);
    return this.#decode(this.#splitter?.push(first) ?? []);
  }

  #use(splitter: Splitter, read: ItemReader): void {
    this.#splitter = splitter;
    this.#read = read;
  }

  #awsLines(first: string): ItemReader {
    const { read, isHeader }: { read: LineReader; isHeader: boolean } = awsReader(first, this.#ports);
    return (line) => {
      const flow = isHeader && this.items === 1 ? undefined : read(line);
      return flow === undefined ? [] : [flow];
    };
  }

  #json(text: string): unknown {
    if (deeperThan(maxDepth, text)) throw new FlowLogError(`a record that nests deeper than ${maxDepth} levels`);
    return JSON.parse(text);
  }

  #decode(items: readonly (string | undefined)[]): readonly Flow[] {
    return items.flatMap((item) => {
      this.items++;
      if (item === "" || this.items <= this.#skip) return [];
      try {
        if (item === undefined) throw new FlowLogError(`an item of more than ${maxItemBytes} bytes`);
        return this.#read?.(item) ?? [];
      } catch (error) {
        this.unreadable++;
        this.reason = error instanceof Error ? error.message.slice(0, 200) : String(error);
        return [];
      }
    });
  }
}

/** Pieces to items; undefined stands for one that was too long. */
interface Splitter {
  push(piece: Buffer): readonly (string | undefined)[];
}

class Lines implements Splitter {
  #rest: Buffer[] = [];
  #restBytes = 0;

  push(piece: Buffer): readonly (string | undefined)[] {
    const lines: (string | undefined)[] = [];
    let from = 0;
    for (let at = piece.indexOf(newline); at !== -1; at = piece.indexOf(newline, from)) {
      lines.push(this.#line(piece.subarray(from, at)));
      from = at + 1;
    }
    this.#keep(piece.subarray(from));
    return lines;
  }

  rest(): string | undefined {
    return this.#restBytes === 0 ? undefined : this.#line(Buffer.alloc(0));
  }

  #line(end: Buffer): string | undefined {
    const bytes = this.#restBytes + end.length;
    const line =
      bytes > maxItemBytes
        ? undefined
        : Buffer.concat([...this.#rest, end])
            .toString("utf8")
            .trimEnd();
    this.#rest = [];
    this.#restBytes = 0;
    return line;
  }

  #keep(part: Buffer): void {
    this.#restBytes += part.length;
    if (this.#restBytes > maxItemBytes) this.#rest = [];
    else if (part.length > 0) this.#rest.push(Buffer.from(part));
  }
}

/** Objects that begin at one depth of a document; what stands around them is passed over. */
class Records implements Splitter {
  readonly #level: number;
  #depth = 0;
  #inText = false;
  #escaped = false;
  #parts: Buffer[] = [];
  #bytes = 0;

  constructor(level: number) {
    this.#level = level;
  }

  push(piece: Buffer): readonly (string | undefined)[] {
    const records: (string | undefined)[] = [];
    let from = this.#depth >= this.#level ? 0 : -1;
    for (let at = 0; at < piece.length; at++) {
      const byte = piece[at] ?? 0;
      if (this.#inText) {
        if (this.#escaped) this.#escaped = false;
        else if (byte === backslash) this.#escaped = true;
        else if (byte === quote) this.#inText = false;
      } else if (byte === quote) this.#inText = true;
      else if (open.includes(byte)) {
        if (++this.#depth === this.#level) from = at;
      } else if (close.includes(byte) && this.#depth-- === this.#level) {
        this.#keep(piece.subarray(from, at + 1));
        records.push(this.#bytes > maxItemBytes ? undefined : Buffer.concat(this.#parts).toString("utf8"));
        this.#parts = [];
        this.#bytes = 0;
        from = -1;
      }
    }
    if (from !== -1) this.#keep(piece.subarray(from));
    return records;
  }

  #keep(part: Buffer): void {
    this.#bytes += part.length;
    if (this.#bytes > maxItemBytes) this.#parts = [];
    else this.#parts.push(Buffer.from(part));
  }
}
