import { expect } from "chai";
import type { Event } from "../../src/model/event.ts";
import {
  accepted,
  connectionFrom,
  drop,
  ended,
  failed,
  nameless,
  peer,
  portless,
  resetReceived,
  resetSent,
  Scene,
  sessionClosed,
} from "./scene.ts";

const another = { address: "192.0.2.1", port: 40001 };
const session = () => new Scene().at(0, accepted(), 10).at(0, { kind: "sshd.session_opened" }, 10);
const blindSession = () => new Scene({ kernelVisible: false }).at(0, accepted(), 10);

describe("connections: one end of several lines", () => {
  it("joins a companion line with the addressed line after it", () => {
    const scene = new Scene()
      .at(0, nameless("reset", { detail: "banner", phase: "banner" }), 10)
      .at(0, ended("reset"), 10);
    expect(scene.told()).to.deep.equal(["banner reset"]);
    expect(scene.ends[0]).to.include({ ...peer, detail: "banner", count: 1 });
  });

  it("gives an address-less end of an old release the address of its process", () => {
    const scene = new Scene().at(0, connectionFrom(), 10).at(1, nameless("reset", { phase: "kex" }), 10);
    expect(scene.told()).to.deep.equal(["kex reset"]);
    expect(scene.ends[0]).to.include(peer);
  });

  it("tells an address-less end without address when no line of its process has one", () => {
    const scene = new Scene().at(0, nameless("reset", { phase: "kex" }), 10);
    expect(scene.told()).to.deep.equal(["kex reset"]);
    expect(scene.ends[0]?.address).to.equal(undefined);
  });

  it("counts Received disconnect and Disconnected from once, with the phase of whichever knows it", () => {
    const preauth = new Scene()
      .at(0, ended("disconnect", { phase: "kex" }), 10)
      .at(0, ended("disconnect", { phase: "auth" }), 10);
    expect(preauth.told()).to.deep.equal(["auth disconnect"]);
    const postauth = session()
      .at(5, ended("disconnect"), 11)
      .at(5, ended("disconnect", { phase: "session" }), 11)
      .at(5, sessionClosed, 10);
    expect(postauth.told()).to.deep.equal(["session disconnect"]);
  });

  it("takes Connection closed by as post-auth if the connection was accepted, else as banner", () => {
    expect(session().at(5, ended("closed"), 11).at(5, sessionClosed, 10).told()).to.deep.equal(["session closed"]);
    expect(new Scene().at(0, ended("closed"), 11).told()).to.deep.equal(["banner closed"]);
  });

  it("knows the phase better from an earlier failed login than from [preauth]", () => {
    expect(
      new Scene()
        .at(0, failed(), 10)
        .at(1, ended("closed", { phase: "kex" }), 10)
        .told(),
    ).to.deep.equal(["auth closed"]);
  });

  it("keeps the count of a repeated record", () => {
    const scene = new Scene().at(0, nameless("closed", { phase: "banner" }), 10, { count: 3 });
    scene.told();
    expect(scene.ends[0]?.count).to.equal(3);
  });

  it("adopts an address-less timeout (up to 7.6) into the session that closes after it", () => {
    const scene = session()
      .at(60, nameless("timeout", { detail: "client_alive" }), 11)
      .at(60, sessionClosed, 10);
    expect(scene.told()).to.deep.equal(["session timeout"]);
    expect(scene.ends[0]).to.include({ ...peer, detail: "client_alive" });
  });

  it("follows the child's pid where User child is on pid links it", () => {
    const scene = session()
      .at(0, { kind: "sshd.user_child", childPid: 11 }, 10)
      .at(9, nameless("timeout", { detail: "client_alive" }), 11);
    expect(scene.told()).to.deep.equal(["session timeout"]);
  });

  it("joins the listener's grace timeout (9.8+) by the pid in its text", () => {
    const scene = new Scene()
      .at(0, connectionFrom(), 10)
      .at(120, portless("timeout", { detail: "login_grace", subjectPid: 10 }), 1);
    expect(scene.told()).to.deep.equal(["banner timeout"]);
    expect(scene.ends[0]?.port).to.equal(peer.port);
    const unseen = new Scene().at(0, portless("timeout", { detail: "login_grace", subjectPid: 10 }), 1);
    expect(unseen.told()).to.deep.equal(["auth timeout"]);
  });
});

describe("connections: a session that closes without a word", () => {
  it("was reset if the kernel saw a reset of it", () => {
    const scene = session().at(5, resetReceived()).at(5, sessionClosed, 10);
    expect(scene.told()).to.deep.equal(["session reset"]);
    expect(scene.ends[0]?.kernelReset).to.equal(true);
  });

  it("was reset if the kernel's event comes after the line", () => {
    expect(session().at(5, sessionClosed, 10).at(5.5, resetSent()).told()).to.deep.equal(["session reset"]);
  });

  it("was closed if the kernel would have seen a reset", () => {
    expect(session().at(5, sessionClosed, 10).told()).to.deep.equal(["session closed"]);
  });

  it("is an error where the kernel cannot be read", () => {
    expect(blindSession().at(5, sessionClosed, 10).told()).to.deep.equal(["session error"]);
  });

  it("is an error when its process crashed", () => {
    const crash = { kind: "sshd.session_crash", pid: 10, signal: 11 } as const;
    expect(session().at(5, crash, 1).at(5, sessionClosed, 10).told()).to.deep.equal(["session error"]);
    const kernel = { kind: "kernel.crash", process: "sshd_session", pid: 10 } as const;
    expect(session().at(5, kernel).told()).to.deep.equal(["session error"]);
    const oom = { kind: "oom.kill", scope: "cgroup", pid: 10, victim: "sshd_session" } as const;
    expect(session().at(5, oom).told()).to.deep.equal(["session error"]);
  });

  it("ended unseen when its process id or its port belongs to another", () => {
    const pid = blindSession().at(50, accepted(another), 10);
    expect(pid.told()).to.deep.equal(["session error"]);
    expect(pid.connections.open().session).to.equal(1);
    const port = blindSession().at(50, accepted(), 12);
    expect(port.told()).to.deep.equal(["session error"]);
    expect(port.connections.open().session).to.equal(1);
  });
});

describe("connections: kernel and log in any order", () => {
  it("waits for the disconnect that is on its way", () => {
    const scene = session().at(5, resetReceived()).at(5.9, ended("disconnect"), 11).at(5.9, sessionClosed, 10);
    expect(scene.told()).to.deep.equal(["session disconnect"]);
  });

  it("leaves a disconnect a disconnect when the reset comes seconds later", () => {
    const scene = session().at(5, ended("disconnect"), 11).at(5, sessionClosed, 10).at(12, resetReceived());
    expect(scene.told()).to.deep.equal(["session disconnect"]);
  });

  it("never counts again what the log tells seconds after the kernel", () => {
    const scene = session().at(5, resetReceived()).at(12, ended("reset"), 11).at(12, sessionClosed, 10);
    expect(scene.told()).to.deep.equal(["session reset"]);
    const preauth = new Scene()
      .at(0, resetReceived())
      .at(8, nameless("reset", { phase: "banner" }), 10, { ago: 8 })
      .at(8, ended("reset"), 10, { ago: 8 });
    expect(preauth.told()).to.deep.equal(["connect reset"]);
  });

  it("takes the phase from the line that follows the kernel's event", () => {
    const scene = new Scene().at(0, resetReceived()).at(0.3, ended("reset", { phase: "kex" }), 10);
    expect(scene.told()).to.deep.equal(["kex reset"]);
  });

  it("joins companion, addressed line and kernel event in every order", () => {
    const companion = nameless("reset", { detail: "banner", phase: "banner" });
    const lines = [companion, ended("reset")];
    for (const kernelAt of [0, 1, 2]) {
      const scene = new Scene();
      const events = lines.map((event) => ({ event, pid: 10 }));
      events.splice(kernelAt, 0, { event: resetReceived(), pid: 0 });
      for (const [i, { event, pid }] of events.entries()) scene.at(i / 10, event, pid);
      expect(scene.told(), `kernel event at place ${kernelAt}`).to.deep.equal(["banner reset"]);
    }
  });

  it("does not mix up twenty resets of one moment", () => {
    const scene = new Scene();
    const ports = Array.from({ length: 20 }, (_, i) => ({ address: peer.address, port: 50_000 + i }));
    for (const [i, from] of ports.entries())
      scene.at(0, nameless("reset", { phase: "banner" }), 100 + i).at(0, resetReceived(from));
    for (const [i, from] of ports.entries()) scene.at(0, ended("reset", from), 100 + i);
    expect(scene.told()).to.deep.equal(new Array(20).fill("banner reset"));
  });

  it("is phase connect if nothing was ever logged", () => {
    expect(new Scene().at(0, resetReceived()).told()).to.deep.equal(["connect reset"]);
  });

  it("has the last phase that the log knew", () => {
    expect(new Scene().at(0, connectionFrom(), 10).at(1, resetReceived()).told()).to.deep.equal(["banner reset"]);
    expect(new Scene().at(0, failed(), 10).at(1, resetReceived()).told()).to.deep.equal(["auth reset"]);
  });

  it("joins a refused line, which has no port, with the reset that refusing sent", () => {
    const refused = portless("refused", { detail: "tcp_wrappers", phase: "connect" });
    expect(new Scene().at(0, refused, 10).at(0.2, resetSent()).told()).to.deep.equal(["connect refused"]);
    expect(new Scene().at(0, resetSent()).at(0.2, refused, 10).told()).to.deep.equal(["connect refused"]);
    expect(new Scene().at(0, refused, 10).at(4, resetSent()).told()).to.deep.equal(["connect refused"]);
  });

  it("joins a reset line of 8.0 to 8.2, which never gets an address, with the kernel's reset", () => {
    const line = nameless("reset", { detail: "banner", phase: "banner" });
    const scene = new Scene().at(0, line, 10).at(0.1, resetReceived());
    expect(scene.told()).to.deep.equal(["banner reset"]);
    expect(scene.ends[0]).to.include(peer);
    expect(new Scene().at(0, resetReceived()).at(0.1, line, 10).told()).to.deep.equal(["banner reset"]);
  });

  it("joins a drop with the reset that dropping sent", () => {
    expect(new Scene().at(0, resetSent()).at(0.1, drop(), 1).told()).to.deep.equal(["connect dropped"]);
    expect(new Scene().at(0, drop(), 1).at(0.1, resetSent()).told()).to.deep.equal(["connect dropped"]);
  });

  it("makes no end of a reset that only answers a stray segment", () => {
    expect(new Scene().at(0, resetSent(peer, "no_socket")).told()).to.deep.equal([]);
  });

  it("puts late lines of a beginning to the connection that the kernel has ended", () => {
    const scene = new Scene().at(1, resetReceived()).at(1.2, accepted(), 10, { ago: 0.5 }).at(1.3, sessionClosed, 10);
    expect(scene.told()).to.deep.equal(["session reset"]);
    const late = new Scene().at(1, resetReceived()).at(5, accepted(), 10, { ago: 5 }).at(5, sessionClosed, 10);
    expect(late.told()).to.deep.equal(["connect reset"]);
  });
});

describe("connections: a port used again at once", () => {
  it("opens a new connection for Connection from and for Accepted", () => {
    const scene = new Scene()
      .at(0, ended("closed", { phase: "kex" }), 10)
      .at(0.1, connectionFrom(), 11)
      .at(0.2, ended("reset", { phase: "kex" }), 11);
    expect(scene.told()).to.deep.equal(["kex closed", "kex reset"]);
    const session = new Scene().at(0, ended("closed", { phase: "kex" }), 10).at(5, accepted(), 11);
    session.at(6, ended("disconnect"), 12);
    expect(session.told()).to.deep.equal(["kex closed", "session disconnect"]);
  });

  it("tells two ends apart by their processes", () => {
    const scene = new Scene().at(0, ended("closed", { phase: "kex" }), 10).at(3, ended("closed", { phase: "kex" }), 11);
    expect(scene.told()).to.deep.equal(["kex closed", "kex closed"]);
  });

  it("takes a second received reset as a second connection: a socket is reset once", () => {
    expect(new Scene().at(0, resetReceived()).at(0.1, resetReceived()).told()).to.deep.equal([
      "connect reset",
      "connect reset",
    ]);
    expect(new Scene().at(0, resetReceived()).at(9, resetReceived()).told()).to.deep.equal([
      "connect reset",
      "connect reset",
    ]);
  });
});

describe("connections: not seen from the start", () => {
  it("gives a session from before the start phase unknown and no abnormal end", () => {
    const alone = new Scene({ kernelVisible: false }).at(0, sessionClosed, 10);
    expect(alone.told()).to.deep.equal(["unknown closed"]);
    const disconnected = new Scene().at(0, ended("disconnect", { phase: "session" }), 11).at(0, sessionClosed, 10);
    expect(disconnected.told()).to.deep.equal(["unknown disconnect"]);
  });

  it("knows from PAM's line that Connection closed by was a session's", () => {
    expect(new Scene().at(0, ended("closed"), 11).at(0, sessionClosed, 10).told()).to.deep.equal(["unknown closed"]);
  });

  it("ignores lines that come long after the end", () => {
    const scene = session().at(5, ended("disconnect"), 11).at(25, ended("disconnect"), 11).at(25, sessionClosed, 10);
    expect(scene.told()).to.deep.equal(["session disconnect"]);
  });
});

describe("connections: hours of log in one tick", () => {
  const hour = 3_600;

  it("joins only lines whose own times are near", () => {
    const scene = new Scene()
      .at(0, ended("closed"), 10, { ago: 5 * hour })
      .at(0, sessionClosed, 99, { ago: 4 * hour })
      .at(0, nameless("reset", { phase: "banner" }), 12, { ago: 3 * hour })
      .at(0, ended("reset", another), 12, { ago: 2 * hour });
    expect(scene.told()).to.deep.equal(["banner closed", "unknown closed", "banner reset", "banner reset"]);
  });

  it("knows a port or process used again later", () => {
    const scene = new Scene()
      .at(0, accepted(), 10, { ago: 5 * hour })
      .at(0, ended("disconnect"), 11, { ago: 4 * hour })
      .at(0, sessionClosed, 10, { ago: 4 * hour })
      .at(0, ended("closed", { phase: "kex" }), 20, { ago: 3 * hour })
      .at(0, ended("closed", { phase: "kex" }), 20, { ago: 2 * hour });
    expect(scene.told()).to.deep.equal(["session disconnect", "kex closed", "kex closed"]);
  });
});

describe("connections: restart and stalls", () => {
  it("keeps a pending join over a restart, however long it took", () => {
    const scene = session().at(5, resetReceived()).restart(3_600_000);
    scene.wait(250);
    expect(scene.ends, "told before the log could be read").to.deep.equal([]);
    scene.at(3606, ended("disconnect"), 11, { ago: 3600 }).at(3606, sessionClosed, 10, { ago: 3600 });
    expect(scene.told()).to.deep.equal(["session disconnect"]);
  });

  it("remembers told ends and open sessions over a restart", () => {
    const scene = session()
      .at(5, ended("disconnect"), 11)
      .wait(2_000)
      .restart()
      .at(8, ended("disconnect"), 11)
      .at(8, sessionClosed, 10)
      .at(9, accepted(another), 20)
      .restart()
      .at(10, ended("closed", another), 21);
    expect(scene.told()).to.deep.equal(["session disconnect", "session closed"]);
  });

  it("survives a clock that goes backwards", () => {
    const scene = session().at(5, resetReceived());
    scene.connections.tick(1);
    scene.connections.tick(2_000);
    expect(scene.ends.map(({ outcome }) => outcome)).to.deep.equal(["reset"]);
  });
});

describe("connections: whose line it is", () => {
  it("keeps a session's end that a nameless line told, and adds nothing for later lines of it", () => {
    const scene = new Scene().at(0, connectionFrom(), 3).at(1, nameless("timeout"), 11).at(1, sessionClosed, 3);
    scene.at(1, ended("reset"), 4);
    expect(scene.told()).to.deep.equal(["banner timeout"]);
  });

  it("knows a line of its own child when the child's first one has told the end", () => {
    const scene = new Scene().at(0, { kind: "sshd.accepted", address: another.address }, 5);
    scene.at(1, connectionFrom(), 1).at(1, ended("reset"), 5).at(1, ended("reset"), 5);
    expect(scene.told()).to.deep.equal(["banner reset"]);
  });

  it("joins a nameless line with a reset by way of a session without a port", () => {
    const scene = new Scene().at(0, resetReceived()).at(0, { kind: "sshd.accepted", address: peer.address }, 6);
    scene.at(0, { kind: "sshd.drop", limit: "max_startups" }).at(0, sessionClosed, 6);
    expect(scene.told()).to.deep.equal(["connect dropped"]);
  });

  it("refuses a snapshot in which a peer has two connections, or one another's process, or ends twice", () => {
    const scene = new Scene().at(0, accepted(), 10).at(0, accepted(another), 20);
    const saved = () => JSON.parse(JSON.stringify(scene.connections.snapshot()));
    const restore = (change: (state: ReturnType<typeof saved>) => void) => () => {
      const state = saved();
      change(state);
      new Scene().connections.restore(state);
    };
    expect(restore(() => undefined)).to.not.throw();
    expect(restore((state) => Object.assign(state.connections[0], { key: state.connections[1].key }))).to.throw("peer");
    expect(restore((state) => state.byPid.reverse())).to.throw("process 10");
    expect(restore((state) => state.pids.fill(0))).to.throw("process 0");
    scene.at(1, resetReceived());
    expect(restore((state) => state.ending.push(state.ending[0]))).to.throw("twice");
    expect(restore((state) => state.ending.push(1))).to.throw("does not");
  });
});

describe("connections: bounds", () => {
  it("displaces the oldest unauthenticated connection, never a session, and counts it", () => {
    const scene = new Scene({ capacity: 10 }).at(0, accepted(), 10);
    for (let i = 0; i < 20; i++) scene.at(0, connectionFrom({ address: "192.0.2.9", port: 1000 + i }), 100 + i);
    expect(scene.connections.evicted).to.equal(11);
    expect(scene.connections.open()).to.deep.equal({ banner: 9, auth: 0, session: 1 });
  });

  it("forgets an unauthenticated connection after ten minutes, a session after thirty days", () => {
    const scene = new Scene().at(0, accepted(), 10).at(0, connectionFrom(another), 20);
    scene.at(15 * 60, failed({ address: "192.0.2.7", port: 1 }), 30);
    expect(scene.connections.open()).to.deep.equal({ banner: 0, auth: 1, session: 1 });
    scene.connections.tick(1_800_000_000_000 + 31 * 24 * 3_600_000);
    expect(scene.connections.open()).to.deep.equal({ banner: 0, auth: 0, session: 0 });
    expect(scene.connections.evicted).to.equal(3);
    expect(scene.ends).to.deep.equal([]);
  });

  it("holds 100,000 connections at once within its bound", () => {
    const scene = new Scene();
    for (let i = 0; i < 100_000; i++) {
      scene.at(0, accepted({ address: `10.0.${i >> 16}.${(i >> 8) & 255}`, port: 1024 + (i % 256) * 200 }), 1000 + i);
    }
    const { session } = scene.connections.open();
    expect(session + scene.connections.evicted).to.equal(100_000);
    expect(session).to.equal(25_000);
  });

  it("bounds what has a process id and no port", () => {
    const scene = new Scene({ capacity: 100 });
    for (let i = 1; i <= 1_000; i++) scene.at(0, { kind: "sshd.accepted", address: "192.0.2.1" }, i);
    expect(scene.connections.evicted).to.equal(700);
    expect(scene.at(1, sessionClosed, 1_000).told()).to.deep.equal(["session closed"]);
  });

  it("displaces a connection with two processes once", () => {
    const scene = new Scene({ capacity: 200 });
    for (let pid = 1_000; pid < 1_800; pid += 2) {
      scene.at(0, { kind: "sshd.accepted", address: "192.0.2.1" }, pid);
      scene.at(0, { kind: "sshd.user_child", childPid: pid + 1 }, pid);
    }
    expect(scene.connections.evicted).to.equal(100);
  });

  it("tells a flood of 100,000 kernel resets once each", () => {
    const scene = new Scene();
    for (let i = 0; i < 100_000; i++) {
      scene.at(0, resetReceived({ address: `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`, port: 5000 }));
    }
    expect(scene.told().filter((end) => end === "connect reset")).to.have.length(100_000);
  });

  it("tells a flood in slices, a tick each", () => {
    const scene = new Scene();
    for (let i = 0; i < 10_000; i++) {
      scene.at(0, resetReceived({ address: `10.0.${i >> 8}.${i & 255}`, port: 5000 }));
    }
    const told = Array.from({ length: 9 }, () => {
      const before = scene.ends.length;
      scene.wait(250);
      return scene.ends.length - before;
    });
    expect(told).to.deep.equal([0, 0, 0, 2_500, 2_500, 2_500, 2_500, 0, 0]);
  });

  it("tells the ends of a log read late as it is read on", () => {
    const scene = new Scene();
    const at = (i: number, ago: number) =>
      scene.at(1, ended("reset", { address: `10.0.${i >> 8}.${i & 255}`, port: 5000 }), 0, { ago });
    for (let i = 0; i < 4_000; i++) at(i, 3600);
    const toldAfter = (records: number): number => {
      for (let i = 0; i < records; i++) at(10_000 + i, 3580);
      return scene.ends.length;
    };
    expect([toldAfter(1), toldAfter(100), toldAfter(600)]).to.deep.equal([500, 1_000, 4_000]);
    expect(scene.told()).to.have.length(4_600);
  });

  it("spends no more on the thousandth end without peer or process than on the first", () => {
    const scene = new Scene();
    const refused = (i: number): Event => portless("refused", { address: `10.0.${i >> 8}.${i & 255}` });
    const startUs = process.cpuUsage().user;
    for (let i = 0; i < 40_000; i++) scene.at(0, sessionClosed, 1_000 + i);
    for (let i = 0; i < 40_000; i++) scene.at(0, refused(i));
    // All against all of them would take a minute.
    expect(process.cpuUsage().user - startUs).to.be.below(8_000_000);
    expect(scene.wait(10_000).ends).to.have.length(80_000);
  });

  it("forgets a table of old connections in slices", () => {
    const scene = new Scene();
    for (let i = 0; i < 15_000; i++) {
      scene.at(0, connectionFrom({ address: `10.0.${i >> 8}.${i & 255}`, port: 5000 }));
    }
    const startMs = 1_800_000_000_000;
    scene.connections.tick(startMs + 11 * 60_000);
    expect(scene.connections.evicted).to.equal(10_000);
    scene.connections.tick(startMs + 11 * 60_000 + 250);
    expect(scene.connections.evicted).to.equal(15_000);
  });

  it("takes the idle age from the sockets when a session ends", () => {
    const scene = new Scene({ idleMs: 350_000 }).at(0, accepted(), 10).at(400, resetReceived());
    scene.told();
    expect(scene.ends[0]?.idleMs).to.equal(350_000);
  });
});
