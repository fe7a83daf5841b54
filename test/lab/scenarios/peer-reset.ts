import { exactly, type Scenario, stands } from "../scenario.ts";

export const peerResetSession: Scenario = {
  name: "peer-reset-session",
  title: "the kernels of four known peers reset their sessions: nothing on this host explains it",
  page: "SshKnownPeersReset",
  pageDeadlineSeconds: 60,
  async inject({ clients, knownPeers, network }) {
    const peers = knownPeers.slice(0, 4);
    await Promise.all(peers.map((peer) => clients.open(peer)));
    const before = await network.witness();
    const killed = await clients.killSockets(peers);
    const wire = { count: (await network.witness()).resetsIn - before.resetsIn, by: "nftables" };
    return [
      exactly("connections_ended_total", killed, { phase: "session", outcome: "reset", peer_class: "known" }, wire),
      exactly("tcp_resets_received_total", killed, undefined, wire),
      stands("known_peers_reset", 4),
    ];
  },
};

export const peerResetKex: Scenario = {
  name: "peer-reset-kex",
  title: "four known peers reset their connections in the key exchange",
  page: "SshKnownPeersReset",
  pageDeadlineSeconds: 60,
  async inject({ clients, knownPeers }) {
    await clients.raw("kex", knownPeers.slice(0, 4), 4, { gapMs: 100 });
    return [exactly("connections_ended_total", 4, { outcome: "reset", peer_class: "known" })];
  },
};

export const peerResetConnect: Scenario = {
  name: "peer-reset-connect",
  title: "four known peers reset right after connecting: no line in any log",
  page: "SshKnownPeersReset",
  pageDeadlineSeconds: 60,
  async inject({ clients, knownPeers }) {
    await clients.raw("connect", knownPeers.slice(0, 4), 4, { gapMs: 100 });
    // Only the kernel's events see it.
    return [stands("known_peers_reset", 4)];
  },
};

export const oneLaptop: Scenario = {
  name: "one-laptop",
  title: "one known peer's session is reset: information, no page",
  page: undefined,
  async inject({ clients, knownPeers: [peer = ""] }) {
    await clients.open(peer);
    await clients.killSockets([peer]);
    return [stands("known_peers_reset", 1)];
  },
};
