/** /probe over HTTP: targets, time, concurrency, and what it publishes. */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { expect } from "chai";
import express from "express";
import { parseAllowEntry } from "../../src/probe/target.ts";
import { type ProbeHandlerOptions, probeHandler } from "../../src/web/probe.ts";
import { type FaultServer, faultServer } from "./fault-server.ts";

interface Page {
  readonly status: number;
  readonly text: string;
}
interface Site {
  get(query: string, headers?: Record<string, string>): Promise<Page>;
  close(): Promise<void>;
}

async function site(allow: readonly string[], more: Partial<ProbeHandlerOptions> = {}): Promise<Site> {
  const app = express();
  app.get(
    "/probe",
    probeHandler({
      allow: allow.map(parseAllowEntry),
      identification: "SSH-2.0-test",
      minimumIntervalMs: 200,
      timeoutMs: 1000,
      ...more,
    }),
  );
  const server: Server = createServer(app);
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const { port } = server.address() as AddressInfo;
  return {
    async get(query, headers = {}) {
      const response = await fetch(`http://127.0.0.1:${port}/probe?${query}`, { headers });
      return { status: response.status, text: await response.text() };
    },
    close: () =>
      new Promise((done) => {
        server.closeAllConnections();
        server.close(() => done());
      }),
  };
}

describe("/probe", function () {
  this.timeout(20_000);
  const closing: (() => Promise<void>)[] = [];
  const keep = <T extends { close(): Promise<void> }>(thing: T): T => {
    closing.push(() => thing.close());
    return thing;
  };
  afterEach(async () => {
    for (const close of closing.splice(0)) await close();
  });
  const target = (server: FaultServer): string => `127.0.0.1:${server.port}`;

  it("publishes success, duration, phases and the one failure", async () => {
    const server = keep(await faultServer("kex_init", "reset"));
    const { get } = keep(await site([target(server)]));
    const { status, text } = await get(`target=${target(server)}&module=ssh`);
    expect(status).to.equal(200);
    expect(text)
      .to.match(/^probe_success 0$/m)
      .and.match(/^probe_duration_seconds 0\.\d+$/m);
    expect(text)
      .to.match(/^sshreset_probe_phase_duration_seconds\{phase="banner"\} [\d.e-]+$/m)
      .and.not.include('_seconds{phase="kex_reply"}');
    expect(text.match(/^sshreset_probe_failure\{.*\} 1$/gm)).to.deep.equal([
      'sshreset_probe_failure{phase="kex_init",reason="reset"} 1',
    ]);
    expect(text.match(/^sshreset_probe_failure\{.*\} 0$/gm)).to.have.length(6 * 6 - 1);
    expect(text).to.match(/^sshreset_probe_throttled 0$/m);
  });

  it("probes nothing that is not listed, and does not say what a name resolves to", async () => {
    const server = keep(await faultServer("banner", "close"));
    const reasons: string[] = [];
    const closed = keep(await site([]));
    expect(await closed.get(`target=${target(server)}`)).to.deep.equal({
      status: 403,
      text: "the target is not in the allow-list of this exporter\n",
    });
    const open = keep(
      await site(["192.0.2.0/24", "0.0.0.0/0"], { onRefused: (where, why) => reasons.push(`${where}: ${why}`) }),
    );
    const { status, text } = await open.get("target=169.254.169.254");
    expect([status, text]).to.deep.equal([403, "the target is not in the allow-list of this exporter\n"]);
    expect(reasons).to.deep.equal([
      "169.254.169.254:22: 169.254.169.254 is link-local, a metadata service or no host's address",
    ]);
    expect(server.connections()).to.equal(0);
  });

  it("judges the address that a name resolves to: a listed network does not admit another's name", async () => {
    const server = keep(await faultServer("banner", "close"));
    const { get } = keep(await site([`192.0.2.0/24:${server.port}`]));
    expect((await get(`target=localhost:${server.port}`)).status).to.equal(403);
    expect(server.connections()).to.equal(0);
  });

  for (const [query, headers, error] of [
    ["", {}, /exactly one target is needed/],
    ["target=a&target=b", {}, /exactly one target is needed/],
    ["target=host:70000", {}, /port "70000" in target "host:70000" is not between 1 and 65535/],
    ["target=host&module=mtu", {}, /unknown module "mtu"; there are: ssh/],
    [
      "target=host",
      { "X-Prometheus-Scrape-Timeout-Seconds": "soon" },
      /X-Prometheus-Scrape-Timeout-Seconds: "soon" is no time/,
    ],
  ] as const) {
    it(`answers 400 to ${query || "nothing"} ${JSON.stringify(headers)}`, async () => {
      const { get } = keep(await site(["host"]));
      const { status, text } = await get(query, headers);
      expect(status).to.equal(400);
      expect(text).to.match(error);
    });
  }

  it("answers before the scrape's own timeout", async () => {
    const server = keep(await faultServer("banner", "stall"));
    const { get } = keep(await site([target(server)], { timeoutMs: 15_000 }));
    const start = performance.now();
    const { text } = await get(`target=${target(server)}`, { "X-Prometheus-Scrape-Timeout-Seconds": "1.5" });
    expect(performance.now() - start).to.be.within(900, 5_000);
    expect(text).to.include('sshreset_probe_failure{phase="banner",reason="timeout"} 1');
  });

  it("makes one connection of a hundred requests at once, and keeps its interval", async () => {
    const server = keep(await faultServer("kex_reply", "close"));
    const { get } = keep(await site([target(server)], { minimumIntervalMs: 60_000 }));
    const pages = await Promise.all(Array.from({ length: 100 }, () => get(`target=${target(server)}`)));
    expect(pages.every(({ status, text }) => status === 200 && text.includes("probe_success 0"))).to.equal(true);
    expect(server.connections()).to.equal(1);
  });

  it("keeps the interval between two ports of one address too, or says 503", async () => {
    const one = keep(await faultServer("banner", "close"));
    const two = keep(await faultServer("banner", "close"));
    const { get } = keep(await site([target(one), target(two)], { minimumIntervalMs: 5000 }));
    expect((await get(`target=${target(one)}`)).status).to.equal(200);
    const { status, text } = await get(`target=${target(two)}`);
    expect([status, text]).to.deep.equal([503, "no turn in time: one connection per 5 s and address\n"]);
    expect(two.connections()).to.equal(0);
  });

  it("lets no more through at a time than it may", async () => {
    const addresses = Array.from({ length: 40 }, (_, i) => `127.0.1.${i + 1}`);
    const server = keep(await faultServer("banner", "stall", { host: "0.0.0.0" }));
    const { get } = keep(await site([`127.0.0.0/8:${server.port}`], { concurrency: 4, timeoutMs: 800 }));
    const pages = await Promise.all(addresses.map((address) => get(`target=${address}:${server.port}`)));
    const statuses = pages.map(({ status }) => status);
    expect(statuses.filter((status) => status === 503)).to.have.length(36);
    expect(pages.find(({ status }) => status === 503)?.text).to.equal("in line too long: 4 probes at a time\n");
    expect(server.connections()).to.equal(4);
  });
});
