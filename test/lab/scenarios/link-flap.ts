import type { Scenario } from "../scenario.ts";

export const linkFlap: Scenario = {
  name: "link-flap",
  title: "the server's link goes down and up; sessions of known peers are reset meanwhile",
  page: "SshResetNetworkPath",
  pageDeadlineSeconds: 60,
  async inject({ network, clients, knownPeers }) {
    const peers = knownPeers.slice(0, 4);
    await Promise.all(peers.map((peer) => clients.open(peer)));
    await network.in("router", "ip link set r2 down");
    await new Promise((resolve) => setTimeout(resolve, 1500));
    await network.in("router", "ip link set r2 up");
    await new Promise((resolve) => setTimeout(resolve, 1500));
    await clients.killSockets(peers);
    return [{ metric: "link_down_total", atLeast: 1, truth: 1 }];
  },
};
