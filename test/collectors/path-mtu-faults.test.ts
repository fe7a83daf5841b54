/** Real faults of the path MTU, in network namespaces: what the collectors of the server show of each. */
import type { ChildProcess } from "node:child_process";
import { mkdirSync, symlinkSync } from "node:fs";
import { expect } from "chai";
import { pathMtu } from "../../src/collectors/path-mtu.ts";
import { readSockets, socketSamples } from "../../src/collectors/sockets.ts";
import { tcpCounters } from "../../src/collectors/tcp-counters.ts";
import { debianOr } from "../../tools/debian.ts";
import { skip } from "../../tools/skip.ts";
import { type Lab, labProblem, openLab } from "../netns.ts";
import { contextOf, fakeProgram, hostWith, pathsBelow, table, until, withPath } from "./fixture-host.ts";

/** What sshd and ssh do, with a first packet larger than a segment of one side. */
const program = (role: "server" | "client", address: string, bytes: number) => `
const talk = (socket) => {
  socket.write("SSH-2.0-lab\\r\\n");
  socket.once("data", () => socket.write(Buffer.alloc(${bytes})));
  socket.on("error", () => {});
};
if (${role === "server"}) require("node:net").createServer(talk).listen(22, "${address}", () => console.log("ready"));
else talk(require("node:net").connect(22, "${address}"));
`;

describe("path MTU faults", () => {
  let lab: Lab;
  let running: ChildProcess[] = [];

  before(async function () {
    const problem = labProblem();
    if (problem !== undefined) return skip(this, problem);
    await debianOr(this, "ethtool");
  });
  beforeEach(async () => {
    lab = await openLab({ offload: false });
  });
  afterEach(() => {
    running = [];
    lab?.close();
  });

  /** A narrow link behind the router towards one side, which tells the other side so, or does not. */
  async function narrow(towards: "client" | "server", { silent }: { silent: boolean }): Promise<void> {
    const net = lab[towards].address.replace(/\.\d+$/, ".0/24");
    const link = towards === "client" ? "r1" : "r2";
    await lab.router.run("ip", ["route", "change", net, "dev", link, "mtu", "lock", "1400"]);
    if (!silent) return;
    await lab.router.run("ip", ["rule", "add", "iif", "lo", "lookup", "100"]); // what the router itself sends
    await lab.router.run("ip", ["route", "add", "blackhole", "default", "table", "100"]);
  }

  async function connect(serverBytes: number, clientBytes: number): Promise<void> {
    const server = lab.server.start(process.execPath, ["-e", program("server", lab.server.address, serverBytes)]);
    running.push(server);
    await new Promise((resolve) => server.stdout?.once("data", resolve));
    running.push(lab.client.start(process.execPath, ["-e", program("client", lab.server.address, clientBytes)]));
  }

  /** The programs as the server's namespace has them. */
  function inServer<T>(name: "ss" | "ip", work: () => Promise<T>): Promise<T> {
    const path = process.env["PATH"] ?? "";
    const real = `env PATH=${path} ip netns exec ${lab.server.name} ${name} "$@"`;
    return withPath(`${fakeProgram(name, `exec ${real}`)}:${path}`, work);
  }

  async function sockets(): Promise<Record<string, unknown>> {
    const reading = await inServer("ss", () => readSockets([22], Date.now, new AbortController().signal));
    return table(socketSamples(reading, new Map([[lab.server.address, 1500]])));
  }

  async function counters(): Promise<Record<string, unknown>> {
    const root = hostWith({});
    mkdirSync(`${root}/proc`);
    symlinkSync(`/proc/${running[0]?.pid}/net`, `${root}/proc/net`);
    const reading = await tcpCounters.create(contextOf(pathsBelow(root))).read();
    return reading.status === "ok" ? table(reading.samples) : {};
  }

  async function learnedRoutes(): Promise<Record<string, unknown>> {
    return inServer("ip", async () => {
      const collector = pathMtu.create(contextOf(pathsBelow(hostWith({}))));
      const stop = new AbortController();
      const done = collector.run?.(stop.signal);
      const samples = await until("the route cache", async () => {
        const reading = await collector.read();
        const values = reading.status === "ok" ? table(reading.samples) : {};
        return "path_mtu_learned_routes" in values ? values : undefined;
      });
      stop.abort();
      await done;
      return samples;
    });
  }

  it("a blackhole from here to the peer: full-size segments stuck, small ones delivered", async function () {
    this.timeout(30_000);
    await narrow("client", { silent: true });
    await connect(4000, 100);
    const stuck = 'ssh_sockets_full_size_stuck{small_segments="delivered"}';
    const samples = await until("the stuck segment", async () => {
      const now = await sockets();
      return now[stuck] === 1 ? now : undefined;
    });
    expect(samples).to.include({
      'ssh_sockets{state="established"}': 1,
      ssh_socket_path_mtu_bytes: 1500,
      ssh_sockets_in_backoff: 1,
    });
    expect(samples["ssh_socket_lost_segments"]).to.be.at.least(1);
    const after = await counters();
    expect(after["tcp_retransmission_timeouts_total"]).to.be.at.least(2);
    expect(after['icmp_destination_unreachable_received_total{family="ipv4"}']).to.equal(0);
    expect(await learnedRoutes()).to.include({ path_mtu_learned_routes: 0 });
  });

  it("a path MTU that is learned: nothing is stuck", async function () {
    this.timeout(30_000);
    await narrow("client", { silent: false });
    await connect(4000, 100);
    const samples = await until("the smaller path MTU", async () => {
      const now = await sockets();
      return now["ssh_socket_path_mtu_bytes"] === 1400 ? now : undefined;
    });
    expect(samples).to.include({
      'ssh_sockets_full_size_stuck{small_segments="delivered"}': 0,
      ssh_sockets_kex_stuck: 0,
    });
    expect((await counters())['icmp_destination_unreachable_received_total{family="ipv4"}']).to.be.at.least(1);
    expect(await learnedRoutes()).to.include({ path_mtu_learned_routes: 1, path_mtu_learned_min_bytes: 1400 });
  });

  it("a blackhole from the peer to here: its banner came, its key exchange does not", async function () {
    this.timeout(30_000);
    await narrow("server", { silent: true });
    await connect(100, 4000);
    const samples = await until("five seconds of silence", async () => {
      const now = await sockets();
      return now["ssh_sockets_kex_stuck"] === 1 ? now : undefined;
    });
    for (const small of ["delivered", "not_seen"]) {
      expect(samples).to.include({ [`ssh_sockets_full_size_stuck{small_segments="${small}"}`]: 0 });
    }
  });
});
