import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { expect } from "chai";
import { SocketTable } from "../../src/collectors/socket-table.ts";
import { socketSamples, sockets } from "../../src/collectors/sockets.ts";
import { endpoint, SsOutput } from "../../src/collectors/ss-output.ts";
import type { SocketReading, SshSocket } from "../../src/model/collector.ts";
import { contextOf, fakeProgram, table, thisHost, until, withPath } from "./fixture-host.ts";

/** Of a path MTU blackhole (Linux 6.18, iproute2 6.1): the first segment never arrives, a smaller one after it did. */
const blackhole = `ESTAB 0      1564       10.77.2.2:22      10.77.1.2:42664
\t bbr wscale:10,10 rto:1664 backoff:3 rtt:4.835/9.556 ato:40 mss:1448 pmtu:1500 rcvmss:1448 advmss:1448 cwnd:1 bytes_sent:8533 bytes_retrans:5792 bytes_acked:1177 bytes_received:2808 segs_out:11 segs_in:9 data_segs_out:8 data_segs_in:4 bbr:(bw:125913008bps,mrtt:0.041,pacing_gain:2.88672,cwnd_gain:2.88672) send 2395863bps lastsnd:1140 lastrcv:2724 lastack:2644 pacing_rate 8074474432bps delivery_rate 125913040bps delivered:4 app_limited busy:2688ms unacked:2 retrans:1/4 lost:1 sacked:1 rcv_space:14480 rcv_ssthresh:71328 minrtt:0.041 snd_wnd:70656
`;
/** The same path with the MTU learned: healthy. */
const learned = `ESTAB 612    0          10.77.2.2:22      10.77.1.2:36294
\t bbr wscale:10,10 rto:204 rtt:0.97/1.437 ato:40 mss:1348 pmtu:1400 rcvmss:1448 advmss:1448 cwnd:304 ssthresh:148 bytes_sent:2958717 bytes_retrans:2352 bytes_acked:2956365 bytes_received:5196 segs_out:2246 segs_in:400 data_segs_out:2238 data_segs_in:35 lastsnd:8 lastrcv:4 lastack:4 retrans:0/4 dsack_dups:2 rcv_space:14480 minrtt:0.013 snd_wnd:2384896
`;
const mtus = new Map([["10.77.2.2", 1500]]);

function readingOf(text: string, maxSockets = 100): SocketReading {
  const output = new SsOutput(maxSockets);
  output.feed(text);
  return { timeMs: 1_000_000, sockets: output.sockets, leftOut: output.leftOut };
}

describe("ss-output", () => {
  it("reads what tcp_info holds", () => {
    expect(readingOf(blackhole).sockets).to.deep.equal([
      {
        state: "established",
        localAddress: "10.77.2.2",
        localPort: 22,
        address: "10.77.1.2",
        port: 42664,
        sendQueueBytes: 1564,
        rttMs: 4.835,
        retransmitsNow: 1,
        retransmitsTotal: 4,
        lost: 1,
        sacked: 1,
        backoff: 3,
        pathMtuBytes: 1500,
        mssBytes: 1448,
        bytesReceived: 2808,
        lastSentMs: 1140,
        lastReceivedMs: 2724,
      },
    ]);
  });

  it("gives the same however the output is cut into pieces", () => {
    const output = new SsOutput(100);
    for (const character of blackhole + learned) output.feed(character);
    expect(output.sockets).to.deep.equal(readingOf(blackhole + learned).sockets);
  });

  it("keeps the first sockets and counts the rest", () => {
    const { sockets: kept, leftOut } = readingOf(blackhole + learned + blackhole, 1);
    expect([kept.length, kept[0]?.lost, leftOut]).to.deep.equal([1, 1, 2]);
  });

  for (const [text, expected] of [
    ["10.0.0.1:22", { address: "10.0.0.1", port: 22 }],
    ["10.0.0.1%eth0:22", { address: "10.0.0.1", port: 22 }],
    ["[2001:db8::1]:22", { address: "2001:db8::1", port: 22 }],
    ["[fe80::1%eth0]:22", { address: "fe80::1", port: 22 }],
    ["[::ffff:10.0.0.1]:22", { address: "10.0.0.1", port: 22 }],
    ["*:22", undefined],
    ["10.0.0.1:ssh", undefined],
    ["example.net:22", undefined],
  ] as const) {
    it(`reads ${text}`, () => expect(endpoint(text)).to.deep.equal(expected));
  }

  for (const text of ["Recv-Q Send-Q Local\n", "ESTAB 0 0 10.0.0.1:22\n", "ESTAB x 0 10.0.0.1:22 10.0.0.2:1\n"]) {
    it(`refuses ${JSON.stringify(text)}`, () => expect(() => readingOf(text)).to.throw(/^ss: ".*" is no socket$/));
  }

  it("refuses a line without end", () => {
    expect(() => readingOf("a".repeat(9000))).to.throw(/is a line without end$/);
  });
});

describe("sockets", () => {
  it("tells a blackhole from a learned path MTU", () => {
    const stuck = (text: string) =>
      table(socketSamples(readingOf(text), mtus))['ssh_sockets_full_size_stuck{small_segments="delivered"}'];
    expect(stuck(blackhole)).to.equal(1);
    expect(stuck(learned)).to.equal(0);
    expect(stuck(blackhole.replace("pmtu:1500", "pmtu:1400"))).to.equal(0);
    expect(stuck(blackhole.replace("backoff:3", "backoff:1"))).to.equal(0);
  });

  it("does not know where nothing comes back at all", () => {
    const samples = table(socketSamples(readingOf(blackhole.replace("sacked:1 ", "")), mtus));
    expect(samples).to.include({
      'ssh_sockets_full_size_stuck{small_segments="delivered"}': 0,
      'ssh_sockets_full_size_stuck{small_segments="not_seen"}': 1,
    });
  });

  it("sums up", () => {
    expect(table(socketSamples(readingOf(blackhole + learned), mtus))).to.include({
      'ssh_sockets{state="established"}': 2,
      'ssh_sockets{state="time_wait"}': 0,
      ssh_sockets_left_out: 0,
      ssh_socket_retransmits: 8,
      ssh_socket_lost_segments: 1,
      ssh_sockets_in_backoff: 1,
      ssh_socket_path_mtu_bytes: 1400,
      ssh_socket_mss_bytes: 1348,
      ssh_socket_rtt_max_seconds: 0.004835,
      ssh_sockets_kex_stuck: 0,
    });
  });

  describe("with the real ss on loopback", () => {
    let server: Server;
    let client: Socket;
    let port = 0;

    before(async () => {
      server = createServer((socket) => socket.write("SSH-2.0-server\r\n")).listen(0, "127.0.0.1");
      await once(server, "listening");
      port = (server.address() as AddressInfo).port;
      client = connect(port, "127.0.0.1");
      client.write("SSH-2.0-client\r\n");
      await once(client, "data");
    });
    after(() => {
      client.destroy();
      server.close();
    });

    it("sees the server's side of the connection only", async () => {
      const seen: SocketReading[] = [];
      const collector = sockets.create(
        contextOf(thisHost, { sshdPorts: () => [port], onSockets: (reading) => seen.push(reading) }),
      );
      const stop = new AbortController();
      const done = collector.run?.(stop.signal);
      const samples = await until("a reading", async () => {
        const reading = await collector.read();
        return reading.status === "ok" ? table(reading.samples) : undefined;
      });
      stop.abort();
      await done;
      expect(samples['ssh_sockets{state="established"}']).to.equal(1);
      expect(seen[0]?.sockets[0]).to.include({
        address: "127.0.0.1",
        port: (client.address() as AddressInfo).port,
        localPort: port,
        bytesReceived: 16,
      });
    });
  });

  it("is absent where ss is missing, and says what to install", async () => {
    const collector = sockets.create(contextOf(thisHost));
    const stop = new AbortController();
    await withPath("/nonexistent", async () => {
      const done = collector.run?.(stop.signal);
      const reading = await until("the failure", async () => {
        const now = await collector.read();
        return now.status === "absent" && now.grant !== undefined ? now : undefined;
      });
      expect(reading).to.deep.equal({ status: "absent", reason: "ss: not found", grant: "install iproute2" });
      stop.abort();
      await done;
    });
  });

  for (const [name, script, message] of [
    [
      "failing",
      'echo "Cannot open netlink socket: Permission denied" >&2; exit 255',
      "ss: exit code 255: Cannot open netlink socket: Permission denied",
    ],
    ["talking nonsense", "echo hello", 'ss: "hello" is no socket'],
  ] as const) {
    it(`fails with the reason where ss is ${name}`, async () => {
      const folder = fakeProgram("ss", script);
      const collector = sockets.create(contextOf(thisHost));
      const stop = new AbortController();
      await withPath(folder, async () => {
        const done = collector.run?.(stop.signal);
        const error = await until("the failure", async () => {
          try {
            await collector.read();
            return undefined;
          } catch (thrown) {
            return thrown as Error;
          }
        });
        expect(error.message).to.equal(message);
        stop.abort();
        await done;
      });
    });
  }
});

describe("socket-table", () => {
  const base = readingOf(learned).sockets[0] as SshSocket;
  const idle = { ...base, lastReceivedMs: 50_000, lastSentMs: 61_000 };

  it("knows how long a connection was idle when it ended", () => {
    const sockets = new SocketTable();
    sockets.update({ timeMs: 1_000_000, sockets: [idle], leftOut: 0 });
    expect(sockets.idleMsOf("10.77.1.2", 36294, 1_010_000)).to.equal(60_000);
    expect(sockets.idleMsOf("10.77.1.2", 1, 1_010_000)).to.equal(undefined);
  });

  it("keeps a connection that is gone for a minute", () => {
    const sockets = new SocketTable();
    sockets.update({ timeMs: 1_000_000, sockets: [idle], leftOut: 0 });
    sockets.update({ timeMs: 1_060_000, sockets: [], leftOut: 0 });
    expect(sockets.idleMsOf("10.77.1.2", 36294, 1_010_000)).to.equal(60_000);
    sockets.update({ timeMs: 1_060_001, sockets: [], leftOut: 0 });
    expect(sockets.idleMsOf("10.77.1.2", 36294, 1_010_000)).to.equal(undefined);
  });

  it("lists who sent a banner and then nothing", () => {
    const stuck = { ...base, port: 1, bytesReceived: 21, lastReceivedMs: 5_000 };
    const sockets = new SocketTable();
    sockets.update({ timeMs: 1_000_000, sockets: [{ ...stuck, port: 4 }], leftOut: 0 });
    sockets.update({
      timeMs: 1_015_000,
      sockets: [stuck, { ...stuck, port: 2, lastReceivedMs: 4_999 }, { ...stuck, port: 3, bytesReceived: 1300 }],
      leftOut: 0,
    });
    expect(sockets.stuckInKex().map(({ port }) => port)).to.deep.equal([1]);
  });
});
