import { exactly, type Scenario } from "../scenario.ts";

export const restart: Scenario = {
  name: "restart",
  title: "an asked-for restart and a reload while known peers log in",
  page: undefined,
  async inject({ host, clients, knownPeers }) {
    const logins = clients.login(knownPeers).catch(() => undefined);
    await host.run("systemctl restart ssh.service && sleep 1 && systemctl reload ssh.service");
    await logins;
    return [
      exactly("sshd_stops_total", 1, { reason: "requested" }),
      exactly("sshd_stops_total", 1, { reason: "reload" }),
      exactly("sshd_stops_total", 0, { reason: "crash" }),
    ];
  },
};
