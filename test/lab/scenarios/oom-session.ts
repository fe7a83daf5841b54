import { until } from "../command.ts";
import { exactly, type Scenario } from "../scenario.ts";

export const oomSession: Scenario = {
  name: "oom-session",
  title: "a login's own memory limit is reached and the kernel picks its sshd process",
  page: "SshdOomKilled",
  async inject({ host, clients, knownPeers: [peer = ""] }) {
    const startedMs = Date.now();
    await clients.open(peer, "echo ready; exec sleep 600");
    const scope = (await host.run("loginctl list-sessions --no-legend | awk '{print $1}' | tail -n 1")).trim();
    const group = `/sys/fs/cgroup/memory/user.slice/user-1000.slice/session-${scope}.scope`;
    // The kernel takes the worst score: sshd's processes of this session, before the hog.
    await host.run(`
      mkdir -p ${group}
      echo 8388608 > ${group}/memory.limit_in_bytes
      systemctl show -p ControlGroup session-${scope}.scope
      for pid in $(pgrep -f 'sshd: deploy|sshd-session: deploy'); do
        echo $pid > ${group}/cgroup.procs && echo 1000 > /proc/$pid/oom_score_adj
      done
      (sh -c 'echo $$ > ${group}/cgroup.procs; exec head -c 64m /dev/zero | tail' &) >/dev/null 2>&1`);
    // Whether the peer notices depends on which of the session's two processes it was.
    await until("the kernel kills", async () => (await host.oomKills(startedMs)) > 0, { deadlineMs: 20_000 });
    return [
      { metric: "oom_kills_total", labels: { victim: "sshd_session" }, atLeast: 1, atMost: 2, truth: 1 },
      exactly("oom_kills_total", 0, { victim: "sshd" }),
    ];
  },
};
