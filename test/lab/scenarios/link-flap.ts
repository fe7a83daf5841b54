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
    // A virtual interface prints no line: the carrier's count is all there is.
    return [{ metric: "interface_carrier_changes_total", atLeast: 2, truth: 2 }];
  },
};
