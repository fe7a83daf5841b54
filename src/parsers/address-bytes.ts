/**
 * Addresses from a line's bytes: one canonical text for each, kept as long as its place is not needed for another. The
 * conversations of a few peers overlap in a log, so the text is nearly always there, with the hash that tables ask for, and
 * it holds no block of the file in memory. A place is chosen by a secret number: who floods it evicts only himself.
 */
import { canonicalAddress } from "./address.ts";

const placesBits = 12;
const longestAddress = 45;

const SPACE = 32;
const DOT = 46;
const ZERO = 48;

export class AddressBytes {
  /** What was read last. */
  address = "";
  readonly #v4 = new Int32Array(1 << placesBits);
  readonly #v4Texts: string[] = new Array<string>(1 << placesBits).fill("");
  /** As they stand in the log, and in canonical form. */
  readonly #v6Said: string[] = new Array<string>(1 << placesBits).fill("");
  readonly #v6Texts: string[] = new Array<string>(1 << placesBits).fill("");
  readonly #secret = Math.floor(Math.random() * 2 ** 32) | 1;

  /** The offset behind the address at `start`, or -1 where none stands there; a space has to follow. */
  read(bytes: Buffer, start: number): number {
    if (start === -1) return -1;
    let at = start;
    let number = 0;
    for (let dots = 0; ; dots++) {
      let value = digit(bytes, at++);
      if (value === -1) return this.#readV6(bytes, start);
      const second = digit(bytes, at);
      if (second !== -1) {
        if (value === 0) return -1;
        value = value * 10 + second;
        const third = digit(bytes, ++at);
        if (third !== -1) {
          value = value * 10 + third;
          at++;
        }
      }
      if (value > 255) return this.#readV6(bytes, start);
      number = (number << 8) | value;
      if (dots === 3) break;
      if (bytes[at++] !== DOT) return this.#readV6(bytes, start);
    }
    if (bytes[at] !== SPACE) return this.#readV6(bytes, start);
    this.address = this.#v4Text(bytes, start, at, number);
    return at;
  }

  #v4Text(bytes: Buffer, start: number, end: number, number: number): string {
    const place = Math.imul(number, this.#secret) >>> (32 - placesBits);
    const kept = this.#v4Texts[place] as string;
    if (this.#v4[place] === number && kept !== "") return kept;
    const text = bytes.toString("latin1", start, end);
    this.#v4[place] = number;
    this.#v4Texts[place] = text;
    return text;
  }

  #readV6(bytes: Buffer, start: number): number {
    let hash = this.#secret;
    let at = start;
    while (isV6Byte(bytes[at] as number)) hash = Math.imul(hash ^ (bytes[at++] as number), 0x01000193);
    if (bytes[at] !== SPACE || at === start || at - start > longestAddress) return -1;
    const place = Math.imul(hash, this.#secret) >>> (32 - placesBits);
    const said = this.#v6Said[place] as string;
    if (isText(bytes, start, at, said)) {
      this.address = this.#v6Texts[place] as string;
      return at;
    }
    const text = bytes.toString("latin1", start, at);
    const address = canonicalAddress(text);
    if (address === undefined) return -1;
    this.#v6Said[place] = text;
    this.#v6Texts[place] = address;
    this.address = address;
    return at;
  }
}

function isText(bytes: Buffer, start: number, end: number, text: string): boolean {
  if (end - start !== text.length) return false;
  for (let i = 0; i < text.length; i++) if (bytes[start + i] !== text.charCodeAt(i)) return false;
  return true;
}

/** Hexadecimal digits, `:` and `.`. */
function isV6Byte(byte: number): boolean {
  return (byte >= ZERO && byte <= 58) || (byte >= 97 && byte <= 102) || (byte >= 65 && byte <= 70) || byte === DOT;
}

/** The digit at `at`, or -1. */
function digit(bytes: Buffer, at: number): number {
  const value = (bytes[at] as number) - ZERO;
  return value >= 0 && value <= 9 ? value : -1;
}
