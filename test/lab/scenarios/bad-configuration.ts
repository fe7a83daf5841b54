import type { Scenario } from "../scenario.ts";

export const badConfiguration: Scenario = {
  name: "bad-configuration",
  title: "a misspelt option, then a restart: sshd does not come back",
  page: "SshdDown",
  async inject({ host }) {
    await host.configure("PermitRotLogin no\n", "none");
    await host.attempt("systemctl restart ssh.service");
    return [
      { metric: "sshd_start_failures_total", labels: { reason: "configuration" }, atLeast: 1 },
      { metric: "sshd_up", atLeast: 0, atMost: 0, gauge: true },
      { metric: "sshd_stops_total", labels: { reason: "crash" }, atLeast: 0, atMost: 0 },
    ];
  },
  heal: ({ host }) => host.configure(""),
};
