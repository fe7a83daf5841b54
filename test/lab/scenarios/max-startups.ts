import { exactly, type Scenario } from "../scenario.ts";

/** OpenSSH 10 logs four drops a second, and later how many more there were. */
export const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 400));

export const maxStartups: Scenario = {
  name: "max-startups",
  title: "MaxStartups 4 is used up by connections that wait; known peers are dropped",
  core: true,
  page: "SshdConnectionThrottling",
  async inject({ host, network, clients, knownPeers, strangers, release }) {
    const penalties = release === "12" ? "" : "PerSourcePenalties no\n";
    await host.configure(`MaxStartups 4\nLoginGraceTime 20\n${penalties}`);
    const waiting = clients.raw("half", strangers.slice(0, 4), 4, { holdMs: 15_000 });
    await network.connected(4);
    let dropped = 0;
    for (const peer of [...knownPeers, ...knownPeers]) {
      await pause();
      const { status } = await clients.ssh(peer, "true", ["-o", "ConnectTimeout=5"], 8000);
      if (status !== 0) dropped++;
    }
    await waiting;
    // sshd logs the first drops of an episode, the others as a total when it lets the next connection in.
    await clients.login(knownPeers.slice(0, 1));
    const exact = exactly(
      "connections_dropped_total",
      10,
      { limit: "max_startups" },
      { count: dropped, by: "clients" },
    );
    const why = "OpenSSH 10 limits the rate of these lines, and tells how many more there were only after five minutes";
    return [release === "12" ? exact : { ...exact, atLeast: 1, why }];
  },
  async heal({ host }) {
    await host.configure("", "reload");
  },
};
