import { exactly, type Scenario } from "../scenario.ts";

/** Minutes of the quiet run: LAB_QUIET_MINUTES, else 2. */
const minutes = Number(process.env["LAB_QUIET_MINUTES"] ?? "2");

export const quiet: Scenario = {
  name: "quiet",
  title: `${minutes} minutes of ordinary life: logins, transfers, scanners, cron, rotation; no fault, no page`,
  core: true,
  takesMinutes: minutes,
  page: undefined,
  quietSeconds: 60,
  async inject({ host, clients, knownPeers, strangers }) {
    const end = Date.now() + minutes * 60_000;
    let round = 0;
    let logins = 0;
    while (Date.now() < end) {
      const peer = knownPeers[round % knownPeers.length] ?? "";
      await clients.login([peer]);
      logins++;
      if (round % 4 === 0 && (await clients.ssh(peer, "head -c 2000000 /dev/urandom")).status === 0) logins++;
      await clients.raw(["banner", "close", "connect", "kex"][round % 4] ?? "close", strangers.slice(round % 400), 3);
      if (round % 10 === 5)
        await host.run(
          "logrotate --force /etc/logrotate.d/rsyslog; run-parts --test /etc/cron.daily >/dev/null; logger -t CRON 'pam_unix(cron:session): session opened for user root(uid=0) by (uid=0)'",
        );
      round++;
      await new Promise((resolve) => setTimeout(resolve, 2000));
    }
    return [exactly("connections_accepted_total", logins)];
  },
};
