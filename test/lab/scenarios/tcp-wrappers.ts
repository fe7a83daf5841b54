import { cutOff } from "../clients.ts";
import { exactly, type Scenario } from "../scenario.ts";

export const tcpWrappers: Scenario = {
  name: "tcp-wrappers",
  title: "hosts.deny refuses a known peer and fifty strangers",
  core: true,
  page: "SshResetTcpWrappers",
  async inject({ host, clients, knownPeers: [victim = ""], strangers }) {
    // Else MaxStartups drops some of fifty at once before libwrap sees them.
    await host.configure("MaxStartups 500\n");
    const denied = [victim, ...strangers.slice(0, 50)];
    await host.run(`printf 'sshd: %s\\n' '${denied.join(" ")}' > /etc/hosts.deny`);
    const { status } = await clients.ssh(victim);
    if (status === 0) throw new Error("the denied peer could log in: this sshd is not linked with libwrap");
    // libwrap sleeps for 5 s before it closes.
    const ends = await clients.raw("hold", strangers.slice(0, 50), 50, { holdMs: 15_000, gapMs: 60 });
    return [
      exactly("tcp_wrappers_refusals_total", 51, undefined, { count: 1 + cutOff(ends), by: "clients cut off" }),
      exactly("connections_ended_total", 1, { outcome: "refused", peer_class: "known" }),
    ];
  },
  async heal({ host }) {
    await host.run(": > /etc/hosts.deny");
  },
};
