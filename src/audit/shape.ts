/** Takes apart what programs printed: a value of another kind than expected ends the audit with its place and itself. */

import { deeperThan } from "../model/json-depth.ts";

/** The user's mistake: a file that is not what it should be. */
export class AuditError extends Error {}

export type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json };
export type JsonObject = { readonly [name: string]: Json };

/** Deeper than any rule set nests. */
const maxDepth = 200;

export function parseJson(text: string): Json {
  if (deeperThan(maxDepth, text)) throw new AuditError(`nests deeper than ${maxDepth} levels: no rule set does`);
  try {
    return JSON.parse(text) as Json;
  } catch (error) {
    throw new AuditError(`no valid JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
}

export const isObject = (value: Json | undefined): value is JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value);

export function object(value: Json | undefined, place: string): JsonObject {
  if (!isObject(value)) throw expected("an object", value, place);
  return value;
}

/** A missing list is an empty one. */
export function list(value: Json | undefined, place: string): readonly Json[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw expected("a list", value, place);
  return value as readonly Json[];
}

export function text(value: Json | undefined, place: string): string {
  if (typeof value !== "string") throw expected("a text", value, place);
  return value;
}

export function number(value: Json | undefined, place: string): number {
  if (typeof value !== "number") throw expected("a number", value, place);
  return value;
}

export function texts(value: Json | undefined, place: string): readonly string[] {
  return list(value, place).map((each, index) => text(each, `${place}[${index}]`));
}

function expected(what: string, value: Json | undefined, place: string): AuditError {
  const found = value === undefined ? "nothing" : JSON.stringify(value).slice(0, 80);
  return new AuditError(`${place}: expected ${what}, found ${found}`);
}
