import type { Scenario } from "../scenario.ts";

export const mtuBlackhole: Scenario = {
  name: "mtu-blackhole",
  title: "the router cannot pass more than 1400 bytes and says nothing: transfers hang",
  core: true,
  page: "SshResetMtuBlackhole",
  async inject({ network, clients, knownPeers }) {
    const sessions = await Promise.all(
      knownPeers.slice(0, 2).map((peer) => clients.open(peer, "echo ready; sleep 3; exec cat /dev/zero")),
    );
    const net = network.namespaces.client.address.replace(/\.\d+$/, ".0/24");
    await network.rules("router", silent);
    await network.in(
      "router",
      `ip route change ${net} dev r1 mtu lock 1400; ip route change $(ip route show | grep -o '^[0-9.]*\\.4\\.0/22') via ${network.namespaces.client.address} mtu lock 1400`,
    );
    for (const session of sessions) session.child.stdout?.resume();
    return [
      { metric: "ssh_sockets_full_size_stuck", labels: { small_segments: "delivered" }, atLeast: 1, gauge: true },
    ];
  },
  async heal({ clients, network }) {
    clients.closeSessions();
    await network.heal();
    await network.in(
      "router",
      `ip route replace $(ip route show | grep -o '^[0-9.]*\\.4\\.0/22') via ${network.namespaces.client.address}`,
    );
  },
};

/** No ICMP: "fragmentation needed" never leaves the router. */
export const silent = `flush ruleset
table inet blackhole {
  chain output {
    type filter hook output priority 0; policy accept;
    icmp type destination-unreachable drop
  }
}
`;
