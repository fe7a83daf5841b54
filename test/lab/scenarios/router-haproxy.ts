/** A real haproxy in the router's namespace, in front of the lab's sshd. */
import { spawn } from "node:child_process";
import { appendFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { debian } from "../../../tools/debian.ts";
import { until } from "../command.ts";
import type { Bench } from "../scenario.ts";

export interface RouterHaproxy {
  /** Of ssh, to come through it instead of straight to the server. */
  readonly through: (port: number) => readonly string[];
  stop(): void;
}

/** Listens on each port when it resolves. `log`: where its own log goes, as it writes it to a file descriptor. */
export async function routerHaproxy(
  { network, host }: Pick<Bench, "network" | "host">,
  sections: string,
  log?: string,
): Promise<RouterHaproxy> {
  const { path, env } = await debian("haproxy");
  const file = join(host.root, "..", "haproxy.cfg");
  writeFileSync(
    file,
    `global
  log stdout format rfc3164 local0
defaults
  mode tcp
  log global
  option tcplog
  timeout connect 5s
  timeout client 60s
  timeout server 60s
${sections}`,
  );
  const child = spawn("ip", ["netns", "exec", network.namespaces.router.name, path, "-db", "-f", file], {
    env,
    stdio: ["ignore", "pipe", "ignore"],
  });
  child.stdout.on("data", (lines: Buffer) => {
    if (log !== undefined) appendFileSync(log, lines);
  });
  const ports = [...sections.matchAll(/bind :(\d+)/g)].map(([, port]) => port);
  await until("haproxy listens", async () => {
    if (child.exitCode !== null) throw new Error(`haproxy ended with ${child.exitCode}`);
    const listening = await network.in("router", "ss -Hltn");
    return ports.every((port) => listening.includes(`:${port} `));
  });
  const gateway = network.namespaces.client.address.replace(/\.\d+$/, ".1");
  return {
    through: (port) => ["-p", String(port), "-o", `HostName=${gateway}`],
    stop: () => child.kill("SIGKILL"),
  };
}
