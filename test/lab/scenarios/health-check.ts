import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { debian } from "../../../tools/debian.ts";
import { type Scenario, stands } from "../scenario.ts";

export const healthCheck: Scenario = {
  name: "health-check",
  title: "a balancer checks port 22 every second and resets each time",
  page: undefined,
  async inject({ network, host }) {
    const haproxy = await debian("haproxy");
    const file = join(host.root, "..", "haproxy-check.cfg");
    writeFileSync(
      file,
      `defaults
  mode tcp
  timeout connect 2s
  timeout client 5s
  timeout server 5s
listen ssh
  bind :2223
  server one ${network.serverAddress}:22 check inter 1s
`,
    );
    const proxy = spawn("ip", ["netns", "exec", network.namespaces.router.name, haproxy.path, "-db", "-f", file], {
      env: haproxy.env,
      stdio: "ignore",
    });
    await new Promise((resolve) => setTimeout(resolve, 25_000));
    proxy.kill("SIGKILL");
    return [stands("known_peers_reset", 0)];
  },
};
