import { exactly, type Scenario } from "../scenario.ts";

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
    const before = await network.witness();
    const killed = await clients.killSockets(peers);
    const wire = { count: (await network.witness()).resetsIn - before.resetsIn, by: "nftables" };
    return [
      // A virtual interface prints no line: the carrier's count is all there is.
      exactly("interface_carrier_changes_total", 2),
      exactly("connections_ended_total", killed, { outcome: "reset", peer_class: "known" }, wire),
    ];
  },
};
