import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import type { LogRecord } from "../../src/model/record.ts";
import type { SourceStatus } from "../../src/model/source.ts";
import { parse } from "../../src/parsers/index.ts";
import {
  abortedByUs,
  createTcpTraceSource,
  formatProblem,
  localEnd,
  parseRingStats,
  type TcpTraceOptions,
  toRecord,
} from "../../src/sources/tcp-trace.ts";
import { waitFor } from "../kernel/wait.ts";

const fixtures = join(import.meta.dirname, "../fixtures/tracefs");
const kernels = readdirSync(fixtures).filter((name) => name.startsWith("linux-"));
const fixture = (kernel: string, event: string): string =>
  readFileSync(join(fixtures, kernel, `${event}.format`), "latin1");

const received =
  "            sshd-18015   [000] .....  1563.161843: tcp_receive_reset: family=AF_INET sport=22 dport=48448 saddr=10.77.2.2 daddr=10.77.1.2 saddrv6=::ffff:10.77.2.2 daddrv6=::ffff:10.77.1.2 sock_cookie=4d";

describe("format files of the trace events", () => {
  for (const kernel of kernels) {
    it(`${kernel}: both events can be read`, () => {
      expect(formatProblem("tcp_receive_reset", fixture(kernel, "tcp_receive_reset"))).to.equal(undefined);
      expect(formatProblem("tcp_send_reset", fixture(kernel, "tcp_send_reset"))).to.equal(undefined);
    });
  }

  it("says what it cannot read", () => {
    const format = fixture("linux-6.18", "tcp_receive_reset");
    expect(formatProblem("tcp_receive_reset", format.replace("__u16 sport", "__u16 port"))).to.equal(
      "it has no field sport to filter by",
    );
    expect(formatProblem("tcp_receive_reset", format.replace("print fmt", "fmt"))).to.equal("it has no print fmt line");
    expect(formatProblem("tcp_send_reset", 'print fmt: "from=%pISpc to=%pISpc", REC->saddr, REC->daddr')).to.equal(
      'its form is unknown: "from=%pISpc to=%pISpc"',
    );
  });
});

describe("a connection that the kernel aborts by itself", () => {
  // Recorded on 6.18: data for a connection in FIN_WAIT1; one reset left, none arrived.
  const lines = [
    "python3-1 [000] ..s2. 14614.903969: tcp_receive_reset: family=AF_INET sport=2222 dport=40792 saddr=127.0.0.1 daddr=127.0.0.1 saddrv6=::ffff:127.0.0.1 daddrv6=::ffff:127.0.0.1 sock_cookie=9a430",
    "python3-1 [000] ..s2. 14614.903983: tcp_send_reset: skbaddr=00000000b0e5697f skaddr=0000000015fe8e2d src=127.0.0.1:2222 dest=127.0.0.1:40792 state=TCP_CLOSE reason=TCP_ABORT_ON_DATA",
  ];
  const records = (...texts: readonly string[]): LogRecord[] =>
    texts.flatMap((text) => toRecord(text, "other", 5) ?? []);
  const [received5, sent5] = records(...lines) as [LogRecord, LogRecord];

  it("has received no reset: the event before the one that was sent is not told", () => {
    expect(abortedByUs(sent5, [received5])).to.equal(0);
    const old =
      "x-1 [000] ..s2. 1.000000: tcp_send_reset: skbaddr=1 skaddr=2 family=AF_INET sport=2222 dport=40792 saddr=127.0.0.1 daddr=127.0.0.1 saddrv6=::ffff:127.0.0.1 daddrv6=::ffff:127.0.0.1 state=TCP_CLOSE";
    expect(abortedByUs(records(old)[0] as LogRecord, [received5]), "as until 6.9").to.equal(0);
  });

  it("is told from a peer's reset by connection and by time", () => {
    expect(abortedByUs({ ...sent5, message: sent5.message.replace("40792", "40793") }, [received5])).to.equal(
      undefined,
    );
    expect(abortedByUs({ ...sent5, timeMs: 8 }, [received5])).to.equal(undefined);
    expect(abortedByUs(received5, [received5])).to.equal(undefined);
    expect(abortedByUs({ ...sent5, message: "?" }, [received5])).to.equal(undefined);
  });
});

describe("lines of trace_pipe", () => {
  const text = received.slice(received.indexOf("family="));

  it("gives the event's name and text, by the reader's clock where the trace clock is not monotonic", () => {
    expect(toRecord(received, "other", 1_700_000_000_000)).to.deep.equal({
      source: "tcp_trace",
      timeMs: 1_700_000_000_000,
      ident: "tcp_receive_reset",
      pid: 0,
      message: text,
      count: 1,
    });
  });

  it("maps the monotonic clock to wall clock", () => {
    const twoSecondsAgo = Number(process.hrtime.bigint()) / 1e9 - 2;
    const record = toRecord(received.replace("1563.161843", twoSecondsAgo.toFixed(6)), "mono", 1_700_000_000_000);
    expect(record?.timeMs).to.be.closeTo(1_699_999_998_000, 500);
  });

  for (const [what, header] of [
    ["four flags, as until 5.x", "sshd-1 [001] ..s. 1.000000: "],
    ["more than 999 processors", "sshd-1 [1024] ..s2. 1.000000: "],
    ["record-tgid", "          sshd-1     (    123) [001] ..s2. 1.000000: "],
    ["an idle task", "          <idle>-0       [001] ..s2. 1.000000: "],
    ["a task named like a line", "x [1] 1.0: tcp_-1 [001] ..s2. 1.000000: "],
    ["what follows a newline in a task's name", "reset: -1 [001] ..s2. 1.000000: "],
  ] as const)
    it(`reads ${what}`, () => {
      expect(toRecord(`${header}tcp_receive_reset: ${text}`, "other")?.message).to.equal(text);
    });

  for (const line of [
    "CPU:1 [LOST 123 EVENTS]",
    "",
    "tcp_receive_reset: sport=22",
    "sshd-1 [001] ..s2. 1.000000: tcp_probe: x",
  ])
    it(`passes over "${line}"`, () => {
      expect(toRecord(line, "other")).to.equal(undefined);
    });
});

describe("the local end of a reset", () => {
  for (const [message, address, port] of [
    [
      "family=AF_INET sport=22 dport=5 saddr=10.0.0.1 daddr=10.0.0.2 saddrv6=::ffff:10.0.0.1 daddrv6=::ffff:10.0.0.2 sock_cookie=1",
      "10.0.0.1",
      22,
    ],
    [
      "family=AF_INET6 sport=22 dport=5 saddr=0.0.0.0 daddr=0.0.0.0 saddrv6=2001:db8::1 daddrv6=2001:db8::2 sock_cookie=1",
      "2001:db8::1",
      22,
    ],
    [
      "sport=2222 dport=5 saddr=10.0.0.1 daddr=10.0.0.2 saddrv6=::ffff:10.0.0.1 daddrv6=::ffff:10.0.0.2",
      "10.0.0.1",
      2222,
    ],
    ["skbaddr=0 skaddr=1 src=10.0.0.1:22 dest=10.0.0.2:5 state=TCP_CLOSE reason=TCP_STATE", "10.0.0.1", 22],
    [
      "skbaddr=0 skaddr=1 src=[2001:db8::1]:22 dest=[2001:db8::2]:5 state=TCP_CLOSE reason=TCP_STATE",
      "2001:db8::1",
      22,
    ],
    [
      "skbaddr=0 skaddr=1 src=[::ffff:10.0.0.1]:22 dest=[::ffff:10.0.0.2]:5 state=TCP_CLOSE reason=TCP_STATE",
      "10.0.0.1",
      22,
    ],
    ["skbaddr=0 skaddr=1 src=0.0.0.0:22 dest=0.0.0.0:0 state=TCP_LISTEN reason=TCP_FLAGS", "0.0.0.0", 22],
  ] as const)
    it(`${address} port ${port} in "${message.slice(0, 44)}..."`, () => {
      expect(localEnd(message)).to.deep.equal({ address, port });
    });

  it("is nothing in another text", () => {
    expect(localEnd("sport=22")).to.equal(undefined);
  });
});

describe("recorded kernels", () => {
  const recorded = kernels.filter((kernel) => existsSync(join(fixtures, kernel, "trace_pipe.txt")));
  // What test/fixtures/tracefs/record.c does to ports 22 and 2222.
  const reasonsSince = { "linux-6.12": ["tcp_abort_on_close", "tcp_abort_on_close", "tcp_state", "tcp_state"] };

  it("are more than one", () => {
    expect(recorded).to.have.length.greaterThan(1);
  });

  for (const kernel of recorded)
    it(`${kernel}: every reset is told by both sides' own events, IPv4, IPv6 and IPv4 on an IPv6 socket`, () => {
      const lines = readFileSync(join(fixtures, kernel, "trace_pipe.txt"), "latin1")
        .trimEnd()
        .split("\n");
      const ends = (ident: string): string[] =>
        lines.flatMap((line) => {
          const record = toRecord(line, "other");
          if (record === undefined) throw new Error(`unread: ${line}`);
          const end = localEnd(record.message);
          if (end === undefined) throw new Error(`no local end: ${line}`);
          const event = parse(record);
          const told = event?.kind === "tcp.reset_sent" || event?.kind === "tcp.reset_received" ? event : undefined;
          expect({ address: told?.localAddress, port: told?.localPort }, line).to.deep.equal(end);
          if (record.ident !== ident || ![22, 2222].includes(end.port)) return [];
          return [`${end.address} ${end.port}${told?.reason === undefined ? "" : ` ${told.reason}`}`];
        });
      expect(ends("tcp_receive_reset")).to.deep.equal(["127.0.0.1 22", "::1 22", "127.0.0.1 2222"]);
      const reasons = reasonsSince[kernel as keyof typeof reasonsSince] ?? Array(4).fill("not_specified");
      expect(ends("tcp_send_reset")).to.deep.equal([
        `127.0.0.1 22 ${reasons[0]}`,
        `::1 22 ${reasons[1]}`,
        `127.0.0.1 22 ${reasons[2]}`,
        `127.0.0.1 2222 ${reasons[3]}`,
        // A closed port.
        ...(kernel === "linux-6.12" ? ["127.0.0.1 22 no_socket"] : []),
      ]);
    });
});

describe("statistics of the ring buffer", () => {
  it("sums all processors", () => {
    const one =
      "entries: 0\noverrun: 5\ncommit overrun: 1\nbytes: 0\nnow ts: 1.5\ndropped events: 2\nread events: 40\n";
    expect(parseRingStats([one, one])).to.deep.equal({ lost: 16, read: 80 });
  });
});

describe("the TCP trace source on a folder like tracefs", () => {
  let root: string;
  const warnings: string[] = [];

  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), "ssh-reset-exporter-trace-"));
    warnings.length = 0;
  });
  afterEach(() => rmSync(root, { recursive: true }));

  function lay(kernel = "linux-6.18"): void {
    for (const event of ["tcp_receive_reset", "tcp_send_reset"]) {
      mkdirSync(join(root, "events/tcp", event), { recursive: true });
      writeFileSync(join(root, "events/tcp", event, "format"), fixture(kernel, event));
      mkdirSync(join(root, "instances/ssh-reset-exporter/events/tcp", event), { recursive: true });
    }
    const instance = join(root, "instances/ssh-reset-exporter");
    mkdirSync(join(instance, "per_cpu/cpu0"), { recursive: true });
    writeFileSync(join(instance, "trace_clock"), "local [global] mono");
    stats({ overrun: 0, read: 0 });
    execFileSync("mkfifo", [join(instance, "trace_pipe")]);
  }

  function stats({ overrun, read }: { overrun: number; read: number }): void {
    const text = `entries: 0\noverrun: ${overrun}\ncommit overrun: 0\ndropped events: 0\nread events: ${read}\n`;
    writeFileSync(join(root, "instances/ssh-reset-exporter/per_cpu/cpu0/stats"), text);
  }

  const options = (more: Partial<TcpTraceOptions> = {}): TcpTraceOptions => ({
    position: undefined,
    fromBeginning: false,
    idents: [],
    onWarning: (message) => warnings.push(message),
    tracefs: root,
    procfs: "/proc",
    ports: () => [22],
    localAddresses: () => new Set(["10.77.2.2", "2001:db8::1"]),
    pollMs: 5,
    retryMs: 5,
    ...more,
  });

  async function statusOf(more: Partial<TcpTraceOptions> = {}): Promise<SourceStatus> {
    const stop = new AbortController();
    const source = createTcpTraceSource(options(more));
    const reading = source.batches(stop.signal)[Symbol.asyncIterator]().next();
    await waitFor(
      () => warnings.length > 0,
      () => "no warning",
    );
    const status = source.status();
    stop.abort();
    await reading;
    return status;
  }

  it("says that no tracefs is there, once, and how to get one", async () => {
    const status = await statusOf();
    expect(status.up).to.equal(false);
    expect(status.reason).to.equal(`${root}: no tracefs is mounted there`);
    expect(status.grant).to.match(/^as root: mount -t tracefs tracefs /);
    expect(warnings).to.deep.equal(["TCP reset events are not read"]);
  });

  it("says which event this kernel lacks", async () => {
    lay();
    rmSync(join(root, "events/tcp/tcp_send_reset"), { recursive: true });
    const { reason } = await statusOf();
    const path = join(root, "events/tcp/tcp_send_reset/format");
    expect(reason).to.equal(`${path} is missing: this kernel has no tcp_send_reset event (4.15+)`);
  });

  it("quotes a form that it does not know", async () => {
    lay();
    const path = join(root, "events/tcp/tcp_send_reset/format");
    writeFileSync(path, 'name: tcp_send_reset\nprint fmt: "peer=%pISpc", REC->daddr\n');
    expect((await statusOf()).reason).to.equal(`${path}: its form is unknown: "peer=%pISpc"`);
  });

  it("reads a prepared instance: our ports and addresses, the filter, what was lost", async () => {
    lay();
    const instance = join(root, "instances/ssh-reset-exporter");
    const stop = new AbortController();
    const records: LogRecord[] = [];
    let lost = 0;
    const ports = [22];
    const resume = {
      bootId: readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim(),
      instance: "ssh-reset-exporter",
      read: 3,
      lost: 4,
    };
    stats({ overrun: 7, read: 5 });
    const source = createTcpTraceSource(options({ ports: () => ports, position: resume }));
    const reading = (async () => {
      for await (const batch of source.batches(stop.signal)) {
        records.push(...batch.records);
        lost += batch.lost;
      }
    })();
    await waitFor(
      () => source.status().up,
      () => `not up: ${source.status().reason}`,
    );
    const filter = join(instance, "events/tcp/tcp_receive_reset/filter");
    await waitFor(
      () => readFileSync(filter, "utf8") === "sport == 22",
      () => "no filter",
    );
    ports.push(2222);
    await waitFor(
      () => readFileSync(filter, "utf8") === "sport == 22 || sport == 2222",
      () => "the filter does not follow the ports",
    );
    const sent = "sshd-1 [000] ..... 1.000000: tcp_send_reset: skbaddr=0 skaddr=1 ";
    const lines = [
      received,
      received.replaceAll("10.77.2.2", "10.99.9.9"),
      received.replace("sport=22 dport=48448", "sport=48448 dport=22"),
      `${sent}src=[2001:db8::1]:2222 dest=[2001:db8::2]:5 state=TCP_CLOSE reason=NO_SOCKET`,
      `${sent}src=0.0.0.0:22 dest=0.0.0.0:0 state=TCP_LISTEN reason=TCP_FLAGS`,
      `${sent}src=10.77.2.2:40000 dest=10.77.1.2:22 state=TCP_CLOSE reason=TCP_STATE`,
      "CPU:0 [LOST 9 EVENTS]",
      received.slice(0, 60),
    ];
    // The last line comes in two pieces.
    writeFileSync(join(instance, "trace_pipe"), lines.join("\n"));
    writeFileSync(join(instance, "trace_pipe"), `${received.slice(60)}\n`);
    await waitFor(
      () => records.length >= 4,
      () => `${records.length} records`,
    );
    stop.abort();
    await reading;
    expect(records.map(({ message }) => localEnd(message))).to.deep.equal([
      { address: "10.77.2.2", port: 22 },
      { address: "2001:db8::1", port: 2222 },
      { address: "0.0.0.0", port: 22 },
      { address: "10.77.2.2", port: 22 },
    ]);
    // Two were read by a process that ended before it committed them, three overwritten before we came.
    expect(lost).to.equal(5);
    expect(readdirSync(join(root, "instances"))).to.deep.equal(["ssh-reset-exporter"]);
  });
});
