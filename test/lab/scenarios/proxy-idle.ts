import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { debian } from "../../../tools/debian.ts";
import type { Scenario } from "../scenario.ts";
import { sameAge } from "./firewall-idle.ts";

export const proxyIdle: Scenario = {
  name: "proxy-idle",
  title: "sessions through a proxy that closes what is idle for 20 s",
  page: "SshResetIdleTimeout",
  pageDeadlineSeconds: 60,
  takesMinutes: 4,
  // Its window is an hour.
  resolvedDeadlineSeconds: 320,
  async inject({ network, clients, knownPeers, host }) {
    const haproxy = await debian("haproxy");
    const file = join(host.root, "..", "haproxy.cfg");
    writeFileSync(
      file,
      `defaults
  mode tcp
  timeout connect 5s
  timeout client 20s
  timeout server 20s
listen ssh
  bind :2222
  server one ${network.serverAddress}:22
`,
    );
    const proxy = spawn("ip", ["netns", "exec", network.namespaces.router.name, haproxy.path, "-db", "-f", file], {
      env: haproxy.env,
      stdio: "ignore",
    });
    try {
      await new Promise((resolve) => setTimeout(resolve, 1000));
      const gateway = network.namespaces.client.address.replace(/\.\d+$/, ".1");
      const target = ["-p", "2222", "-o", `HostName=${gateway}`];
      const sessions = await Promise.all(
        knownPeers.slice(0, 4).map((peer) => clients.open(peer, "echo ready; exec sleep 60", target)),
      );
      await Promise.race([
        Promise.all(sessions.map(({ ended }) => ended)),
        new Promise((end) => setTimeout(end, 29_000)),
      ]);
    } finally {
      proxy.kill("SIGKILL");
    }
    return [{ metric: "sessions_cut_idle_total", atLeast: 3, atMost: 4, truth: 4, why: sameAge }];
  },
};
