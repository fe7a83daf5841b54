/**
 * The format of annotated samples, test/fixtures/messages/*.txt, which tests and docs/messages.md share: directly above each message stands what it must mean.
 *   `#as {...}`  whose messages follow: fields of a LogRecord that differ from sshd's in a file
 *   `#= ID EVENT`  the pattern that alone matches the next line, and its event in JSON, or `noted`
 *   `#- noted`   no pattern matches the next line, and it is of no consequence
 *   `#- no match`  the next line must mean nothing
 * Anything else that starts with `# ` is a comment. Messages never start with `#`.
 */
import type { Event } from "../model/event.ts";
import type { LogRecord } from "../model/record.ts";

export interface Sample {
  readonly place: string;
  readonly record: LogRecord;
  /** Undefined: no pattern matches. */
  readonly pattern: string | undefined;
  readonly event: Event | undefined;
}

const fromFile = { source: "logfile", timeMs: 0, ident: "sshd", pid: 4242, message: "", count: 1 } as const;

/** Throws on a message without expectation and on an expectation without message. */
export function readSampleFile(name: string, text: string): readonly Sample[] {
  const samples: Sample[] = [];
  let speaker: LogRecord = fromFile;
  let expected: Pick<Sample, "pattern" | "event"> | undefined;
  for (const [index, line] of text.split("\n").entries()) {
    const place = `${name}:${index + 1}`;
    if (line === "" && expected === undefined) continue;
    if (line.startsWith("#as ")) speaker = { ...fromFile, ...JSON.parse(line.slice(4)) };
    else if (line.startsWith("#= ") || line.startsWith("#- ")) {
      if (expected !== undefined) throw new Error(`${place}: an expectation without a message above it`);
      expected = readExpectation(line, place);
    } else if (!line.startsWith("# ")) {
      if (expected === undefined) throw new Error(`${place}: a message without an expectation: ${line}`);
      samples.push({ place, record: { ...speaker, message: line }, ...expected });
      expected = undefined;
    }
  }
  if (expected !== undefined) throw new Error(`${name}: ends with an expectation`);
  return samples;
}

function readExpectation(line: string, place: string): Pick<Sample, "pattern" | "event"> {
  if (line === "#- no match") return { pattern: undefined, event: undefined };
  if (line === "#- noted") return { pattern: undefined, event: { kind: "noted" } };
  const [, pattern, json] = /^#= ([a-z0-9-]+) (noted|\{.*\})$/.exec(line) ?? [];
  if (pattern === undefined || json === undefined) throw new Error(`${place}: not an expectation: ${line}`);
  return { pattern, event: json === "noted" ? { kind: "noted" } : JSON.parse(json) };
}
