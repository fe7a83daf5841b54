import type { Scenario } from "../scenario.ts";
import { routerHaproxy } from "./router-haproxy.ts";

export const balancerPenalised: Scenario = {
  name: "balancer-penalised",
  title:
    "a balancer checks port 22 every second: sshd takes it for a pest and drops it, the balancer takes sshd for down",
  releases: ["13"],
  page: "SshdTurnsBalancerAway",
  pageDeadlineSeconds: 60,
  async inject({ network, host, exporter }) {
    await host.configure("PerSourcePenalties noauth:2s min:15s\n");
    // Said, not found out: scenarios before this one may have logged in through this address.
    await exporter.stop();
    await exporter.resume([`--peers.health-check=${network.namespaces.router.address}`]);
    const haproxy = await routerHaproxy(
      { network, host },
      `listen ssh
  bind :2223
  option tcp-check
  tcp-check expect string SSH-2.0
  server one ${network.serverAddress}:22 check inter 1s
`,
    );
    try {
      await new Promise((resolve) => setTimeout(resolve, 45_000));
    } finally {
      haproxy.stop();
    }
    const limit = { limit: "per_source_penalty" };
    const seen = [...(await exporter.values())].filter(([name]) => name.includes("connections_dropped_total"));
    return [
      {
        metric: "connections_ended_total",
        labels: { outcome: "dropped", peer_class: "health_check" },
        atLeast: 2,
        why: "how many of the checks are dropped is sshd's reckoning, and it prints one of several",
      },
      {
        metric: "connections_dropped_total",
        labels: limit,
        atLeast: 2,
        why: `the same; at the end of the checks: ${seen.map(([, value]) => value).join(", ")}`,
      },
    ];
  },
  heal: ({ host }) => host.configure(""),
};
