/**
 * A place, a small number, for each peer of which anything is kept: what is kept stands in arrays by this number, and one
 * look finds whether and where. A Map for each kind of knowledge was two to five looks for each end and each refused
 * login, most of what they touch in no cache: in one place the peers cost less than half of that time.
 * Addresses are the attacker's choice: each half of an IPv4 address, each character of another peer has its own secret
 * factor (multilinear hashing: Lemire and Kaser, Strongly Universal String Hashing is Fast, 2014), so that whatever the
 * peers are, two of them meet in the table by chance only.
 */
import { randomBytes } from "node:crypto";
import { detached } from "./bounded.ts";

/** Who keeps something of a peer; its place is free when nobody does. */
export const holders = { known: 1, candidate: 2, check: 4 } as const;
export type Holder = (typeof holders)[keyof typeof holders];

/** Longer than any peer group. */
const factorsKept = 64;
/** Beside a place in its slot: the key is only a hash, the text has to be compared. */
const isText = 0x10000;
const dot = 46;
const zero = 48;
const nine = 57;

export class PeerPlaces {
  readonly capacity: number;
  readonly #factors = new Int32Array(factorsKept);
  readonly #shift: number;
  readonly #mask: number;
  /** Open addressing. Two numbers to a slot: the key; the place and one more, 0 for none. */
  readonly #slots: Int32Array;
  /** By place. */
  readonly #slotOf: Int32Array;
  readonly #peers: string[] = [];
  readonly #holders: Uint8Array;
  readonly #free: number[] = [];
  /** Asked for several times for each end: the last answer is kept. */
  #lastPeer: string | undefined;
  #lastPlace = -1;
  // Of the peer asked for last: an IPv4 address is its own key.
  #key = 0;
  #isText = 0;

  /** `capacity`: places, at most 65,535; whoever takes more is at fault. `secret`: 256 bytes. */
  constructor(capacity: number, secret = randomBytes(4 * factorsKept)) {
    const bits = Math.ceil(Math.log2(capacity)) + 1;
    this.capacity = capacity;
    this.#shift = 32 - bits;
    this.#mask = 2 ** bits - 1;
    this.#slots = new Int32Array(2 * 2 ** bits);
    this.#slotOf = new Int32Array(capacity);
    this.#holders = new Uint8Array(capacity);
    for (let i = 0; i < factorsKept; i++) this.#factors[i] = secret.readInt32LE(4 * i);
  }

  /** -1: nothing is kept of it. */
  find(peer: string): number {
    if (peer !== this.#lastPeer) {
      this.#readKey(peer);
      this.#lastPlace = this.#search(peer);
      this.#lastPeer = peer;
    }
    return this.#lastPlace;
  }

  peer(place: number): string {
    return this.#peers[place] as string;
  }

  isHeld(place: number, by: Holder): boolean {
    return place !== -1 && ((this.#holders[place] as number) & by) !== 0;
  }

  hold(peer: string, by: Holder): number {
    let place = this.find(peer);
    if (place === -1) place = this.#add(detached(peer));
    this.#holders[place] = (this.#holders[place] as number) | by;
    return place;
  }

  release(place: number, by: Holder): void {
    const left = (this.#holders[place] as number) & ~by;
    this.#holders[place] = left;
    if (left === 0) this.#remove(place);
  }

  #search(peer: string): number {
    for (let slot = this.#home(this.#key, this.#isText); ; slot = (slot + 1) & this.#mask) {
      const entry = this.#slots[2 * slot + 1] as number;
      if (entry === 0) return -1;
      if (this.#slots[2 * slot] !== this.#key || (entry & isText) !== this.#isText) continue;
      const place = (entry & ~isText) - 1;
      if (this.#isText === 0 || this.#peers[place] === peer) return place;
    }
  }

  #add(peer: string): number {
    const place = this.#free.pop() ?? this.#peers.length;
    this.#readKey(peer);
    let slot = this.#home(this.#key, this.#isText);
    while (this.#slots[2 * slot + 1] !== 0) slot = (slot + 1) & this.#mask;
    this.#fill(slot, this.#key, (place + 1) | this.#isText);
    this.#peers[place] = peer;
    this.#lastPeer = peer;
    this.#lastPlace = place;
    return place;
  }

  /** Those behind it that would no longer be found move up (Knuth, The Art of Computer Programming 3, 6.4, algorithm R). */
  #remove(place: number): void {
    let hole = this.#slotOf[place] as number;
    for (let slot = (hole + 1) & this.#mask; ; slot = (slot + 1) & this.#mask) {
      const key = this.#slots[2 * slot] as number;
      const entry = this.#slots[2 * slot + 1] as number;
      if (entry === 0) break;
      const home = this.#home(key, entry & isText);
      if (((slot - home) & this.#mask) < ((slot - hole) & this.#mask)) continue;
      this.#fill(hole, key, entry);
      hole = slot;
    }
    this.#slots[2 * hole + 1] = 0;
    this.#peers[place] = "";
    this.#free.push(place);
    this.#lastPeer = undefined;
  }

  #fill(slot: number, key: number, entry: number): void {
    this.#slots[2 * slot] = key;
    this.#slots[2 * slot + 1] = entry;
    this.#slotOf[(entry & ~isText) - 1] = slot;
  }

  #home(key: number, isText: number): number {
    if (isText !== 0) return key >>> this.#shift;
    const high = Math.imul(this.#factors[0] as number, key >>> 16);
    return (high + Math.imul(this.#factors[1] as number, key & 0xffff)) >>> this.#shift;
  }

  #readKey(peer: string): void {
    this.#isText = this.#readAddress(peer) ? 0 : isText;
    if (this.#isText === 0) return;
    const length = Math.min(peer.length, factorsKept);
    let hash = 0;
    for (let i = 0; i < length; i++) {
      hash = (hash + Math.imul(this.#factors[i] as number, peer.charCodeAt(i))) | 0;
    }
    this.#key = hash;
  }

  /** Whether it is an IPv4 address as only one text is: no part with a leading zero. */
  #readAddress(peer: string): boolean {
    let address = 0;
    let part = -1;
    let dots = 0;
    for (let i = 0; i < peer.length; i++) {
      const code = peer.charCodeAt(i);
      if (code === dot) {
        if (part === -1 || dots === 3) return false;
        address = (address << 8) | part;
        part = -1;
        dots++;
      } else {
        if (code < zero || code > nine || part === 0) return false;
        part = part === -1 ? code - zero : 10 * part + code - zero;
        if (part > 255) return false;
      }
    }
    this.#key = (address << 8) | part;
    return dots === 3 && part !== -1;
  }
}
