import { exactly, lowerBound, type Scenario } from "../scenario.ts";

export const maxStartups: Scenario = {
  name: "max-startups",
  title: "MaxStartups 4 is used up by connections that wait; known peers are dropped",
  core: true,
  page: "SshdConnectionThrottling",
  async inject({ host, clients, knownPeers, strangers, release }) {
    await host.configure(
      "MaxStartups 4\nLoginGraceTime 20\nPerSourcePenalties no\n".replace(
        release === "12" ? "PerSourcePenalties no\n" : "",
        "",
      ),
    );
    const waiting = clients.raw("half", strangers.slice(0, 4), 4, { holdMs: 12_000 });
    await new Promise((resolve) => setTimeout(resolve, 1500));
    let dropped = 0;
    for (const peer of [...knownPeers, ...knownPeers]) {
      const { status } = await clients.ssh(peer, "true", ["-o", "ConnectTimeout=5"], 8000);
      if (status !== 0) dropped++;
    }
    await waiting;
    if (release === "12") {
      return [
        lowerBound("connections_dropped_total", 1, {
          truth: dropped,
          why: "9.2 logs the first drop of an episode, the others at its end",
          limit: "max_startups",
        }),
      ];
    }
    return [exactly("connections_dropped_total", dropped, { limit: "max_startups" })];
  },
  async heal({ host }) {
    await host.configure("");
  },
};
