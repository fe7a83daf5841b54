/** The probe against servers that do one thing wrong, beside what OpenSSH's own client prints at the same server. */
import { execFile } from "node:child_process";
import { expect } from "chai";
import { handshakePhases } from "../../src/probe/handshake.ts";
import { limit, Pace, TooSoon } from "../../src/probe/pace.ts";
import { parseSendQueue } from "../../src/probe/path-mtu.ts";
import {
  identificationFor,
  isResult,
  type ProbeOptions,
  type ProbeResult,
  probeAddress,
  resolve,
} from "../../src/probe/probe.ts";
import { mtuReport, probeReport, summary } from "../../src/probe/report.ts";
import type { Target } from "../../src/probe/target.ts";
import { verdict } from "../../src/probe/verdict.ts";
import { debianOr } from "../../tools/debian.ts";
import { type Fault, type FaultServer, faultServer, serve } from "./fault-server.ts";

const options = { identification: identificationFor("1.0.0-rc.1"), timeoutMs: 8000, pace: new Pace(0) };
const at = (server: FaultServer) => ({ host: "127.0.0.1", port: server.port });

async function probe(target: Target, how: ProbeOptions): Promise<ProbeResult> {
  const resolved = await resolve(target, performance.now() + how.timeoutMs);
  return isResult(resolved) ? resolved : probeAddress(target, resolved, how);
}

describe("a probe", function () {
  this.timeout(20_000);
  const expected: Readonly<Record<Fault, string>> = {
    reset: "reset",
    close: "closed",
    stall: "timeout",
    http: "protocol",
    garbage: "protocol",
    disconnect: "closed",
  };
  const beforeBanner: Readonly<Partial<Record<Fault, string>>> = { garbage: "timeout", disconnect: "protocol" };
  for (const phase of handshakePhases) {
    for (const fault of Object.keys(expected) as Fault[]) {
      // Before the banner everything without a zero byte is a line of text, whatever it says.
      const result = phase === "banner" ? (beforeBanner[fault] ?? expected[fault]) : expected[fault];
      it(`says ${result} in ${phase} when the server's answer is: ${fault}`, async () => {
        const server = await faultServer(phase, fault);
        const { failure, text } = await probe(at(server), { ...options, timeoutMs: result === "timeout" ? 400 : 8000 });
        await server.close();
        expect(failure).to.include({ phase, reason: result });
        if (fault === "reset") expect(failure?.errno).to.equal("ECONNRESET");
        if (phase === "banner" && fault === "http") expect(text[0]).to.equal("HTTP/1.1 400 Bad Request");
        if (phase !== "banner" && fault === "disconnect") {
          expect(failure?.detail).to.equal("the server disconnected with reason 2: bad \\x1b[31mthing");
        }
      });
    }
  }

  it("says refused when nothing listens, and unreachable for an unknown host", async () => {
    const server = await serve(() => {});
    await server.close();
    const refused = await probe(at(server), options);
    expect(refused.failure).to.deep.equal({ phase: "connect", reason: "refused", errno: "ECONNREFUSED" });
    const unknown = await probe({ host: "no-such-host.invalid", port: 22 }, options);
    expect(unknown.failure).to.include({ phase: "dns" });
    expect(unknown.result).to.be.oneOf(["unreachable", "timeout"]);
  });

  it("stops reading long before a banner of 1 GB is through", async () => {
    let sentBytes = 0;
    const server = await serve((socket) => {
      const line = Buffer.from(`${"x".repeat(999)}\n`);
      const pour = (): void => {
        while (sentBytes < 2 ** 30 && !socket.destroyed) {
          sentBytes += line.length;
          if (!socket.write(line)) return;
        }
      };
      socket.on("drain", pour);
      pour();
    });
    const { failure, text } = await probe(at(server), options);
    await server.close();
    expect(failure).to.deep.include({
      phase: "banner",
      reason: "protocol",
      detail: "no identification string within 16384 bytes",
    });
    expect(text.join("").length).to.be.lessThan(1000);
    expect(sentBytes).to.be.lessThan(2 ** 26);
  });

  it("bounds what it reads in the key exchange too", async () => {
    const { ignorePacket } = await import("../../src/probe/ssh-packet.ts");
    const server = await serve((socket) => {
      socket.write("SSH-2.0-flood\r\n");
      for (let i = 0; i < 40; i += 1) socket.write(ignorePacket(16_000));
    });
    const { failure } = await probe(at(server), options);
    await server.close();
    expect(failure).to.deep.include({ phase: "kex_init", reason: "protocol", detail: "more than 262144 bytes" });
  });

  it("gives a server that drips one byte at a time its timeout, not more", async () => {
    const server = await serve((socket) => {
      const timer = setInterval(() => socket.write("S"), 100);
      socket.on("close", () => clearInterval(timer));
    });
    const result = await probe(at(server), { ...options, timeoutMs: 500 });
    await server.close();
    expect(result.failure).to.include({ phase: "banner", reason: "timeout" });
    expect(result.durationSeconds).to.be.within(0.4, 3);
  });

  it("names itself, with a version that the protocol allows", async () => {
    let line = "";
    const server = await serve((socket) =>
      socket.once("data", (data) => {
        line = data.toString();
        socket.end();
      }),
    );
    await probe(at(server), options);
    await server.close();
    expect(line).to.equal("SSH-2.0-ssh-reset-exporter_1.0.0_rc.1\r\n");
  });

  it("tells the same last words as ssh -v", async function () {
    const ssh = await debianOr(this, "ssh");
    const lastWords = (port: number): Promise<string[]> =>
      new Promise((resolve) => {
        const flags = [
          "-v",
          "-F",
          "none",
          "-oBatchMode=yes",
          "-oStrictHostKeyChecking=no",
          "-oUserKnownHostsFile=/dev/null",
        ];
        execFile(
          ssh.path,
          [...flags, "-p", String(port), "x@127.0.0.1"],
          { env: ssh.env, timeout: 10_000 },
          (_error, _out, said) => {
            resolve(said.split(/\r?\n/).filter((text) => text !== ""));
          },
        );
      });
    for (const phase of ["banner", "kex_init", "kex_reply"] as const) {
      for (const fault of ["reset", "close"] as const) {
        const server = await faultServer(phase, fault);
        const ours = verdict(await probe(at(server), options)).sshVerbose;
        const theirs = await lastWords(server.port);
        await server.close();
        const missing = ours.filter((text) => !theirs.includes(text));
        expect(missing, `${phase} ${fault}: ${theirs.join("\n")}`).to.deep.equal([]);
        expect(ours.at(-1), `${phase} ${fault}`).to.equal(theirs.at(-1));
      }
    }
    const nothing = await serve(() => {});
    await nothing.close();
    const ours = verdict(await probe(at(nothing), options)).sshVerbose;
    expect(await lastWords(nothing.port)).to.include.members(ours);
  });
});

describe("what a probe means", () => {
  const result = {
    target: { host: "h", port: 22 },
    address: "192.0.2.1",
    timeMs: 0,
    phaseSeconds: {},
    durationSeconds: 0,
    text: [],
  } as const;

  it("has words for every phase and reason that the kernel and a server can make", async () => {
    const possible = {
      dns: ["unreachable", "timeout"],
      connect: ["refused", "timeout", "unreachable"],
      banner: ["reset", "closed", "timeout", "unreachable", "protocol"],
      kex_init: ["reset", "closed", "timeout", "unreachable", "protocol"],
      kex_reply: ["reset", "closed", "timeout", "unreachable", "protocol"],
      new_keys: ["reset", "closed", "timeout", "unreachable", "protocol"],
    } as const;
    for (const [phase, reasons] of Object.entries(possible) as [
      keyof typeof possible,
      readonly (typeof possible.banner)[number][],
    ][]) {
      for (const reason of reasons) {
        const { meaning, next } = verdict({ ...result, result: reason, failure: { phase, reason } });
        expect(meaning, `${phase} ${reason}`).to.have.length.above(25);
        expect(next, `${phase} ${reason}`).to.not.be.empty;
      }
    }
  });

  it("knows throttling by sshd's own text, and TCP wrappers by their 5 s", () => {
    const failed = { ...result, result: "closed", failure: { phase: "banner", reason: "closed" } } as const;
    expect(verdict({ ...failed, text: ["Exceeded MaxStartups"] }).next[0]).to.include("beyond, throttling");
    expect(verdict({ ...failed, text: ["Exceeded MaxStartups!"] }).meaning).to.not.include("sshd itself refused");
    expect(verdict({ ...failed, phaseSeconds: { banner: 5.01 } }).next[0]).to.include("step 3, TCP wrappers");
    expect(verdict({ ...failed, phaseSeconds: { banner: 9.5 } }).next[0]).to.not.include("step 3");
  });

  it("is printed with phases, steps and the lines of ssh -v", () => {
    const failure = { phase: "kex_init", reason: "timeout" } as const;
    const text = probeReport(
      { ...result, result: "timeout", failure, banner: "SSH-2.0-x", phaseSeconds: { dns: 0.001, connect: 0.02 } },
      ["192.0.2.2"],
    );
    expect(text).to.match(
      /^h:22 \(192\.0\.2\.1\): timeout in key exchange init\n {4}dns +1\.0 ms\n {4}connect +20\.0 ms\n/,
    );
    expect(text)
      .to.include("other addresses: 192.0.2.2")
      .and.include("step 4, path MTU")
      .and.include("debug1: SSH2_MSG_KEXINIT sent");
  });

  it("is counted by --repeat", () => {
    const failure = { phase: "banner", reason: "reset" } as const;
    const text = summary(result.target, [
      { ...result, result: "ok", durationSeconds: 0.02 },
      { ...result, result: "reset", failure },
    ]);
    expect(text).to.equal(
      "h:22: 2 probes\n    1 of 2: ok\n    1 of 2: reset in banner\n    ok took 20.0 ms to 20.0 ms, median 20.0 ms\n",
    );
  });

  it("does not call a failed handshake a blackhole", () => {
    const failure = { phase: "connect", reason: "refused" } as const;
    const text = mtuReport({
      probe: { ...result, result: "refused", failure },
      outwards: {},
      inwards: { stalled: false },
    });
    expect(text).to.include("not decided, the probe itself failed").and.not.include("blackhole");
  });
});

describe("the probe's pace", () => {
  it("gives each connection to an address its own turn, and none to who cannot wait", async () => {
    const pace = new Pace(50);
    const start = performance.now();
    await Promise.all([pace.turn("a"), pace.turn("a"), pace.turn("b"), pace.turn("a")]);
    expect(performance.now() - start).to.be.within(95, 5000);
    let refused: unknown;
    await pace.turn("a", performance.now() + 1).catch((error: unknown) => {
      refused = error;
    });
    expect(refused).to.be.instanceOf(TooSoon);
  });

  it("lets so many through at a time, also after one has failed", async () => {
    const two = limit(2);
    let running = 0;
    let most = 0;
    const work = async (): Promise<void> => {
      running += 1;
      most = Math.max(most, running);
      await new Promise((done) => setImmediate(done));
      running -= 1;
      throw new Error("failed");
    };
    const results = await Promise.allSettled(Array.from({ length: 20 }, () => two(work)));
    expect(results.filter(({ status }) => status === "rejected")).to.have.length(20);
    expect(most).to.equal(2);
  });
});

describe("/proc/net/tcp", () => {
  const text = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0
   1: 0201400A:D904 0202400A:0016 01 0000058C:00000000 01:00000014 00000000     0        0 2 2 0 20 4 30 10 -1
`;
  it("tells what is sent and not acknowledged", () => {
    expect(parseSendQueue(text, 0xd904, 22)).to.equal(0x58c);
    expect(parseSendQueue(text, 0xd904, 23)).to.equal(undefined);
  });
});
