import { cutOff } from "../clients.ts";
import { exactly, type Scenario } from "../scenario.ts";

export const tcpWrappersStrangers: Scenario = {
  name: "tcp-wrappers-strangers",
  title: "hosts.deny refuses two hundred strangers: what it is for",
  page: undefined,
  async inject({ host, clients, strangers }) {
    await host.configure("MaxStartups 500\n");
    await host.run(`printf 'sshd: %s\\n' '${strangers.slice(0, 40).join(" ")}' > /etc/hosts.deny`);
    // libwrap sleeps for 5 s before it closes.
    const ends = await clients.raw("hold", strangers.slice(0, 40), 200, { holdMs: 15_000, gapMs: 40 });
    return [
      exactly("tcp_wrappers_refusals_total", 200, undefined, { count: cutOff(ends), by: "clients cut off" }),
      exactly("connections_ended_total", 0, { peer_class: "known" }),
    ];
  },
  heal: ({ host }) => host.run(": > /etc/hosts.deny").then(() => undefined),
};
