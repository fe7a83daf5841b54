/**
 * Takes apart what a file gave back: each shape checks a value and gives a copy of it with its type, or throws an Error
 * that names the place. A snapshot may be damaged, of another release, or somebody's attempt: nothing of it is believed.
 */

/** `place` is for the error: `ledger.peers.known[3]`. */
export type Shape<T> = (value: unknown, place: string) => T;
export type Shaped<S> = S extends Shape<infer T> ? T : never;

function refuse(value: unknown, place: string, what: string): never {
  throw new Error(`${place}: ${JSON.stringify(value)?.slice(0, 80)} is no ${what}`);
}

const longestText = 4096;

/** Any finite number. */
export const number: Shape<number> = (value, place) =>
  typeof value === "number" && Number.isFinite(value) ? value : refuse(value, place, "number");

/** A number that is not negative: a counter, a duration. */
export const amount: Shape<number> = (value, place) =>
  typeof value === "number" && value >= 0 && value <= Number.MAX_SAFE_INTEGER ? value : refuse(value, place, "amount");

export const whole: Shape<number> = (value, place) =>
  Number.isSafeInteger(value) ? (value as number) : refuse(value, place, "whole number");

/** A time in ms since 1970, before the year 10000. */
export const time: Shape<number> = (value, place) =>
  typeof value === "number" && Math.abs(value) < 253_402_300_800_000 ? value : refuse(value, place, "time");

export const text: Shape<string> = (value, place) =>
  typeof value === "string" && value.length <= longestText ? value : refuse(value, place, "text");

export const flag: Shape<boolean> = (value, place) =>
  typeof value === "boolean" ? value : refuse(value, place, "flag");

export function oneOf<const T extends string>(values: readonly T[]): Shape<T> {
  return (value, place) =>
    values.includes(value as T) ? (value as T) : refuse(value, place, `one of ${values.join(", ")}`);
}

/** `most` entries. */
export function list<T>(of: Shape<T>, most: number): Shape<T[]> {
  return (value, place) => {
    if (!Array.isArray(value)) return refuse(value, place, "list");
    if (value.length > most) throw new Error(`${place}: ${value.length} entries, more than ${most}`);
    return value.map((entry, index) => of(entry, `${place}[${index}]`));
  };
}

/** A list of exactly these. */
export function tuple<const S extends readonly Shape<unknown>[]>(
  ...of: S
): Shape<{ -readonly [I in keyof S]: Shaped<S[I]> }> {
  return (value, place) => {
    if (!Array.isArray(value) || value.length !== of.length) return refuse(value, place, `list of ${of.length}`);
    return of.map((shape, index) => shape(value[index], `${place}[${index}]`)) as {
      -readonly [I in keyof S]: Shaped<S[I]>;
    };
  };
}

type Fields = Readonly<Record<string, Shape<unknown>>>;
type OptionalKeys<F> = { [K in keyof F]: undefined extends Shaped<F[K]> ? K : never }[keyof F];
type Whole<F> = { [K in Exclude<keyof F, OptionalKeys<F>>]: Shaped<F[K]> } & {
  [K in OptionalKeys<F>]?: Exclude<Shaped<F[K]>, undefined>;
};

/** An object with these fields; others are left out. */
export function object<const F extends Fields>(fields: F): Shape<{ [K in keyof Whole<F>]: Whole<F>[K] }> {
  return (value, place) => {
    if (typeof value !== "object" || value === null || Array.isArray(value)) return refuse(value, place, "object");
    const copy: Record<string, unknown> = {};
    // In the order of the value, so that a snapshot of what was restored is the same text.
    for (const name of Object.keys(value)) {
      const shape = Object.hasOwn(fields, name) ? fields[name] : undefined;
      if (shape !== undefined) copy[name] = shape(Reflect.get(value, name), `${place}.${name}`);
    }
    for (const [name, shape] of Object.entries(fields)) {
      if (!Object.hasOwn(copy, name)) shape(undefined, `${place}.${name}`);
    }
    return copy as { [K in keyof Whole<F>]: Whole<F>[K] };
  };
}

/** An object with any keys, at most this many. */
export function record<T>(of: Shape<T>, most: number): Shape<Record<string, T>> {
  return (value, place) => {
    if (typeof value !== "object" || value === null || Array.isArray(value)) return refuse(value, place, "object");
    const pairs = list(tuple(text, of), most)(Object.entries(value), place);
    return Object.fromEntries(pairs);
  };
}

export function optional<T>(of: Shape<T>): Shape<T | undefined> {
  return (value, place) => (value === undefined ? undefined : of(value, place));
}

export function orNull<T>(of: Shape<T>): Shape<T | null> {
  return (value, place) => (value === null ? null : of(value, place));
}

/** Left to whoever takes it apart next. */
export const anything: Shape<unknown> = (value) => value;
