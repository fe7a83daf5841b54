import type { Scenario } from "../scenario.ts";

/** Of a timeout that is none of the well-known ones. */
export const sameAge = "three at the same age make it a timeout; how long each was idle is read every few seconds only";

export const firewallIdle: Scenario = {
  name: "firewall-idle",
  title: "a stateful firewall on the path forgets sessions that are idle for 20 s, and resets what comes later",
  page: "SshResetIdleTimeout",
  alsoFine: { SshResetMiddlebox: "the firewall is a device on the path that sends resets" },
  pageDeadlineSeconds: 60,
  takesMinutes: 4,
  // Its window is an hour.
  resolvedDeadlineSeconds: 320,
  async inject({ network, clients, knownPeers }) {
    await network.in(
      "router",
      "echo 20 > /proc/sys/net/netfilter/nf_conntrack_tcp_timeout_established; echo 0 > /proc/sys/net/netfilter/nf_conntrack_tcp_loose",
    );
    await network.rules(
      "router",
      `flush ruleset
table inet firewall {
  chain forward {
    type filter hook forward priority 0; policy accept;
    tcp dport 22 tcp flags & (syn | ack) == syn ct state new accept
    ct state established accept
    meta l4proto tcp tcp flags & rst == 0 reject with tcp reset
  }
}
`,
    );
    // Longer than the 15 s between two looks at the sockets, else their idle age is not known.
    const sessions = await Promise.all(
      knownPeers.slice(0, 4).map((peer) => clients.open(peer, "echo ready; sleep 24; echo late; exec sleep 60")),
    );
    await Promise.race([
      Promise.all(sessions.map(({ ended }) => ended)),
      new Promise((end) => setTimeout(end, 29_000)),
    ]);
    return [{ metric: "sessions_cut_idle_total", atLeast: 3, atMost: 4, truth: 4, why: sameAge }];
  },
  heal: ({ network }) => network.heal(),
};
