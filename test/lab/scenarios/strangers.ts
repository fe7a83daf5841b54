import { type Scenario, stands } from "../scenario.ts";

export const strangersReset: Scenario = {
  name: "strangers-reset",
  title: "five hundred strangers reset after the banner, in the key exchange and right after connecting",
  page: undefined,
  async inject({ host, clients, network, strangers }) {
    const before = await network.witness();
    await host.configure("MaxStartups 1000\n");
    await clients.raw("banner", strangers.slice(0, 200), 200, { gapMs: 20 });
    await clients.raw("kex", strangers.slice(200, 350), 150, { gapMs: 20 });
    await clients.raw("connect", strangers.slice(350), 150, { gapMs: 20 });
    return [
      {
        metric: "connections_ended_total",
        labels: { outcome: "reset", peer_class: "unknown" },
        ...{ atLeast: 350, atMost: 500, truth: 500 },
        witness: { count: (await network.witness()).resetsIn - before.resetsIn, by: "nftables" },
        why: "a reset right after connect leaves no line; the kernel's events may come before the accept",
      },
      stands("known_peers_reset", 0),
    ];
  },
};
