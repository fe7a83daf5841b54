import { exactly, type Scenario, stands } from "../scenario.ts";

export const missingHostKeys: Scenario = {
  name: "missing-host-keys",
  title: "the host keys are gone, then a restart: sshd does not come back",
  page: "SshdDown",
  async inject({ host }) {
    await host.run("mkdir -p /var/tmp/keys && mv /etc/ssh/ssh_host_* /var/tmp/keys/");
    const tries = await host.failedStarts();
    return [
      exactly("sshd_start_failures_total", tries, { reason: "host_keys" }, { count: tries, by: "systemd, NRestarts" }),
      stands("sshd_up", 0),
    ];
  },
  async heal({ host }) {
    await host.run("mv /var/tmp/keys/ssh_host_* /etc/ssh/ 2>/dev/null; true");
    await host.configure("");
  },
};
