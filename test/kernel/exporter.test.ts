/**
 * The whole exporter in the server's namespace, on real faults: what /metrics counts against the resets really caused.
 * It reads sshd's log and the kernel's events, so each end is told twice and must be counted once.
 */
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import type { Tool } from "../../tools/debian.ts";
import { skip } from "../../tools/skip.ts";
import { type Lab, type Namespace, setInNamespace } from "../netns.ts";
import { type LabSshd, type SshdOptions, startSshd } from "./sshd.ts";
import { openTracedLab } from "./traced-lab.ts";
import type { TracefsMount } from "./tracefs.ts";
import { waitFor } from "./wait.ts";

const root = join(import.meta.dirname, "../..");
const peer = join(import.meta.dirname, "peer.mjs");
type Samples = ReadonlyMap<string, number>;

describe("the exporter on real faults", function () {
  this.timeout(180_000);
  let lab: Lab;
  let tracefs: TracefsMount;
  let nft: Tool;
  let state: string;
  let bin: string;
  const table: (readonly string[])[] = [];

  before(async function () {
    ({ lab, tracefs, nft } = await openTracedLab(this));
    state = mkdtempSync(join(tmpdir(), "ssh-reset-exporter-state-"));
    bin = join(state, "bin");
    mkdirSync(bin);
    const libraries = nft.env["LD_LIBRARY_PATH"] ?? "";
    writeFileSync(join(bin, "nft"), `#!/bin/sh\nLD_LIBRARY_PATH=${libraries} exec ${nft.path} "$@"\n`);
    chmodSync(join(bin, "nft"), 0o755);
    await setInNamespace(lab.client, "net/ipv4/ip_default_ttl", 128);
  });
  after(() => {
    lab?.close();
    tracefs?.close();
    if (state !== undefined) rmSync(state, { recursive: true });
    const widths = [26, 8];
    for (const row of table)
      process.stdout.write(`    ${row.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join(" ")}\n`);
  });

  async function scrape(): Promise<Samples> {
    const script = "fetch('http://127.0.0.1:9000/metrics').then((r) => r.text()).then((t) => process.stdout.write(t))";
    const text = await lab.server.run(process.execPath, ["-e", script]);
    return new Map(
      [...text.matchAll(/^(sshreset_\S+?(?:\{.*\})?) (\S+)$/gm)].map(([, series = "", value]) => [
        series,
        Number(value),
      ]),
    );
  }

  /** Sum of a metric's series whose labels match. */
  function sum(samples: Samples, name: string, labels = /./): number {
    let total = 0;
    for (const [series, value] of samples)
      if (series.split("{")[0] === `sshreset_${name}` && (series === `sshreset_${name}` || labels.test(series)))
        total += value;
    return total;
  }

  /** What moved among the counters of resets, ends and drops. */
  function moved(before: Samples, after: Samples): Record<string, number> {
    const changes: Record<string, number> = {};
    for (const [series, value] of after) {
      const [, name = ""] = /^sshreset_(\w+)/.exec(series) ?? [];
      if (
        !/^(connections_(ended|dropped)|tcp_resets|middlebox|resets_ttl|tcp_wrappers_refusals|tcp_established_resets|source_(lost|unmatched))/.test(
          name,
        )
      )
        continue;
      const change = value - (before.get(series) ?? 0);
      if (change !== 0) changes[series.replace("sshreset_", "")] = change;
    }
    return changes;
  }

  interface Running {
    readonly sshd: LabSshd;
    /** CPU seconds that the exporter has used. */
    cpuSeconds(): number;
    stop(): Promise<void>;
  }

  async function start(options: SshdOptions): Promise<Running> {
    const sshd = await startSshd(lab.server, options);
    return startExporter(sshd);
  }

  async function startExporter(sshd: LabSshd): Promise<Running> {
    const env = { ...process.env, PATH: `${bin}:${process.env["PATH"]}` };
    const folder = mkdtempSync(join(state, "run-"));
    const command = ["--import=tsx", join(root, "src/cli/main.ts")];
    const [code] = await once(lab.server.start(process.execPath, [...command, "observe", "install"], env), "close");
    expect(code, "observe install").to.equal(0);
    const flags = [
      `--path.tracefs=${tracefs.path}`,
      `--state.directory=${folder}`,
      "--source.tcp-trace",
      `--source.logfile=${sshd.logFile}`,
      "--collector.reset_ttl",
      "--web.listen-address=127.0.0.1:9000",
    ];
    const exporter = lab.server.start(process.execPath, [...command, ...flags], env);
    let said = "";
    exporter.stderr?.on("data", (chunk: Buffer) => {
      said += chunk.toString();
    });
    await waitFor(
      async () => sum(await scrape().catch(() => new Map()), "source_up", /tcp_trace/) === 1,
      () => `the exporter does not start: ${said}`,
      30_000,
    );
    return {
      sshd,
      cpuSeconds() {
        // proc_pid_stat(5): utime and stime, in ticks of 10 ms.
        const fields = readFileSync(`/proc/${exporter.pid}/stat`, "utf8")
          .replace(/^.*\) /, "")
          .split(" ");
        return (Number(fields[11]) + Number(fields[12])) / 100;
      },
      async stop() {
        exporter.kill("SIGTERM");
        await once(exporter, "close");
        await sshd.close();
      },
    };
  }

  /** Runs the fault, waits until `metric` and the ends have moved by `caused` and nothing moves any more. */
  async function counted(
    fault: string,
    caused: number,
    metric: string,
    cause: () => Promise<void>,
  ): Promise<Record<string, number>> {
    const before = await scrape();
    await cause();
    let last = before;
    let movedAtMs = Date.now();
    await waitFor(
      async () => {
        const now = await scrape();
        if (JSON.stringify(moved(last, now)) !== "{}") movedAtMs = Date.now();
        last = now;
        // An end is counted a join window (1 s) after it was first heard of, and shown by the next commit (1 s).
        const quiet = Date.now() - movedAtMs > 2_500;
        const since = (name: string): number => sum(now, name) - sum(before, name);
        // TTLs are compared in the background; of a flood only some.
        const compared = since("resets_ttl_compared_total") + since("resets_ttl_unknown_total");
        const judged = caused > 1000 || compared >= since("tcp_resets_received_total");
        return quiet && judged && since(metric) >= caused && since("connections_ended_total") >= caused;
      },
      () => `${fault}: ${JSON.stringify(moved(before, last))}`,
      20_000,
    );
    const changes = moved(before, last);
    table.push([fault, String(caused), JSON.stringify(changes).replaceAll('\\"', "'").replaceAll('"', "")]);
    return changes;
  }

  const total = (changes: Record<string, number>, pattern: RegExp): number =>
    Object.entries(changes).reduce((all, [series, value]) => (pattern.test(series) ? all + value : all), 0);

  async function peerDoes(stage: string, count: number): Promise<void> {
    const child = lab.client.start(process.execPath, [peer, lab.server.address, "22", stage, String(count)]);
    const [code] = await once(child, "close");
    expect(code).to.equal(0);
  }

  function load(namespace: Namespace, ruleset: string): void {
    const result = spawnSync("ip", ["netns", "exec", namespace.name, nft.path, "-f", "-"], {
      input: ruleset,
      env: nft.env,
      encoding: "utf8",
    });
    if (result.status !== 0) throw new Error(`nft: ${result.stderr}`);
  }

  describe("with room for everybody", () => {
    let running: Running;
    before(async () => {
      running = await start({ config: ["MaxStartups 500:30:600"] });
    });
    after(() => running?.stop());

    async function session(): Promise<void> {
      const logged = running.sshd.log().split("Accepted publickey").length;
      lab.client.start("ssh", [
        ...["-i", running.sshd.identityFile, "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"],
        ...[`root@${lab.server.address}`, "while echo tick; do sleep 0.2; done"],
      ]);
      await waitFor(
        () => running.sshd.log().split("Accepted publickey").length > logged,
        () => `no login: ${running.sshd.log()}`,
      );
      // The exporter has read the login: an end before that could not be a known peer's.
      const accepted = running.sshd.log().split("Accepted publickey").length - 1;
      await waitFor(
        async () => sum(await scrape(), "connections_accepted_total") >= accepted,
        () => "the login is not counted",
      );
    }

    for (const stage of ["connect", "banner", "kex"])
      it(`client RST at ${stage}`, async () => {
        const changes = await counted(`client RST at ${stage}`, 20, "tcp_resets_received_total", () =>
          peerDoes(stage, 20),
        );
        expect(total(changes, /^tcp_resets_received/)).to.equal(20);
        expect(total(changes, /^connections_ended/)).to.equal(20);
        expect(total(changes, /^connections_ended.*outcome="reset"/)).to.equal(20);
        expect(total(changes, /^source_(lost|unmatched)/)).to.equal(0);
        expect(total(changes, /^resets_ttl_compared/)).to.equal(20);
        expect(total(changes, /^middlebox/)).to.equal(0);
      });

    it("ss -K at the client", async () => {
      const changes = await counted("ss -K at the client", 1, "tcp_resets_received_total", async () => {
        await session();
        await lab.client.run("ss", ["-K", "state", "established", "dport", "=", ":22"]);
      });
      expect(total(changes, /^tcp_resets_received/)).to.equal(1);
      expect(total(changes, /^connections_ended/)).to.equal(1);
      expect(changes['connections_ended_total{phase="session",outcome="reset",peer_class="known"}']).to.equal(1);
    });

    it("ss -K at the server", async () => {
      const changes = await counted("ss -K at the server", 1, "tcp_resets_sent_total", async () => {
        await session();
        await lab.server.run("ss", ["-K", "state", "established", "sport", "=", ":22"]);
      });
      expect(total(changes, /^tcp_resets_sent.*tcp_state/)).to.equal(1);
      expect(total(changes, /^connections_ended/)).to.equal(1);
    });

    it("router injects a RST", async () => {
      const changes = await counted("router injects a RST", 1, "tcp_resets_received_total", async () => {
        await session();
        load(
          lab.router,
          "table inet middlebox {\nchain forward {\ntype filter hook forward priority 10\ntcp sport 22 reject with tcp reset\n}\n}\n",
        );
        await waitFor(
          async () => (await lab.server.run("ss", ["-Htn", "state", "established", "sport", "=", ":22"])) === "",
          () => "the session lives on",
        );
        load(lab.router, "delete table inet middlebox\n");
      });
      expect(total(changes, /^tcp_resets_received/)).to.equal(1);
      expect(changes['connections_ended_total{phase="session",outcome="reset",peer_class="known"}']).to.equal(1);
      expect(total(changes, /^middlebox_resets/)).to.equal(1);
      expect(total(changes, /^connections_ended/)).to.equal(1);
    });
  });

  describe("with limits", () => {
    it("MaxStartups", async () => {
      const running = await start({ config: ["MaxStartups 3"] });
      try {
        const holding = lab.client.start(process.execPath, [peer, lab.server.address, "22", "hold", "3"]);
        await waitFor(
          async () =>
            (await lab.server.run("ss", ["-Htn", "state", "established", "sport", "=", ":22"])).split("\n").length > 3,
          () => "no three connections",
        );
        const changes = await counted("MaxStartups drops", 10, "tcp_resets_sent_total", () =>
          peerDoes("banner-hold", 10),
        );
        holding.kill();
        expect(total(changes, /^tcp_resets_sent/)).to.equal(10);
        expect(total(changes, /^connections_ended/)).to.equal(10);
      } finally {
        await running.stop();
      }
    });

    it("TCP wrappers", async () => {
      const running = await start({ hostsDeny: `sshd: ${lab.client.address}\n`, config: ["MaxStartups 500:30:600"] });
      try {
        const changes = await counted("TCP wrappers refuse", 10, "tcp_resets_sent_total", () =>
          peerDoes("banner-hold", 10),
        );
        expect(total(changes, /^tcp_resets_sent/)).to.equal(10);
        expect(total(changes, /^tcp_wrappers_refusals/)).to.equal(10);
        expect(total(changes, /^connections_ended/)).to.equal(10);
        expect(total(changes, /^connections_ended.*outcome="refused"/)).to.equal(10);
      } finally {
        await running.stop();
      }
    });
  });

  describe("in a flood", () => {
    let running: Running;
    before(async () => {
      running = await start({ config: ["MaxStartups 500:30:600"] });
    });
    after(() => running?.stop());

    it("10,000 forged resets out of the window move nothing", async function () {
      if (spawnSync("python3", ["-c", ""]).status !== 0) skip(this, "needs python3 to forge packets");
      const changes = await counted("10,000 forged RSTs", 0, "tcp_resets_received_total", async () => {
        const args = [lab.client.address, lab.server.address, "22", "200", "10000"];
        const [code] = await once(
          lab.client.start("python3", [join(import.meta.dirname, "forge.py"), ...args]),
          "close",
        );
        expect(code).to.equal(0);
      });
      expect(changes).to.deep.equal({});
    });

    it("10,000 resets of connections to another listener on sshd's port are all counted, once", async () => {
      // sshd itself cannot be had 10,000 times in the time of a test: it forks for each.
      await running.sshd.close();
      const script =
        "require('node:net').createServer((s) => s.on('error', () => {})).listen(22, '::', () => console.log('up'))";
      const listener = lab.server.start(process.execPath, ["-e", script]);
      if (listener.stdout === null) throw new Error("no output");
      await once(listener.stdout, "data");
      const cpu = running.cpuSeconds();
      const begin = Date.now();
      let seconds = 0;
      const changes = await counted("10,000 RSTs at connect", 10_000, "tcp_resets_received_total", async () => {
        await peerDoes("connect", 10_000);
        seconds = (Date.now() - begin) / 1000;
      });
      table.push(["", "", `in ${seconds.toFixed(1)} s, exporter ${(running.cpuSeconds() - cpu).toFixed(2)} s CPU`]);
      expect(total(changes, /^tcp_resets_received/)).to.equal(10_000);
      expect(total(changes, /^connections_ended/)).to.equal(10_000);
      expect(total(changes, /^source_lost/)).to.equal(0);
    });
  });
});
