import { cutOff } from "../clients.ts";
import { exactly, type Scenario } from "../scenario.ts";

export const perSourcePenalties: Scenario = {
  name: "per-source-penalties",
  title: "a known peer's monitoring connects without logging in: sshd penalises its address, its logins are dropped",
  releases: ["13"],
  page: "SshdConnectionThrottling",
  async inject({ host, clients, knownPeers: [peer = ""] }) {
    await host.configure("PerSourcePenalties noauth:20s min:15s\n");
    const probes = await clients.raw("close", [peer], 3, { gapMs: 300 });
    await new Promise((resolve) => setTimeout(resolve, 1000));
    let dropped = cutOff(probes);
    for (let n = 0; n < 3; n++) if ((await clients.ssh(peer)).status !== 0) dropped++;
    if (dropped < 3) throw new Error("too few were dropped: no penalty was in force");
    return [exactly("connections_dropped_total", dropped, { limit: "per_source_penalty" })];
  },
  heal: ({ host }) => host.configure("", "reload"),
};
