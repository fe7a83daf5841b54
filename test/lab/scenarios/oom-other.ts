import { until } from "../command.ts";
import { exactly, type Scenario } from "../scenario.ts";
import { oomAlone } from "./oom-sshd.ts";

export const oomOther: Scenario = {
  name: "oom-other",
  title: "something else on the host is OOM-killed in a limit of its own: nothing about SSH",
  alone: oomAlone,
  page: undefined,
  async inject({ host }) {
    const before = await host.oomKillsOfKernel();
    await host.run("systemd-run --quiet --unit=hog --property=MemoryMax=8M sh -c 'head -c 64m /dev/zero | tail'");
    await until("the hog is killed", async () => {
      return (await host.attempt("systemctl is-active hog")).stdout.trim() !== "active";
    });
    await host.attempt("systemctl reset-failed hog");
    const kernel = { count: (await host.oomKillsOfKernel()) - before, by: "kernel, /proc/vmstat" };
    return [
      exactly("oom_kills_total", 1, { victim: "other" }, kernel),
      exactly("oom_kills_total", 0, { victim: "sshd" }),
      exactly("oom_kills_total", 0, { victim: "sshd_session" }),
    ];
  },
};
