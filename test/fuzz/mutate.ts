/** Mutations: of bytes for texts and binary forms, of values for what is JSON (damage that still parses). */
import type { Random } from "./random.ts";

export const longestInput = 64 * 1024;

const pieces = [
  ...[
    "\n",
    "\0",
    " ",
    "\t",
    "\r\n",
    ":",
    "=",
    ",",
    ";",
    "/",
    "\\",
    '"',
    "'",
    "#",
    "[",
    "]",
    "{",
    "}",
    "(",
    ")",
    "*",
    "%",
    "-",
  ],
  ...["-1", "0", "4294967296", "9007199254740993", "18446744073709551616", "1e999", "NaN", "0x10", "9".repeat(40)],
  ...["1.2.3.4", "::1", "fe80::1%eth0", "::ffff:1.2.3.4", "65536", "é", "\ufeff", "\u202e", "__proto__", "constructor"],
  ...[
    " ".repeat(300),
    "a".repeat(300),
    "1".repeat(300),
    "a ".repeat(300),
    "[".repeat(300),
    "*a".repeat(100),
    "\n".repeat(300),
  ],
].map((text) => Buffer.from(text));

/** One to four changes; `others` lend parts. */
export function mutateBytes(input: Buffer, random: Random, others: readonly Buffer[]): Buffer {
  let bytes = input;
  for (let times = 1 + random.below(4); times > 0; times--) bytes = changed(bytes, random, others);
  return bytes.subarray(0, longestInput);
}

function changed(bytes: Buffer, random: Random, others: readonly Buffer[]): Buffer {
  const at = random.below(bytes.length + 1);
  const length = random.below(random.pick([2, 16, 256]));
  const before = bytes.subarray(0, at);
  const after = bytes.subarray(at);
  switch (random.below(8)) {
    case 0:
      return before;
    case 1:
      return Buffer.concat([before, after.subarray(length)]);
    case 2: {
      const copy = Buffer.from(bytes);
      if (copy.length > 0) copy[at % copy.length] = random.below(256);
      return copy;
    }
    case 3: {
      const copy = Buffer.from(bytes);
      if (copy.length > 0) copy[at % copy.length] = (copy[at % copy.length] ?? 0) ^ (1 << random.below(8));
      return copy;
    }
    case 4:
      return Buffer.concat([before, random.pick(pieces), after]);
    case 5: {
      const other = random.pick(others);
      const start = random.below(other.length + 1);
      return Buffer.concat([before, other.subarray(start, start + length), after]);
    }
    case 6:
      return Buffer.concat([before, ...Array<Buffer>(1 + random.below(20)).fill(after.subarray(0, length)), after]);
    default:
      return Buffer.concat([before, random.pick(pieces), after.subarray(length)]);
  }
}

const hostileValues: readonly unknown[] = [
  ...[null, true, "", "x", "1", "9".repeat(40), "__proto__", "a\tb\tc", "::1 22", {}, [], [[]], [[[]]], [null], [0]],
  ...[0, -1, 1, 0.5, -0.5, 2 ** 31, 2 ** 32, 2 ** 53, 1e15, 1e300, -1e300],
  ...[{ length: 1e9 }, { __proto__x: 1 }, ["x", 1, 1], [["x", {}]], { counts: { known: null } }],
];

/** One to three values replaced, removed, doubled or exchanged; the rest of the document stays. */
export function mutateJson(document: unknown, random: Random): unknown {
  const copy = { document: structuredClone(document) };
  for (let times = 1 + random.below(3); times > 0; times--) changeValue(copy, random);
  return copy.document;
}

type Place = { readonly parent: object; readonly key: string };

function changeValue(root: object, random: Random): void {
  const { parent, key } = placeIn(root, random);
  const value: unknown = Reflect.get(parent, key);
  switch (random.below(6)) {
    case 0:
      if (Array.isArray(parent)) parent.splice(Number(key), 1);
      else Reflect.deleteProperty(parent, key);
      return;
    case 1:
      if (Array.isArray(parent)) parent.splice(Number(key), 0, structuredClone(value));
      else Reflect.set(parent, random.pick(Object.keys(parent)), structuredClone(value));
      return;
    case 2:
      if (typeof value === "number")
        Reflect.set(parent, key, random.pick([-value, value + 1, value * 1e9, 0.5 + value]));
      else if (typeof value === "string") Reflect.set(parent, key, value.slice(random.below(value.length + 1)));
      else Reflect.set(parent, key, [value]);
      return;
    default:
      Reflect.set(parent, key, structuredClone(random.pick(hostileValues)));
  }
}

/** Any value in the tree, deep ones as likely as others at each step down. */
function placeIn(root: object, random: Random): Place {
  let place: Place = { parent: root, key: "document" };
  for (;;) {
    const value: unknown = Reflect.get(place.parent, place.key);
    if (typeof value !== "object" || value === null || random.below(8) === 0) return place;
    const keys = Object.keys(value);
    if (keys.length === 0) return place;
    place = { parent: value, key: random.pick(keys) };
  }
}
