import { until } from "../command.ts";
import type { Scenario } from "../scenario.ts";

export const crashLoop: Scenario = {
  name: "crash-loop",
  title: "sshd is killed again and again, until systemd gives up",
  page: "SshdCrashed",
  alsoFine: { SshdDown: "nothing listens: inhibited only once the crash has paged" },
  async inject({ host }) {
    let kills = 0;
    await until(
      "systemd gives up",
      async () => {
        const { stdout } = await host.attempt("systemctl show -p MainPID --value ssh.service");
        if (Number(stdout) > 1) {
          const { status } = await host.attempt(`kill -9 ${stdout.trim()}`);
          if (status === 0) kills++;
        }
        return (await host.attempt("systemctl is-failed ssh.service")).stdout.trim() === "failed";
      },
      { everyMs: 100 },
    );
    return [
      { metric: "sshd_stops_total", labels: { reason: "crash" }, atLeast: kills - 1, atMost: kills, truth: kills },
      { metric: "sshd_stops_total", labels: { reason: "start_limit" }, atLeast: 1, atMost: 1, truth: 1 },
      { metric: "sshd_up", atLeast: 0, atMost: 0, gauge: true },
    ];
  },
  heal: ({ host }) => host.run("systemctl reset-failed ssh.service; systemctl start ssh.service").then(() => undefined),
};
