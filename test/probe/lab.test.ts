/** The probe against real servers and a network of our own to break: needs root, Debian packages from the cache. */
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { expect } from "chai";
import { debian, debianOr } from "../../tools/debian.ts";
import { skip } from "../../tools/skip.ts";
import { waitFor } from "../kernel/wait.ts";
import { type Lab, labProblem, type Namespace, openLab } from "../netns.ts";
import { type Daemon, holdConnection, startDropbear, startHaproxy, startSshd } from "./daemons.ts";

interface Answer {
  readonly status: number;
  readonly text: string;
}

const main = new URL("../../src/cli/main.ts", import.meta.url).pathname;

const run = (program: string, ...args: readonly string[]): Promise<Answer> =>
  new Promise((resolve) => {
    execFile(program, args, { timeout: 60_000 }, (error, stdout, stderr) => {
      resolve({ status: error === null ? 0 : Number(error.code), text: stdout + stderr });
    });
  });

/** The command itself, in the namespace. */
const command = (namespace: Namespace, ...args: readonly string[]): Promise<Answer> =>
  run("ip", "netns", "exec", namespace.name, process.execPath, "--import=tsx", main, ...args);
const probe = (namespace: Namespace, ...args: readonly string[]): Promise<Answer> =>
  command(namespace, "probe", ...args);

describe("probe in a lab", function () {
  this.timeout(120_000);
  let lab: Lab;
  const daemons: Daemon[] = [];
  const keep = <T extends Daemon>(daemon: T): T => {
    daemons.push(daemon);
    return daemon;
  };

  before(async function () {
    const problem = labProblem();
    if (problem !== undefined) skip(this, problem);
    for (const program of ["ethtool", "haproxy", "nft", "dropbear", "ssh"] as const) await debianOr(this, program);
    await debianOr(this, "sshd", "trixie");
    await debianOr(this, "sshd");
    lab = await openLab({ offload: false });
  });
  afterEach(async () => {
    for (const daemon of daemons.splice(0)) await daemon.close();
  });
  after(() => lab?.close());

  const releases = [
    ["bookworm", "OpenSSH_9.2p1", "Exceeded MaxStartups"],
    ["trixie", "OpenSSH_10.0p2", "Not allowed at this time"],
  ] as const;
  for (const [suite, version, refusal] of releases) {
    it(`goes through all phases of ${version}, which logs a disconnect and no reset`, async () => {
      const sshd = keep(await startSshd(lab.server, { suite }));
      const { status, text } = await probe(lab.client, lab.server.address);
      expect(text)
        .to.match(/: ok in .*\n(.*\n)* {2}banner: SSH-2\.0-OpenSSH_/)
        .and.include(version);
      expect(status).to.equal(0);
      expect(sshd.log())
        .to.match(/Received disconnect from \S+ port \d+:11: probe \[preauth\]/)
        .and.not.match(/reset/);
    });

    it(`reads "${refusal}" of ${version}`, async () => {
      keep(await startSshd(lab.server, { suite, config: ["MaxStartups 1"] }));
      keep(await holdConnection(lab.client, lab.server.address, 22));
      const { status, text } = await probe(lab.client, lab.server.address);
      expect(text).to.match(/^\S+: (closed|reset) in banner/);
      expect(text).to.include(`text before the banner: ${refusal}\n`).and.include(`sshd itself refused: "${refusal}"`);
      expect(text).to.include("beyond, throttling");
      expect(status).to.equal(1);
    });
  }

  it("goes through all phases of dropbear, over IPv6", async () => {
    keep(await startDropbear(lab.server, 22));
    const { status, text } = await probe(lab.client, `[${lab.server.address6}]:22`);
    expect(text)
      .to.match(/^\[fd77:.*\]:22: ok in/)
      .and.include("banner: SSH-2.0-dropbear_");
    expect(status).to.equal(0);
  });

  it("points at TCP wrappers when they refuse", async () => {
    keep(await startSshd(lab.server, { suite: "bookworm", hostsDeny: "sshd: ALL\n" }));
    const { text } = await probe(lab.client, lab.server.address);
    expect(text)
      .to.match(/^\S+: (reset|closed) in banner/)
      .and.include("cut after 5 s without a banner: so long do TCP wrappers");
  });

  const nft = async (namespace: Namespace, rules: string): Promise<void> => {
    const { path, env } = await debian("nft");
    await namespace.run("env", [`LD_LIBRARY_PATH=${env["LD_LIBRARY_PATH"] ?? ""}`, path, rules]);
  };
  const network = (subnet: number): string => lab.server.address.replace(/\.2\.2$/, `.${subnet}.0/24`);
  /** Every path MTU message is lost; `subnet` 2: what goes to the server, 1: what goes to the client. */
  const blackhole = async (subnet: 1 | 2): Promise<void> => {
    await nft(
      lab.router,
      "add table ip eat; add chain ip eat out { type filter hook output priority 0; }; add rule ip eat out icmp type destination-unreachable drop",
    );
    await lab.router.run("ip", ["route", "change", network(subnet), "dev", `r${subnet}`, "mtu", "lock", "1400"]);
  };
  const heal = async (subnet: 1 | 2): Promise<void> => {
    await nft(lab.router, "delete table ip eat");
    await lab.router.run("ip", ["route", "change", network(subnet), "dev", `r${subnet}`]);
    for (const end of [lab.client, lab.server]) await end.run("ip", ["route", "flush", "cache"]);
  };

  it("is reset on the way: diagnose on the host, given what the probe saw, says that it was done between", async () => {
    const sshd = keep(await startSshd(lab.server, { suite: "bookworm" }));
    const folder = mkdtempSync(join(tmpdir(), "ssh-reset-exporter-between-"));
    const probeFile = join(folder, "probe.json");
    try {
      await nft(
        lab.router,
        "add table ip cut; add chain ip cut pass { type filter hook forward priority 0; }; add rule ip cut pass tcp dport 22 meta length > 600 reject with tcp reset; add rule ip cut pass tcp sport 22 meta length > 600 reject with tcp reset",
      );
      const { status, text } = await probe(lab.client, "--json", lab.server.address);
      expect(status, text).to.equal(1);
      writeFileSync(probeFile, text);
      await waitFor(
        () => /Connection (reset|closed) by/.test(sshd.log()),
        () => sshd.log(),
      );
      const said = sshd.log().split("\n").filter(Boolean);
      const time = new Date().toISOString();
      writeFileSync(join(folder, "auth.log"), said.map((line) => `${time} host sshd[7]: ${line}\n`).join(""));
      const flags = [`--source.logfile=${folder}/auth.log`, "--no-source.journal", `--state.directory=${folder}`];
      const between = await command(lab.server, "diagnose", "--since=5m", `--probe=${probeFile}`, ...flags);
      expect(between.text).to.match(
        /From outside: probes of \S+:22, .*: 1 reset in key exchange init \(ECONNRESET\)\./,
      );
      expect(between.text).to.include("Only outside sees it: it was done between the probe and this host.");
      expect(between.text).to.match(/Of the same connection sshd logged: "Connection reset by \S+ port \d+/);
      expect(between.text).to.include("Both ends were told so by somebody between");
      expect(between.status, between.text).to.equal(0);
    } finally {
      await nft(lab.router, "delete table ip cut");
      rmSync(folder, { recursive: true });
    }
  });

  it("finds the size at which a path MTU blackhole begins, outwards and inwards, and none on a healthy path", async () => {
    const sshd = keep(await startSshd(lab.server, { suite: "trixie" }));
    const healthy = await probe(lab.client, "--mtu", lab.server.address);
    expect(healthy.text).to.include("no blackhole seen");
    expect(healthy.status).to.equal(0);

    await blackhole(2);
    const plain = await probe(lab.client, "--timeout=3", lab.server.address);
    expect(plain.text)
      .to.match(/^\S+: timeout in key exchange reply/)
      .and.match(/next:\n *step 4, path MTU/);
    const outwards = await probe(lab.client, "--mtu", "--timeout=3", lab.server.address);
    expect(outwards.text).to.include("the path eats packets above 1396 bytes");
    expect(outwards.status).to.equal(1);
    await heal(2);
    // A reset reaches sshd although the bytes before it are stuck: it holds nothing until LoginGraceTime.
    expect(sshd.log().match(/Connection reset by/g)).to.have.length(2);

    await blackhole(1);
    const inwards = await probe(lab.client, "--mtu", "--timeout=3", lab.server.address);
    expect(inwards.text).to.include("IP packets of up to 9004 bytes were acknowledged");
    expect(inwards.text).to.include("the largest reply of the key exchange never came, the smallest did");
    await heal(1);
  });

  it("tells a proxy's idle timeout from LoginGraceTime, and sees a connection that was forgotten", async () => {
    keep(await startSshd(lab.server, { suite: "trixie" }));
    keep(await startHaproxy(lab.router, 2222, `${lab.server.address}:22`, 2000));
    const cut = await probe(lab.client, "--idle=6", `${lab.router.address}:2222`);
    expect(cut.text).to.match(/silent connection cut after 2\.\d s \(closed\)\n {2}means: an idle timeout on the way/);
    expect(cut.status).to.equal(1);

    const direct = await probe(lab.client, "--idle=3", lab.server.address);
    expect(direct.text).to.include("alive after 3.0 s of silence");
    expect(direct.status).to.equal(0);

    // Two releases: the newer one adds up to 4 s at random.
    for (const suite of ["bookworm", "trixie"] as const) {
      const graceful = keep(await startSshd(lab.server, { suite, port: 2022, config: ["LoginGraceTime 2"] }));
      const old = await probe(lab.client, "--idle=8", `${lab.server.address}:2022`);
      expect(old.text).to.match(
        /silent connection cut after [1-6]\.\d s \(closed\)\n {2}means: a limit on the whole connection/,
      );
      await graceful.close();
    }

    const idle = probe(lab.client, "--idle=3", "--timeout=2", lab.server.address);
    await waitFor(
      async () => (await lab.client.run("cat", ["/proc/net/tcp"])).includes(":0016 01"),
      () => "the silent connection never stood",
    );
    await delay(1000);
    await nft(
      lab.router,
      "add table ip eat; add chain ip eat on { type filter hook forward priority 0; }; add rule ip eat on tcp dport 22 drop",
    );
    const forgotten = await idle;
    await nft(lab.router, "delete table ip eat");
    expect(forgotten.text).to.match(/dead when used again after 3\.\d s of silence \(timeout\)/);
  });

  it("earns no penalty at its interval, where the same connections at once do", async () => {
    const strict = { suite: "trixie", config: ["PerSourcePenalties noauth:1 min:3"] } as const;
    const paced = keep(await startSshd(lab.server, strict));
    const { status, text } = await probe(lab.client, "--repeat=8", "--interval=1", lab.server.address);
    expect(text).to.include("8 of 8: ok");
    expect(status).to.equal(0);
    expect(paced.log())
      .to.include("deferred penalty of 1 seconds")
      .and.not.match(/activating|drop connection/);
    await paced.close();

    const hurried = keep(await startSshd(lab.server, strict));
    const connect = `exec 3<>/dev/tcp/${lab.server.address}/22; read -r line <&3; exec 3>&-;`;
    await lab.client.run("bash", ["-c", connect.repeat(8)]);
    await probe(lab.client, lab.server.address);
    await waitFor(
      () => /drop connection .* penalty: connections without attempting authentication/.test(hurried.log()),
      () => `eight connections in a row earned none, so the test before shows nothing: ${hurried.log()}`,
    );
  });
});
