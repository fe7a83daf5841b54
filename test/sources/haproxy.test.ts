/** A real haproxy in front of servers that end as told, logging through a real rsyslogd: who ended each session. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, writeFileSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { expect } from "chai";
import type { LogRecord } from "../../src/model/record.ts";
import { isTrusted, parse } from "../../src/parsers/index.ts";
import { createHaproxySource } from "../../src/sources/haproxy.ts";
import { debianOr, type Tool } from "../../tools/debian.ts";
import { waitFor } from "../kernel/wait.ts";
import { entry, writeJournal } from "./journal-files.ts";
import { folders, pollMs, Reading, rotate, start } from "./reading.ts";

const line = (backend: string, state: string, more = "1/0/204") =>
  `Nov 22 20:20:24 vm haproxy[25742]: 198.51.100.7:32908 [22/Nov/2026:20:20:23.913] front ${backend}/one ${more} 14 ${state} 1/1/0/0/0 0/0\n`;
const told = ({ message, ...record }: LogRecord): string => {
  const event = parse({ ...record, message });
  const name = /\] \S+ ([^/ ]+)\//.exec(message)?.[1] ?? /^Server ([^/]+)/.exec(message)?.[1];
  if (event?.kind === "proxy.ended") return `${name}: ${event.endedBy}, ${event.stage}`;
  return event?.kind === "proxy.server" ? `${name}: ${event.up ? "up" : "down"}` : (event?.kind ?? "not understood");
};

describe("the haproxy source", () => {
  const temporary = folders();
  const children: ChildProcess[] = [];
  const servers: Server[] = [];
  afterEach(() => {
    for (const child of children.splice(0)) child.kill("SIGKILL");
    for (const server of servers.splice(0)) server.close();
  });

  it("follows the file through a rotation and a restart, and gives lines of the backends asked for", async () => {
    const path = join(temporary.make(), "haproxy.log");
    writeFileSync(path, "");
    const options = { paths: [path], backends: ["ssh"], journal: {}, pollMs };
    const first = new Reading(createHaproxySource({ ...start(), ...options }));
    writeFileSync(path, line("ssh", "cD") + line("db", "cD"), { flag: "a" });
    await first.count(1);
    rotate(path);
    writeFileSync(path, line("ssh", "SD"), { flag: "a" });
    await first.count(2);
    expect(first.records.map(({ source, ident }) => `${source} ${ident}`)).to.deep.equal([
      "haproxy haproxy",
      "haproxy haproxy",
    ]);
    const position = await first.stop();
    writeFileSync(
      path,
      `${line("ssh", "--")}Nov 22 20:20:25 vm haproxy[1]: Server db/one is DOWN, reason: x\nNov 22 20:20:25 vm haproxy[1]: Server ssh/one is DOWN, reason: x\n`,
      { flag: "a" },
    );
    const second = new Reading(createHaproxySource({ ...start({ position }), ...options }));
    await second.count(2);
    expect([...first.records, ...second.records].map(told)).to.deep.equal([
      "ssh: client_timeout, data",
      "ssh: server, data",
      "ssh: nobody, data",
      "ssh: down",
    ]);
    expect(first.lost + second.lost).to.equal(0);
    await second.stop();
  });

  it("reads it from the journal, and believes no other program that calls itself haproxy", async function () {
    const remote = await debianOr(this, "systemd-journal-remote");
    const folder = temporary.make();
    const file = join(folder, "proxy.journal");
    const said = (n: number, state: string, exe: string): Buffer =>
      entry(n, {
        _TRANSPORT: "syslog",
        _EXE: exe,
        _PID: "268",
        SYSLOG_IDENTIFIER: "haproxy",
        MESSAGE: line("ssh", state).trimEnd().slice("Nov 22 20:20:24 vm haproxy[25742]: ".length),
      });
    const entries = [
      said(0, "cD", "/usr/sbin/haproxy"),
      said(1, "SD", "/usr/bin/logger"),
      said(2, "--", "/usr/sbin/haproxy"),
    ];
    writeJournal(remote, file, Buffer.concat(entries));
    const reading = new Reading(
      createHaproxySource({ ...start(), paths: ["journal"], backends: ["ssh"], journal: { file } }),
    );
    await reading.count(3);
    expect(reading.records.map(told)).to.deep.equal([
      "ssh: client_timeout, data",
      "not understood",
      "ssh: nobody, data",
    ]);
    expect(reading.records.map(isTrusted)).to.deep.equal([true, false, true]);
    await reading.stop();
  });

  it("tells who ended each session of a real haproxy", async function () {
    const haproxy = await debianOr(this, "haproxy");
    const rsyslogd = await debianOr(this, "rsyslogd");
    this.timeout(60_000);
    const folder = temporary.make();
    await startRsyslogd(rsyslogd, folder);
    const backend = await listening((socket) => {
      socket.write("SSH-2.0-test\r\n");
      socket.on("data", (text) => {
        if (text.includes("reset")) socket.resetAndDestroy();
      });
    });
    const vanishing = await listening((socket) => void socket.write("SSH-2.0-test\r\n"));
    // All at once: none of them is another's.
    const [closedPort, ...proxied] = await freePorts(10);
    const sections = [
      ["normal", "", ""],
      ["clients", "timeout client 1s", ""],
      ["servers", "timeout server 1s", ""],
      ["refused", "retries 0", `127.0.0.1:${closedPort}`],
      ["denied", "tcp-request inspect-delay 1s\n  tcp-request content reject", ""],
      ["queued", "timeout queue 1s", "127.0.0.1:BACKEND maxconn 1"],
      ["down", "", `127.0.0.1:${portOf(vanishing)} check inter 200ms fall 1 rise 1 on-marked-down shutdown-sessions`],
      ["wants-header", "", ""],
      ["early", "option logasap", ""],
    ] as const;
    const ports: Record<string, number> = {};
    const text = sections.map(([name, extra, server], index) => {
      ports[name] = proxied[index] ?? 0;
      const accept = name === "wants-header" ? " accept-proxy" : "";
      const where = (server || "127.0.0.1:BACKEND").replace("BACKEND", String(portOf(backend)));
      return `listen ${name}\n  bind 127.0.0.1:${ports[name]}${accept}\n  ${extra}\n  server one ${where}\n`;
    });
    writeFileSync(
      join(folder, "haproxy.cfg"),
      `global\n  log ${folder}/log local0\n  stats socket ${folder}/admin level admin\ndefaults\n  mode tcp\n  log global\n  option tcplog\n  timeout connect 1s\n  timeout client 20s\n  timeout server 20s\n${text.join("")}`,
    );
    const log = join(folder, "haproxy.log");
    writeFileSync(log, "");
    const reading = new Reading(createHaproxySource({ ...start(), paths: [log], backends: [], journal: {}, pollMs }));
    children.push(
      spawn(haproxy.path, ["-db", "-f", join(folder, "haproxy.cfg")], { env: haproxy.env, stdio: "ignore" }),
    );
    await waitFor(
      () =>
        open(ports["normal"] ?? 0).then(
          (socket) => socket.destroy() !== undefined,
          () => false,
        ),
      () => "haproxy does not listen",
    );
    const expected = async (what: string): Promise<void> => {
      await reading.until(({ records }) => records.map(told).includes(what));
    };
    const through = async (name: string): Promise<Socket> => {
      const socket = await open(ports[name] ?? 0);
      // The server's banner: the proxy is connected.
      if (!["refused", "denied", "queued", "wants-header"].includes(name)) await once(socket, "data");
      return socket;
    };

    (await through("normal")).end();
    await expected("normal: nobody, data");
    (await through("normal")).resetAndDestroy();
    await expected("normal: client, data");
    (await through("normal")).write("reset");
    await expected("normal: server, data");
    await through("clients");
    await expected("clients: client_timeout, data");
    await through("servers");
    await expected("servers: server_timeout, data");
    await through("refused");
    await expected("refused: server, setup");
    (await through("denied")).write("hello");
    await expected("denied: proxy, setup");
    const first = await through("queued");
    await once(first, "data");
    await through("queued");
    await expected("queued: server_timeout, setup");
    const gone = await through("queued");
    setTimeout(() => gone.resetAndDestroy(), 200);
    await expected("queued: client, setup");
    await through("down");
    vanishing.close();
    await expected("down: down");
    await expected("down: server_down, data");
    (await through("wants-header")).write("SSH-2.0-no-header\r\n");
    (await through("early")).end();
    await expected("early: nobody, data");
    await through("normal");
    connect(join(folder, "admin")).write("shutdown sessions server normal/one\n");
    await expected("normal: proxy, data");
    const answers = reading.records.map(told);
    expect(answers.filter((answer) => answer === "not understood")).to.deep.equal([]);
    expect(answers.some((answer) => answer.startsWith("wants-header"))).to.equal(false);
    await reading.stop();
  });

  const listening = async (onSocket: (socket: Socket) => void): Promise<Server> => {
    const server = createServer((socket) => {
      socket.on("error", () => undefined);
      onSocket(socket);
    });
    servers.push(server);
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return server;
  };
  const freePorts = async (count: number): Promise<readonly number[]> => {
    const held = await Promise.all(Array.from({ length: count }, () => listening(() => undefined)));
    const ports = held.map(portOf);
    for (const server of held) server.close();
    return ports;
  };
  const startRsyslogd = async ({ path, env, root }: Tool, folder: string): Promise<void> => {
    const modules = readdirSync(join(root, "usr/lib")).find((name) => name.includes("-linux-gnu")) ?? "";
    writeFileSync(
      join(folder, "rsyslog.conf"),
      // As Debian's /etc/rsyslog.d/49-haproxy.conf.
      `module(load="imuxsock" SysSock.Use="off")
input(type="imuxsock" Socket="${folder}/log" CreatePath="off")
:programname, startswith, "haproxy" {
  action(type="omfile" file="${folder}/haproxy.log" template="RSYSLOG_FileFormat")
  stop
}
`,
    );
    const args = ["-n", "-f", join(folder, "rsyslog.conf"), "-i", join(folder, "pid")];
    const modulePath = join(root, "usr/lib", modules, "rsyslog");
    children.push(spawn(path, [...args, "-M", modulePath], { env, stdio: "ignore" }));
    await waitFor(
      () => existsSync(join(folder, "log")),
      () => "rsyslogd made no socket",
    );
  };
});

function portOf(server: Server): number {
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("not listening");
  return address.port;
}

async function open(port: number): Promise<Socket> {
  const socket = connect(port, "127.0.0.1");
  await once(socket, "connect");
  socket.on("error", () => undefined);
  return socket;
}
