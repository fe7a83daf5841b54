import { expect } from "chai";
import { counted, fixture, replay } from "./replay.ts";

type Counts = Record<string, number>;

/** What each captured fault counts, with the kernel's trace events; captures without them have logs only. */
const expected: Readonly<Record<string, Counts>> = {
  "a1-kill9-main": {
    sshd_starts: 1,
    "sshd_stops crash": 1,
    "connections_ended banner closed known": 1,
    connections_accepted: 1,
  },
  "a2-crashloop": {
    sshd_starts: 4,
    "sshd_stops crash": 5,
    "sshd_stops start_limit": 1,
    "tcp_resets_sent no_socket": 1,
    "peer_resets_sent other unknown": 1,
  },
  "a2b-badconfig": {
    "sshd_stops requested": 1,
    "sshd_stops start_limit": 1,
    "sshd_start_failures configuration": 3,
    "tcp_resets_sent no_socket": 1,
    "peer_resets_sent other unknown": 1,
  },
  "a3-restart": { sshd_starts: 1, "sshd_stops requested": 1, connections_accepted: 1 },
  "b1-oom-sshd-cgroup": {
    sshd_starts: 2,
    "sshd_stops oom_kill": 2,
    "sshd_start_failures privilege_separation": 2,
    // Unprivileged children whose monitors the OOM killer took: killed by seccomp (audit type=1326, sig=31).
    sshd_session_crashes: 7,
    "connections_ended session disconnect known": 1,
    "connections_ended connect reset unknown": 2,
    connections_accepted: 1,
    "tcp_resets_sent no_socket": 3,
    "tcp_resets_sent tcp_abort_on_data": 2,
    "peer_resets_sent other unknown": 5,
    "oom_kills sshd cgroup": 9,
  },
  "b2-oom-session-child": {
    "connections_ended session disconnect known": 1,
    connections_accepted: 1,
    "oom_kills other cgroup": 1,
  },
  "c1-maxstartups": {
    "connections_ended connect dropped unknown": 1,
    "connections_ended banner closed unknown": 6,
    "connections_dropped max_startups": 1,
  },
  "c1b-maxstartups-ssh": {
    // Four dropped, one line: the kernel saw all four.
    "connections_ended connect dropped unknown": 1,
    "connections_ended connect reset unknown": 3,
    "connections_ended kex reset unknown": 1,
    "connections_dropped max_startups": 1,
    tcp_resets_received: 1,
    "tcp_resets_sent tcp_abort_on_data": 4,
    "peer_resets_received other unknown": 1,
    "peer_resets_sent other unknown": 4,
  },
  "d-tcpwrappers": {
    "connections_ended connect refused unknown": 1,
    "connections_ended session disconnect known": 1,
    connections_accepted: 1,
    tcp_wrappers_refusals: 1,
    "tcp_resets_sent tcp_abort_on_close": 1,
    "peer_resets_sent other unknown": 1,
  },
  "e1-peer-rst-tcp": {
    "connections_ended connect reset unknown": 1,
    tcp_resets_received: 1,
    "peer_resets_received other unknown": 1,
  },
  "e1-peer-rst-banner": preauthReset(),
  "e1-peer-rst-kex": preauthReset(),
  "e2-midsession-ssK-client": {
    "connections_ended session reset known": 1,
    connections_accepted: 1,
    tcp_resets_received: 1,
    "peer_resets_received 10.77.1.2 known": 1,
  },
  "e3-midsession-ssK-server": {
    "connections_ended session reset known": 1,
    connections_accepted: 1,
    "tcp_resets_sent tcp_state": 1,
    "peer_resets_sent 10.77.1.2 known": 1,
  },
  "f1-middlebox-rst": {
    "connections_ended session reset known": 1,
    connections_accepted: 1,
    tcp_resets_received: 1,
    "peer_resets_received 10.77.1.2 known": 1,
  },
  "f3-middlebox-preauth": preauthReset(),
  "g-conntrack-full": {
    "connections_ended connect dropped unknown": 1,
    "connections_ended banner reset unknown": 28,
    "connections_dropped max_startups": 1,
    tcp_resets_received: 28,
    "peer_resets_received other unknown": 28,
    // 22 lines and two suppressed ones, as many as the kernel dropped.
    conntrack_table_full: 24,
  },
  "h-mtu-blackhole": { "connections_ended kex closed unknown": 1 },
  "h-mtu-learned": { "connections_ended session disconnect known": 1, connections_accepted: 1 },
  "i1-haproxy-idle": {
    "connections_ended session closed known": 1,
    connections_accepted: 1,
    tcp_resets_received: 1,
    "peer_resets_received 10.77.2.1 known": 1,
  },
  "j1-tasksmax": {
    "sshd_resource_errors process": 3,
    "fork_rejections sshd": 1,
    "connections_ended banner closed known": 2,
    "connections_ended session disconnect known": 1,
    connections_accepted: 1,
  },
  "t-c1-maxstartups": {
    "connections_ended connect dropped unknown": 3,
    "connections_ended banner closed unknown": 2,
    "connections_dropped max_startups": 3,
  },
  "t-c4-penalties-authfail": {
    "connections_ended auth closed unknown": 1,
    "connections_ended connect dropped unknown": 3,
    "connections_ended session disconnect known": 1,
    connections_accepted: 1,
    "connections_dropped per_source_penalty": 3,
    "tcp_resets_sent tcp_abort_on_data": 2,
    "tcp_resets_sent tcp_abort_on_close": 1,
    "peer_resets_sent other unknown": 3,
  },
  "t-d-tcpwrappers": {
    "connections_ended connect refused unknown": 1,
    tcp_wrappers_refusals: 1,
    "tcp_resets_sent tcp_abort_on_close": 1,
    "peer_resets_sent other unknown": 1,
  },
  "t-ok": { "connections_ended session disconnect known": 1, connections_accepted: 1 },
};

function preauthReset(): Counts {
  return { "connections_ended kex reset unknown": 1, tcp_resets_received: 1, "peer_resets_received other unknown": 1 };
}

const isTraced = (name: string): boolean => fixture(name).some(({ source }) => source === "tcp_trace");

describe("captured faults, through the parsers", () => {
  for (const [name, counts] of Object.entries(expected)) {
    it(name, () => {
      const kernelVisible = isTraced(name);
      expect(counted(replay(fixture(name), { kernelVisible: () => kernelVisible }))).to.deep.equal(counts);
    });
  }
});

describe("captured faults, from the logs alone", () => {
  const logsOnly = (name: string): Counts =>
    counted(replay(fixture(name).filter(({ source }) => source !== "tcp_trace")));

  it("cannot tell why a session closed without a word", () => {
    for (const name of ["e2-midsession-ssK-client", "e3-midsession-ssK-server", "f1-middlebox-rst"]) {
      expect(logsOnly(name), name).to.deep.equal({
        "connections_ended session error known": 1,
        connections_accepted: 1,
      });
    }
  });

  it("see nothing of a reset right after connect", () => {
    expect(logsOnly("e1-peer-rst-tcp")).to.deep.equal({});
  });

  it("count a peer's resets from sshd's lines", () => {
    expect(logsOnly("e1-peer-rst-kex")).to.deep.equal({
      "connections_ended kex reset unknown": 1,
      "peer_resets_received other unknown": 1,
    });
    expect(logsOnly("g-conntrack-full")["peer_resets_received other unknown"]).to.equal(28);
  });
});

describe("captured faults, restarted after every record", () => {
  for (const name of Object.keys(expected)) {
    it(`${name} counts the same`, () => {
      const records = fixture(name);
      const options = { kernelVisible: () => true };
      const whole = replay(records, options);
      const restarted = replay(records, options, (ledger) => {
        const saved: unknown = JSON.parse(JSON.stringify(ledger.snapshot()));
        const fresh = replay([], options);
        fresh.restore(saved);
        return fresh;
      });
      expect(counted(restarted)).to.deep.equal(counted(whole));
      expect(JSON.stringify(restarted.snapshot())).to.equal(JSON.stringify(whole.snapshot()));
    });
  }
});
