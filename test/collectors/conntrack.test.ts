import { spawnSync } from "node:child_process";
import { expect } from "chai";
import { conntrack, parseConntrackS, parseConntrackStat } from "../../src/collectors/conntrack.ts";
import { debianOr } from "../../tools/debian.ts";
import { skip } from "../../tools/skip.ts";
import { contextOf, fakeProgram, healthyHost, hostWith, pathsBelow, table, until, withPath } from "./fixture-host.ts";

const withoutStat = {
  "proc/sys/net/netfilter/nf_conntrack_count": "40\n",
  "proc/sys/net/netfilter/nf_conntrack_max": "262144\n",
};

describe("conntrack", () => {
  it("reads entries, limit and the events of all CPUs", async () => {
    const reading = await conntrack.create(contextOf(pathsBelow(healthyHost))).read();
    expect(reading.status === "ok" && table(reading.samples)).to.deep.equal({
      conntrack_entries: 40,
      conntrack_entries_limit: 262144,
      'conntrack_info{source="procfs"}': 1,
      conntrack_drops_total: 0,
      conntrack_early_drops_total: 0,
      conntrack_insert_failures_total: 3,
      conntrack_invalid_total: 48,
      conntrack_errors_total: 1,
      conntrack_search_restarts_total: 7,
      conntrack_clashes_resolved_total: 1,
      conntrack_chains_too_long_total: 0,
    });
  });

  it("is absent where connection tracking is not loaded", async () => {
    const reading = await conntrack.create(contextOf(pathsBelow(hostWith({})))).read();
    expect(reading.status).to.equal("absent");
  });

  it("finds the module when it is loaded later", async () => {
    const { mkdirSync, writeFileSync } = await import("node:fs");
    const root = hostWith({});
    const collector = conntrack.create(contextOf(pathsBelow(root)));
    expect((await collector.read()).status).to.equal("absent");
    mkdirSync(`${root}/proc/sys/net/netfilter`, { recursive: true });
    for (const [path, text] of Object.entries(withoutStat)) writeFileSync(`${root}/${path}`, text);
    expect((await collector.read()).status).to.equal("ok");
  });

  it("quotes a count that is none", () => {
    const root = hostWith({ ...withoutStat, "proc/sys/net/netfilter/nf_conntrack_count": "many\n" });
    const collector = conntrack.create(contextOf(pathsBelow(root)));
    expect(() => collector.read()).to.throw(`${root}/proc/sys/net/netfilter/nf_conntrack_count: "many" is no count`);
  });

  // The next two: kernels differ in their columns, so the header decides.
  it("reads the columns of Linux 6.18 with a full table, two CPUs", () => {
    const text = `entries  clashres found new invalid ignore delete chainlength insert insert_failed drop early_drop icmp_error  expect_new expect_create expect_delete search_restart
00000028  00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000011 00000000 00000000  00000000 00000000 00000000 00000000
00000028  00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000007 00000000 00000000  00000000 00000000 00000000 00000000
`;
    expect(parseConntrackStat(text, "stat").get("drop")).to.equal(24);
  });

  it("reads the columns of Linux 4.9, which had searched and delete_list", () => {
    const text = `entries  searched found new invalid ignore delete delete_list insert insert_failed drop early_drop icmp_error  expect_new expect_create expect_delete search_restart
0000000a  00000001 00000002 00000003 00000004 00000005 00000006 00000007 00000008 00000009 0000000b 0000000c 0000000d  00000000 00000000 00000000 ffffffff
`;
    const sums = parseConntrackStat(text, "stat");
    expect([sums.get("drop"), sums.get("early_drop"), sums.get("search_restart"), sums.get("clashres")]).to.deep.equal([
      11,
      12,
      4294967295,
      undefined,
    ]);
  });

  for (const [name, text, message] of [
    ["no header", "00000028 00000000\n", 'stat: "00000028 00000000" is no header'],
    ["a short row", "entries drop\n00000001\n", `stat: "00000001" has not the header's 2 columns`],
    ["a value that is not hexadecimal", "entries drop\n00000001 -1\n", 'stat: drop "-1" is no hexadecimal count'],
  ] as const) {
    it(`refuses ${name}`, () => {
      expect(() => parseConntrackStat(text, "stat")).to.throw(message);
    });
  }

  it("reads conntrack -S, summed over CPUs", () => {
    const line =
      "found=0 invalid=0 insert=0 insert_failed=0 drop=17 early_drop=2 error=0 search_restart=0 clash_resolve=1 chaintoolong=0";
    const sums = parseConntrackS(`cpu=0   \t${line} \ncpu=1   \t${line} \n`);
    expect([sums.get("drop"), sums.get("early_drop"), sums.get("clash_resolve")]).to.deep.equal([34, 4, 2]);
  });

  it("reads what the real conntrack -S says", async function () {
    const tool = await debianOr(this, "conntrack");
    const answer = spawnSync(tool.path, ["-S"], { env: tool.env as NodeJS.ProcessEnv, encoding: "utf8" });
    if (answer.status !== 0) return skip(this, `conntrack -S: ${answer.stderr.trim()}`);
    expect(parseConntrackS(answer.stdout)).to.include.keys(
      "drop",
      "early_drop",
      "insert_failed",
      "invalid",
      "search_restart",
    );
  });

  for (const text of ["", "conntrack v1.4.7\n", "cpu=0 drop=x\n"]) {
    it(`refuses ${JSON.stringify(text)} as output of conntrack -S`, () => {
      expect(() => parseConntrackS(text)).to.throw(/^conntrack -S: /);
    });
  }

  it("takes netlink where the proc file is missing", async () => {
    const folder = fakeProgram(
      "conntrack",
      'echo "cpu=0 found=0 invalid=3 insert_failed=0 drop=17 early_drop=0 error=0 search_restart=0"',
    );
    const collector = conntrack.create(contextOf(pathsBelow(hostWith(withoutStat))));
    const stop = new AbortController();
    const samples = await withPath(`${folder}:${process.env["PATH"]}`, async () => {
      const done = collector.run?.(stop.signal);
      const found = await until("netlink", async () => {
        const reading = await collector.read();
        const values = reading.status === "ok" ? table(reading.samples) : {};
        return "conntrack_drops_total" in values ? values : undefined;
      });
      stop.abort();
      await done;
      return found;
    });
    expect(samples).to.include({
      'conntrack_info{source="netlink"}': 1,
      conntrack_drops_total: 17,
      conntrack_invalid_total: 3,
    });
    expect(samples).to.not.have.property("conntrack_clashes_resolved_total");
  });

  for (const [name, script, grant] of [
    ["missing", undefined, "install the conntrack program"],
    [
      "not permitted",
      'echo "Operation failed: sorry, you must be root" >&2; exit 1',
      "let the exporter have CAP_NET_ADMIN",
    ],
  ] as const) {
    it(`says what would grant the events where conntrack is ${name}`, async () => {
      const folder = script === undefined ? hostWith({}) : fakeProgram("conntrack", script);
      const collector = conntrack.create(contextOf(pathsBelow(hostWith(withoutStat))));
      const stop = new AbortController();
      await withPath(`${folder}`, async () => {
        const done = collector.run?.(stop.signal);
        const missing = await until("the reason", async () => {
          const reading = await collector.read();
          return reading.status === "ok" ? reading.missing?.[0] : undefined;
        });
        expect(missing.grant).to.equal(grant);
        stop.abort();
        await done;
      });
    });
  }
});
