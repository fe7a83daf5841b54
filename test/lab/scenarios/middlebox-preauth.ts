import { exactly, type Scenario } from "../scenario.ts";

export const middleboxPreauth: Scenario = {
  name: "middlebox-preauth",
  title: "a device on the path resets new connections of known peers as soon as sshd says something",
  page: "SshResetMiddlebox",
  async inject({ network, clients, knownPeers }) {
    const before = await network.witness();
    await network.rules(
      "router",
      `flush ruleset
table inet middlebox {
  chain forward {
    type filter hook forward priority 0; policy accept;
    ip saddr ${network.serverAddress} tcp sport 22 tcp flags & (psh | rst) == psh reject with tcp reset
  }
}
`,
    );
    for (const peer of knownPeers) await clients.ssh(peer, "true", ["-o", "ConnectTimeout=2"], 3000);
    await network.rules("router", "flush ruleset");
    const wire = { count: (await network.witness()).resetsIn - before.resetsIn, by: "nftables" };
    return [
      exactly("middlebox_resets_total", 5, undefined, wire),
      exactly("connections_ended_total", 5, { outcome: "reset", peer_class: "known" }, wire),
    ];
  },
};
