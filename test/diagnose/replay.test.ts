/** The recorded faults, diagnosed: which cause each of them gets, from the server's own logs alone. */
import { readdirSync, readFileSync } from "node:fs";
import { expect } from "chai";
import { Replay, type Replayed, replaySaved, together } from "../../src/diagnose/replay.ts";
import { checklist, found } from "../../src/diagnosis/checklist.ts";
import { Diagnosis } from "../../src/diagnosis/verdict.ts";
import type { ChecklistReport } from "../../src/model/checklist.ts";
import type { LogRecord } from "../../src/model/record.ts";
import { parse } from "../../src/parsers/index.ts";
import { SimulatedHost } from "../alerts/simulated-host.ts";
import { fixture } from "../tallies/replay.ts";

const minute = 60_000;

interface Given {
  readonly known?: readonly string[];
  readonly peer?: string;
  readonly afterMs?: number;
}

function replayed(
  records: readonly LogRecord[],
  { known = ["10.77.1.2", "10.77.1.3", "10.77.2.1"], peer, afterMs = minute }: Given = {},
): {
  readonly report: ChecklistReport;
  readonly done: Replayed;
} {
  const [first, last] = [records[0]?.timeMs ?? 0, records.at(-1)?.timeMs ?? 0];
  const window = { fromMs: first - minute, toMs: last + afterMs };
  const replay = new Replay({
    window,
    peers: {},
    known: known.map((address) => ({ address, timeMs: first - 86_400_000 })),
    kernelRead: true,
    ...(peer !== undefined && { peer }),
  });
  for (const record of records) {
    // The exporter's kernel events are not in any log.
    if (record.source === "tcp_trace") continue;
    const event = parse(record);
    if (event !== undefined && event.kind !== "noted") replay.take({ event, record });
  }
  const done = replay.end([{ source: "journal", from: "journalctl", records: records.length }]);
  return { report: checklist({ ...window, ...done }), done };
}
const causes = (report: ChecklistReport): string[] =>
  found(report.steps.flatMap((step) => step.causes)).map(({ cause }) => cause);

describe("diagnose/replay", function () {
  this.timeout(20_000);
  for (const [recording, expected] of [
    ["a1-kill9-main", ["sshd_crash"]],
    ["a2-crashloop", ["sshd_crash", "sshd_down"]],
    ["a2b-badconfig", ["sshd_down", "sshd_restart"]],
    ["a3-restart", ["sshd_restart"]],
    ["b1-oom-sshd-cgroup", ["oom_kill", "sshd_crash"]],
    ["c1-maxstartups", ["connection_throttling"]],
    ["c1b-maxstartups-ssh", ["connection_throttling"]],
    ["d-tcpwrappers", ["tcp_wrappers"]],
    ["g-conntrack-full", ["conntrack_full", "connection_throttling"]],
    ["j1-tasksmax", ["process_limit"]],
    ["t-c1-maxstartups", ["connection_throttling"]],
    ["t-c4-penalties-authfail", ["connection_throttling"]],
    ["t-d-tcpwrappers", ["tcp_wrappers"]],
  ] as const) {
    it(`${recording} is ${expected[0]}`, () => {
      const { report } = replayed(fixture(recording));
      expect(causes(report)).to.deep.equal(expected);
      expect([report.conclusion.verdict, report.conclusion.cause]).to.deep.equal(["cause", expected[0]]);
    });
  }

  for (const recording of [
    "e1-peer-rst-banner",
    "e1-peer-rst-kex",
    "e2-midsession-ssK-client",
    "e3-midsession-ssK-server",
    "f1-middlebox-rst",
    "f3-middlebox-preauth",
  ]) {
    it(`${recording} came from outside, as far as a log can tell`, () => {
      const { report } = replayed(fixture(recording));
      expect([causes(report), report.conclusion.verdict]).to.deep.equal([[], "outside"]);
    });
  }

  // e1-peer-rst-tcp and h-mtu-blackhole leave no line at LogLevel INFO; i1 reads `closed`, as any end does.
  for (const recording of [
    "t-ok",
    "b2-oom-session-child",
    "h-mtu-learned",
    "i1-haproxy-idle",
    "e1-peer-rst-tcp",
    "h-mtu-blackhole",
  ]) {
    it(`${recording} shows nothing in a log`, () => {
      const { report } = replayed(fixture(recording));
      expect([causes(report), report.conclusion.verdict]).to.deep.equal([[], "nothing"]);
    });
  }

  const lab = new URL("../fixtures/lab/", import.meta.url);
  /** Of the alerts that paged there those whose evidence is in the logs: the others rest on collectors and kernel events. */
  const toldByLogs = [
    ...["none", "SshdCrashed", "SshdOomKilled", "SshdProcessLimit"],
    ...["SshdConnectionThrottling", "SshdLoginTimeout", "SshResetTcpWrappers", "SshResetProxyProtocol"],
  ];
  for (const name of readdirSync(lab).filter((file) => file.endsWith(".jsonl"))) {
    const [head = "{}", ...lines] = readFileSync(new URL(name, lab), "utf8").trim().split("\n");
    const { page, knownPeers } = JSON.parse(head) as { page: string; knownPeers: string[] };
    // The kernel's lines are about another namespace's table; a log does not tell which one was its host's own.
    if (!toldByLogs.includes(page) || name.startsWith("conntrack-full-router")) continue;
    it(`${name} of the lab: the alert that paged there`, () => {
      const recorded = lines.map((line) => JSON.parse(line) as LogRecord | { readonly samples: unknown });
      const records = recorded
        .filter((line): line is LogRecord => "message" in line && line.source !== "tcp_trace")
        .sort((a, b) => a.timeMs - b.timeMs);
      const { report } = replayed(records, { known: knownPeers });
      // The lab itself restarts sshd on request, which pages nobody.
      const [first] = found(report.steps.flatMap((step) => step.causes)).filter(
        ({ cause }) => cause !== "sshd_restart",
      );
      expect(first?.alert ?? "none").to.equal(page);
    });
  }

  it("names a follower's root", () => {
    const down = replayed(fixture("a2-crashloop")).report.steps[0]?.causes.find(({ cause }) => cause === "sshd_down");
    expect(down?.follows).to.equal("sshd_crash");
  });

  it("says when it began and when it was over", () => {
    const { report } = replayed(fixture("d-tcpwrappers"), { afterMs: 40 * minute });
    const refused = report.steps.flatMap((step) => step.causes).find(({ cause }) => cause === "tcp_wrappers");
    expect(refused?.state).to.equal("past");
    const [episode, ...others] = refused?.episodes ?? [];
    expect(others).to.deep.equal([]);
    // Evidence over 10 minutes, kept for 5.
    expect((episode?.toMs ?? 0) - (episode?.fromMs ?? 0)).to.be.within(14 * minute, 16 * minute);
    expect(refused?.lines?.map(({ text }) => text)).to.deep.equal(["refused connect from 10.77.1.3 (10.77.1.3)"]);
  });

  it("counts strangers' refusals and finds no cause in them", () => {
    const { report } = replayed(fixture("d-tcpwrappers"), { known: [] });
    const refused = report.steps.flatMap((step) => step.causes).find(({ cause }) => cause === "tcp_wrappers");
    expect([report.conclusion.verdict, refused?.strangerLines, refused?.lines]).to.deep.equal(["nothing", 1, []]);
  });

  it("takes the peer that is asked for as known, and leaves others out", () => {
    expect(causes(replayed(fixture("d-tcpwrappers"), { known: [], peer: "10.77.1.3" }).report)).to.deep.equal([
      "tcp_wrappers",
    ]);
    expect(causes(replayed(fixture("d-tcpwrappers"), { peer: "10.77.1.2" }).report)).to.deep.equal([]);
  });

  it("finds the same cause after a night without a line", () => {
    const records = fixture("a1-kill9-main");
    const early = { ...(records[0] as LogRecord), timeMs: (records[0]?.timeMs ?? 0) - 12 * 60 * minute };
    expect(causes(replayed([early, ...records], { afterMs: 8 * 60 * minute }).report)).to.deep.equal(["sshd_crash"]);
  });

  it("judges a quiet window as well: no is not unknown", () => {
    const { report } = replayed(fixture("t-ok"), { afterMs: 5 * 60 * minute });
    const states = new Map(report.steps.flatMap((step) => step.causes).map(({ cause, state }) => [cause, state]));
    for (const cause of ["sshd_crash", "sshd_restart", "oom_kill", "process_limit", "tcp_wrappers", "login_timeout"]) {
      expect(states.get(cause), cause).to.equal("clear");
    }
    expect(states.get("mtu_blackhole")).to.equal("unknown");
  });

  it("finds a cause between days of scanners' noise", () => {
    const records = fixture("c1-maxstartups");
    const noise = Array.from(
      { length: 5_000 },
      (_, i): LogRecord => ({
        source: "logfile",
        timeMs: (records[0]?.timeMs ?? 0) - 20 * 60 * minute + i * 10_000,
        ident: "sshd",
        pid: 10_000 + i,
        message: `Connection reset by 198.51.100.${i % 250} port ${1024 + i} [preauth]`,
        count: 1,
      }),
    );
    const all = [...noise, ...records].sort((a, b) => a.timeMs - b.timeMs);
    const { report } = replayed(all);
    expect(causes(report)).to.deep.equal(["connection_throttling"]);
    expect(report.conclusion.verdict).to.equal("cause");
  });

  it("prints nothing that a terminal would obey", () => {
    const [record] = fixture("d-tcpwrappers").filter(({ message }) => message.startsWith("refused"));
    const reset = {
      ...(record as LogRecord),
      message: "Connection reset by authenticating user \u001b[2J\u202eevil 10.77.1.2 port 1 [preauth]",
    };
    const { done } = replayed([reset]);
    expect(done.lines.map(({ text }) => text)).to.deep.equal([
      "Connection reset by authenticating user \\u{1b}[2J\\u{202e}evil 10.77.1.2 port 1 [preauth]",
    ]);
  });

  describe("with the exporter's samples", () => {
    function saved(changes: ConstructorParameters<typeof SimulatedHost>[0]) {
      const host = new SimulatedHost(changes);
      const diagnosis = new Diagnosis();
      for (let seconds = 0; seconds <= 3600; seconds += 15)
        diagnosis.record(1e9 + seconds * 1000, host.samples(seconds));
      return diagnosis.snapshot();
    }
    const window = { fromMs: 1e9, toMs: 1e9 + 3_600_000 };

    it("sees what the kernel counted within the hour", () => {
      const seen = replaySaved(saved([{ metric: "conntrack_entries", at: 1000, until: 1600, value: 250_000 }]), window);
      const full = seen.get("conntrack_full");
      expect(full?.episodes).to.have.length(1);
      expect(full?.evidence.some(({ metric, holds }) => metric === "sshreset_conntrack_entries" && holds)).to.equal(
        true,
      );
    });

    it("leaves samples from after the window alone", () => {
      const changes = [{ metric: "conntrack_entries", at: 1800, value: 250_000 }];
      const before = replaySaved(saved(changes), { fromMs: 1e9, toMs: 1e9 + 1_500_000 });
      expect([before.get("conntrack_full")?.state, before.get("conntrack_full")?.episodes]).to.deep.equal([
        "inactive",
        [],
      ]);
      expect(replaySaved(saved(changes), { fromMs: 1e8, toMs: 2e8 }).size).to.equal(0);
    });

    it("joins both looks: what either of them saw was there", () => {
      const log = replayed(fixture("a1-kill9-main")).done.seen;
      const both = together(
        log,
        replaySaved(saved([{ metric: "conntrack_entries", at: 1000, value: 250_000 }]), window),
      );
      expect(both.get("sshd_crash")?.episodes).to.have.length(1);
      expect(both.get("conntrack_full")?.episodes).to.have.length(1);
      expect(both.get("memory_pressure")?.observable).to.equal(true);
    });
  });
});
