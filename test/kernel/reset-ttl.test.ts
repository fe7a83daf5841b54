/**
 * Who sent the reset, on real packets: the peer, a router between, or a forger out of the window. The client's TTL is
 * 128, so that its segments arrive with 127 and the router's with 64.
 */
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { resetTtl } from "../../src/collectors/reset-ttl.ts";
import type { Collector, ReceivedReset } from "../../src/model/collector.ts";
import { loadRuleset } from "../../src/observe/nft.ts";
import { removalText, rulesetText } from "../../src/observe/ruleset.ts";
import { parse } from "../../src/parsers/index.ts";
import { createTcpTraceSource } from "../../src/sources/tcp-trace.ts";
import { skip } from "../../tools/skip.ts";
import { type Lab, setInNamespace } from "../netns.ts";
import { type LabSshd, startSshd } from "./sshd.ts";
import { openTracedLab } from "./traced-lab.ts";
import type { TracefsMount } from "./tracefs.ts";
import { waitFor } from "./wait.ts";

describe("the TTL of resets", function () {
  this.timeout(120_000);
  const path = process.env["PATH"];
  const bin = mkdtempSync(join(tmpdir(), "ssh-reset-exporter-nft-"));
  const stop = new AbortController();
  const resets: ReceivedReset[] = [];
  let background: Promise<unknown> = Promise.resolve();
  let lab: Lab;
  let tracefs: TracefsMount;
  let sshd: LabSshd;
  let collector: Collector;

  before(async function () {
    if (spawnSync("python3", ["-c", ""]).status !== 0) skip(this, "needs python3 to forge packets");
    const opened = await openTracedLab(this);
    ({ lab, tracefs } = opened);
    const { nft } = opened;
    await setInNamespace(lab.client, "net/ipv4/ip_default_ttl", 128);
    await setInNamespace(lab.client, "net/ipv6/conf/c0/hop_limit", 128);
    // The nft in PATH is the server's.
    const libraries = nft.env["LD_LIBRARY_PATH"] ?? "";
    for (const { name, namespace } of [
      { name: "nft", namespace: lab.server.name },
      { name: "nft-router", namespace: lab.router.name },
    ]) {
      writeFileSync(
        join(bin, name),
        `#!/bin/sh\nexec ip netns exec ${namespace} env LD_LIBRARY_PATH=${libraries} ${nft.path} "$@"\n`,
      );
      chmodSync(join(bin, name), 0o755);
    }
    process.env["PATH"] = `${bin}:${path}`;
    sshd = await startSshd(lab.server);

    const source = createTcpTraceSource({
      position: undefined,
      fromBeginning: false,
      idents: [],
      onWarning: (message, details) => expect.fail(`${message} ${JSON.stringify(details)}`),
      tracefs: tracefs.path,
      procfs: "/proc",
      ports: () => [22],
      localAddresses: () => new Set([lab.server.address, lab.server.address6]),
    });
    const reading = (async () => {
      for await (const { records } of source.batches(stop.signal))
        for (const record of records) {
          const event = parse(record);
          if (event?.kind === "tcp.reset_received" && event.address !== undefined && event.port !== undefined)
            resets.push({ timeMs: record.timeMs, address: event.address, port: event.port });
        }
    })();
    collector = resetTtl.create({
      paths: { procfs: "/proc", sysfs: "/sys", rootfs: "/", tracefs: tracefs.path },
      nowMs: Date.now,
      sshdPorts: () => [22],
      onWarning: (message) => expect.fail(message),
      recentResets: () => resets.filter(({ timeMs }) => Date.now() - timeMs < 60_000),
    });
    background = Promise.all([reading, collector.run?.(stop.signal)]);
  });

  after(async () => {
    stop.abort();
    await background;
    await sshd?.close();
    lab?.close();
    tracefs?.close();
    process.env["PATH"] = path;
    rmSync(bin, { recursive: true });
  });

  async function counts(): Promise<Record<string, number>> {
    const reading = await collector.read();
    if (reading.status !== "ok") return { absent: 1 };
    return Object.fromEntries(
      reading.samples.map(({ name, value }) => [name.replace(/^sshreset_(.*)_total$/, "$1"), Number(value)]),
    );
  }

  const run = (program: string, ...args: string[]): string => {
    const { status, stdout, stderr } = spawnSync(join(bin, program), args, { encoding: "utf8" });
    if (status !== 0) throw new Error(`${program} ${args.join(" ")}: ${stderr}`);
    return stdout;
  };

  /** A session that writes all the time; its client's port. */
  async function session(address: string): Promise<number> {
    const logged = sshd.log().split("Accepted publickey").length;
    lab.client.start("ssh", [
      ...["-i", sshd.identityFile, "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"],
      ...[`root@${address}`, "while echo tick; do sleep 0.2; done"],
    ]);
    await waitFor(
      () => sshd.log().split("Accepted publickey").length > logged,
      () => `no login: ${sshd.log()}`,
    );
    return Number(/port (\d+) ssh2(?![\s\S]*port \d+ ssh2)/.exec(sshd.log())?.[1]);
  }

  const established = (): Promise<string> =>
    lab.server.run("ss", ["-Htn", "state", "established", "sport", "=", ":22"]);

  it("says what is missing before the table is there", async () => {
    await waitFor(
      async () => {
        const reading = await collector.read();
        return reading.status === "absent" && reading.reason !== "not read yet";
      },
      () => "it does not say so",
    );
    expect(await collector.read()).to.deep.equal({
      status: "absent",
      reason: "there is no nftables table inet ssh_reset_exporter",
      grant: "as root: ssh-reset-exporter observe install",
    });
  });

  it("installs its table twice as once, and leaves other tables alone", async () => {
    run("nft", "add table inet other; add chain inet other c; add rule inet other c counter");
    await loadRuleset(rulesetText([22]));
    const once = run("nft", "list", "ruleset");
    await loadRuleset(rulesetText([22]));
    expect(run("nft", "list", "ruleset")).to.equal(once);
    expect(once).to.include("table inet other").and.to.include("table inet ssh_reset_exporter");
    expect(once).to.not.match(/\b(drop|reject)\b/);
    await waitFor(
      async () => (await collector.read()).status === "ok",
      () => "the collector does not find it",
      30_000,
    );
  });

  it("tells the peer's own reset", async () => {
    await session(lab.server.address);
    const before = await counts();
    await lab.client.run("ss", ["-K", "state", "established", "dport", "=", ":22"]);
    await waitFor(
      async () => ((await counts())["resets_ttl_compared"] ?? 0) === 1,
      () => `not judged: ${JSON.stringify(before)}`,
    );
    expect(await counts()).to.deep.equal({ middlebox_resets: 0, resets_ttl_compared: 1, resets_ttl_unknown: 0 });
  });

  it("is not moved by 10,000 forged resets out of the window, half of them from the session's own port", async () => {
    const port = await session(lab.server.address);
    const before = { counts: await counts(), resets: resets.length };
    const forge = join(import.meta.dirname, "forge.py");
    for (const sourcePort of [[], [String(port)]]) {
      const args = [forge, lab.client.address, lab.server.address, "22", "200", "5000", ...sourcePort];
      const [code] = await once(lab.client.start("python3", args), "close");
      expect(code).to.equal(0);
    }
    expect(run("nft", "list", "set", "inet", "ssh_reset_exporter", "resets_odd4")).to.include(`. ${port} . 199`);
    expect(await established()).to.include(`:${port}`);
    expect({ counts: await counts(), resets: resets.length }).to.deep.equal(before);
  });

  it("tells the router's reset, IPv4", async () => {
    const { middlebox_resets: before = 0 } = await counts();
    run("nft-router", "add table inet middlebox; add chain inet middlebox f { type filter hook forward priority 10; }");
    run("nft-router", "add rule inet middlebox f tcp sport 22 reject with tcp reset");
    await waitFor(
      async () => (await counts())["middlebox_resets"] === before + 1,
      () => "not told",
    );
    expect(await established()).to.equal("");
    run("nft-router", "delete table inet middlebox");
  });

  it("tells the router's reset, IPv6", async () => {
    await session(lab.server.address6);
    run("nft-router", "add table inet middlebox; add chain inet middlebox f { type filter hook forward priority 10; }");
    run("nft-router", "add rule inet middlebox f tcp sport 22 reject with tcp reset");
    await waitFor(
      async () => (await counts())["middlebox_resets"] === 2,
      () => "not told",
    );
    expect(await counts()).to.deep.equal({ middlebox_resets: 2, resets_ttl_compared: 3, resets_ttl_unknown: 0 });
    run("nft-router", "delete table inet middlebox");
  });

  it("removes its table twice as once, and leaves other tables alone", async () => {
    await loadRuleset(removalText);
    await loadRuleset(removalText);
    expect(run("nft", "list", "ruleset"))
      .to.include("table inet other")
      .and.to.not.include("ssh_reset_exporter");
  });
});
