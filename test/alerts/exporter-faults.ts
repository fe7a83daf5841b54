/**
 * Faults as a host shows them to the built exporter: log lines (from real captures), a proxy's log, a cloud's flow logs and
 * files below /proc of a fixture host. Not here, because no file can show them: sockets (mtu_blackhole) and nftables
 * (middlebox_reset).
 */
import { appendFileSync, cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { CauseId } from "../../src/diagnosis/cause.ts";
import { type ExporterProcess, startExporter } from "../cli/exporter-process.ts";

const healthy = new URL("../fixtures/hosts/healthy", import.meta.url).pathname;
const peers = ["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"];

export class FixtureHost {
  readonly #root: string;
  readonly #log: string;
  readonly #proxyLog: string;
  readonly #flowLogs: string;
  #pid = 1000;

  constructor(folder: string) {
    this.#root = join(folder, "host");
    this.#log = join(folder, "auth.log");
    cpSync(healthy, this.#root, { recursive: true });
    this.#proxyLog = join(folder, "haproxy.log");
    this.#flowLogs = join(folder, "flow-logs");
    mkdirSync(this.#flowLogs);
    for (const path of [this.#log, this.#proxyLog]) writeFileSync(path, "");
  }

  start(folder: string): Promise<ExporterProcess> {
    const paths = [
      ["procfs", "/proc"],
      ["sysfs", "/sys"],
      ["rootfs", ""],
    ].map(([name, path]) => `--path.${name}=${this.#root}${path}`);
    const sources = [
      `--source.logfile=${this.#log}`,
      `--source.haproxy-log=${this.#proxyLog}`,
      `--source.flow-log=${this.#flowLogs}`,
      "--no-source.kmsg",
      "--no-source.tcp-trace",
      "--path.tracefs=/nonexistent",
    ];
    const rest = ["--no-collector.sockets", "--no-collector.path_mtu", "--sshd.port=22"];
    return startExporter([...paths, ...sources, ...rest, `--state.directory=${join(folder, "state")}`]);
  }

  say(ident: string, message: string, pid = 812): void {
    const who = ident === "kernel" ? "kernel" : `${ident}[${pid}]`;
    appendFileSync(this.#log, `${new Date().toISOString().replace("Z", "000+00:00")} db1 ${who}: ${message}\n`);
  }

  /** haproxy, on this host or elsewhere. */
  proxySays(message: string): void {
    const time = new Date().toISOString().replace("Z", "000+00:00");
    appendFileSync(this.#proxyLog, `${time} lb1 haproxy[25742]: ${message}\n`);
  }

  /** Version 2 in its default order. */
  cloudRejects(count: number): void {
    const now = Math.floor(Date.now() / 1000);
    const line = `2 123456789010 eni-1 ${peers[0]} 10.0.0.1 20641 22 6 3 180 ${now - 60} ${now} REJECT OK\n`;
    writeFileSync(join(this.#flowLogs, "vpc.log"), line.repeat(count));
  }

  /** A balancer that everybody logs in through has begun to send the PROXY protocol's header. */
  proxyHeaders(count: number): void {
    for (let n = 0; n < count; n++) {
      this.#pid += 1;
      const said = "PROXY TCP4 198.51.100.7 10.0.0.1 56324 22";
      const start = "kex_exchange_identification: client sent invalid protocol identifier";
      this.say("sshd", `error: ${start} "${said}"`, this.#pid);
      this.say("sshd", `banner exchange: Connection from ${peers[1]} port ${40_000 + n}: invalid format`, this.#pid);
    }
  }

  write(path: string, text: string): void {
    mkdirSync(dirname(join(this.#root, path)), { recursive: true });
    writeFileSync(join(this.#root, path), text);
  }

  replace(path: string, pattern: RegExp, text: string): void {
    this.write(path, readFileSync(join(this.#root, path), "utf8").replace(pattern, text));
  }

  /** As it was when the host was healthy. */
  restore(path: string): void {
    this.write(path, readFileSync(join(healthy, path), "utf8"));
  }

  /** A peer logs in and leaves: it is known from now on. */
  login(peer = peers[0] ?? ""): void {
    this.#pid += 1;
    const port = 20_000 + this.#pid;
    this.say("sshd", `Accepted publickey for deploy from ${peer} port ${port} ssh2: ED25519 SHA256:x`, this.#pid);
    this.say("sshd", `Received disconnect from ${peer} port ${port}:11: disconnected by user`, this.#pid);
    this.say("sshd", `Disconnected from user deploy ${peer} port ${port}`, this.#pid);
  }

  everybodyLogsIn(): void {
    for (const peer of peers) this.login(peer);
  }

  /** 9.8 and newer tell a session's reset. */
  sessionsReset(count: number): void {
    for (const peer of peers.slice(0, count)) {
      this.#pid += 1;
      const port = 30_000 + this.#pid;
      this.say(
        "sshd-session",
        `Accepted publickey for deploy from ${peer} port ${port} ssh2: ED25519 SHA256:x`,
        this.#pid,
      );
      this.say("sshd-session", `Read error from remote host ${peer} port ${port}: Connection reset by peer`, this.#pid);
    }
  }

  loginsTimeOut(count: number): void {
    for (const peer of peers.slice(0, count)) {
      this.#pid += 1;
      this.say("sshd", `Timeout before authentication for connection from ${peer} to 10.0.0.1, pid = ${this.#pid}`);
    }
  }
}

export interface ExporterFault {
  readonly cause: CauseId | "peer_reset";
  readonly inject: (host: FixtureHost) => void;
  /** Each second while it lasts. */
  readonly again?: (host: FixtureHost, second: number) => void;
  readonly heal?: (host: FixtureHost) => void;
  /** Its window is longer than it is watched. */
  readonly lasts?: true;
}

export const exporterFaults: readonly ExporterFault[] = [
  {
    cause: "sshd_crash",
    inject: (host) => {
      host.say("systemd", "ssh.service: Main process exited, code=killed, status=9/KILL", 1);
      host.say("systemd", "ssh.service: Failed with result 'signal'.", 1);
      host.say("systemd", "ssh.service: Scheduled restart job, restart counter is at 1.", 1);
      host.say("sshd", "Server listening on 0.0.0.0 port 22.", 813);
    },
  },
  {
    cause: "sshd_down",
    inject: (host) => {
      for (const path of ["proc/net/tcp", "proc/net/tcp6"]) host.replace(path, /\n.*$/s, "\n");
    },
    heal: (host) => {
      for (const path of ["proc/net/tcp", "proc/net/tcp6"]) host.restore(path);
    },
  },
  {
    cause: "sshd_restart",
    inject: (host) => {
      host.say("systemd", "Stopping ssh.service - OpenBSD Secure Shell server...", 1);
      host.say("sshd", "Received signal 15; terminating.");
      host.say("sshd", "Server listening on 0.0.0.0 port 22.", 814);
    },
  },
  {
    cause: "oom_kill",
    inject: (host) => {
      const cgroup = "/system.slice/ssh.service";
      host.say(
        "kernel",
        `oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=${cgroup},task_memcg=${cgroup},task=sshd,pid=27564,uid=0`,
      );
      host.say(
        "kernel",
        "Memory cgroup out of memory: Killed process 27564 (sshd) total-vm:15456kB, anon-rss:1280kB, file-rss:8156kB, shmem-rss:0kB, UID:0 pgtables:68kB oom_score_adj:0",
      );
    },
  },
  {
    cause: "memory_pressure",
    inject: (host) => host.replace("proc/meminfo", /^MemAvailable:.*$/m, "MemAvailable:     100000 kB"),
    again: (host, second) =>
      host.write(
        "proc/pressure/memory",
        `some avg10=90.00 avg60=90.00 avg300=90.00 total=${1e9 + second * 5e6}\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n`,
      ),
    heal: (host) => host.restore("proc/meminfo"),
  },
  {
    cause: "cpu_pressure",
    inject: (host) => {
      host.write("proc/loadavg", "64.00 40.00 20.00 30/400 4242\n");
      host.loginsTimeOut(2);
    },
    heal: (host) => host.restore("proc/loadavg"),
  },
  {
    cause: "process_limit",
    inject: (host) => {
      for (let n = 0; n < 3; n += 1) host.say("sshd", "error: fork: Resource temporarily unavailable");
    },
  },
  { cause: "tcp_wrappers", inject: (host) => host.say("sshd", "refused connect from 192.0.2.2 (192.0.2.2)", 901) },
  {
    cause: "conntrack_full",
    inject: (host) => host.write("proc/sys/net/netfilter/nf_conntrack_count", "262144\n"),
    heal: (host) => host.restore("proc/sys/net/netfilter/nf_conntrack_count"),
  },
  {
    cause: "connection_throttling",
    inject: (host) => {
      host.say("sshd", "error: beginning MaxStartups throttling");
      host.say("sshd", "drop connection #10 from [192.0.2.3]:59950 on [10.0.0.1]:22 past MaxStartups");
    },
  },
  {
    cause: "idle_timeout",
    inject: (host) => {
      for (let port = 55_174; port < 55_177; port++)
        host.proxySays(`198.51.100.7:${port} [22/Nov/2026:20:20:24.928] ssh ssh/one 1/0/50002 3214 cD 1/1/0/0/0 0/0`);
    },
    lasts: true,
  },
  { cause: "proxy_protocol", inject: (host) => host.proxyHeaders(3) },
  { cause: "cloud_limit", inject: (host) => host.cloudRejects(3) },
  {
    cause: "balancer_throttled",
    inject: (host) => {
      host.say(
        "sshd",
        "drop connection #0 from [203.0.113.9]:53885 on [10.0.0.1]:22 penalty: connections without attempting authentication",
      );
      host.proxySays('Server ssh/one is DOWN, reason: Layer4 connection problem, info: "Connection reset by peer"');
    },
  },
  { cause: "login_timeout", inject: (host) => host.loginsTimeOut(3) },
  {
    cause: "network_path",
    // Timeouts rather than resets: known_peers_reset remembers ten real minutes, which no time scale shortens.
    inject: (host) => {
      host.say("kernel", "e1000e 0000:00:19.0 eth0: NIC Link is Down");
      host.write("sys/class/net/eth0/carrier_changes", "90\n");
      host.loginsTimeOut(2);
    },
  },
  { cause: "peer_reset", inject: (host) => host.sessionsReset(4) },
];
