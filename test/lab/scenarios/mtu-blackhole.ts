import type { Network } from "../network.ts";
import type { Scenario } from "../scenario.ts";

export const mtuBlackhole: Scenario = {
  name: "mtu-blackhole",
  title: "the router cannot pass more than 1400 bytes to the clients and says nothing: output hangs",
  core: true,
  page: "SshResetMtuBlackhole",
  async inject({ network, clients, knownPeers }) {
    // A screenful that fits the first window, then a line: full-size segments are lost, the small ones after them arrive.
    const command =
      "echo ready; sleep 4; head -c 12000 /dev/zero; sleep 0.02; echo line; sleep 0.02; echo line; exec sleep 600";
    const sessions = await Promise.all(knownPeers.slice(0, 2).map((peer) => clients.open(peer, command)));
    for (const session of sessions) session.child.stdout?.resume();
    await network.rules("router", silent);
    await clientRoute(network, "mtu lock 1400");
    return [
      {
        metric: "ssh_sockets_full_size_stuck",
        labels: { small_segments: "delivered" },
        ...{ atLeast: 1, atMost: 2, truth: 2, gauge: true },
        why: "a socket counts after repeated timeouts, which each reaches at a time of its own",
      },
    ];
  },
  async heal({ clients, network }) {
    clients.closeSessions();
    await network.heal();
    await clientRoute(network, "");
  },
};

/** Gives the router's routes to the clients these attributes; the result takes them away. */
export async function clientRoute(network: Network, attributes: string): Promise<() => Promise<void>> {
  const { client } = network.namespaces;
  const [a, b] = client.address.split(".");
  const set = (text: string): Promise<string> =>
    network.in(
      "router",
      `ip route replace ${a}.${b}.1.0/24 dev r1 ${text} && ip route replace ${a}.${b}.4.0/22 via ${client.address} ${text}; ip route flush cache`,
    );
  await set(attributes);
  return async () => void (await set(""));
}

/** No ICMP: "fragmentation needed" never leaves the router. */
export const silent = `flush ruleset
table inet blackhole {
  chain output {
    type filter hook output priority 0; policy accept;
    icmp type destination-unreachable drop
  }
}
`;
