import { exactly, type Scenario } from "../scenario.ts";

export const journaldRestarted: Scenario = {
  name: "journald-restarted",
  title: "journald is restarted between two crashes of sshd: nothing is lost, nothing counted twice",
  page: "SshdCrashed",
  async inject({ host }) {
    await host.run(`kill -9 ${await host.listener()}`);
    await host.run("sleep 1; systemctl restart systemd-journald; sleep 1");
    await host.run(`kill -9 ${await host.listener()}; sleep 1`);
    return [
      exactly("sshd_stops_total", 2, { reason: "crash" }),
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
    for (let n = 0; n < 3; n++) await clients.ssh(victim);
    await host.run("logrotate --force /etc/logrotate.d/rsyslog");
    for (let n = 0; n < 3; n++) await clients.ssh(victim);
    return [exactly("tcp_wrappers_refusals_total", 6), exactly("source_lost_records_total", 0, { source: "logfile" })];
  },
  heal: ({ host }) => host.run(": > /etc/hosts.deny").then(() => undefined),
};
