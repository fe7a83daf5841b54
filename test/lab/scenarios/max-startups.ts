import { lowerBound, type Scenario } from "../scenario.ts";

export const maxStartups: Scenario = {
  name: "max-startups",
  title: "MaxStartups 4 is used up by connections that wait; known peers are dropped",
  core: true,
  page: "SshdConnectionThrottling",
  async inject({ host, clients, knownPeers, strangers, release }) {
    const penalties = release === "12" ? "" : "PerSourcePenalties no\n";
    await host.configure(`MaxStartups 4\nLoginGraceTime 20\n${penalties}`);
    const waiting = clients.raw("half", strangers.slice(0, 4), 4, { holdMs: 12_000 });
    await new Promise((resolve) => setTimeout(resolve, 1500));
    let dropped = 0;
    for (const peer of [...knownPeers, ...knownPeers]) {
      const { status } = await clients.ssh(peer, "true", ["-o", "ConnectTimeout=5"], 8000);
      if (status !== 0) dropped++;
    }
    await waiting;
    return [
      lowerBound("connections_dropped_total", 1, {
        truth: dropped,
        why: "sshd logs the first drops of an episode (9.2 one, 10 a few), the others as a total at its end",
        limit: "max_startups",
      }),
    ];
  },
  async heal({ host }) {
    await host.configure("", "reload");
  },
};
