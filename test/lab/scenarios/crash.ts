import { until } from "../command.ts";
import { exactly, type Scenario } from "../scenario.ts";

export const crash: Scenario = {
  name: "crash",
  title: "sshd's main process is killed with SIGKILL; systemd starts it again",
  core: true,
  page: "SshdCrashed",
  async inject({ host }) {
    const restarts = await host.restarts();
    await host.run(`kill -9 ${await host.listener()}`);
    await until("systemd restarts sshd", async () => (await host.restarts()) > restarts);
    const systemd = { count: (await host.restarts()) - restarts, by: "systemd, NRestarts" };
    return [
      exactly("sshd_stops_total", 1, { reason: "crash" }, systemd),
      exactly("sshd_starts_total", 1, undefined, systemd),
    ];
  },
};
