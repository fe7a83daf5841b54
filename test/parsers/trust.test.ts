/** Who may say what: the journal's trusted fields of real speakers and of impostors. */
import { expect } from "chai";
import type { JournalFields, LogRecord, SourceName } from "../../src/model/record.ts";
import { isTrusted, parse } from "../../src/parsers/index.ts";

const reset = "Connection reset by 203.0.113.9 port 5555 [preauth]";
const exited = "ssh.service: Main process exited, code=killed, status=9/KILL";
const killed =
  "Out of memory: Killed process 1 (sshd) total-vm:1kB, anon-rss:1kB, file-rss:1kB, shmem-rss:0kB, UID:0 pgtables:1kB oom_score_adj:0";
const traced = "src=10.0.0.1:22 dest=203.0.113.9:5555 state=TCP_CLOSE reason=NO_SOCKET";

function from(
  source: SourceName,
  ident: string,
  message: string,
  trusted?: JournalFields["trusted"],
  more?: Partial<JournalFields>,
): LogRecord {
  const record = { source, timeMs: 0, ident, pid: 4242, message, count: 1 };
  return trusted === undefined ? record : { ...record, journal: { trusted, ...more } };
}

const system = { transport: "syslog", pid: 4242, uid: 0, cgroup: "/system.slice/ssh.service", unit: "ssh.service" };
const login = {
  transport: "syslog",
  pid: 4242,
  uid: 1000,
  cgroup: "/user.slice/user-1000.slice/session-3.scope",
  unit: "session-3.scope",
};
const postauth = "Received disconnect from 203.0.113.9 port 5555:11: disconnected by user";

describe("who speaks for sshd in the journal", () => {
  const real: Readonly<Record<string, JournalFields["trusted"]>> = {
    "Debian's sshd": { ...system, exe: "/usr/sbin/sshd", comm: "sshd" },
    "Debian's sshd-session": { ...system, exe: "/usr/lib/openssh/sshd-session", comm: "sshd-session" },
    "Fedora's sshd-session": { ...system, exe: "/usr/libexec/openssh/sshd-session", comm: "sshd-session" },
    "NixOS's sshd": { ...system, exe: "/nix/store/0000-openssh-10.0p1/bin/sshd", comm: "sshd" },
    "a binary replaced by an upgrade": { ...system, exe: "/usr/sbin/sshd (deleted)", comm: "sshd" },
    "a process that died before journald looked, root": { ...system, comm: "sshd" },
    "one of which nothing is left but root's credentials": { transport: "syslog", pid: 923, uid: 0 },
    "a per-connection unit": {
      ...system,
      exe: "/usr/sbin/sshd",
      cgroup: "/system.slice/system-sshd.slice/sshd@3-10.0.0.1:22-203.0.113.9:5555.service",
    },
    "a monitor after login": {
      ...system,
      exe: "/usr/sbin/sshd",
      cgroup: "/user.slice/user-1000.slice/session-3.scope",
    },
    "sshd -e on standard output": { ...system, transport: "stdout", exe: "/usr/sbin/sshd" },
  };
  for (const [who, trusted] of Object.entries(real)) {
    it(`believes ${who}`, () => {
      expect(isTrusted(from("journal", "sshd", reset, trusted))).to.equal(true);
      expect(parse(from("journal", "sshd", reset, trusted))).to.include({ kind: "sshd.ended", address: "203.0.113.9" });
    });
  }

  const false_: Readonly<Record<string, JournalFields["trusted"]>> = {
    "logger -t sshd": { ...login, exe: "/usr/bin/logger", comm: "logger" },
    "systemd-cat -t sshd": { ...login, transport: "stdout", exe: "/usr/bin/cat", comm: "cat" },
    "a process that renamed itself": { ...login, exe: "/home/bob/evil", comm: "sshd" },
    "root's logger": { ...system, exe: "/usr/bin/logger", comm: "logger" },
    "a service that runs as a user": { ...system, uid: 33, exe: "/usr/sbin/sshd", cgroup: "/system.slice/web.service" },
    "a user's own sshd as a user unit": {
      ...login,
      exe: "/usr/sbin/sshd",
      cgroup: "/user.slice/user-1000.slice/user@1000.service/app.slice/ssh.service",
      unit: "user@1000.service",
    },
    "a container's sshd": {
      ...system,
      exe: "/usr/sbin/sshd",
      cgroup: "/system.slice/docker-0123.scope",
      unit: "docker-0123.scope",
    },
    "a user's process of which only the credentials are left": { transport: "syslog", pid: 923, uid: 1000 },
    "something written to /dev/kmsg": { transport: "kernel", pid: 1, uid: 0, exe: "/usr/sbin/sshd" },
  };
  for (const [who, trusted] of Object.entries(false_)) {
    it(`does not believe ${who}`, () => {
      expect(isTrusted(from("journal", "sshd", reset, trusted))).to.equal(false);
      expect(parse(from("journal", "sshd", reset, trusted))).to.equal(undefined);
    });
  }

  it("a login's child tells the end of the session, with and without a program left", () => {
    for (const trusted of [
      { ...login, exe: "/usr/sbin/sshd", comm: "sshd" },
      { ...login, comm: "sshd-session" },
      { transport: "syslog", pid: 4242, uid: 1000, comm: "sshd" },
    ]) {
      const event = parse(from("journal", "sshd", postauth, trusted));
      expect(event).to.include({ kind: "sshd.ended", outcome: "disconnect", address: "203.0.113.9" });
    }
  });

  it("without a user id nobody is root", () => {
    const { uid: _, ...nobody } = { ...login, exe: "/usr/sbin/sshd" };
    expect(parse(from("journal", "sshd", "Server listening on 0.0.0.0 port 22.", nobody))).to.deep.equal({
      kind: "noted",
    });
  });

  it("and nothing else: a user's own sshd listens, drops, accepts and starts without consequence", () => {
    const own = { ...login, exe: "/usr/sbin/sshd", comm: "sshd" };
    for (const message of [
      reset,
      "Server listening on 0.0.0.0 port 2222.",
      "Received signal 15; terminating.",
      "Accepted password for bob from 203.0.113.9 port 5555 ssh2",
      "Failed password for root from 203.0.113.9 port 5555 ssh2",
      "drop connection #10 from [203.0.113.9]:5555 on [10.0.0.1]:22 past MaxStartups",
      "refused connect from x (203.0.113.9)",
      "fatal: Cannot bind any address.",
    ]) {
      expect(parse(from("journal", "sshd", message, own)), message).to.deep.equal({ kind: "noted" });
    }
  });
});

describe("who speaks for systemd and the kernel", () => {
  const pid1 = { transport: "journal", pid: 1, uid: 0, exe: "/usr/lib/systemd/systemd", unit: "init.scope" };

  it("believes PID 1", () => {
    expect(parse(from("journal", "systemd", exited, pid1, { unit: "ssh.service" }))).to.include({
      kind: "unit.exited",
      role: "daemon",
    });
  });

  it("takes a user's service manager for itself: known, of no consequence", () => {
    const manager = { ...pid1, pid: 977, uid: 1000 };
    expect(isTrusted(from("journal", "systemd", exited, manager))).to.equal(true);
    expect(parse(from("journal", "systemd", exited, manager))).to.deep.equal({ kind: "noted" });
  });

  it("does not believe a logger", () => {
    const record = from(
      "journal",
      "systemd",
      exited,
      { ...login, exe: "/usr/bin/logger" },
      { unit: "ssh.service", messageId: "98e322203f7a4ed290d09fe03c09fe15", exitCode: "killed", exitStatus: "9" },
    );
    expect(isTrusted(record)).to.equal(false);
    expect(parse(record)).to.equal(undefined);
  });

  it("believes systemd-coredump, not somebody of that name", () => {
    const dumped = "Process 4711 (sshd) of user 0 dumped core.";
    const exe = "/usr/lib/systemd/systemd-coredump";
    expect(parse(from("journal", "systemd-coredump", dumped, { ...pid1, pid: 7, exe }))?.kind).to.equal(
      "unit.core_dump",
    );
    expect(parse(from("journal", "systemd-coredump", dumped, { ...login, exe: "/bin/sh" }))).to.equal(undefined);
  });

  it("the kernel has its own transport and facility 0", () => {
    expect(parse(from("journal", "kernel", killed, { transport: "kernel" }, { facility: 0 }))?.kind).to.equal(
      "oom.kill",
    );
    for (const record of [
      from("journal", "kernel", killed, { transport: "kernel" }, { facility: 1 }),
      from("journal", "kernel", killed, { transport: "kernel" }),
      from("journal", "kernel", killed, { ...login, exe: "/usr/bin/logger" }, { facility: 0 }),
    ]) {
      expect(isTrusted(record)).to.equal(false);
      expect(parse(record)).to.equal(undefined);
    }
  });

  it("the ring buffer speaks for the kernel alone", () => {
    expect(parse(from("kmsg", "kernel", killed))?.kind).to.equal("oom.kill");
    expect(parse(from("kmsg", "sshd", reset))).to.equal(undefined);
    expect(parse(from("kmsg", "systemd", exited))).to.equal(undefined);
  });

  it("trace events come from the trace alone, and nothing else does", () => {
    expect(parse(from("tcp_trace", "tcp_send_reset", traced))?.kind).to.equal("tcp.reset_sent");
    expect(parse(from("logfile", "tcp_send_reset", traced))).to.equal(undefined);
    expect(parse(from("journal", "tcp_send_reset", traced, system))).to.equal(undefined);
    expect(parse(from("tcp_trace", "sshd", reset))).to.equal(undefined);
  });

  it("a file cannot tell: its words are taken", () => {
    expect(isTrusted(from("logfile", "sshd", reset))).to.equal(true);
    expect(parse(from("logfile", "sshd", reset))?.kind).to.equal("sshd.ended");
    expect(parse({ ...from("logfile", "systemd", exited), pid: 1 })?.kind).to.equal("unit.exited");
    expect(parse({ ...from("logfile", "systemd", exited), pid: 0 })?.kind).to.equal("unit.exited");
    expect(parse({ ...from("logfile", "systemd", exited), pid: 977 })?.kind).to.equal("noted");
  });
});

describe("a crafted kernel line", () => {
  const context = (path: string, task: string) =>
    parse(
      from(
        "kmsg",
        "kernel",
        `oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=${path},task_memcg=${path},task=${task},pid=77,uid=1000`,
      ),
    );

  it("a control group's name changes neither the pid nor the group", () => {
    for (const path of [
      "/user.slice/user-1000.slice/user@1000.service/x,task=sshd,pid=1,uid=0",
      "/user.slice/user-1000.slice/user@1000.service/x,task_memcg=/system.slice/ssh.service",
      "/user.slice/user-1000.slice/user@1000.service/app.slice/ssh.service",
      "/user.slice/user-1000.slice/system.slice/ssh.service",
    ]) {
      expect(context(path, "hog"), path).to.deep.equal({
        kind: "oom.context",
        scope: "cgroup",
        pid: 77,
        cgroup: "other",
      });
    }
  });

  it("a process name changes neither the pid nor the victim", () => {
    for (const name of ["x,pid=1,uid=0", "sshd) total-vm:", "sshd,pid=1", "(sshd)", ") (sshd"]) {
      expect(context("/system.slice/x.service", name), name).to.include({ pid: 77, cgroup: "other" });
      const line = `Out of memory: Killed process 77 (${name}) total-vm:1kB, anon-rss:1kB, file-rss:1kB, shmem-rss:0kB, UID:1000 pgtables:1kB oom_score_adj:0`;
      expect(parse(from("kmsg", "kernel", line)), name).to.deep.equal({
        kind: "oom.kill",
        scope: "host",
        pid: 77,
        victim: "other",
      });
    }
  });

  it("a process named like a message says nothing else", () => {
    for (const line of [
      "Out of memory: invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0",
      "x link down invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0",
      "sshd[1]: segfa[4711]: segfault at 0 ip 0 sp 0 error 4 in libc.so.6[0+1]",
      "xIN=eth0 OUT= SRC=1.2.3.4 DST=10.0.0.1 nf_conntrack: table full, dropping packet",
    ]) {
      expect(parse(from("kmsg", "kernel", line))?.kind, line).to.be.oneOf(["noted", undefined]);
    }
  });
});
