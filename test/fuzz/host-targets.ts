/** What collectors read: /proc and /sys, configuration files of others, output of ss, ip, nft, conntrack, ethtool, ELF. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseProcCgroup } from "../../src/collectors/cgroup.ts";
import { parseConntrackS, parseConntrackStat } from "../../src/collectors/conntrack.ts";
import { readNeeded } from "../../src/collectors/elf-needed.ts";
import { parseStatistics, totals } from "../../src/collectors/ethtool.ts";
import { concerns, decide, parseHostsAccess } from "../../src/collectors/hosts-access.ts";
import { parseCpuList, parseLoad1, parseMeminfo, parsePressure } from "../../src/collectors/memory.ts";
import { parseRouteCache } from "../../src/collectors/path-mtu.ts";
import { parseSet } from "../../src/collectors/reset-ttl.ts";
import { SsOutput } from "../../src/collectors/ss-output.ts";
import { parseOpenFilesLimit } from "../../src/collectors/sshd.ts";
import { configPathOf, parseListenerTitle, parseListening } from "../../src/collectors/sshd-process.ts";
import { parseConfigLines, settingsOf } from "../../src/collectors/sshd-settings.ts";
import { parseSnmp, parseSnmp6 } from "../../src/collectors/tcp-counters.ts";
import { allowing, must, shape, type Target } from "./target.ts";

const host = new URL("../fixtures/hosts/healthy/", import.meta.url);
const place = "/proc/fuzzed";
const file = (path: string): Buffer => readFileSync(new URL(path, host));
const texts = (...all: readonly string[]): Buffer[] => all.map((text) => Buffer.from(text));

/** A pure reader of a text: gives numbers, or throws an Error that names the place. */
function reader(name: string, seeds: () => readonly Buffer[], read: (text: string) => unknown, named = place): Target {
  return {
    name,
    seeds,
    check(input) {
      const value = allowing(() => read(input.toString("latin1")), Error, named);
      checkNumbers(value);
      return shape(value);
    },
  };
}

function checkNumbers(value: unknown): void {
  if (typeof value === "number") must(!Number.isNaN(value), "NaN");
  else if (value instanceof Map) for (const each of value.values()) checkNumbers(each);
  else if (typeof value === "object" && value !== null) for (const each of Object.values(value)) checkNumbers(each);
}

function sockets(text: string, cut: number): unknown {
  const output = new SsOutput(100);
  output.feed(text.slice(0, cut));
  output.feed(text.slice(cut));
  must(output.sockets.length <= 100, `${output.sockets.length} sockets`);
  return output.sockets;
}

const elf = (() => {
  let path: string | undefined;
  return (): string => {
    if (path === undefined) {
      const folder = mkdtempSync(join(tmpdir(), "fuzz-elf-"));
      process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
      path = join(folder, "program");
    }
    return path;
  };
})();

/** An ELF file of one program header table, one segment, two libraries. */
function smallElf(wide: boolean): Buffer {
  const bytes = Buffer.alloc(512);
  bytes.write("\x7fELF", 0, "latin1");
  bytes[4] = wide ? 2 : 1;
  bytes[5] = 1;
  const word = (value: number, at: number) =>
    wide ? bytes.writeBigUInt64LE(BigInt(value), at) : bytes.writeUInt32LE(value, at);
  word(64, wide ? 32 : 28);
  bytes.writeUInt16LE(wide ? 56 : 32, wide ? 54 : 42);
  bytes.writeUInt16LE(2, wide ? 56 : 44);
  for (const [index, [type, offset, length]] of (
    [
      [1, 0, 512],
      [2, 256, 96],
    ] as const
  ).entries()) {
    const at = 64 + index * (wide ? 56 : 32);
    bytes.writeUInt32LE(type, at);
    word(offset, at + (wide ? 8 : 4));
    word(offset, at + (wide ? 16 : 8));
    word(length, at + (wide ? 32 : 16));
  }
  const step = wide ? 16 : 8;
  for (const [index, [tag, value]] of (
    [
      [1, 1],
      [1, 14],
      [5, 384],
      [0, 0],
    ] as const
  ).entries()) {
    word(tag, 256 + index * step);
    word(value, 256 + index * step + step / 2);
  }
  bytes.write("\0libwrap.so.0\0libc.so.6\0", 384, "latin1");
  return bytes;
}

export const hostTargets: readonly Target[] = [
  reader(
    "proc-meminfo",
    () => [file("proc/meminfo")],
    (text) => parseMeminfo(text, place),
  ),
  reader(
    "proc-loadavg",
    () => [file("proc/loadavg")],
    (text) => parseLoad1(text, place),
  ),
  reader(
    "sys-cpu-list",
    () => texts("0-3,8\n", "0\n"),
    (text) => parseCpuList(text, place),
  ),
  reader(
    "proc-pressure",
    () => [file("proc/pressure/cpu"), file("proc/pressure/io")],
    (text) => parsePressure(text, place),
  ),
  reader(
    "proc-net-tcp",
    () => [file("proc/net/tcp"), file("proc/net/tcp6")],
    (text) => parseListening(text, place),
  ),
  reader(
    "proc-net-snmp",
    () => [file("proc/net/snmp"), file("proc/net/netstat")],
    (text) => parseSnmp(text, place),
  ),
  reader(
    "proc-net-snmp6",
    () => [file("proc/net/snmp6")],
    (text) => parseSnmp6(text, place),
  ),
  reader(
    "proc-cgroup",
    () => [file("proc/812/cgroup"), ...texts("0::/system.slice/ssh.service\n")],
    (text) => parseProcCgroup(text, place),
  ),
  reader(
    "proc-limits",
    () => [file("proc/812/limits")],
    (text) => parseOpenFilesLimit(text, place),
  ),
  reader(
    "proc-cmdline",
    () => [file("proc/812/cmdline"), ...texts("sshd\0-f\0/etc/ssh/other\0")],
    (text) => [parseListenerTitle(text), configPathOf(text)],
  ),
  reader(
    "conntrack-stat",
    () => [file("proc/net/stat/nf_conntrack")],
    (text) => parseConntrackStat(text, place),
  ),
  reader(
    "conntrack-S",
    () =>
      texts("cpu=0   \tfound=0 invalid=130 insert=0 insert_failed=0 drop=0 early_drop=0 error=2 search_restart=0\n"),
    parseConntrackS,
    "conntrack",
  ),
  reader(
    "ip-route-cache",
    () => texts("10.77.1.2 via 10.77.2.1 dev s0 src 10.77.2.2 uid 0\n    cache expires 593sec mtu 1400\n"),
    parseRouteCache,
    "ip route show cache",
  ),
  reader(
    "nft-set",
    () =>
      texts(
        `{"nftables": [{"metainfo": {"version": "1.0.6"}}, {"set": {"name": "resets_own4", "elem": [{"elem": {"val": {"concat": ["192.0.2.1", 4711, 64]}, "timeout": 30, "expires": 29}}]}}]}`,
      ),
    (text) => parseSet(text, 30, 0),
    "nft",
  ),
  reader(
    "ethtool",
    () => ["ena", "gve", "virtio_net"].map((name) => readFileSync(new URL(`../../ethtool/${name}.txt`, host))),
    (text) => totals(parseStatistics(text)),
    "ethtool",
  ),
  {
    name: "ss",
    seeds: () =>
      texts(
        "ESTAB 0      1564       10.77.2.2:22      10.77.1.2:42664\n\t cubic wscale:7,7 rto:204 backoff:3 rtt:0.1/0.05 mss:1448 pmtu:1500 retrans:1/3 lost:2 sacked:1 bytes_received:7 lastsnd:12 lastrcv:40\n",
        "ESTAB 0 0 [2001:db8::1]:22 [fe80::1%eth0]:1\nSYN-RECV 0 0 [::ffff:10.0.0.1]:22 10.0.0.2:5\n",
      ),
    check(input) {
      const text = input.toString("latin1");
      const whole = allowing(() => sockets(text, text.length), Error, "ss");
      checkNumbers(whole);
      const halves = allowing(() => sockets(text, text.length >> 1), Error, "ss");
      must(JSON.stringify(whole) === JSON.stringify(halves), "read in two parts it gives other sockets");
      return shape(whole);
    },
  },
  reader(
    "sshd-config",
    () => [
      file("etc/ssh/sshd_config"),
      file("etc/ssh/sshd_config.d/50-site.conf"),
      ...texts(
        'Port 22\nListenAddress [::]:2222\nLoginGraceTime 1h30m\nMaxStartups 10:30:100\nPerSourcePenalties crash:90s max:10m\nClientAliveInterval "5m"\nUseDNS no # no\n',
      ),
    ],
    (text) => settingsOf(parseConfigLines(text, place)),
  ),
  {
    name: "hosts-access",
    seeds: () => [
      file("etc/hosts.allow"),
      file("etc/hosts.deny"),
      ...texts(
        "sshd : 10. EXCEPT 10.1.2.3 : spawn /bin/log %h : allow\nALL : ALL@ALL, /etc/list, [2001:db8::]/32, 10.0.0.0/255.0.0.0 : deny\n",
        "sshd@10.0.0.1 : *.example.org KNOWN \\\n LOCAL : severity auth.info : twist /bin/echo\n",
      ),
    ],
    check(input) {
      const text = input.toString("latin1");
      const { rules, problems } = parseHostsAccess(text, place);
      const access = { allow: rules, deny: [], problems, readPattern: () => text.slice(0, 500) };
      const { verdict, option } = decide(access, { daemon: "sshd", address: "2001:db8::1", hostname: "a.example.org" });
      concerns(rules[0] ?? { file: "", line: 0, daemons: [], clients: [] }, "sshd");
      must((option?.length ?? 0) < 500, "an option without bound");
      return `${verdict} ${option?.slice(0, 30)} ${problems[0]?.problem.slice(0, 30)} ${Math.min(rules.length, 5)}`;
    },
  },
  {
    name: "elf",
    seeds: () => [smallElf(true), smallElf(false)],
    check(input) {
      const path = elf();
      writeFileSync(path, input);
      const needed = allowing(() => readNeeded(path), Error, path);
      must(typeof needed === "string" || needed.every((name) => name.length <= 256), "a name without bound");
      return typeof needed === "string" ? needed.replace(path, "") : needed.slice(0, 4).join();
    },
  },
];
