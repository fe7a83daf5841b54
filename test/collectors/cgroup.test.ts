import { expect } from "chai";
import { parseProcCgroup, readCgroup } from "../../src/collectors/cgroup.ts";
import { healthyHost, hostWith } from "./fixture-host.ts";

const version1 = {
  "sys/fs/cgroup/pids/system.slice/ssh.service/pids.current": "7\n",
  "sys/fs/cgroup/pids/system.slice/ssh.service/pids.max": "3\n",
  "sys/fs/cgroup/pids/system.slice/ssh.service/pids.events": "max 5\n",
  "sys/fs/cgroup/memory/system.slice/ssh.service/memory.usage_in_bytes": "4096\n",
  "sys/fs/cgroup/memory/system.slice/ssh.service/memory.limit_in_bytes": "9223372036854771712\n",
  "sys/fs/cgroup/memory/system.slice/ssh.service/memory.failcnt": "12\n",
  "sys/fs/cgroup/memory/system.slice/ssh.service/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
};

describe("cgroup", () => {
  it("reads version 2", () => {
    const paths = parseProcCgroup("0::/system.slice/ssh.service\n", "cgroup");
    expect(readCgroup(`${healthyHost}/sys`, paths)).to.deep.equal({
      tasks: 4,
      tasksLimit: 9363,
      forksRefused: 0,
      memoryBytes: 7340032,
      memoryEvents: { high: 0, max: 0, oom: 0, oom_kill: 0 },
    });
  });

  it("reads version 1, also beside an empty version 2", () => {
    const text =
      "8:pids:/system.slice/ssh.service\n4:cpu,cpuacct:/\n3:memory:/system.slice/ssh.service\n1:name=systemd:/system.slice/ssh.service\n0::/system.slice/ssh.service\n";
    expect(readCgroup(`${hostWith(version1)}/sys`, parseProcCgroup(text, "cgroup"))).to.deep.equal({
      tasks: 7,
      tasksLimit: 3,
      forksRefused: 5,
      memoryBytes: 4096,
      memoryEvents: { max: 12, oom_kill: 2 },
    });
  });

  it("takes no group of the whole host, nor one outside of what is shown", () => {
    expect(parseProcCgroup("8:pids:/\n3:memory:/../../ssh.service\n0::/\n", "cgroup").size).to.equal(0);
  });

  it("gives nothing where the controllers are off", () => {
    expect(readCgroup(`${hostWith({})}/sys`, parseProcCgroup("0::/ssh.service\n", "cgroup"))).to.deep.equal({
      memoryEvents: {},
    });
  });

  it("refuses what the kernel does not write", () => {
    expect(() => parseProcCgroup("system.slice\n", "/proc/1/cgroup")).to.throw(
      '/proc/1/cgroup: "system.slice" is no control group',
    );
    const root = hostWith({ "sys/fs/cgroup/a/pids.current": "few\n" });
    expect(() => readCgroup(`${root}/sys`, parseProcCgroup("0::/a\n", "cgroup"))).to.throw(
      `${root}/sys/fs/cgroup/a/pids.current: "few" is no count`,
    );
  });
});
