import type { Scenario } from "../scenario.ts";

/** As seen with OpenSSH 10.0. */
export const limited = "sshd limits how many of these lines it logs, and prints no total while the penalty lasts";

export const perSourcePenalties: Scenario = {
  name: "per-source-penalties",
  title: "a known peer's monitoring connects without logging in: sshd penalises its address, its logins are dropped",
  releases: ["13"],
  page: "SshdConnectionThrottling",
  async inject({ host, clients, knownPeers: [peer = ""] }) {
    await host.configure("PerSourcePenalties noauth:20s min:15s\n");
    await clients.raw("close", [peer], 3, { gapMs: 300 });
    await new Promise((resolve) => setTimeout(resolve, 1000));
    let dropped = 0;
    for (let n = 0; n < 3; n++) if ((await clients.ssh(peer)).status !== 0) dropped++;
    if (dropped === 0) throw new Error("nothing was dropped: no penalty was in force");
    return [
      {
        metric: "connections_dropped_total",
        labels: { limit: "per_source_penalty" },
        atLeast: 1,
        atMost: dropped,
        truth: 3,
        witness: { count: dropped, by: "clients" },
        why: limited,
      },
    ];
  },
  heal: ({ host }) => host.configure("", "reload"),
};
