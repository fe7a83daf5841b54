import { until } from "../command.ts";
import type { Scenario } from "../scenario.ts";

export const oomOther: Scenario = {
  name: "oom-other",
  title: "something else on the host is OOM-killed in a limit of its own: nothing about SSH",
  page: undefined,
  async inject({ host }) {
    await host.run("systemd-run --quiet --unit=hog --property=MemoryMax=8M sh -c 'head -c 64m /dev/zero | tail'");
    await until("the hog is killed", async () => {
      return (await host.attempt("systemctl is-active hog")).stdout.trim() !== "active";
    });
    await host.attempt("systemctl reset-failed hog");
    return [
      { metric: "oom_kills_total", labels: { victim: "other" }, atLeast: 1 },
      { metric: "oom_kills_total", labels: { victim: "sshd" }, atLeast: 0, atMost: 0 },
      { metric: "oom_kills_total", labels: { victim: "sshd_session" }, atLeast: 0, atMost: 0 },
    ];
  },
};
