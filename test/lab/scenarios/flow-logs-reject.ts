import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { debian } from "../../../tools/debian.ts";
import { run } from "../command.ts";
import { exactly, type Scenario } from "../scenario.ts";

const header =
  "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status tcp-flags";

export const flowLogsReject: Scenario = {
  name: "flow-logs-reject",
  title: "a network ACL drops known peers before they reach the host; its flow log comes later",
  page: "SshResetCloudLimit",
  pageDeadlineSeconds: 60,
  async inject({ network, host, exporter, clients, knownPeers }) {
    await network.rules(
      "router",
      `flush ruleset
table inet acl {
  set rejected { type ipv4_addr . inet_service; flags dynamic; size 1000; }
  chain forward {
    type filter hook forward priority 0; policy accept;
    tcp dport 22 tcp flags & (syn | ack) == syn add @rejected { ip saddr . tcp sport } drop
  }
}
`,
    );
    const attempts = await Promise.all(
      knownPeers.slice(0, 4).map((peer) => clients.ssh(peer, "true", ["-o", "ConnectTimeout=3"])),
    );
    const failed = attempts.filter(({ status }) => status !== 0).length;
    const { path, env } = await debian("nft");
    const args = [
      "netns",
      "exec",
      network.namespaces.router.name,
      path,
      "-j",
      "list",
      "set",
      "inet",
      "acl",
      "rejected",
    ];
    const { nftables } = JSON.parse(await run("ip", args, { env })) as {
      nftables: { set?: { elem?: { concat: [string, number] }[] } }[];
    };
    const rejected = nftables.flatMap(({ set }) => set?.elem ?? []);
    await network.heal();
    const now = Math.floor(Date.now() / 1000);
    const lines = rejected.map(
      ({ concat: [address, port] }) =>
        `2 123456789012 eni-1 ${address} ${network.serverAddress} ${port} 22 6 3 180 ${now - 60} ${now} REJECT OK 2`,
    );
    const folder = join(host.root, "var/lib/flow-logs");
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, "one.log"), `${[header, ...lines].join("\n")}\n`);
    await exporter.stop();
    await exporter.resume(["--source.flow-log=/var/lib/flow-logs"]);
    return [
      exactly(
        "cloud_flows_total",
        rejected.length,
        { action: "reject", peer_class: "known" },
        { count: failed, by: "clients" },
      ),
    ];
  },
  heal: ({ network }) => network.heal(),
};
