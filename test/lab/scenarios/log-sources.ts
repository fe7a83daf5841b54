import { exactly, type Scenario } from "../scenario.ts";

export const journaldRestarted: Scenario = {
  name: "journald-restarted",
  title: "journald is restarted between two crashes of sshd: nothing is lost, nothing counted twice",
  page: "SshdCrashed",
  async inject({ host }) {
    const restarts = await host.restarts();
    await host.run(`kill -9 ${await host.listener()}`);
    await host.run("sleep 1; systemctl restart systemd-journald; sleep 1");
    await host.run(`kill -9 ${await host.listener()}; sleep 1`);
    const systemd = { count: (await host.restarts()) - restarts, by: "systemd, NRestarts" };
    return [
      exactly("sshd_stops_total", 2, { reason: "crash" }, systemd),
      exactly("source_lost_records_total", 0, { source: "journal" }),
    ];
  },
};

export const logRotated: Scenario = {
  name: "log-rotated",
  title: "auth.log is rotated while TCP wrappers refuse a known peer; the exporter reads files",
  page: "SshResetTcpWrappers",
  flags: ["--no-source.journal", "--source.logfile=/var/log/auth.log"],
  async inject({ host, clients, knownPeers: [victim = ""] }) {
    await host.run(`echo 'sshd: ${victim}' > /etc/hosts.deny`);
    let refused = 0;
    const knock = async (): Promise<void> => {
      for (let n = 0; n < 3; n++) if ((await clients.ssh(victim)).status !== 0) refused++;
    };
    await knock();
    await host.run("logrotate --force /etc/logrotate.d/rsyslog");
    await knock();
    return [
      exactly("tcp_wrappers_refusals_total", 6, undefined, { count: refused, by: "clients cut off" }),
      exactly("source_lost_records_total", 0, { source: "logfile" }),
    ];
  },
  heal: ({ host }) => host.run(": > /etc/hosts.deny").then(() => undefined),
};
