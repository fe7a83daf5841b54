/** Inputs that once broke something: test/fixtures/fuzz/TARGET/NAME. */
import { existsSync, readdirSync, readFileSync } from "node:fs";

export const findingsFolder = new URL("../fixtures/fuzz/", import.meta.url);

export function findings(target: string): { readonly name: string; readonly input: Buffer }[] {
  const folder = new URL(`${target}/`, findingsFolder);
  if (!existsSync(folder)) return [];
  return readdirSync(folder).map((name) => ({ name, input: readFileSync(new URL(name, folder)) }));
}
