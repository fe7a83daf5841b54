import type { Scenario } from "../scenario.ts";

export const missingHostKeys: Scenario = {
  name: "missing-host-keys",
  title: "the host keys are gone, then a restart: sshd does not come back",
  page: "SshdDown",
  async inject({ host }) {
    await host.run("mkdir -p /var/tmp/keys && mv /etc/ssh/ssh_host_* /var/tmp/keys/");
    await host.attempt("systemctl restart ssh.service");
    return [
      { metric: "sshd_start_failures_total", labels: { reason: "host_keys" }, atLeast: 1 },
      { metric: "sshd_up", atLeast: 0, atMost: 0, gauge: true },
    ];
  },
  async heal({ host }) {
    await host.run("mv /var/tmp/keys/ssh_host_* /etc/ssh/ 2>/dev/null; true");
    await host.configure("");
  },
};
