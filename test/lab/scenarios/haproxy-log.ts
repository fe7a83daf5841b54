import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { exactly, type Scenario } from "../scenario.ts";
import { sameAge } from "./firewall-idle.ts";
import { routerHaproxy } from "./router-haproxy.ts";

export const haproxyLog: Scenario = {
  name: "haproxy-log",
  title: "a proxy's timeout ends sessions that are idle for 20 s: seen by the sockets here, and told by its own log",
  page: "SshResetIdleTimeout",
  pageDeadlineSeconds: 60,
  // Its window is an hour.
  resolvedDeadlineSeconds: 320,
  async inject({ network, host, exporter, clients, knownPeers }) {
    const log = join(host.root, "var/log/haproxy.log");
    writeFileSync(log, "");
    await exporter.stop();
    await exporter.resume(["--source.haproxy-log=/var/log/haproxy.log", "--source.haproxy-backend=ssh"]);
    const haproxy = await routerHaproxy(
      { network, host },
      `listen ssh
  bind :2222
  timeout client 20s
  server one ${network.serverAddress}:22
`,
      log,
    );
    const sessions = await Promise.all(
      knownPeers.slice(0, 4).map((peer) => clients.open(peer, "echo ready; exec sleep 60", haproxy.through(2222))),
    );
    try {
      await Promise.race([
        Promise.all(sessions.map(({ ended }) => ended)),
        new Promise((end) => setTimeout(end, 29_000)),
      ]);
      // Its log line comes when both sides are closed.
      await new Promise((resolve) => setTimeout(resolve, 2000));
    } finally {
      haproxy.stop();
    }
    return [
      exactly("proxy_sessions_ended_total", sessions.length, { ended_by: "client_timeout", stage: "data" }),
      { metric: "sessions_cut_idle_total", atLeast: 3, atMost: 4, truth: 4, why: sameAge },
    ];
  },
};
