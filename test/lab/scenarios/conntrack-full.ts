import { writeFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { debian } from "../../../tools/debian.ts";
import { run } from "../command.ts";
import { type Bench, exactly, type Scenario, stands } from "../scenario.ts";

const alone = { kind: "conntrack", why: "it fills the kernel's table, and takes both CPUs for it" };

export const conntrackFull: Scenario = {
  name: "conntrack-full",
  title: "the server's connection-tracking table is filled with other connections",
  alone,
  page: "SshResetConntrackFull",
  pageDeadlineSeconds: 60,
  async inject(bench) {
    await track(bench, "server");
    await fill(bench, "server");
    const before = await bench.network.witness();
    for (const peer of bench.knownPeers.slice(0, 3))
      await bench.clients.ssh(peer, "true", ["-o", "ConnectTimeout=3"], 5000);
    const after = await bench.network.witness();
    const asked = after.synsToServer - before.synsToServer;
    const unanswered = asked - (after.synAcksFromServer - before.synAcksFromServer);
    return [
      exactly("conntrack_drops_total", asked, undefined, { count: unanswered, by: "nftables, SYNs without answer" }),
      stands("conntrack_entries", await limit()),
    ];
  },
  heal: (bench) => empty(bench, "server"),
};

export const conntrackFullRouter: Scenario = {
  name: "conntrack-full-router",
  title: "the router's table is full: new connections never reach this server, which cannot know",
  alone,
  page: undefined,
  async inject(bench) {
    await track(bench, "router");
    await fill(bench, "router");
    const { stderr } = await bench.clients.ssh(bench.knownPeers[0] ?? "", "true", ["-o", "ConnectTimeout=3"], 6000);
    if (!/timed out/.test(stderr)) throw new Error(`the client was not shut out: ${stderr}`);
    // The drops are the router's own; the kernel says in its log whose table it is.
    return [exactly("conntrack_drops_total", 0), exactly("conntrack_table_full_total", 0)];
  },
  heal: (bench) => empty(bench, "router"),
};

/** A rule that looks at the state switches tracking on in that namespace; the monitoring link is left out of it. */
const track = ({ network }: Bench, where: "server" | "router"): Promise<void> =>
  network.rules(
    where,
    `table inet scenario {
  chain arriving { type filter hook prerouting priority -300; iifname "m0" notrack; }
  chain leaving { type filter hook output priority -300; oifname "m0" notrack; }
  chain input { type filter hook input priority 0; ct state established accept; }
  chain forward { type filter hook forward priority 0; ct state established accept; }
}
`,
  );

const limit = async (): Promise<number> => Number(await readFile("/proc/sys/net/netfilter/nf_conntrack_max", "utf8"));

/** The limit is the machine's and is left alone; the entries are this namespace's own. */
async function fill({ network, host, say }: Bench, where: "server" | "router"): Promise<void> {
  const conntrack = await debian("conntrack");
  const file = join(host.root, "..", "conntrack.txt");
  const wanted = await limit();
  const counted = async (): Promise<number> =>
    Number(await network.in(where, "cat /proc/sys/net/netfilter/nf_conntrack_count"));
  for (let tries = 0; tries < 5; tries++) {
    const missing = wanted - (await counted());
    if (missing <= 0) return;
    // The last ones find the table full.
    writeFileSync(file, entries(missing + 64, tries));
    const args = ["netns", "exec", network.namespaces[where].name, conntrack.path, "-R", file];
    await run("ip", args, { env: conntrack.env, timeoutMs: 180_000 }).catch((error: unknown) => {
      if (!/table full|Cannot allocate|not enough memory|already exists/i.test(String(error))) throw error;
      say(`conntrack: ${String(error).split("conntrack v").pop()?.trim()}`);
    });
  }
  throw new Error(`the table of the ${where} has ${await counted()} entries, not ${wanted}`);
}

/** Assured connections, different ones for each `series`, as conntrack -R reads them. */
function entries(count: number, series: number): string {
  return Array.from({ length: count }, (_, index) => {
    const n = index + series * 2 ** 19;
    const source = `172.20.${(n >> 16) & 255}.${1 + ((n >> 8) & 127)}`;
    const port = 1024 + (n & 255) + 256 * ((n >> 15) & 1);
    const [from, to] = [`-s ${source} -d 172.21.0.1`, `-r 172.21.0.1 -q ${source}`];
    return `-A -p tcp ${from} --sport ${port} --dport 22 ${to} --reply-port-src 22 --reply-port-dst ${port} --state ESTABLISHED -u ASSURED -t 600\n`;
  }).join("");
}

async function empty({ network }: Bench, where: "server" | "router"): Promise<void> {
  const conntrack = await debian("conntrack");
  const args = ["netns", "exec", network.namespaces[where].name, conntrack.path, "-F"];
  await run("ip", args, { env: conntrack.env, timeoutMs: 60_000 });
  await network.rules(where, "table inet scenario\ndelete table inet scenario\n");
}
