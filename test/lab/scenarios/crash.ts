import { exactly, type Scenario } from "../scenario.ts";

export const crash: Scenario = {
  name: "crash",
  title: "sshd's main process is killed with SIGKILL; systemd starts it again",
  core: true,
  page: "SshdCrashed",
  async inject({ host }) {
    await host.run(`kill -9 ${await host.listener()}`);
    return [exactly("sshd_stops_total", 1, { reason: "crash" }), exactly("sshd_starts_total", 1)];
  },
};
