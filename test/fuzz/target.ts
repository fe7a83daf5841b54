/** A fuzz target: inputs to begin with, and what must hold for every other input. */
export interface Target {
  readonly name: string;
  readonly seeds: () => readonly Buffer[];
  /** JSON: values are changed in place of bytes, most of the time. */
  readonly json?: true;
  /**
   * Throws where the property does not hold. What it returns tells inputs apart that the code takes differently: one
   * that is new is kept to be changed further.
   */
  check(input: Buffer): string | Promise<string>;
}

/** Two quoted values of 300 characters, each escaped. */
const longestError = 4000;

/** The property does not hold. */
export class Violation extends Error {
  override name = "Violation";
}

export function must(holds: boolean, what: string): asserts holds {
  if (!holds) throw new Violation(what);
}

/**
 * What `read` gave, or undefined when it threw an error that is documented: `kind` itself, no subclass, with a message
 * that is short and, where `place` is given, names it.
 */
export function allowing<T>(read: () => T, kind: new (message: string) => Error, place = ""): T | string {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof Error) || error.constructor !== kind) throw error;
    must(error.message.includes(place), `an error that does not name ${place}: ${error.message}`);
    must(
      error.message.length <= longestError,
      `an error of ${error.message.length} characters: ${error.message.slice(0, 200)}`,
    );
    return `error ${error.message
      .replace(/"(?:[^"\\]|\\.)*"/g, "S")
      .replace(/\d+/g, "N")
      .slice(0, 60)}`;
  }
}

/** A short name for what a value looks like: its keys, and lengths by their order of magnitude. */
export function shape(value: unknown): string {
  if (typeof value === "string" && value.startsWith("error ")) return value;
  if (value instanceof Map) return `map ${size(value.size)} ${shape([...value.values()].at(-1))}`;
  if (Array.isArray(value)) return `list ${size(value.length)} ${shape(value.at(-1))}`;
  if (typeof value === "object" && value !== null) return Object.keys(value).slice(0, 20).join(",");
  return typeof value;
}

const size = (count: number): number => Math.ceil(Math.log2(count + 1));
