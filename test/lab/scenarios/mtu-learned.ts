import { type Scenario, stands } from "../scenario.ts";
import { clientRoute } from "./mtu-blackhole.ts";

export const mtuLearned: Scenario = {
  name: "mtu-learned",
  title: "the path carries 1400 bytes and says so: healthy",
  page: undefined,
  async inject({ network, clients, knownPeers: [peer = ""] }) {
    const restore = await clientRoute(network, "mtu lock 1400");
    const { status, stderr } = await clients.ssh(peer, "head -c 3000000 /dev/zero", [], 30_000);
    await restore();
    if (status !== 0) throw new Error(`the transfer failed: ${stderr.slice(-200)}`);
    return [stands("ssh_sockets_full_size_stuck", 0)];
  },
};
