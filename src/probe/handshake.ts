/**
 * The client's side of an SSH connection from the banner to the new keys, as a pure machine: bytes in, bytes to send
 * out. It ends before the first encrypted byte: the server's SSH_MSG_NEWKEYS follows its reply at once, and a
 * SSH_MSG_DISCONNECT in the clear, before our own NEWKEYS, lets sshd log `Received disconnect`, not a reset.
 * Source: RFC 4253 sections 4.2 (identification string), 7 and 11.
 */
import {
  checkKexReply,
  type KexLists,
  kexEcdhInitPacket,
  kexInitPacket,
  negotiate,
  offerFor,
  parseKexInit,
  sshOffer,
} from "./key-exchange.ts";
import { decodePacket, disconnectPacket, message, PayloadReader, ProtocolError, visible } from "./ssh-packet.ts";

export const handshakePhases = ["banner", "kex_init", "kex_reply", "new_keys"] as const;
export type HandshakePhase = (typeof handshakePhases)[number];

/** OpenSSH's client gives up after 1024 lines of 8192 bytes; no server that means well sends a hundredth of that. */
const preBannerBytes = 16_384;
/** RFC 4253 section 4.2: 255 with the line end. */
const identificationBytes = 255;
const keptLines = 4;

/**
 * `ssh`: offers at once all that OpenSSH's client offers. `small` and `large`: waits for the server's offer, then asks
 * for the smallest or largest reply with the smallest possible KEXINIT.
 */
export type Offer = "ssh" | "small" | "large";

export interface HandshakeOptions {
  readonly identification: string;
  readonly offer: Offer;
  /** Stops before SSH_MSG_KEX_ECDH_INIT until `proceed()`: only messages like SSH_MSG_IGNORE may pass meanwhile. */
  readonly hold: boolean;
}

const withoutReturn = (line: Buffer): Buffer => (line.at(-1) === 0x0d ? line.subarray(0, -1) : line);

export class Handshake {
  /** What it waits for; undefined when the server's NEWKEYS has come. */
  phase: HandshakePhase | undefined = "banner";
  /** Lines before the identification string, or instead of it: made visible, cut. */
  readonly text: string[] = [];
  /** The server's identification string, made visible. */
  identification: string | undefined;
  /** The server's own SSH_MSG_DISCONNECT, made visible. */
  disconnect: string | undefined;
  /** Of the server's packets. */
  largestPacketBytes = 0;
  readonly #options: HandshakeOptions;
  #bytes: Buffer = Buffer.alloc(0);
  #bannerBytes = 0;
  #agreed: KexLists | undefined;
  #outgoing: Buffer[] = [];

  constructor(options: HandshakeOptions) {
    this.#options = options;
  }

  /** The identification string: sent as soon as the connection stands, as ssh does. */
  start(): Buffer {
    return Buffer.from(`${this.#options.identification}\r\n`);
  }

  /** Gives what is to be sent. Throws ProtocolError when the peer speaks no SSH. */
  receive(chunk: Buffer): Buffer {
    this.#bytes = this.#bytes.length === 0 ? chunk : Buffer.concat([this.#bytes, chunk]);
    if (this.phase === "banner") this.#readLines();
    if (this.phase !== "banner") this.#readPackets();
    const sent = Buffer.concat(this.#outgoing);
    this.#outgoing = [];
    return sent;
  }

  /** The stream ended: a last line without its end is text too. */
  end(): void {
    if (this.phase === "banner") this.#keepText(this.#bytes);
    this.#bytes = Buffer.alloc(0);
  }

  /** After `hold`: the public key, once both KEXINITs are exchanged. */
  proceed(): Buffer {
    const method = this.#agreed?.kex[0];
    if (method === undefined) throw new Error("no key exchange to proceed with");
    return kexEcdhInitPacket(method);
  }

  #readLines(): void {
    for (;;) {
      const end = this.#bytes.indexOf(0x0a);
      const size = end === -1 ? this.#bytes.length : end + 1;
      if (this.#bannerBytes + size > preBannerBytes) {
        this.end();
        throw new ProtocolError(`no identification string within ${preBannerBytes} bytes`);
      }
      if (this.#bytes.subarray(0, size).includes(0)) {
        this.end();
        throw new ProtocolError("the server sends binary data before any identification string");
      }
      if (end === -1) return;
      const line = this.#bytes.subarray(0, end);
      this.#bytes = this.#bytes.subarray(size);
      this.#bannerBytes += size;
      if (line.subarray(0, 4).toString("latin1") === "SSH-") {
        this.#identify(line, size);
        return;
      }
      this.#keepText(line);
      if (/^HTTP\/\d/.test(line.toString("latin1"))) throw new ProtocolError("the server speaks HTTP");
    }
  }

  #keepText(bytes: Buffer): void {
    for (const line of bytes.toString("latin1").split("\n")) {
      const shown = visible(withoutReturn(Buffer.from(line, "latin1")));
      if (shown !== "" && this.text.length < keptLines) this.text.push(shown);
    }
  }

  #identify(line: Buffer, size: number): void {
    this.identification = visible(withoutReturn(line));
    if (size > identificationBytes)
      throw new ProtocolError(`identification string of ${size} bytes, ${identificationBytes} are allowed`);
    if (!/^SSH-(2\.0|1\.99)-/.test(this.identification)) {
      throw new ProtocolError(`no SSH 2.0: identification string "${this.identification}"`);
    }
    this.phase = "kex_init";
    if (this.#options.offer === "ssh") this.#outgoing.push(kexInitPacket(sshOffer));
  }

  #readPackets(): void {
    while (this.phase !== undefined && this.disconnect === undefined) {
      const packet = decodePacket(this.#bytes);
      if (packet === undefined) return;
      this.largestPacketBytes = Math.max(this.largestPacketBytes, this.#bytes.length - packet.rest.length);
      this.#bytes = packet.rest;
      this.#handle(packet.payload);
    }
  }

  #handle(payload: Buffer): void {
    const number = payload[0];
    if (number === message.ignore || number === message.debug) return;
    if (number === message.disconnect) {
      const reader = new PayloadReader(payload, 1);
      const code = reader.uint32();
      this.disconnect = `${code}: ${visible(reader.string())}`;
    } else if (this.phase === "kex_init" && number === message.kexInit) {
      this.#agree(parseKexInit(payload));
    } else if (this.phase === "kex_reply" && number === message.kexEcdhReply) {
      checkKexReply(payload);
      this.phase = "new_keys";
    } else if (this.phase === "new_keys" && number === message.newKeys) {
      this.phase = undefined;
      this.#outgoing.push(disconnectPacket("probe"));
    } else {
      throw new ProtocolError(`message ${number} where ${this.phase} was due`);
    }
  }

  #agree(server: KexLists): void {
    const { offer, hold } = this.#options;
    this.#agreed = negotiate(offer === "ssh" ? sshOffer : offerFor(offer), server);
    if (offer !== "ssh") this.#outgoing.push(kexInitPacket(this.#agreed));
    this.phase = "kex_reply";
    if (!hold) this.#outgoing.push(this.proceed());
  }
}
