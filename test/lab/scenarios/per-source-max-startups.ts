import { exactly, type Scenario } from "../scenario.ts";
import { pause } from "./max-startups.ts";

export const perSourceMaxStartups: Scenario = {
  name: "per-source-max-startups",
  title: "PerSourceMaxStartups 2: a known peer with two waiting connections is dropped",
  page: "SshdConnectionThrottling",
  async inject({ host, network, clients, knownPeers: [peer = ""] }) {
    await host.configure("PerSourceMaxStartups 2\nLoginGraceTime 20\n");
    const waiting = clients.raw("half", [peer], 2, { holdMs: 12_000 });
    await network.connected(2);
    let dropped = 0;
    for (let n = 0; n < 4; n++) {
      await pause();
      if ((await clients.ssh(peer)).status !== 0) dropped++;
    }
    await waiting;
    // As with MaxStartups, whose text it prints: the total comes with the next connection that is let in.
    await clients.login([peer]);
    return [exactly("connections_dropped_total", 4, { limit: "max_startups" }, { count: dropped, by: "clients" })];
  },
  heal: ({ host }) => host.configure("", "reload"),
};
