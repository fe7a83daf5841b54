import { exactly, type Scenario } from "../scenario.ts";

/** The trace's ring is the exporter's own: what the kernel says while nobody reads it is lost, and counted as lost. */
const alsoFine = { SshResetRecordsLost: "reset events of the time when the exporter was down" };

export const killedInCrash: Scenario = {
  name: "exporter-killed-in-crash",
  title: "the exporter is killed with SIGKILL between two crashes of sshd",
  page: "SshdCrashed",
  alsoFine,
  async inject({ host, exporter }) {
    const restarts = await host.restarts();
    await host.run(`kill -9 ${await host.listener()}; sleep 2`);
    await exporter.values();
    await exporter.kill();
    await host.run(`kill -9 ${await host.listener()}; sleep 1`);
    await exporter.resume();
    const systemd = { count: (await host.restarts()) - restarts, by: "systemd, NRestarts" };
    return [
      exactly("sshd_stops_total", 2, { reason: "crash" }, systemd),
      exactly("sshd_starts_total", 2, undefined, systemd),
    ];
  },
};

export const killedInRefusals: Scenario = {
  name: "exporter-killed-in-refusals",
  title: "the exporter is killed with SIGKILL while TCP wrappers refuse a known peer ten times",
  page: "SshResetTcpWrappers",
  alsoFine,
  async inject({ host, clients, exporter, knownPeers: [victim = ""] }) {
    await host.run(`echo 'sshd: ${victim}' > /etc/hosts.deny`);
    let refused = 0;
    const knock = async (): Promise<void> => {
      for (let n = 0; n < 5; n++) if ((await clients.ssh(victim)).status !== 0) refused++;
    };
    await knock();
    await exporter.kill();
    await knock();
    await exporter.resume();
    return [exactly("tcp_wrappers_refusals_total", 10, undefined, { count: refused, by: "clients cut off" })];
  },
  heal: ({ host }) => host.run(": > /etc/hosts.deny").then(() => undefined),
};

export const killedInResets: Scenario = {
  name: "exporter-killed-in-resets",
  title: "the exporter is killed with SIGKILL while known peers reset their key exchanges",
  page: "SshKnownPeersReset",
  alsoFine,
  pageDeadlineSeconds: 60,
  async inject({ clients, exporter, knownPeers }) {
    await clients.raw("kex", knownPeers.slice(0, 2), 2, { gapMs: 200 });
    await exporter.values();
    await exporter.kill();
    await clients.raw("kex", knownPeers.slice(2, 4), 2, { gapMs: 200 });
    await exporter.resume();
    return [exactly("connections_ended_total", 4, { outcome: "reset", peer_class: "known" })];
  },
};
