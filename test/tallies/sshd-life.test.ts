import { expect } from "chai";
import type { Event, UnitResult, UnitRole } from "../../src/model/event.ts";
import { countsAfter, type Step } from "./events.ts";

const daemon = "daemon" as const;
const unit = (
  kind: "started" | "stopping" | "stopped" | "reloading" | "start_limit" | "start_failed",
  role: UnitRole = daemon,
): Event => ({ kind: `unit.${kind}`, role });
const exited = (how: "exited" | "killed" | "dumped", status: number, role: UnitRole = daemon): Event => ({
  kind: "unit.exited",
  role,
  process: "main",
  how,
  status,
});
const result = (of: UnitResult): Event => ({ kind: "unit.failed", role: daemon, result: of });
const oomInUnit: Event = { kind: "unit.oom_kill", role: daemon, by: "kernel" };
const signal = (number: number): Event => ({ kind: "sshd.signal", signal: number });
const listening = (address = "0.0.0.0"): Event => ({ kind: "sshd.listening", address, port: 22 });

const stopsAfter = (steps: readonly Step[]): Record<string, number> =>
  Object.fromEntries(Object.entries(countsAfter(steps)).filter(([name]) => name.startsWith("sshd_stops")));

/** Both orders of what two sources tell, also some seconds apart. */
function inAnyOrder(name: string, reason: string, events: readonly Event[]): void {
  it(name, () => {
    const once = { [`sshd_stops ${reason}`]: 1 };
    expect(stopsAfter(events.map((event) => [0, event])), "in order").to.deep.equal(once);
    expect(stopsAfter([...events].reverse().map((event) => [0, event])), "reversed").to.deep.equal(once);
    for (const [i] of events.entries()) {
      const late: Step[] = events.map((event, k) => [0, event, k === i ? { late: 4 } : {}]);
      late.sort((a, b) => (a[2]?.late ?? 0) - (b[2]?.late ?? 0));
      expect(stopsAfter(late), `line ${i} heard late`).to.deep.equal(once);
    }
  });
}

describe("stops of sshd", () => {
  inAnyOrder("killed by SIGKILL: exit and result are one crash", "crash", [exited("killed", 9), result("signal")]);
  inAnyOrder("dumped core", "crash", [exited("dumped", 11), result("core-dump")]);
  inAnyOrder("watchdog", "crash", [exited("killed", 6), result("watchdog")]);
  inAnyOrder("error exit", "error", [exited("exited", 255), result("exit-code")]);
  inAnyOrder("systemctl stop", "requested", [unit("stopping"), signal(15), unit("stopped")]);
  inAnyOrder("a stop that ran into its time limit", "requested", [
    unit("stopping"),
    exited("killed", 9),
    result("timeout"),
  ]);
  inAnyOrder("ended by SIGINT: asked for, though it exits with 255", "requested", [
    signal(2),
    exited("exited", 255),
    result("exit-code"),
  ]);
  inAnyOrder("SIGTERM on cgroup v2 after an OOM kill in the unit is no operator's", "oom_kill", [
    oomInUnit,
    signal(15),
    result("oom-kill"),
  ]);
  inAnyOrder("the same where systemd's result was lost", "oom_kill", [oomInUnit, signal(15)]);
  inAnyOrder("killed by the kernel's OOM killer", "oom_kill", [
    { kind: "oom.kill", scope: "host", pid: 7, victim: "sshd" },
    exited("killed", 9),
    result("signal"),
  ]);
  inAnyOrder("reload, told by sshd and systemd", "reload", [{ kind: "sshd.reload" }, unit("reloading")]);

  it("a stop without systemd's lines is requested", () => {
    expect(stopsAfter([[0, signal(15)]])).to.deep.equal({ "sshd_stops requested": 1 });
  });

  it("an OOM kill of something else in the unit, or long before, stops nothing", () => {
    expect(stopsAfter([[0, oomInUnit]])).to.deep.equal({});
    expect(
      stopsAfter([
        [0, oomInUnit],
        [60, unit("stopping")],
        [60, signal(15)],
      ]),
    ).to.deep.equal({
      "sshd_stops requested": 1,
    });
  });

  it("six crashes half a second apart and the start limit", () => {
    const steps: Step[] = [];
    for (let i = 0; i < 6; i++) {
      steps.push([i / 2, exited("killed", 9)], [i / 2, result("signal")], [i / 2 + 0.1, unit("stopped")]);
      if (i < 5) steps.push([i / 2 + 0.2, listening(), { pid: 100 + i }], [i / 2 + 0.2, unit("started")]);
    }
    steps.push([2.6, unit("start_limit")], [2.6, result("signal")], [2.6, unit("start_failed")]);
    steps.push([9, unit("start_limit")], [9, unit("start_limit", "socket")], [9, unit("start_failed")]);
    expect(countsAfter(steps)).to.deep.equal({ sshd_starts: 5, "sshd_stops crash": 6, "sshd_stops start_limit": 1 });
  });

  it("a restart is one stop and one start", () => {
    const steps: Step[] = [
      [0, unit("stopping")],
      [0, signal(15), { pid: 10 }],
      [0.1, unit("stopped")],
      [0.2, listening(), { pid: 11 }],
      [0.2, listening("::"), { pid: 11 }],
      [0.3, unit("started")],
    ];
    expect(countsAfter(steps)).to.deep.equal({ sshd_starts: 1, "sshd_stops requested": 1 });
  });

  it("a reload keeps the pid and is one stop and one start", () => {
    const steps: Step[] = [
      [0, listening(), { pid: 10 }],
      [60, { kind: "sshd.reload" }, { pid: 10 }],
      [60.1, listening(), { pid: 10 }],
      [60.1, listening("::"), { pid: 10 }],
    ];
    expect(countsAfter(steps)).to.deep.equal({ sshd_starts: 2, "sshd_stops reload": 1 });
  });

  it("one client's unit or scope is not the daemon", () => {
    const steps: Step[] = [];
    for (const role of ["connection", "session", "other"] as const) {
      steps.push([0, exited("exited", 255, role)], [0, exited("killed", 9, role)], [0, unit("stopping", role)]);
      steps.push([0, unit("started", role)], [0, unit("start_failed", role)]);
    }
    expect(countsAfter(steps)).to.deep.equal({});
  });

  it("a control process that failed is a failed start, not a stop", () => {
    const control: Event = { kind: "unit.exited", role: daemon, process: "control", how: "exited", status: 255 };
    expect(
      countsAfter([
        [0, control],
        [0, result("exit-code")],
        [0, unit("start_failed")],
      ]),
    ).to.deep.equal({
      "sshd_start_failures other": 1,
    });
    const configuration: Event = { kind: "sshd.start_failed", reason: "configuration" };
    const told: Step[] = [
      [0, configuration, { pid: 5 }],
      [0, configuration, { pid: 5 }],
      [0, control],
      [0, unit("start_failed")],
    ];
    expect(countsAfter(told)).to.deep.equal({ "sshd_start_failures configuration": 1 });
    expect(countsAfter([...told].reverse())).to.deep.equal({ "sshd_start_failures configuration": 1 });
  });
});

describe("session crashes", () => {
  it("are one crash, told by the kernel, sshd and systemd-coredump in any order", () => {
    const lines: Event[] = [
      { kind: "kernel.crash", process: "sshd_session", pid: 12 },
      { kind: "sshd.session_crash", pid: 11, signal: 11 },
      { kind: "unit.core_dump", role: "daemon", process: "sshd_session" },
    ];
    for (const order of [lines, [...lines].reverse()]) {
      expect(countsAfter(order.map((event) => [0, event]))["sshd_session_crashes"]).to.equal(1);
    }
    expect(countsAfter([...lines, ...lines].map((event) => [0, event]))["sshd_session_crashes"]).to.equal(2);
  });

  it("take a kernel line about a process named sshd for the listener's if the listener crashed", () => {
    const kernel: Event = { kind: "kernel.crash", process: "sshd", pid: 12 };
    expect(
      countsAfter([
        [0, kernel],
        [0, exited("dumped", 11)],
      ]),
    ).to.deep.equal({ "sshd_stops crash": 1 });
    expect(
      countsAfter([
        [0, listening(), { pid: 12 }],
        [5, kernel],
      ]),
    ).to.deep.equal({ sshd_starts: 1 });
    expect(countsAfter([[0, kernel]])).to.deep.equal({ sshd_session_crashes: 1 });
  });
});
