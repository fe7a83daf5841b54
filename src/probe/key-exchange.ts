/**
 * The key exchange as far as a probe needs it: offers what OpenSSH's client offers, so that its messages are as large
 * as real ones, and sends a well-formed public key. No secret is derived: nothing is encrypted, and no host key is
 * checked, since the probe knows none and gives nothing away.
 * Sources: RFC 4253 sections 7 and 8, RFC 5656, RFC 8731, draft-ietf-sshm-ntruprime-ssh. Pure but for the random keys.
 */
import { createDiffieHellmanGroup, createECDH, generateKeyPairSync, randomBytes } from "node:crypto";
import { encodePacket, message, mpint, nameList, PayloadReader, ProtocolError, string, visible } from "./ssh-packet.ts";

const x25519Bytes = (): Buffer =>
  Buffer.from(generateKeyPairSync("x25519").publicKey.export({ format: "der", type: "spki" }).subarray(-32));
/** Any bytes are a valid sntrup761 public key (1158 bytes); the reply has a ciphertext of 1039, as with a real client. */
const sntrup761Bytes = (): Buffer => Buffer.concat([randomBytes(1158), x25519Bytes()]);
const curve = (name: string) => (): Buffer => string(createECDH(name).generateKeys());
const group = (name: string) => (): Buffer => mpint(createDiffieHellmanGroup(name).generateKeys());

/** Key exchange methods and the public key that each wants, in OpenSSH's order. All use messages 30 and 31. */
const methods: Readonly<Record<string, () => Buffer>> = {
  "sntrup761x25519-sha512": () => string(sntrup761Bytes()),
  "sntrup761x25519-sha512@openssh.com": () => string(sntrup761Bytes()),
  "curve25519-sha256": () => string(x25519Bytes()),
  "curve25519-sha256@libssh.org": () => string(x25519Bytes()),
  "ecdh-sha2-nistp256": curve("prime256v1"),
  "ecdh-sha2-nistp384": curve("secp384r1"),
  "ecdh-sha2-nistp521": curve("secp521r1"),
  "diffie-hellman-group16-sha512": group("modp16"),
  "diffie-hellman-group14-sha256": group("modp14"),
  "diffie-hellman-group14-sha1": group("modp14"),
};

const certificates = [
  "ssh-ed25519-cert-v01@openssh.com",
  "ecdsa-sha2-nistp256-cert-v01@openssh.com",
  "ecdsa-sha2-nistp384-cert-v01@openssh.com",
  "ecdsa-sha2-nistp521-cert-v01@openssh.com",
  "sk-ssh-ed25519-cert-v01@openssh.com",
  "sk-ecdsa-sha2-nistp256-cert-v01@openssh.com",
  "rsa-sha2-512-cert-v01@openssh.com",
  "rsa-sha2-256-cert-v01@openssh.com",
];
const rsa = ["rsa-sha2-512", "rsa-sha2-256", "ssh-rsa"];
const curves = [
  "ssh-ed25519",
  "ecdsa-sha2-nistp256",
  "ecdsa-sha2-nistp384",
  "ecdsa-sha2-nistp521",
  "sk-ssh-ed25519@openssh.com",
  "sk-ecdsa-sha2-nistp256@openssh.com",
];
const ciphers = [
  "chacha20-poly1305@openssh.com",
  "aes128-ctr",
  "aes192-ctr",
  "aes256-ctr",
  "aes128-gcm@openssh.com",
  "aes256-gcm@openssh.com",
  "aes256-cbc",
  "aes128-cbc",
];
const macs = [
  "umac-64-etm@openssh.com",
  "umac-128-etm@openssh.com",
  "hmac-sha2-256-etm@openssh.com",
  "hmac-sha2-512-etm@openssh.com",
  "hmac-sha1-etm@openssh.com",
  "umac-64@openssh.com",
  "umac-128@openssh.com",
  "hmac-sha2-256",
  "hmac-sha2-512",
  "hmac-sha1",
];
const compression = ["none", "zlib@openssh.com"];

/** The ten lists of SSH_MSG_KEXINIT, in their order on the wire. */
export interface KexLists {
  readonly kex: readonly string[];
  readonly hostKey: readonly string[];
  readonly cipherOut: readonly string[];
  readonly cipherIn: readonly string[];
  readonly macOut: readonly string[];
  readonly macIn: readonly string[];
  readonly compressionOut: readonly string[];
  readonly compressionIn: readonly string[];
}
const listNames = {
  kex: "key exchange method",
  hostKey: "host key type",
  cipherOut: "cipher",
  cipherIn: "cipher",
  macOut: "MAC",
  macIn: "MAC",
  compressionOut: "compression",
  compressionIn: "compression",
} as const satisfies Record<keyof KexLists, string>;
const listKeys = Object.keys(listNames) as (keyof KexLists)[];

/** As OpenSSH's client: its KEXINIT fills more than one segment of an Ethernet, which a path that eats large packets shows. */
export const sshOffer: KexLists = {
  kex: Object.keys(methods),
  hostKey: [...certificates, ...curves, ...rsa],
  cipherOut: ciphers,
  cipherIn: ciphers,
  macOut: macs,
  macIn: macs,
  compressionOut: compression,
  compressionIn: compression,
};

/** `large`: the largest reply that a server can give, a RSA host key and signature with a post-quantum ciphertext. */
export function offerFor(size: "small" | "large"): KexLists {
  const large = size === "large";
  const small = (name: string): boolean => name.startsWith("curve25519");
  return {
    ...sshOffer,
    kex: large ? sshOffer.kex : [...sshOffer.kex].sort((a, b) => Number(small(b)) - Number(small(a))),
    hostKey: large ? [...rsa, ...curves] : [...curves, ...rsa],
  };
}

export function kexInitPacket(lists: KexLists): Buffer {
  const names = listKeys.map((key) => nameList(lists[key]));
  const languages = [nameList([]), nameList([])];
  const end = Buffer.alloc(5);
  return encodePacket(Buffer.concat([Buffer.from([message.kexInit]), randomBytes(16), ...names, ...languages, end]));
}

export function parseKexInit(payload: Buffer): KexLists {
  const reader = new PayloadReader(payload, 1 + 16);
  const lists = Object.fromEntries(listKeys.map((key) => [key, reader.nameList()]));
  return lists as unknown as KexLists;
}

/** RFC 4253 section 7.1: the client's first name that the server has too, for each list. Throws ProtocolError if none. */
export function negotiate(client: KexLists, server: KexLists): KexLists {
  // What is "out" for the client is the server's "client to server" list: both send the lists in the same order.
  const chosen = listKeys.map((key) => {
    const name = client[key].find((candidate) => server[key].includes(candidate));
    const withMac = key !== "macOut" && key !== "macIn";
    if (name === undefined && withMac) {
      throw new ProtocolError(
        `no common ${listNames[key]}: the server offers "${visible(Buffer.from(server[key].join(","), "latin1"))}"`,
      );
    }
    return [key, name === undefined ? [] : [name]];
  });
  return Object.fromEntries(chosen) as unknown as KexLists;
}

/** SSH_MSG_KEX_ECDH_INIT, or SSH_MSG_KEXDH_INIT: one number, one field, another type of key. */
export function kexEcdhInitPacket(method: string): Buffer {
  const key = methods[method];
  if (key === undefined) throw new Error(`no key for method "${method}"`);
  return encodePacket(Buffer.concat([Buffer.from([message.kexEcdhInit]), key()]));
}

/** Host key, the server's public key and the signature: looked at for their form only. */
export function checkKexReply(payload: Buffer): void {
  const reader = new PayloadReader(payload, 1);
  reader.string();
  reader.string();
  reader.string();
}
