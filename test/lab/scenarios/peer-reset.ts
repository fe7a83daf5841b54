import { exactly, type Scenario } from "../scenario.ts";

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
    const { resetsToServer } = await network.witness();
    if (resetsToServer - before.resetsToServer < killed) throw new Error("the witness saw fewer resets than were sent");
    return [
      exactly("connections_ended_total", killed, { phase: "session", outcome: "reset", peer_class: "known" }),
      exactly("tcp_resets_received_total", killed),
      { metric: "known_peers_reset", atLeast: 4, atMost: 4, gauge: true, truth: 4 },
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
    return [
      {
        metric: "known_peers_reset",
        atLeast: 4,
        atMost: 4,
        gauge: true,
        truth: 4,
        why: "only the kernel's events see it",
      },
    ];
  },
};

export const oneLaptop: Scenario = {
  name: "one-laptop",
  title: "one known peer's session is reset: information, no page",
  page: undefined,
  async inject({ clients, knownPeers: [peer = ""] }) {
    await clients.open(peer);
    await clients.killSockets([peer]);
    return [{ metric: "known_peers_reset", atLeast: 1, atMost: 1, gauge: true, truth: 1 }];
  },
};
