/** What peers send: SSH packets and key exchange messages to the probe, headers to the web server. */
import {
  checkKexReply,
  kexEcdhInitPacket,
  kexInitPacket,
  negotiate,
  offerFor,
  parseKexInit,
  sshOffer,
} from "../../src/probe/key-exchange.ts";
import { decodePacket, ProtocolError, visible } from "../../src/probe/ssh-packet.ts";
import { acceptsGzip } from "../../src/web/app.ts";
import { parseBasic } from "../../src/web/basic-auth.ts";
import { allowing, must, shape, type Target } from "./target.ts";

export const networkTargets: readonly Target[] = [
  {
    name: "ssh-packet",
    seeds: () => [
      kexInitPacket(sshOffer),
      kexInitPacket(offerFor("small")),
      kexEcdhInitPacket("curve25519-sha256"),
      Buffer.from("SSH-2.0-OpenSSH_9.2\r\n"),
    ],
    check(input) {
      must(visible(input).length <= 4 * 200 + 3, "text of a peer's without bound");
      const packet = allowing(() => decodePacket(input), ProtocolError);
      if (packet === undefined || typeof packet === "string") return shape(packet);
      must(packet.payload.length + packet.rest.length < input.length, "more than there was");
      const lists = allowing(() => parseKexInit(packet.payload), ProtocolError);
      const reply = allowing(() => checkKexReply(packet.payload), ProtocolError);
      const agreed = typeof lists === "string" ? lists : allowing(() => negotiate(sshOffer, lists), ProtocolError);
      return `${shape(lists)} ${shape(reply)} ${shape(agreed)}`;
    },
  },
  {
    name: "http-headers",
    seeds: () =>
      ["gzip, deflate;q=0.5", "*;q=0, gzip;q=1.0", "identity", "Basic YWxpY2U6c2VjcmV0", "basic  YQ=="].map((text) =>
        Buffer.from(text),
      ),
    check(input) {
      const header = input.toString("latin1");
      return `${acceptsGzip(header)} ${shape(parseBasic(header))}`;
    },
  },
];
