import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { judge, parseSet, peerKey, resetTtl, type SeenTtl, type TtlSet } from "../../src/collectors/reset-ttl.ts";
import type { Reading } from "../../src/model/collector.ts";
import { waitFor } from "../kernel/wait.ts";

/** As nft 1.0.6 prints it. */
const listed = (elements: string): string =>
  `{"nftables": [{"metainfo": {"version": "1.0.6", "release_name": "Lester Gooch #5", "json_schema_version": 1}}, {"set": {"family": "inet", "name": "resets_own4", "table": "ssh_reset_exporter", "type": ["ipv4_addr", "inet_service", "integer"], "handle": 3, "size": 8192, "flags": ["timeout"], "timeout": 30${elements}}}]}`;
const element = (address: string, port: number, ttl: number, expires: number): string =>
  `{"elem": {"val": {"concat": ["${address}", ${port}, ${ttl}]}, "expires": ${expires}}}`;

describe("a set of the observing table", () => {
  it("gives address, port, TTL and when it was seen last", () => {
    const text = listed(`, "elem": [${element("127.0.0.1", 58236, 64, 29)}, ${element("127.0.0.1", 58250, 63, 10)}]`);
    expect([...parseSet(text, 30, 100_000)]).to.deep.equal([
      ["127.0.0.1 58236", [{ ttl: 64, lastMs: 99_000 }]],
      ["127.0.0.1 58250", [{ ttl: 63, lastMs: 80_000 }]],
    ]);
  });

  it("may be empty", () => {
    expect(parseSet(listed(""), 30, 0).size).to.equal(0);
  });

  it("of another form is an error that quotes it", () => {
    expect(() => parseSet('{"nftables": []}', 30, 0)).to.throw(/no set in its answer: "\{\\"nftables/);
    expect(() => parseSet(listed(', "elem": ["127.0.0.1"]'), 30, 0)).to.throw(
      'unknown form of an element: "127.0.0.1"',
    );
    for (const text of ["<", "null", '{"nftables": 7}', '{"nftables": [{"set": {"elem": 7}}]}']) {
      expect(() => parseSet(text, 30, 0)).to.throw("nft: no set in its answer");
    }
  });
});

describe("a reset's verdict", () => {
  const reset = { address: "192.0.2.1", port: 50_000, timeMs: 10_000 };
  interface Element extends SeenTtl {
    readonly port: number;
  }
  const seen = (ttl: number, lastMs = 9_500, port = 50_000): Element => ({ port, ttl, lastMs });
  const setOf = (elements: readonly Element[] = []): TtlSet =>
    new Map(
      [...new Set(elements.map(({ port }) => port))].map((port) => [
        peerKey(reset.address, port),
        elements.filter((element) => element.port === port),
      ]),
    );
  const sets = (given: { own?: Element[]; odd?: Element[]; segments?: Element[] }) => ({
    own: setOf(given.own),
    odd: setOf(given.odd),
    segments: setOf(given.segments),
  });

  for (const [what, given, verdict] of [
    ["the peer's own TTL", sets({ own: [seen(57)] }), "peer"],
    ["a TTL that is 7 off", sets({ odd: [seen(64)], segments: [seen(57, 0)] }), "middlebox"],
    ["a TTL that is 3 off", sets({ odd: [seen(60)], segments: [seen(57, 0)] }), "middlebox"],
    ["a TTL that is 2 off", sets({ odd: [seen(59)], segments: [seen(57, 0)] }), "peer"],
    ["a TTL near one of two", sets({ odd: [seen(63)], segments: [seen(57, 0), seen(64, 0)] }), "peer"],
    [
      "a forged one beside the peer's own",
      sets({ own: [seen(57)], odd: [seen(200)], segments: [seen(57, 0)] }),
      "peer",
    ],
    ["a forged one beside one that is near", sets({ odd: [seen(200), seen(58)], segments: [seen(57, 0)] }), "peer"],
    ["no segment seen", sets({ odd: [seen(64)] }), "unknown"],
    ["segments of another port only", sets({ odd: [seen(64)], segments: [seen(57, 0, 50_001)] }), "unknown"],
    ["no reset seen", sets({ segments: [seen(57, 0)] }), "unknown"],
    ["a reset 2 seconds before", sets({ odd: [seen(64, 7_500)], segments: [seen(57, 0)] }), "middlebox"],
    ["a reset 3 seconds before", sets({ odd: [seen(64, 7_000)], segments: [seen(57, 0)] }), "unknown"],
    ["a reset 3 seconds later", sets({ odd: [seen(64, 13_000)], segments: [seen(57, 0)] }), "unknown"],
  ] as const)
    it(`with ${what} is ${verdict}`, () => {
      expect(judge(reset, given)).to.equal(verdict);
    });
});

describe("the reset-ttl collector with an nft that misbehaves", () => {
  const path = process.env["PATH"];
  let bin: string;

  beforeEach(() => {
    bin = mkdtempSync(join(tmpdir(), "ssh-reset-exporter-nft-"));
    process.env["PATH"] = bin;
  });
  afterEach(() => {
    process.env["PATH"] = path;
    rmSync(bin, { recursive: true });
  });

  function nftDoes(script: string): void {
    writeFileSync(join(bin, "nft"), `#!/bin/sh\n${script}\n`);
    chmodSync(join(bin, "nft"), 0o755);
  }

  /** The first reading after the background work has tried. */
  async function reading(recentResets = true): Promise<Reading> {
    const stop = new AbortController();
    const collector = resetTtl.create({
      paths: { procfs: "/proc", sysfs: "/sys", rootfs: "/", tracefs: "/sys/kernel/tracing" },
      nowMs: Date.now,
      sshdPorts: () => [22],
      onWarning: () => undefined,
      ...(recentResets && { recentResets: () => [] }),
    });
    const running = collector.run?.(stop.signal);
    try {
      let last: Reading | undefined;
      await waitFor(
        async () => {
          last = await collector.read();
          return last.status === "ok" || last.reason !== "not read yet";
        },
        () => "never read",
      );
      if (last === undefined) throw new Error("never read");
      return last;
    } finally {
      stop.abort();
      await running;
    }
  }

  async function failure(): Promise<string> {
    try {
      await reading();
    } catch (error) {
      return String(error);
    }
    return "";
  }

  it("is absent where nft is missing", async () => {
    const { status, reason, grant } = (await reading()) as { status: string; reason: string; grant: string };
    expect({ status, grant }).to.deep.equal({ status: "absent", grant: "install nftables 0.9.4 or newer" });
    expect(reason).to.match(/^nft: not found/);
  });

  it("is absent without the right to read, and says which", async () => {
    nftDoes("echo 'Operation not permitted (you must be root)' >&2; exit 1");
    const { status, grant } = (await reading()) as { status: string; grant: string };
    expect({ status, grant }).to.deep.equal({
      status: "absent",
      grant: "CAP_NET_ADMIN: AmbientCapabilities= in the unit",
    });
  });

  it("fails with nft's own words", async () => {
    nftDoes("echo 'Error: syntax error, unexpected junk' >&2; exit 1");
    expect(await failure()).to.equal("Error: nft: exit code 1: Error: syntax error, unexpected junk");
  });

  it("fails where the answer is no JSON", async () => {
    nftDoes("echo no json");
    expect(await failure()).to.equal('Error: nft: no set in its answer: "no json\\n"');
  });

  it("is absent, and starts nothing, where reset events are not read", async () => {
    nftDoes("echo 'must not run' >&2; exit 1");
    expect(await reading(false)).to.deep.equal({
      status: "absent",
      reason: "needs the kernel's TCP reset events, which are not read",
    });
  });

  it("starts at 0", async () => {
    nftDoes(`echo '${listed("")}'`);
    expect(await reading()).to.deep.equal({
      status: "ok",
      samples: ["middlebox_resets", "resets_ttl_compared", "resets_ttl_unknown"].map((name) => ({
        name: `sshreset_${name}_total`,
        value: 0,
      })),
    });
  });
});
