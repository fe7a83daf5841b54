import { exactly, type Scenario } from "../scenario.ts";

/** Why no other scenario runs beside an OOM kill. */
export const oomAlone = { kind: "oom", why: "every host of this machine sees the kernel's lines about OOM kills" };

export const oomSshd: Scenario = {
  name: "oom-sshd",
  title: "sshd's cgroup has 12 MB and thirty connections at once: the OOM killer ends its processes",
  core: true,
  alone: oomAlone,
  page: "SshdOomKilled",
  alsoFine: { SshdCrashed: "the OOM kill of the main process is a crash too, until the kill is known" },
  async inject({ host, clients, strangers, say }) {
    await host.run("systemctl set-property --runtime ssh.service MemoryMax=12M");
    const startedMs = Date.now();
    const before = await host.oomKillsOfKernel();
    await clients.raw("half", strangers.slice(0, 30), 30, { holdMs: 4000 });
    const killed = await host.oomKills(startedMs);
    say(`the kernel says it killed ${killed} processes`);
    if (killed === 0) throw new Error("the kernel killed nothing: the scenario did not happen");
    const count = (await host.oomKillsOfKernel()) - before;
    return [exactly("oom_kills_total", killed, undefined, { count, by: "kernel, /proc/vmstat" })];
  },
  async heal({ host }) {
    await host.run(
      "systemctl set-property --runtime ssh.service MemoryMax=infinity; systemctl reset-failed ssh.service; systemctl restart ssh.service",
    );
  },
};
