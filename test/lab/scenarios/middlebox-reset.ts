import { exactly, type Scenario } from "../scenario.ts";

export const middleboxReset: Scenario = {
  name: "middlebox-reset",
  title: "a device on the path cuts the sessions of four known peers with resets of its own",
  core: true,
  page: "SshResetMiddlebox",
  async inject({ network, clients, knownPeers }) {
    const sessions = await Promise.all(knownPeers.slice(0, 4).map((peer) => clients.open(peer, talking)));
    const before = await network.witness();
    await network.rules("router", cutting(network.serverAddress));
    await Promise.race([Promise.all(sessions.map(({ ended }) => ended)), new Promise((r) => setTimeout(r, 8000))]);
    await network.rules("router", "flush ruleset");
    const { resetsIn } = await network.witness();
    return [exactly("middlebox_resets_total", 4, undefined, { count: resetsIn - before.resetsIn, by: "nftables" })];
  },
};

/** A session that says something every second: resets need traffic to answer. */
export const talking = "echo ready; while sleep 1; do echo .; done";

/** nft's reject answers the sender: the server gets a RST with the router's TTL for what it sends. */
export const cutting = (server: string): string => `flush ruleset
table inet middlebox {
  chain forward {
    type filter hook forward priority 0; policy accept;
    ip saddr ${server} tcp sport 22 tcp flags & rst == 0 reject with tcp reset
  }
}
`;
