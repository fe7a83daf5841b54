/**
 * SSH packets before the keys: no cipher, no MAC. Encodes and decodes, and takes packets out of a stream of bytes.
 * Source: RFC 4253 section 6 (binary packet protocol), RFC 4251 section 5 (data types). Pure.
 */
import { randomBytes } from "node:crypto";

/** RFC 4253 section 12, RFC 5656 section 4. */
export const message = {
  disconnect: 1,
  ignore: 2,
  unimplemented: 3,
  debug: 4,
  kexInit: 20,
  newKeys: 21,
  kexEcdhInit: 30,
  kexEcdhReply: 31,
} as const;

/** RFC 4253 section 6.1: what every implementation must be able to take. */
const maximumPacketBytes = 35_000;
const blockBytes = 8;

export const uint32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
};

export const string = (value: Buffer | string): Buffer => {
  const bytes = Buffer.from(value);
  return Buffer.concat([uint32(bytes.length), bytes]);
};

export const nameList = (names: readonly string[]): Buffer => string(names.join(","));

/** The number of a positive integer: a zero byte in front where the highest bit is set. */
export const mpint = (bytes: Buffer): Buffer =>
  string((bytes[0] ?? 0) & 0x80 ? Buffer.concat([Buffer.alloc(1), bytes]) : bytes);

export function encodePacket(payload: Buffer): Buffer {
  const unpadded = 5 + payload.length;
  const shortest = blockBytes - (unpadded % blockBytes);
  const padding = shortest < 4 ? shortest + blockBytes : shortest;
  return Buffer.concat([uint32(1 + payload.length + padding), Buffer.from([padding]), payload, randomBytes(padding)]);
}

/** SSH_MSG_IGNORE as one packet of exactly so many bytes on the wire: a multiple of 8, at least 24. */
export function ignorePacket(sizeBytes: number): Buffer {
  const overhead = 5 + 1 + 4 + 4;
  return encodePacket(Buffer.concat([Buffer.from([message.ignore]), string(Buffer.alloc(sizeBytes - overhead))]));
}

/** RFC 4253 section 11.1, reason 11: SSH_DISCONNECT_BY_APPLICATION. */
export const disconnectPacket = (text: string): Buffer =>
  encodePacket(Buffer.concat([Buffer.from([message.disconnect]), uint32(11), string(text), string("")]));

/** What a peer sent is no SSH. The message is our own sentence; text of the peer's in it is made visible and cut. */
export class ProtocolError extends Error {
  override name = "ProtocolError";
}

/** The first packet in the bytes and what comes after it; undefined while it is incomplete. */
export function decodePacket(bytes: Buffer): { readonly payload: Buffer; readonly rest: Buffer } | undefined {
  if (bytes.length < 5) return undefined;
  const length = bytes.readUInt32BE(0);
  const padding = bytes.readUInt8(4);
  if (length > maximumPacketBytes || length < padding + 2) {
    throw new ProtocolError(
      `packet length ${length} with padding ${padding} (bytes "${visible(bytes.subarray(0, 5))}")`,
    );
  }
  if (bytes.length < 4 + length) return undefined;
  return { payload: bytes.subarray(5, 4 + length - padding), rest: bytes.subarray(4 + length) };
}

/** Reads the fields of a payload in order; throws ProtocolError where they do not fit. */
export class PayloadReader {
  #offset: number;
  readonly #payload: Buffer;
  constructor(payload: Buffer, offset: number) {
    this.#payload = payload;
    this.#offset = offset;
  }
  uint32(): number {
    return this.#take(4).readUInt32BE();
  }
  string(): Buffer {
    return this.#take(this.uint32());
  }
  nameList(): string[] {
    const text = this.string().toString("latin1");
    return text === "" ? [] : text.split(",");
  }
  #take(count: number): Buffer {
    const end = this.#offset + count;
    if (end > this.#payload.length) throw new ProtocolError(`message ${this.#payload[0]} is cut short`);
    const bytes = this.#payload.subarray(this.#offset, end);
    this.#offset = end;
    return bytes;
  }
}

const shownCharacters = 200;

/** Text of a peer's: cut, and everything but printable ASCII as \xNN, so that it can neither move a cursor nor lie. */
export function visible(bytes: Buffer): string {
  const text = bytes.subarray(0, shownCharacters).toString("latin1");
  const shown = text.replace(/[^\x20-\x7e]|\\/g, (c) =>
    c === "\\" ? "\\\\" : `\\x${c.charCodeAt(0).toString(16).padStart(2, "0")}`,
  );
  return bytes.length > shownCharacters ? `${shown}...` : shown;
}
