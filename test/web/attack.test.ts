/**
 * The built exporter under attack over loopback: it stays up, its memory and descriptors stay bounded, and somebody who
 * behaves is served all the while. Bounds: src/web/server.ts.
 */
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { type ExporterProcess, startExporter, waitFor } from "../cli/exporter-process.ts";

const memoryBoundMb = 200;

describe("the web server under attack", function () {
  this.timeout(60_000);
  let folder: string;
  let exporter: ExporterProcess;
  let port: number;
  let socketsBefore: number;
  const sockets: Socket[] = [];

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), "attack-"));
    writeFileSync(join(folder, "auth.log"), "");
    exporter = await startExporter([
      `--state.directory=${folder}`,
      `--source.logfile=${join(folder, "auth.log")}`,
      "--no-source.kmsg",
      "--no-source.tcp-trace",
    ]);
    port = Number(new URL(exporter.url).port);
    await exporter.values();
    socketsBefore = descriptors().filter(isSocket).length;
  });
  afterEach(async () => {
    for (const socket of sockets.splice(0)) socket.destroy();
    await waitFor(
      "its connections to be given back",
      20_000,
      async () => (descriptors().filter(isSocket).length <= socketsBefore + 10 ? true : undefined),
      () => `${socketsBefore} sockets before; now:\n${descriptors().join("\n")}`,
    );
    // The files of /proc and /sys that it holds do not grow with what is asked of it.
    expect(descriptors().length).to.be.below(socketsBefore + 100);
    expect(residentMb()).to.be.below(memoryBoundMb);
  });
  after(async () => {
    expect(exporter.child.exitCode, exporter.stderr()).to.equal(null);
    expect(exporter.stderr()).not.to.match(/level=(error|fatal)/);
    await exporter.stop();
    rmSync(folder, { recursive: true });
  });

  const isSocket = (target: string): boolean => target.startsWith("socket:");
  /** What each points to; one that is closed meanwhile is none. */
  const descriptors = (): string[] => {
    const folder = `/proc/${exporter.child.pid}/fd`;
    return readdirSync(folder).flatMap((fd) => {
      try {
        return [readlinkSync(join(folder, fd))];
      } catch {
        return [];
      }
    });
  };
  const residentMb = (): number =>
    Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${exporter.child.pid}/status`, "latin1"))?.[1]) / 1000;

  /** A connection that says this and keeps what it is told, until it is closed. */
  function say(text: string): { readonly socket: Socket; readonly told: Promise<string> } {
    const socket = connect(port, "127.0.0.1");
    sockets.push(socket);
    let answer = "";
    const told = new Promise<string>((resolve) => {
      socket.on("data", (chunk) => (answer += chunk.toString("latin1")));
      socket.on("error", () => undefined);
      socket.on("close", () => resolve(answer));
    });
    socket.write(text);
    return { socket, told };
  }

  const status = (answer: string): number => Number(/^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1]);
  const request = (line: string, ...headers: string[]): string =>
    `${[line, "Host: x", "Connection: close", ...headers].join("\r\n")}\r\n\r\n`;

  async function servesOthers(): Promise<void> {
    const answer = await exporter.get("/metrics");
    expect(answer.status).to.equal(200);
    expect(await answer.text()).to.include("sshreset_build_info");
  }

  it("answers a thousand scrapes at once", async () => {
    const answers = await Promise.all(
      Array.from({ length: 1_000 }, () => say(request("GET /metrics HTTP/1.1", "Accept-Encoding: gzip")).told),
    );
    expect(answers.map(status).filter((code) => code !== 200)).to.deep.equal([]);
  });

  it("sends slow writers away and serves others meanwhile", async () => {
    const slow = Array.from({ length: 500 }, () => say("GET /metrics HTTP/1.1\r\nHost: x\r\n"));
    const drip = setInterval(() => {
      for (const { socket } of slow) if (!socket.destroyed) socket.write("X-A: b\r\n");
    }, 500);
    await servesOthers();
    const answers = await Promise.all(slow.map(({ told }) => told));
    clearInterval(drip);
    expect(new Set(answers.map(status))).to.deep.equal(new Set([408]));
    await servesOthers();
  });

  it("is not held up by readers that do not read", async () => {
    for (let i = 0; i < 200; i++) {
      const { socket } = say("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n".repeat(10));
      socket.pause();
    }
    for (let i = 0; i < 5; i++) await servesOthers();
  });

  it("hangs up on those who ask on and on without waiting for an answer", async () => {
    const many = Array.from({ length: 100 }, () => say("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n".repeat(1_000)));
    await servesOthers();
    const answers = await Promise.all(many.map(({ told }) => told));
    for (const answer of answers) expect(answer.split("HTTP/1.1 200").length).to.be.below(50);
  });

  it("refuses more connections than it can serve, and goes on", async () => {
    const many = Array.from({ length: 2_000 }, () => say("GET /-/healthy HTTP/1.1\r\nHost: x\r\n"));
    await Promise.race(many.map(({ told }) => told));
    for (const { socket } of many) socket.destroy();
    await waitFor("a free place", 10_000, async () => ((await exporter.get("/-/healthy")).ok ? true : undefined));
  });

  it("survives requests that are given up", async () => {
    for (let i = 0; i < 300; i++) {
      const { socket } = say("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
      socket.once("connect", () => setTimeout(() => socket.resetAndDestroy(), i % 20));
    }
    await servesOthers();
  });

  const refused: readonly (readonly [string, string, readonly number[]])[] = [
    ["headers of 64 KiB", request("GET /metrics HTTP/1.1", `X-A: ${"a".repeat(65_536)}`), [431]],
    ["three thousand headers", request("GET /metrics HTTP/1.1", ...Array<string>(3_000).fill("X-Abcd: b")), [431]],
    ["a path of 64 KiB", request(`GET /${"a".repeat(65_536)} HTTP/1.1`), [431]],
    ["POST", request("POST /metrics HTTP/1.1", "Content-Length: 0"), [405]],
    ["a body of 1 TB that never comes", request("PUT /metrics HTTP/1.1", "Content-Length: 1000000000000"), [405]],
    [
      "a chunked body that is none",
      request("POST / HTTP/1.1", "Transfer-Encoding: chunked").concat("zz\r\n"),
      [400, 405],
    ],
    ["two lengths", request("POST / HTTP/1.1", "Content-Length: 1", "Content-Length: 2"), [400]],
    ["TRACE", request("TRACE / HTTP/1.1"), [405]],
    ["an unknown method", request("GETT /metrics HTTP/1.1"), [400]],
    ["no HTTP at all", "SSH-2.0-OpenSSH_9.2p1\r\n\r\n", [400]],
    ["bytes", `\x16\x03\x01\x00\xa5${"\0".repeat(100)}\r\n\r\n`, [400]],
    ["no host", "GET /metrics HTTP/1.1\r\nConnection: close\r\n\r\n", [400]],
    ["a way out", request("GET /../../../../etc/passwd HTTP/1.1"), [404]],
    ["an encoded way out", request("GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1"), [404]],
    ["a broken escape", request("GET /%zz HTTP/1.1"), [400, 404]],
    ["a NUL", request("GET /metrics%00.html HTTP/1.1"), [404]],
    ["a doubled slash", request("GET //metrics HTTP/1.1"), [404]],
    ["another case", request("GET /METRICS HTTP/1.1"), [404]],
    ["a proxy's form", request("GET http://169.254.169.254/latest HTTP/1.1"), [404]],
    ["a collector that is none", request("GET /metrics?collect[]=__proto__ HTTP/1.1"), [400]],
  ];
  for (const [name, text, codes] of refused) {
    it(`refuses ${name}`, async () => {
      const answer = await say(text).told;
      expect(codes).to.include(status(answer), answer.slice(0, 200));
      expect(answer).not.to.match(/root:|node_modules|\bat .*\.js:\d+/);
    });
  }

  const strange = [
    "",
    ",",
    ";;;q",
    "*/*;q=-1",
    `text/plain;${"q=1;".repeat(2_000)}`,
    ",".repeat(10_000),
    "\xff\xfe",
    "gzip;q=1e999",
  ];
  for (const header of ["Accept", "Accept-Encoding"]) {
    it(`makes the best of a malformed ${header}`, async () => {
      for (const value of strange) {
        expect(
          status(await say(request("GET /metrics HTTP/1.1", `${header}: ${value}`)).told),
          value.slice(0, 40),
        ).to.equal(200);
      }
    });
  }
});
