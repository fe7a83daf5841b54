/** A YAML document as plain values. Aliases are followed at most ten times. */
import { parseDocument } from "yaml";
import { ConfigError } from "./error.ts";

/** Throws ConfigError with the path and the place in the file. */
export function parseYaml(text: string, path: string): unknown {
  const document = parseDocument(text, { prettyErrors: true });
  const problem = document.errors[0];
  if (problem) throw new ConfigError(`${path}: ${problem.message}`);
  try {
    return document.toJS({ maxAliasCount: 10 });
  } catch (error) {
    // An alias without an anchor, or too many of them.
    throw new ConfigError(`${path}: ${(error as Error).message}`);
  }
}
