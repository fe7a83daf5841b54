import { exactly, type Scenario, stands } from "../scenario.ts";

export const badConfiguration: Scenario = {
  name: "bad-configuration",
  title: "a misspelt option, then a restart: sshd does not come back",
  page: "SshdDown",
  async inject({ host }) {
    await host.configure("PermitRotLogin no\n", "none");
    const tries = await host.failedStarts();
    return [
      exactly(
        "sshd_start_failures_total",
        tries,
        { reason: "configuration" },
        { count: tries, by: "systemd, NRestarts" },
      ),
      stands("sshd_up", 0),
      exactly("sshd_stops_total", 0, { reason: "crash" }),
    ];
  },
  heal: ({ host }) => host.configure(""),
};
