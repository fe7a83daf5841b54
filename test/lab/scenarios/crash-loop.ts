import { until } from "../command.ts";
import { exactly, type Scenario, stands } from "../scenario.ts";

export const crashLoop: Scenario = {
  name: "crash-loop",
  title: "sshd is killed again and again, until systemd gives up",
  page: "SshdCrashed",
  alsoFine: { SshdDown: "nothing listens: inhibited only once the crash has paged" },
  async inject({ host }) {
    const killed = new Set<string>();
    await until(
      "systemd gives up",
      async () => {
        const { stdout } = await host.attempt("systemctl show -p MainPID --value ssh.service");
        if (Number(stdout) > 1) {
          const { status } = await host.attempt(`kill -9 ${stdout.trim()}`);
          if (status === 0) killed.add(stdout.trim());
        }
        return (await host.attempt("systemctl is-failed ssh.service")).stdout.trim() === "failed";
      },
      { everyMs: 100 },
    );
    return [
      exactly(
        "sshd_stops_total",
        killed.size,
        { reason: "crash" },
        { count: await host.restarts(), by: "systemd, NRestarts" },
      ),
      exactly("sshd_stops_total", 1, { reason: "start_limit" }),
      stands("sshd_up", 0),
    ];
  },
  heal: ({ host }) => host.run("systemctl reset-failed ssh.service; systemctl start ssh.service").then(() => undefined),
};
