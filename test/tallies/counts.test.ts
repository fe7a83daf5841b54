import { expect } from "chai";
import type { DropLimit, Event, OomCgroup, SshdDropTotal } from "../../src/model/event.ts";
import { Ledger, tallyMetrics } from "../../src/tallies/index.ts";
import { countsAfter, ledgerAfter, type Step } from "./events.ts";
import { counted } from "./replay.ts";

const peer = { address: "192.0.2.1", port: 40_000 };
const line = (port: number, limit: DropLimit = "max_startups"): Event => ({
  kind: "sshd.drop",
  limit,
  address: "192.0.2.1",
  port,
});
const sum = (scope: SshdDropTotal["scope"], count = 0): Event => ({
  kind: "sshd.drop_total",
  limit: "max_startups",
  scope,
  count,
});
const drops = (...events: Event[]): number => {
  const steps = events.map((event, i): Step => [i / 10, event, { pid: 7 }]);
  return countsAfter(steps)["connections_dropped max_startups"] ?? 0;
};

describe("dropped connections", () => {
  it("count lines, a lower bound, until sshd prints its total (8.4 to 9.9)", () => {
    expect(drops(sum("begin"), line(1))).to.equal(1);
    expect(drops(sum("begin"), line(1), sum("total", 8))).to.equal(8);
  });

  it("take the running sum, which includes the drop whose line follows it", () => {
    expect(drops(sum("begin"), line(1), sum("running", 50), line(2))).to.equal(50);
    expect(drops(sum("begin"), line(1), sum("running", 50), line(2), sum("total", 51))).to.equal(51);
  });

  it("are exact at LogLevel VERBOSE, where every drop has its line", () => {
    expect(drops(sum("begin"), line(1), line(2), sum("running", 3), line(3), line(4), sum("total", 4))).to.equal(4);
  });

  it("begin anew with each episode", () => {
    expect(
      drops(sum("begin"), line(1), sum("total", 8), sum("begin"), line(2), sum("total", 5), sum("begin"), line(3)),
    ).to.equal(14);
  });

  it("begin anew when sshd was restarted and never printed its total", () => {
    const listening: Event = { kind: "sshd.listening", address: "::", port: 22 };
    expect(drops(sum("begin"), line(1), sum("running", 20), listening, line(2), sum("total", 3))).to.equal(23);
  });

  it("add what the rate limit kept back (10.0+)", () => {
    expect(drops(line(1), line(2), sum("additional", 40), line(3))).to.equal(43);
  });

  it("keep two listeners and two limits apart", () => {
    const steps: Step[] = [
      [0, sum("begin"), { pid: 7 }],
      [0, line(1), { pid: 7 }],
      [0, sum("begin"), { pid: 8 }],
      [0, line(2), { pid: 8 }],
      [0, line(3, "per_source_penalty"), { pid: 8 }],
      [1, sum("total", 5), { pid: 7 }],
      [1, sum("total", 6), { pid: 8 }],
    ];
    expect(countsAfter(steps)).to.include({
      "connections_dropped max_startups": 11,
      "connections_dropped per_source_penalty": 1,
    });
  });
});

describe("OOM kills", () => {
  const kill = (victim: "sshd" | "sshd_session" | "other", pid = 7): Event => ({
    kind: "oom.kill",
    scope: "host",
    pid,
    victim,
  });
  const unit = (role: "daemon" | "session", by: "kernel" | "oomd" = "kernel"): Event => ({
    kind: "unit.oom_kill",
    role,
    by,
  });

  it("take scope and cgroup from the context line with the same pid", () => {
    const context = (pid: number, cgroup: OomCgroup = "sshd"): Event => ({
      kind: "oom.context",
      scope: "cgroup",
      pid,
      cgroup,
    });
    expect(
      countsAfter([
        [0, context(7)],
        [0, kill("other")],
      ]),
    ).to.deep.equal({ "oom_kills sshd_session cgroup": 1 });
    expect(
      countsAfter([
        [0, context(8)],
        [0, kill("other")],
      ]),
    ).to.deep.equal({ "oom_kills other host": 1 });
    expect(
      countsAfter([
        [0, context(7, "session")],
        [0, kill("sshd")],
      ]),
      "before 9.8 a session's process is named as the listener is",
    ).to.deep.equal({ "oom_kills sshd_session cgroup": 1 });
    expect(
      countsAfter([
        [0, context(7, "session")],
        [0, kill("other")],
      ]),
      "what a user runs",
    ).to.deep.equal({ "oom_kills other cgroup": 1 });
  });

  it("count systemd's message only where the kernel's line was not seen", () => {
    expect(
      countsAfter([
        [0, kill("sshd_session")],
        [1, unit("daemon")],
      ]),
    ).to.deep.equal({ "oom_kills sshd_session host": 1 });
    expect(
      countsAfter([
        [1, unit("daemon")],
        [0, kill("sshd_session"), { late: 3 }],
      ]),
    ).to.deep.equal({
      "oom_kills sshd_session host": 1,
    });
    expect(countsAfter([[0, unit("daemon")]])).to.deep.equal({ "oom_kills sshd_session cgroup": 1 });
  });

  it("wait for the kernel's line over a restart, however long it took", () => {
    const told = ledgerAfter([[0, unit("daemon")]], {}, 0);
    const ledger = new Ledger();
    ledger.restore(JSON.parse(JSON.stringify(told.snapshot())));
    const startMs = 1_800_000_000_000;
    const record = { source: "kmsg", timeMs: startMs + 1_000, ident: "kernel", pid: 0, message: "", count: 1 } as const;
    ledger.tick(startMs + 3_600_000);
    ledger.handle(kill("sshd_session"), record);
    for (let i = 0; i < 30; i++) ledger.tick(startMs + 3_600_000 + i * 1_000);
    expect(counted(ledger)).to.deep.equal({ "oom_kills sshd_session host": 1 });
  });

  it("count what systemd-oomd killed, of which the kernel says nothing", () => {
    expect(countsAfter([[0, unit("session", "oomd")]])).to.deep.equal({ "oom_kills sshd_session cgroup": 1 });
    expect(countsAfter([[0, unit("session")]])).to.deep.equal({});
  });
});

describe("kernel lines", () => {
  const full: Event = { kind: "kernel.conntrack_full" };
  const suppressed = (count: number): Event => ({ kind: "kernel.suppressed", count });
  const fullAfter = (...steps: Step[]): number | undefined => countsAfter(steps)["conntrack_table_full"];

  it("add suppressed repeats only within ten seconds of a full table, before or after", () => {
    expect(fullAfter([0, full], [5, suppressed(7)])).to.equal(8);
    expect(fullAfter([0, suppressed(7)], [5, full])).to.equal(8);
    expect(fullAfter([0, full], [11, suppressed(7)])).to.equal(1);
    expect(fullAfter([0, suppressed(7)], [11, full])).to.equal(1);
    expect(fullAfter([0, full], [30, suppressed(7)], [31, full])).to.equal(9);
    expect(fullAfter([0, suppressed(7)])).to.equal(undefined);
  });

  it("count a full table of this host's network namespace only, where the kernel tells which", () => {
    const own = { netNamespace: 4026531840 };
    const table = (netNamespace?: number): Event => ({
      kind: "kernel.conntrack_full",
      ...(netNamespace !== undefined && { netNamespace }),
    });
    const steps: Step[] = [
      [0, table(4026531840)],
      [1, suppressed(20)],
      [20, suppressed(300)],
      [21, table(4026532246)],
      [22, table()],
    ];
    expect(countsAfter(steps, own)["conntrack_table_full"]).to.equal(22);
    expect(countsAfter(steps)["conntrack_table_full"], "in a namespace that is not known").to.equal(323);
  });

  it("count a repeated record as often as it was said", () => {
    expect(fullAfter([0, full, { count: 4 }])).to.equal(4);
  });

  it("count links that go down, not those that come up", () => {
    const link = (up: boolean): Step => [0, { kind: "kernel.link", interface: "eth0", up }];
    expect(countsAfter([link(false), link(true), link(false)])).to.deep.equal({ link_down: 2 });
  });
});

describe("idle sessions", () => {
  const cut = (idleSeconds: readonly number[], kind: "reset" | "disconnect" = "reset"): Record<string, number> => {
    let i = 0;
    const options = { kernelVisible: () => true, idleMsOf: () => (idleSeconds[i++] ?? 0) * 1000 };
    const steps = idleSeconds.flatMap((_, n): Step[] => {
      const from = { address: "192.0.2.1", port: 40_000 + n };
      const end: Event =
        kind === "reset"
          ? { kind: "tcp.reset_received", localAddress: "192.0.2.254", localPort: 22, ...from }
          : { kind: "sshd.ended", outcome: "disconnect", detail: "disconnect", ...from };
      return [
        [n * 100, { kind: "sshd.accepted", ...from }, { pid: 100 + n }],
        [n * 100 + 50, end, { pid: 0 }],
      ];
    });
    return Object.fromEntries(
      Object.entries(countsAfter(steps, options)).filter(([name]) => name.startsWith("sessions_cut_idle")),
    );
  };

  it("cut at well-known ages are counted by it", () => {
    expect(cut([60, 63, 240, 351, 598])).to.deep.equal({
      "sessions_cut_idle 60": 2,
      "sessions_cut_idle 240": 1,
      "sessions_cut_idle 350": 1,
      "sessions_cut_idle 600": 1,
    });
  });

  it("cut at about the same other age count from the third on, with the first two", () => {
    expect(cut([900, 905])).to.deep.equal({});
    expect(cut([900, 905, 5_000, 910])).to.deep.equal({ "sessions_cut_idle other": 3 });
    expect(cut([900, 905, 910, 902])).to.deep.equal({ "sessions_cut_idle other": 4 });
  });

  it("that end by a disconnect, or were in use, are not cut", () => {
    expect(cut([60, 60, 60], "disconnect")).to.deep.equal({});
    expect(cut([1, 1, 1, 1])).to.deep.equal({});
  });

  it("fill the histogram", () => {
    const steps: Step[] = [
      [0, { kind: "sshd.accepted", ...peer }, { pid: 10 }],
      [9, { kind: "sshd.session_closed" }, { pid: 10 }],
    ];
    const ledger = ledgerAfter(steps, { kernelVisible: () => true, idleMsOf: () => 64_000 });
    const sample = ledger
      .samples(0)
      .find(({ name, labels }) => name === "sshreset_session_idle_at_end_seconds" && labels?.["outcome"] === "closed");
    const value = sample?.value as { counts: number[]; sum: number };
    expect(value.sum).to.equal(64);
    expect(value.counts.indexOf(1)).to.equal(5);
    expect(value.counts.reduce((a, b) => a + b)).to.equal(1);
  });
});

describe("the ledger", () => {
  it("counts what ended by timeout, refusal and corruption", () => {
    const end = (
      port: number,
      outcome: "timeout" | "refused" | "error",
      detail: "login_grace" | "client_alive" | "tcp_wrappers" | "integrity",
    ): Event => ({
      kind: "sshd.ended",
      outcome,
      detail,
      address: "192.0.2.1",
      port,
    });
    const steps: Step[] = [
      [0, end(1, "timeout", "login_grace"), { pid: 11 }],
      [0, end(2, "timeout", "client_alive"), { pid: 12 }],
      [0, end(3, "refused", "tcp_wrappers"), { pid: 13 }],
      [0, end(4, "error", "integrity"), { pid: 14 }],
    ];
    expect(countsAfter(steps)).to.include({
      "timeouts login_grace": 1,
      "timeouts client_alive": 1,
      tcp_wrappers_refusals: 1,
      integrity_errors: 1,
    });
  });

  it("counts a peer's received resets once, whether the kernel can be read or not", () => {
    const kernel: Event = { kind: "tcp.reset_received", localAddress: "192.0.2.254", localPort: 22, ...peer };
    const log: Event = { kind: "sshd.ended", outcome: "reset", detail: "read", phase: "kex", ...peer };
    const received = "peer_resets_received other unknown";
    for (const visible of [true, false]) {
      const options = { kernelVisible: () => visible };
      expect(
        countsAfter(
          [
            [0, kernel],
            [0, log],
          ],
          options,
        )[received],
        "both",
      ).to.equal(1);
      expect(
        countsAfter(
          [
            [0, log],
            [0, kernel],
          ],
          options,
        )[received],
        "both, log first",
      ).to.equal(1);
      expect(countsAfter([[0, log]], options)[received], "log alone").to.equal(visible ? undefined : 1);
    }
  });

  it("hands over what the log itself lost, by source", () => {
    const ledger = ledgerAfter([[0, { kind: "log.lost", count: 40 }, { count: 2 }]]);
    expect(ledger.lostRecords("journal")).to.equal(80);
    expect(ledger.lostRecords("kmsg")).to.equal(0);
  });

  it("learns logins from history without counting them", () => {
    const ledger = new Ledger();
    ledger.learn("192.0.2.1", 1_000);
    const samples = ledger.samples(2_000);
    expect(samples.find(({ name }) => name === "sshreset_known_peers")?.value).to.equal(1);
    expect(samples.find(({ name }) => name === "sshreset_connections_accepted_total")?.value).to.equal(0);
  });

  it("shows what comes from a proxy's and a cloud's log only where these are read: not read is not 0", () => {
    const names = new Ledger().samples(0).map(({ name }) => name);
    expect(names.filter((name) => /_(?:cloud_flow|proxy_s)/.test(name))).to.deep.equal([]);
    expect(names).to.include("sshreset_proxy_headers_refused_total");
  });

  it("shows every metric from the start, each with a definition, none twice, and no label outside its set", () => {
    const samples = new Ledger({ flowLogs: true, haproxy: true }).samples(0);
    const names = new Set(samples.map(({ name }) => name));
    expect(tallyMetrics.map(({ name }) => name).filter((name) => !names.has(name))).to.deep.equal([]);
    const seen = new Set<string>();
    for (const { name, labels = {} } of samples) {
      const definition = tallyMetrics.find((metric) => metric.name === name);
      expect(Object.keys(labels), name).to.deep.equal(definition?.labels);
      for (const [label, value] of Object.entries(labels)) {
        const closed = definition?.values?.[label];
        if (closed) expect(closed).to.include(value);
      }
      const key = JSON.stringify([name, labels]);
      expect(seen.has(key), key).to.equal(false);
      seen.add(key);
    }
    expect(new Set(tallyMetrics.map(({ name }) => name)).size).to.equal(tallyMetrics.length);
  });
});
