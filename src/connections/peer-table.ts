/**
 * A hash table by address and port without a key string and without memory of its own per entry: both would outlive the
 * young generation, for each of the connections that a log tells. Entries carry key, hash and the next of their bucket.
 * The hash is seeded: nobody can choose addresses and ports that fall into one bucket.
 */
import { randomBytes } from "node:crypto";
import { isIP } from "node:net";

export interface PeerEntry<T extends PeerEntry<T>> {
  address: string | undefined;
  /** 0: an address alone. */
  port: number;
  hash: number;
  nextInBucket: T | undefined;
}

const random = randomBytes(8);
const seed = random.readInt32LE(0);
const multiplier = random.readInt32LE(4) | 1;

// The same peer is looked up in several tables for one line.
let lastAddress = "";
let lastPort = 0;
let lastHash = 0;

/** As entries carry it. */
export function hashOf(address: string, port: number): number {
  if (port === lastPort && address === lastAddress) return lastHash;
  let hash = seed ^ port;
  for (let i = 0; i < address.length; i++) {
    hash = Math.imul(hash ^ address.charCodeAt(i), multiplier);
    hash ^= hash >>> 15;
  }
  lastAddress = address;
  lastPort = port;
  lastHash = hash;
  return hash;
}

/** 16 kB. Most look-ups find nothing, and an empty bucket tells it without another place in memory. */
const fewestBuckets = 2_048;

export class PeerTable<T extends PeerEntry<T>> {
  #buckets: (T | undefined)[] = new Array<T | undefined>(fewestBuckets).fill(undefined);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get(address: string, port: number, hash = hashOf(address, port)): T | undefined {
    let entry = this.#buckets[hash & (this.#buckets.length - 1)];
    while (entry !== undefined && (entry.hash !== hash || entry.port !== port || entry.address !== address)) {
      entry = entry.nextInBucket;
    }
    return entry;
  }

  /** Under this peer, where no entry may be. */
  add(entry: T, address: string, port: number, hash = hashOf(address, port)): void {
    entry.address = address;
    entry.port = port;
    entry.hash = hash;
    this.#link(entry);
    if (++this.#size > this.#buckets.length / 2) this.#grow();
  }

  /** Nothing if it is not in here. */
  delete(entry: T): void {
    const place = entry.hash & (this.#buckets.length - 1);
    let before: T | undefined;
    let other = this.#buckets[place];
    while (other !== undefined && other !== entry) {
      before = other;
      other = other.nextInBucket;
    }
    if (other === undefined) return;
    if (before === undefined) this.#buckets[place] = entry.nextInBucket;
    else before.nextInBucket = entry.nextInBucket;
    entry.nextInBucket = undefined;
    this.#size--;
  }

  #link(entry: T): void {
    const place = entry.hash & (this.#buckets.length - 1);
    entry.nextInBucket = this.#buckets[place];
    this.#buckets[place] = entry;
  }

  #grow(): void {
    const grown = this.#buckets;
    this.#buckets = new Array<T | undefined>(2 * grown.length).fill(undefined);
    for (const first of grown) {
      for (let entry = first; entry !== undefined; ) {
        const next: T | undefined = entry.nextInBucket;
        this.#link(entry);
        entry = next;
      }
    }
  }
}

/** A peer in a snapshot: `ADDRESS PORT`, or the address alone for port 0. */
export const keyOf = (address: string, port: number): string => (port === 0 ? address : `${address} ${port}`);

/** Throws on anything else. */
export function peerOf(key: string, place: string): { readonly address: string; readonly port: number } {
  const [, address = "", digits = "0"] = /^(\S+)(?: ([1-9]\d{0,4}))?$/.exec(key) ?? [];
  const port = Number(digits);
  if (isIP(address) === 0 || port > 65_535) {
    throw new Error(`${place}: ${JSON.stringify(key.slice(0, 80))} is no address and port`);
  }
  return { address, port };
}
