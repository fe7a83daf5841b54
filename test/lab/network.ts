/**
 * The lab's network: client - router - server as in test/netns.ts, a fourth namespace for monitoring on a link of its
 * own to the server (so that a fault on the path does not blind the page), clients with a TTL of their own, and nftables
 * counters in the client as a second witness of every reset.
 */
import { debian } from "../../tools/debian.ts";
import { type Lab as Namespaces, openLab, setInNamespace } from "../netns.ts";
import { run } from "./command.ts";
import type { Stage } from "./stage.ts";

export interface Witness {
  /** RST segments as the client's kernel sees them, on port 22. */
  readonly resetsFromServer: number;
  readonly resetsToServer: number;
}

export class Network {
  readonly namespaces: Namespaces;
  /** Name of the monitoring namespace. */
  readonly monitoring: string;
  readonly serverAddress: string;
  /** Of the server on the monitoring link. */
  readonly managementAddress: string;
  readonly #prefix: string;

  private constructor(namespaces: Namespaces) {
    this.namespaces = namespaces;
    this.serverAddress = namespaces.server.address;
    this.#prefix = this.serverAddress.split(".").slice(0, 2).join(".");
    this.managementAddress = `${this.#prefix}.9.1`;
    this.monitoring = namespaces.server.name.replace("server", "mon");
  }

  static async open(stage: Stage): Promise<Network> {
    const namespaces = await openLab({ offload: false });
    stage.onClose(() => namespaces.close());
    const network = new Network(namespaces);
    const { monitoring } = network;
    const net = network.#prefix;
    const { client, router, server } = namespaces;
    const ip = (...words: readonly string[]): Promise<string> => run("ip", words);
    await ip("netns", "add", monitoring);
    stage.onClose(() => void run("ip", ["netns", "delete", monitoring]).catch(() => undefined));
    await ip("link", "add", "m0", "netns", server.name, "type", "veth", "peer", "name", "m1", "netns", monitoring);
    for (const [namespace, link, host] of [
      [server.name, "m0", 1],
      [monitoring, "m1", 2],
    ] as const) {
      await ip("-n", namespace, "address", "add", `${net}.9.${host}/24`, "dev", link);
      await ip("-n", namespace, "link", "set", link, "up");
    }
    await ip("-n", monitoring, "link", "set", "lo", "up");
    // Many clients: every address of 10.x.4.0/22 is the client's own.
    await ip("-n", client.name, "route", "add", "local", `${net}.4.0/22`, "dev", "lo");
    await ip("-n", router.name, "route", "add", `${net}.4.0/22`, "via", client.address);
    await setInNamespace(client, "net/ipv4/ip_default_ttl", 128);
    await network.rules("client", witnessRules);
    return network;
  }

  /** The n-th of 1,000 client addresses. */
  peer(n: number): string {
    return `${this.#prefix}.${4 + Math.floor(n / 250)}.${1 + (n % 250)}`;
  }

  /** A shell command in one namespace. */
  in(where: "client" | "router" | "server", command: string): Promise<string> {
    return run("ip", ["netns", "exec", this.namespaces[where].name, "sh", "-c", command]);
  }

  /** Loads an nftables ruleset in one namespace. */
  async rules(where: "client" | "router" | "server", ruleset: string): Promise<void> {
    const nft = await debian("nft");
    const args = ["netns", "exec", this.namespaces[where].name, nft.path, "-f", "-"];
    await run("ip", args, { env: nft.env, input: ruleset });
  }

  async witness(): Promise<Witness> {
    const nft = await debian("nft");
    const args = ["netns", "exec", this.namespaces.client.name, nft.path, "-j", "list", "counters"];
    const { nftables } = JSON.parse(await run("ip", args, { env: nft.env })) as {
      nftables: { counter?: { name: string; packets: number } }[];
    };
    const packets = (name: string): number =>
      nftables.find(({ counter }) => counter?.name === name)?.counter?.packets ?? 0;
    return { resetsFromServer: packets("from_server"), resetsToServer: packets("to_server") };
  }

  /** Offload stays off, routes and rules of a scenario go. */
  async heal(): Promise<void> {
    const net = this.#prefix;
    await this.rules("router", "flush ruleset");
    await this.in("router", `ip route replace ${net}.1.0/24 dev r1; ip route replace ${net}.2.0/24 dev r2`);
    await this.in("router", "tc qdisc del dev r1 root 2>/dev/null; tc qdisc del dev r2 root 2>/dev/null; true");
  }
}

const witnessRules = `table inet witness {
  counter from_server { }
  counter to_server { }
  chain input {
    type filter hook input priority -200; policy accept;
    tcp sport 22 tcp flags & rst == rst counter name from_server
  }
  chain output {
    type filter hook output priority -200; policy accept;
    tcp dport 22 tcp flags & rst == rst counter name to_server
  }
}
`;
