/**
 * What real daemons wrote at LogLevel VERBOSE on loopback, hostile names and banners among the clients: Debian 12's OpenSSH
 * 9.2p1 and Debian 13's 10.0p2. Every line is understood, and every address is the loopback's.
 */
import { readdirSync, readFileSync } from "node:fs";
import { expect } from "chai";
import { parse } from "../../src/parsers/index.ts";

const folder = new URL("../fixtures/messages/real/", import.meta.url);

describe("real logs", () => {
  for (const name of readdirSync(folder)) {
    const messages = readFileSync(new URL(name, folder), "utf8").split("\n").slice(0, -1);
    const events = messages.map((message) =>
      parse({ source: "logfile", timeMs: 0, ident: "sshd", pid: 1, message, count: 1 }),
    );

    it(`${name}: no line unmatched`, () => {
      expect(messages.length).to.be.greaterThan(200);
      expect(messages.filter((_, i) => events[i] === undefined)).to.deep.equal([]);
    });

    it(`${name}: no address but the peer's, and that nearly always`, () => {
      const addresses = events.map((event) =>
        event !== undefined && "address" in event && event.kind !== "sshd.listening" ? event.address : undefined,
      );
      expect([...new Set(addresses)]).to.have.members(["127.0.0.1", "::1", undefined]);
      expect(addresses.filter((address) => address !== undefined).length).to.be.greaterThan(100);
    });
  }
});
