/** The version in package.json, which stands two folders above in the source tree and in the package. */
import { readFileSync } from "node:fs";

export const version = (
  JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as { version: string }
).version;
