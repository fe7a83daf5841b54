import type { Scenario } from "../scenario.ts";
import { silent } from "./mtu-blackhole.ts";

export const mtuInbound: Scenario = {
  name: "mtu-inbound",
  title: "the router cannot pass more than 1400 bytes to the server and says nothing: key exchanges hang",
  page: "SshResetMtuBlackhole",
  async inject({ network, clients, knownPeers, host }) {
    await network.rules("router", silent);
    const [a, b] = network.serverAddress.split(".");
    await network.in("router", `ip route replace ${a}.${b}.2.0/24 dev r2 mtu lock 600`);
    // The clients' kernels would remember a path MTU that they learnt before.
    await network.in("client", "ip route flush cache");
    for (const peer of knownPeers.slice(0, 4)) void clients.ssh(peer, "true", ["-o", "ConnectTimeout=60"], 45_000);
    await host.run("sleep 5");
    const why = "read until it is enough to page";
    return [{ metric: "known_peers_stuck_in_kex", atLeast: 2, atMost: 4, truth: 4, gauge: true, why }];
  },
  heal: ({ network }) => network.heal(),
};
