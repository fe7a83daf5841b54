/**
 * What is remembered of ended connections, by address and port, or by the address alone where no line told the port. As
 * `Recent` does, it forgets in two generations, and a full one turns early; entries are used again.
 */
import { LongList } from "../model/long-list.ts";
import { amount, flag, list, text, time, tuple, whole } from "../model/saved.ts";
import { hashOf, keyOf, type PeerEntry, PeerTable, peerOf } from "./peer-table.ts";
import { Pool } from "./pool.ts";
import { Queue, type Queued } from "./queue.ts";

export class Ended implements PeerEntry<Ended>, Queued<Ended> {
  address: string | undefined = undefined;
  port = 0;
  timeMs = 0;
  pid = 0;
  authenticated = false;
  received = false;
  /** Under an address alone: ends without a port that no kernel event has claimed yet. */
  unclaimed = 0;
  hash = 0;
  nextInBucket: Ended | undefined = undefined;
  queue: Queue<Ended> | undefined = undefined;
  before: Ended | undefined = undefined;
  after: Ended | undefined = undefined;
}

const generationShape = (most: number) => list(tuple(text, tuple(time, whole, flag, flag, amount)), most);

export class RecentEnds {
  readonly #capacity: number;
  readonly #byPeer = new PeerTable<Ended>();
  readonly #pool = new Pool(() => new Ended());
  #young = new Queue<Ended>();
  #old = new Queue<Ended>();

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  get(address: string, port: number): Ended | undefined {
    return this.#byPeer.get(address, port);
  }

  /** The entry of this peer, remembered from now on; its fields are the caller's to fill. */
  renew(address: string, port: number, hash = hashOf(address, port)): Ended {
    if (this.#young.size >= this.#capacity) this.turn();
    let ended = this.#byPeer.get(address, port, hash);
    if (ended === undefined) {
      ended = this.#pool.take();
      ended.unclaimed = 0;
      this.#byPeer.add(ended, address, port, hash);
    } else {
      ended.queue?.delete(ended);
    }
    this.#young.add(ended);
    return ended;
  }

  delete(ended: Ended): void {
    ended.queue?.delete(ended);
    this.#byPeer.delete(ended);
    this.#pool.give(ended);
  }

  turn(): void {
    for (let ended = this.#old.first; ended !== undefined; ended = this.#old.first) this.delete(ended);
    [this.#young, this.#old] = [this.#old, this.#young];
  }

  /** Good until the next change. */
  snapshot(): unknown {
    return [this.#young, this.#old].map((generation) => new LongList(() => rowsOf(generation)));
  }

  /** Into a new instance only. Throws on anything but a snapshot. */
  restore(saved: unknown, place: string): void {
    const generation = generationShape(this.#capacity);
    const [young, old] = tuple(generation, generation)(saved, place);
    // The young last: what is in both is as the young one says.
    this.#restore(old, place);
    this.turn();
    this.#restore(young, place);
  }

  #restore(rows: ReturnType<ReturnType<typeof generationShape>>, place: string): void {
    for (const [key, [timeMs, pid, authenticated, received, unclaimed]] of rows) {
      const { address, port } = peerOf(key, place);
      Object.assign(this.renew(address, port), { timeMs, pid, authenticated, received, unclaimed });
    }
  }
}

function* rowsOf(generation: Queue<Ended>): Generator<unknown> {
  for (const { address = "", port, timeMs, pid, authenticated, received, unclaimed } of generation) {
    yield [keyOf(address, port), [timeMs, pid, authenticated, received, unclaimed]];
  }
}
