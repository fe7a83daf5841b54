import { until } from "../command.ts";
import { exactly, type Scenario } from "../scenario.ts";
import { oomAlone } from "./oom-sshd.ts";

export const oomSession: Scenario = {
  name: "oom-session",
  title: "a login's own memory limit is reached and the kernel picks its sshd process",
  alone: oomAlone,
  page: "SshdOomKilled",
  async inject({ host, clients, knownPeers: [peer = ""] }) {
    const startedMs = Date.now();
    const before = await host.oomKillsOfKernel();
    await clients.open(peer, "echo ready; exec sleep 600");
    // The login's group, as systemd-logind named it, with a limit. The kernel takes the worst score: sshd's processes.
    await host.run(`
      pids=$(pgrep -f '^sshd(-session)?: deploy')
      group=/sys/fs/cgroup/memory$(sed -n 's/^[0-9]*:name=systemd://p' /proc/$(echo "$pids" | tail -n 1)/cgroup)
      case $group in */session-*.scope) ;; *) echo "no session: $group" >&2; exit 1 ;; esac
      mkdir -p $group
      echo 8388608 > $group/memory.limit_in_bytes
      for pid in $pids; do echo $pid > $group/cgroup.procs && echo 1000 > /proc/$pid/oom_score_adj; done
      (sh -c "echo \\$\\$ > $group/cgroup.procs; exec head -c 64m /dev/zero | tail" &) >/dev/null 2>&1`);
    // Whether the peer notices depends on which of the session's two processes it was.
    await until("the kernel kills", async () => (await host.oomKills(startedMs)) > 0, { deadlineMs: 20_000 });
    const killed = await host.oomKills(startedMs);
    const all = await host.oomKills(startedMs, "");
    const kernel = { count: (await host.oomKillsOfKernel()) - before, by: "kernel, /proc/vmstat" };
    return [
      exactly("oom_kills_total", killed, { victim: "sshd_session" }),
      exactly("oom_kills_total", 0, { victim: "sshd" }),
      exactly("oom_kills_total", all, undefined, kernel),
    ];
  },
};
