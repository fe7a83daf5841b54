/** What peers send: SSH packets and key exchange messages to the probe, headers to the web server. */

import { ConfigError } from "../../src/config/error.ts";
import { outsideReport, ProbesInLog, probesIn } from "../../src/diagnose/probe-results.ts";
import { checklist } from "../../src/diagnosis/checklist.ts";
import {
  checkKexReply,
  kexEcdhInitPacket,
  kexInitPacket,
  negotiate,
  offerFor,
  parseKexInit,
  sshOffer,
} from "../../src/probe/key-exchange.ts";
import type { ProbeResult } from "../../src/probe/probe.ts";
import { toJson } from "../../src/probe/report.ts";
import { decodePacket, ProtocolError, visible } from "../../src/probe/ssh-packet.ts";
import { acceptsGzip } from "../../src/web/app.ts";
import { parseBasic } from "../../src/web/basic-auth.ts";
import { allowing, must, shape, type Target } from "./target.ts";

const probed: ProbeResult = {
  target: { host: "bastion", port: 22 },
  address: "192.0.2.1",
  timeMs: 0,
  local: { address: "2001:db8::7", port: 40_001 },
  result: "reset",
  failure: { phase: "kex_init", reason: "reset", errno: "ECONNRESET", detail: "x" },
  phaseSeconds: { dns: 0.1, connect: 0.2 },
  durationSeconds: 0.3,
  banner: "SSH-2.0-x",
  text: ["Exceeded MaxStartups"],
};
const nothingFound = checklist({
  fromMs: 0,
  toMs: 1,
  seen: new Map(),
  symptom: { state: "inactive", explainedBy: [] },
  ends: { visible: true },
});

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
    name: "probe-results",
    seeds: () => [
      Buffer.from(toJson(probed)),
      Buffer.from(toJson(probed) + toJson({ ...probed, result: "ok", failure: undefined } as never)),
      Buffer.from(toJson({ probe: probed, outwards: { stalled: 1420 }, inwards: { stalled: true } })),
      Buffer.from(toJson({ probe: probed, cutAfterSeconds: 60, cutBy: "idle" })),
    ],
    check(input) {
      const looks = allowing(() => probesIn(input.toString(), "probe.json"), ConfigError);
      if (typeof looks === "string") return shape(looks);
      const log = new ProbesInLog(looks);
      const said = outsideReport(looks, {
        window: { fromMs: 0, toMs: 1 },
        report: nothingFound,
        log,
        saved: undefined,
      });
      const { view, target, sentence, because } = said;
      // What a terminal obeys.
      for (const text of [target, sentence, ...because, ...Object.keys(said.saw)]) must(!/\p{Cc}/u.test(text), text);
      return `${view} ${looks.length}`;
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
