import { expect } from "chai";
import fc from "fast-check";
import { Handshake, type HandshakeOptions } from "../../src/probe/handshake.ts";
import { kexInitPacket, negotiate, offerFor, parseKexInit, sshOffer } from "../../src/probe/key-exchange.ts";
import {
  decodePacket,
  encodePacket,
  ignorePacket,
  message,
  mpint,
  ProtocolError,
  string,
  visible,
} from "../../src/probe/ssh-packet.ts";

const options: HandshakeOptions = { identification: "SSH-2.0-test_1", offer: "ssh", hold: false };
const reply = encodePacket(Buffer.concat([Buffer.from([message.kexEcdhReply]), string("k"), string("q"), string("s")]));
const newKeys = encodePacket(Buffer.from([message.newKeys]));
const debug = encodePacket(Buffer.concat([Buffer.from([message.debug, 0]), string("hello"), string("")]));
const whole = Buffer.concat([
  Buffer.from("a line before\r\nSSH-2.0-server\r\n"),
  kexInitPacket(sshOffer),
  debug,
  ignorePacket(32),
  reply,
  newKeys,
]);

describe("the probe's packets", () => {
  it("come out of the stream as they went in, at any size", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 1, maxLength: 2000 }),
        fc.uint8Array({ maxLength: 20 }),
        (payload, after) => {
          const packet = encodePacket(Buffer.from(payload));
          expect(packet.length % 8).to.equal(0);
          const decoded = decodePacket(Buffer.concat([packet, after]));
          expect(decoded?.payload.equals(payload)).to.equal(true);
          expect(decoded?.rest.equals(after)).to.equal(true);
          expect(decodePacket(packet.subarray(0, -1))).to.equal(undefined);
        },
      ),
    );
  });

  it("have the asked-for size when they are to be ignored", () => {
    for (const size of [32, 504, 1464, 8952]) expect(ignorePacket(size).length, String(size)).to.equal(size);
  });

  it("of an impossible length are no SSH", () => {
    for (const bytes of [Buffer.from("HTTP/1.1"), Buffer.from([0, 0, 0, 4, 9, 0, 0, 0]), Buffer.alloc(8, 0xff)]) {
      expect(() => decodePacket(bytes)).to.throw(ProtocolError, /packet length \d+/);
    }
  });

  it("write positive numbers with a zero in front where the highest bit is set", () => {
    expect(mpint(Buffer.from([0x80])).toString("hex")).to.equal("000000020080");
    expect(mpint(Buffer.from([0x7f])).toString("hex")).to.equal("000000017f");
  });

  it("show a peer's text without a byte that could act on a terminal", () => {
    expect(visible(Buffer.from("\x1b[2Ja\\b\0\xff", "latin1"))).to.equal("\\x1b[2Ja\\\\b\\x00\\xff");
    expect(visible(Buffer.alloc(5000, 0x41))).to.have.length(203);
  });
});

describe("the probe's key exchange", () => {
  it("offers as much as OpenSSH's client, so that its first message fills a segment of an Ethernet", () => {
    expect(kexInitPacket(sshOffer).length).to.be.greaterThan(1448);
    const payload = decodePacket(kexInitPacket(sshOffer))?.payload ?? Buffer.alloc(0);
    expect(parseKexInit(payload)).to.deep.equal(sshOffer);
  });

  it("takes the client's first name that the server has", () => {
    const server = {
      ...sshOffer,
      kex: ["diffie-hellman-group14-sha256", "curve25519-sha256"],
      hostKey: ["rsa-sha2-512", "ssh-ed25519"],
    };
    expect(negotiate(sshOffer, server)).to.deep.include({ kex: ["curve25519-sha256"], hostKey: ["ssh-ed25519"] });
    expect(negotiate(offerFor("large"), server).hostKey).to.deep.equal(["rsa-sha2-512"]);
    expect(negotiate(offerFor("small"), sshOffer).kex).to.deep.equal(["curve25519-sha256"]);
  });

  it("says what the server offers where nothing is common", () => {
    const server = { ...sshOffer, kex: ["diffie-hellman-group1-sha1", "\x1b[31m"] };
    expect(() => negotiate(sshOffer, server)).to.throw(
      'no common key exchange method: the server offers "diffie-hellman-group1-sha1,\\x1b[31m"',
    );
  });
});

describe("the probe's handshake", () => {
  it("comes to the new keys however the bytes are cut, and says goodbye in the clear", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 400 }), { maxLength: 40 }), (sizes) => {
        const handshake = new Handshake(options);
        let sent = Buffer.alloc(0);
        let rest = whole;
        for (const size of [...sizes, whole.length]) {
          sent = Buffer.concat([sent, handshake.receive(rest.subarray(0, size))]);
          rest = rest.subarray(size);
        }
        expect(handshake.phase).to.equal(undefined);
        expect(handshake.text).to.deep.equal(["a line before"]);
        expect(handshake.identification).to.equal("SSH-2.0-server");
        expect(numbers(sent)).to.deep.equal([message.kexInit, message.kexEcdhInit, message.disconnect]);
      }),
    );
  });

  it("holds before its public key when asked to", () => {
    const handshake = new Handshake({ ...options, offer: "small", hold: true });
    expect(handshake.receive(Buffer.from("SSH-2.0-server\r\n"))).to.have.length(0);
    const sent = handshake.receive(kexInitPacket(sshOffer));
    expect(numbers(sent)).to.deep.equal([message.kexInit]);
    expect(sent.length).to.be.lessThan(400);
    expect(numbers(handshake.proceed())).to.deep.equal([message.kexEcdhInit]);
  });

  for (const [title, bytes, error] of [
    ["HTTP", "HTTP/1.1 400 Bad Request\r\n\r\n", /speaks HTTP/],
    ["SSH 1", "SSH-1.5-old\n", /no SSH 2\.0: identification string "SSH-1\.5-old"/],
    ["binary data", "\x16\x03\x01\x00\x05", /binary data/],
    ["an endless line", "x".repeat(20_000), /no identification string within 16384 bytes/],
    ["endless lines", "x\n".repeat(10_000), /no identification string within 16384 bytes/],
    ["a long identification string", `SSH-2.0-${"x".repeat(300)}\n`, /identification string of 309 bytes/],
    [
      "a message out of turn",
      Buffer.concat([Buffer.from("SSH-2.0-x\r\n"), newKeys]),
      /message 21 where kex_init was due/,
    ],
    [
      "a cut message",
      Buffer.concat([Buffer.from("SSH-2.0-x\r\n"), encodePacket(Buffer.from([20, 1, 2]))]),
      /cut short|is cut/,
    ],
  ] as const) {
    it(`ends at ${title}`, () => {
      expect(() => new Handshake(options).receive(Buffer.from(bytes as string))).to.throw(ProtocolError, error);
    });
  }

  it("never throws anything but a protocol error, whatever comes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.boolean(), (noise, afterBanner) => {
        const handshake = new Handshake(options);
        try {
          if (afterBanner) handshake.receive(Buffer.from("SSH-2.0-x\r\n"));
          handshake.receive(Buffer.from(noise));
        } catch (error) {
          expect(error).to.be.instanceOf(ProtocolError);
        }
        expect(handshake.text.join("")).to.match(/^[\x20-\x7e]*$/);
      }),
      { numRuns: 500 },
    );
  });
});

function numbers(sent: Buffer): number[] {
  const found: number[] = [];
  for (let packet = decodePacket(sent); packet !== undefined; packet = decodePacket(packet.rest))
    found.push(packet.payload[0] ?? -1);
  return found;
}
