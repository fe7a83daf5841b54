/**
 * Real faults in network namespaces against a real sshd: what the kernel's events, read by the source and parsed, count
 * against the resets really caused. A counter in the router, which no socket can see, is the second witness.
 */
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import type { LogRecord } from "../../src/model/record.ts";
import { parse } from "../../src/parsers/index.ts";
import { createTcpTraceSource } from "../../src/sources/tcp-trace.ts";
import type { Tool } from "../../tools/debian.ts";
import type { Lab, Namespace } from "../netns.ts";
import { type LabSshd, startSshd } from "./sshd.ts";
import { openTracedLab } from "./traced-lab.ts";
import type { TracefsMount } from "./tracefs.ts";
import { waitFor } from "./wait.ts";

const peer = join(import.meta.dirname, "peer.mjs");

interface Count {
  received: number;
  sent: number;
  reasons: Record<string, number>;
}

describe("TCP reset events of real faults", function () {
  this.timeout(120_000);
  let lab: Lab;
  let tracefs: TracefsMount;
  let nft: Tool;
  const table: string[][] = [];

  before(async function () {
    ({ lab, tracefs, nft } = await openTracedLab(this));
    await load(
      lab.router,
      `table inet witness {
  counter to_server { }
  counter to_client { }
  chain forward {
    type filter hook forward priority 0
    tcp dport { 22, 2222 } tcp flags & rst == rst counter name to_server
    tcp sport { 22, 2222 } tcp flags & rst == rst counter name to_client
  }
}
`,
    );
  });

  after(() => {
    lab?.close();
    tracefs?.close();
    const widths = [26, 7, 9, 5, 12, 14];
    for (const row of table)
      process.stdout.write(`    ${row.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join(" ")}\n`);
  });

  /** Runs the fault while the source reads; waits until the counts have what is expected or the deadline is over. */
  async function observe(options: {
    readonly fault: string;
    readonly caused: number;
    readonly kind: "received" | "sent";
    readonly ports?: readonly number[];
    readonly cause: () => Promise<void>;
  }): Promise<Count> {
    const stop = new AbortController();
    const records: LogRecord[] = [];
    let lost = 0;
    const source = createTcpTraceSource({
      position: undefined,
      fromBeginning: false,
      idents: [],
      onWarning: (message, details) => expect.fail(`${message} ${JSON.stringify(details)}`),
      tracefs: tracefs.path,
      procfs: "/proc",
      ports: () => options.ports ?? [22],
      localAddresses: () => new Set([lab.server.address, lab.server.address6]),
    });
    const reading = (async () => {
      for await (const batch of source.batches(stop.signal)) {
        records.push(...batch.records);
        lost += batch.lost;
      }
    })();
    await waitFor(
      () => source.status().up,
      () => `not up: ${source.status().reason}`,
    );
    const before = await routerResets(lab.router);
    const count = (): Count => {
      const events = records.map((record) => parse(record));
      const sent = events.filter((event) => event?.kind === "tcp.reset_sent");
      const reasons: Record<string, number> = {};
      for (const event of sent) {
        const reason = event?.kind === "tcp.reset_sent" ? (event.reason ?? "") : "";
        reasons[reason] = (reasons[reason] ?? 0) + 1;
      }
      return {
        received: events.filter((event) => event?.kind === "tcp.reset_received").length,
        sent: sent.length,
        reasons,
      };
    };
    try {
      await options.cause();
      await waitFor(
        () => count()[options.kind] >= options.caused,
        () => `${options.fault}: ${JSON.stringify(count())} instead of ${options.caused}`,
      );
    } finally {
      stop.abort();
      await reading;
    }
    expect(lost).to.equal(0);
    const after = await routerResets(lab.router);
    const { received, sent, reasons } = count();
    table.push([
      options.fault,
      String(options.caused),
      String(received),
      String(sent),
      `${after.toServer - before.toServer}/${after.toClient - before.toClient}`,
      JSON.stringify(reasons),
    ]);
    return { received, sent, reasons };
  }

  async function load(namespace: Namespace, ruleset: string): Promise<void> {
    const result = spawnSync("ip", ["netns", "exec", namespace.name, nft.path, "-f", "-"], {
      input: ruleset,
      env: nft.env,
      encoding: "utf8",
    });
    if (result.status !== 0) throw new Error(`nft: ${result.stderr}`);
  }

  /** RST packets that crossed the router, by direction. */
  async function routerResets(router: Namespace): Promise<{ toServer: number; toClient: number }> {
    const list = await router.run("env", [
      `LD_LIBRARY_PATH=${nft.env["LD_LIBRARY_PATH"] ?? ""}`,
      nft.path,
      ..."list counters table inet witness".split(" "),
    ]);
    const packets = (name: string): number =>
      Number(new RegExp(`${name} \\{\\s+packets (\\d+)`).exec(list)?.[1] ?? Number.NaN);
    return { toServer: packets("to_server"), toClient: packets("to_client") };
  }

  async function peerDoes(stage: string, count: number, address = lab.server.address, port = 22): Promise<void> {
    const child = lab.client.start(process.execPath, [peer, address, String(port), stage, String(count)]);
    const [code] = await once(child, "close");
    expect(code, `the peer's exit code at ${stage}`).to.equal(0);
  }

  describe("with sshd", () => {
    let sshd: LabSshd;

    before(async () => {
      sshd = await startSshd(lab.server, { config: ["MaxStartups 200:30:300"] });
    });
    after(() => sshd?.close());

    for (const stage of ["connect", "banner", "kex"]) {
      it(`counts each reset by the client at ${stage}, IPv4 and IPv6`, async () => {
        const caused = 20;
        for (const [family, address] of [
          ["IPv4", lab.server.address],
          ["IPv6", lab.server.address6],
        ] as const) {
          const cause = (): Promise<void> => peerDoes(stage, caused, address);
          const { received } = await observe({
            fault: `client RST at ${stage} ${family}`,
            caused,
            kind: "received",
            cause,
          });
          expect(received).to.equal(caused);
        }
      });
    }

    async function session(): Promise<void> {
      lab.client.start("ssh", [
        ...["-i", sshd.identityFile, "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"],
        ...[`root@${lab.server.address}`, "while echo tick; do sleep 0.2; done"],
      ]);
      const logged = sshd.log().split("Accepted publickey").length;
      await waitFor(
        () => sshd.log().split("Accepted publickey").length > logged,
        () => `no login: ${sshd.log()}`,
      );
    }

    it("counts a session's reset by the client's kernel", async () => {
      const cause = async (): Promise<void> => {
        await session();
        await lab.client.run("ss", ["-K", "state", "established", "dport", "=", ":22"]);
      };
      const { received } = await observe({ fault: "ss -K at the client", caused: 1, kind: "received", cause });
      expect(received).to.equal(1);
    });

    it("counts a session's reset by our own kernel, with its reason", async () => {
      const cause = async (): Promise<void> => {
        await session();
        await lab.server.run("ss", ["-K", "state", "established", "sport", "=", ":22"]);
      };
      const { sent, received } = await observe({ fault: "ss -K at the server", caused: 1, kind: "sent", cause });
      expect(sent).to.equal(1);
      expect(received).to.equal(0);
    });

    it("counts a session's reset by the router", async () => {
      const cause = async (): Promise<void> => {
        await session();
        await load(
          lab.router,
          "table inet middlebox {\nchain forward {\ntype filter hook forward priority 10\ntcp sport 22 reject with tcp reset\n}\n}\n",
        );
        await waitFor(
          async () => (await lab.server.run("ss", ["-Htn", "state", "established", "sport", "=", ":22"])) === "",
          () => "the session lives on",
        );
        await load(lab.router, "delete table inet middlebox\n");
      };
      const { received } = await observe({ fault: "router injects a RST", caused: 1, kind: "received", cause });
      expect(received).to.equal(1);
    });
  });

  describe("of limits", () => {
    it("counts what MaxStartups resets", async () => {
      const sshd = await startSshd(lab.server, { config: ["MaxStartups 3", "LoginGraceTime 60"] });
      try {
        const cause = async (): Promise<void> => {
          const holding = lab.client.start(process.execPath, [peer, lab.server.address, "22", "hold", "3"]);
          await waitFor(
            async () =>
              (await lab.server.run("ss", ["-Htn", "state", "established", "sport", "=", ":22"])).split("\n").length >
              3,
            () => "no three connections",
          );
          await peerDoes("banner-hold", 10);
          holding.kill();
        };
        const before = (await routerResets(lab.router)).toClient;
        const { sent } = await observe({ fault: "MaxStartups drops", caused: 10, kind: "sent", cause });
        expect(sent).to.equal((await routerResets(lab.router)).toClient - before);
      } finally {
        await sshd.close();
      }
    });

    it("counts what TCP wrappers reset", async () => {
      const sshd = await startSshd(lab.server, { hostsDeny: `sshd: ${lab.client.address}\n` });
      try {
        const before = (await routerResets(lab.router)).toClient;
        const cause = (): Promise<void> => peerDoes("banner-hold", 10);
        const { sent } = await observe({ fault: "TCP wrappers refuse", caused: 10, kind: "sent", cause });
        expect(sent).to.equal((await routerResets(lab.router)).toClient - before);
      } finally {
        await sshd.close();
      }
    });

    it("counts the resets of a closed port, as the only sign of it (6.10+)", async () => {
      const cause = (): Promise<void> => peerDoes("connect", 10);
      const { sent, reasons } = await observe({ fault: "nothing listens", caused: 10, kind: "sent", cause });
      expect(sent).to.equal(10);
      expect(reasons).to.deep.equal({ no_socket: 10 });
    });
  });

  describe("of our own kernel alone", () => {
    it("counts no reset received where data meets a close under way", async () => {
      // The FIN is lost, so the close is under way for as long as the test needs.
      await load(
        lab.server,
        "table inet lossy {\nchain output {\ntype filter hook output priority 0\ntcp sport 2222 tcp flags & fin == fin drop\n}\n}\n",
      );
      const closing = 'require("net").createServer((s) => s.destroy()).listen(2222, "0.0.0.0")';
      const talking = `const s = require("net").connect(2222, "${lab.server.address}"); s.on("error", () => process.exit()); s.on("connect", () => setTimeout(() => s.write("late"), 300))`;
      const server = lab.server.start(process.execPath, ["-e", closing]);
      try {
        await waitFor(
          async () => (await lab.server.run("ss", ["-Htln", "sport", "=", ":2222"])) !== "",
          () => "nothing listens on 2222",
        );
        const before = await routerResets(lab.router);
        const cause = async (): Promise<void> => {
          await once(lab.client.start(process.execPath, ["-e", talking]), "close");
        };
        const fault = "data meets a close";
        const { received, sent, reasons } = await observe({ fault, caused: 1, kind: "sent", ports: [2222], cause });
        const after = await routerResets(lab.router);
        expect({ received, sent, reasons }).to.deep.equal({ received: 0, sent: 1, reasons: { tcp_abort_on_data: 1 } });
        expect([after.toServer - before.toServer, after.toClient - before.toClient]).to.deep.equal([0, 1]);
      } finally {
        server.kill();
        await load(lab.server, "delete table inet lossy\n");
      }
    });
  });

  describe("at the end", () => {
    it("leaves nothing of its own in tracefs", () => {
      expect(readdirSync(join(tracefs.path, "instances"))).to.not.include(`ssh-reset-exporter-${process.pid}`);
    });
  });
});
