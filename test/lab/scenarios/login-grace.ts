import { exactly, type Scenario, type SecondWitness } from "../scenario.ts";

const grace = async ({ host, clients, knownPeers }: Parameters<Scenario["inject"]>[0]): Promise<SecondWitness> => {
  await host.configure("LoginGraceTime 3\nMaxStartups 100\n");
  const waiting = [...knownPeers, ...knownPeers].map((peer) => clients.hesitate(peer, 6));
  const cut = (await Promise.all(waiting)).filter(({ status }) => status !== 0);
  return { count: cut.length, by: "clients cut off" };
};

export const loginGrace: Scenario = {
  name: "login-grace",
  title: "known peers wait at the password prompt for longer than LoginGraceTime",
  releases: ["13"],
  page: "SshdLoginTimeout",
  async inject(bench) {
    const witness = await grace(bench);
    return [exactly("connections_ended_total", 10, { outcome: "timeout", peer_class: "known" }, witness)];
  },
  heal: ({ host }) => host.configure("", "reload"),
};

export const loginGraceSilent: Scenario = {
  name: "login-grace-silent",
  title: "the same on OpenSSH 9.2, which logs nothing at its default level: no cause can be named",
  releases: ["12"],
  page: undefined,
  async inject(bench) {
    const witness = await grace(bench);
    return [
      {
        metric: "connections_ended_total",
        labels: { outcome: "timeout" },
        atLeast: 0,
        atMost: 10,
        truth: 10,
        witness,
        why: "9.2 of Debian logs no grace timeout; the kernel alone sees the end",
      },
    ];
  },
  heal: ({ host }) => host.configure("", "reload"),
};
