/**
 * The lab's network: client - router - server as in test/netns.ts, a fourth namespace for monitoring on a link of its
 * own to the server (so that a fault on the path does not blind the page), clients with a TTL of their own, and nftables
 * counters in client and server as a second witness of every reset.
 */
import { debian } from "../../tools/debian.ts";
import { type Lab as Namespaces, openLab, setInNamespace } from "../netns.ts";
import { run, until } from "./command.ts";
import type { Stage } from "./stage.ts";

/** Segments on port 22 as nftables counts them: the second witness. */
export interface Witness {
  /** RSTs as they reach the server, whoever made them; and as they leave it. */
  readonly resetsIn: number;
  readonly resetsOut: number;
  /** RSTs that the clients' kernel sent, and got. */
  readonly resetsToServer: number;
  readonly resetsFromServer: number;
  /** Connections that the clients asked for, each try; and that were answered. */
  readonly synsToServer: number;
  readonly synAcksFromServer: number;
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

  /** `number`: which of this run's networks. */
  static async open(stage: Stage, number = 0): Promise<Network> {
    const namespaces = await openLab({ offload: false, number });
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
    await network.rules("client", clientWitness);
    await network.rules("server", serverWitness);
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

  /** Waits until so many connections to sshd stand. */
  async connected(count: number): Promise<void> {
    await until(`${count} connections`, async () => {
      const lines = await this.in("server", "ss -Htn state established '( sport = :22 )'");
      return lines.split("\n").filter(Boolean).length >= count;
    });
  }

  /** Loads an nftables ruleset in one namespace. */
  async rules(where: "client" | "router" | "server", ruleset: string): Promise<void> {
    const nft = await debian("nft");
    const args = ["netns", "exec", this.namespaces[where].name, nft.path, "-f", "-"];
    await run("ip", args, { env: nft.env, input: ruleset });
  }

  async witness(): Promise<Witness> {
    const [client, server] = [await this.#counters("client"), await this.#counters("server")];
    const packets = (counters: ReadonlyMap<string, number>, name: string): number => counters.get(name) ?? 0;
    return {
      resetsIn: packets(server, "resets_in"),
      resetsOut: packets(server, "resets_out"),
      resetsToServer: packets(client, "resets_to_server"),
      resetsFromServer: packets(client, "resets_from_server"),
      synsToServer: packets(client, "syns_to_server"),
      synAcksFromServer: packets(client, "syn_acks_from_server"),
    };
  }

  async #counters(where: "client" | "server"): Promise<ReadonlyMap<string, number>> {
    const nft = await debian("nft");
    const args = ["netns", "exec", this.namespaces[where].name, nft.path];
    const text = await run("ip", [...args, "-j", "list", "counters", "table", "inet", "witness"], { env: nft.env });
    const { nftables } = JSON.parse(text) as { nftables: { counter?: { name: string; packets: number } }[] };
    return new Map(nftables.flatMap(({ counter }) => (counter ? [[counter.name, counter.packets]] : [])));
  }

  /** Offload stays off, routes and rules of a scenario go. */
  async heal(): Promise<void> {
    const net = this.#prefix;
    await this.rules("router", "flush ruleset");
    await this.in("router", `ip route replace ${net}.1.0/24 dev r1; ip route replace ${net}.2.0/24 dev r2`);
    await this.in("router", "tc qdisc del dev r1 root 2>/dev/null; tc qdisc del dev r2 root 2>/dev/null; true");
  }
}

const clientWitness = `table inet witness {
  counter resets_from_server { }
  counter resets_to_server { }
  counter syns_to_server { }
  counter syn_acks_from_server { }
  chain input {
    type filter hook input priority -200; policy accept;
    tcp sport 22 tcp flags & rst == rst counter name resets_from_server
    tcp sport 22 tcp flags & (syn | ack) == (syn | ack) counter name syn_acks_from_server
  }
  chain output {
    type filter hook output priority -200; policy accept;
    tcp dport 22 tcp flags & rst == rst counter name resets_to_server
    tcp dport 22 tcp flags & (syn | ack) == syn counter name syns_to_server
  }
}
`;

const serverWitness = `table inet witness {
  counter resets_in { }
  counter resets_out { }
  chain arriving {
    type filter hook prerouting priority -350; policy accept;
    tcp dport 22 tcp flags & rst == rst counter name resets_in
  }
  chain leaving {
    type filter hook postrouting priority 350; policy accept;
    tcp sport 22 tcp flags & rst == rst counter name resets_out
  }
}
`;
