import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { copyFileSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { type AddressInfo, connect, createServer } from "node:net";
import { join } from "node:path";
import { expect } from "chai";
import { parseOpenFilesLimit, type readSettings, sshd } from "../../src/collectors/sshd.ts";
import { findSshdPorts } from "../../src/collectors/sshd-process.ts";
import type { HostPaths, Reading } from "../../src/model/collector.ts";
import { debianOr, type Tool } from "../../tools/debian.ts";
import { skip } from "../../tools/skip.ts";
import { startSshd } from "../kernel/sshd.ts";
import { contextOf, healthyHost, hostWith, pathsBelow, table, thisHost, until } from "./fixture-host.ts";

type Ok = Extract<Reading, { status: "ok" }>;

async function readAt(paths: HostPaths, ports: readonly number[], enough: (reading: Ok) => boolean): Promise<Ok> {
  const collector = sshd.create(contextOf(paths, { sshdPorts: () => ports }));
  const stop = new AbortController();
  const done = collector.run?.(stop.signal);
  try {
    return await until("a reading of sshd", async () => {
      const reading = await collector.read();
      return reading.status === "ok" && enough(reading) ? reading : undefined;
    });
  } finally {
    stop.abort();
    await done;
  }
}

const hasSettings = ({ samples, errors }: Ok) =>
  errors?.length !== 0 || samples.some(({ name }) => name.endsWith("settings_info"));

describe("sshd", () => {
  it("reads process, control group and settings of the healthy host", async () => {
    const reading = await readAt(pathsBelow(healthyHost), [22], hasSettings);
    expect(table(reading.samples)).to.deep.equal({
      sshd_up: 1,
      sshd_unauthenticated_connections: 1,
      sshd_open_files: 3,
      sshd_open_files_limit: 1024,
      sshd_tasks: 4,
      sshd_tasks_limit: 9363,
      sshd_memory_bytes: 7340032,
      sshd_forks_refused_total: 0,
      'sshd_memory_events_total{event="high"}': 0,
      'sshd_memory_events_total{event="max"}': 0,
      'sshd_memory_events_total{event="oom"}': 0,
      'sshd_memory_events_total{event="oom_kill"}': 0,
      'sshd_settings_info{source="sshd_config"}': 1,
      sshd_max_startups_begin: 10,
      sshd_max_startups_rate_ratio: 0.3,
      sshd_max_startups_full: 100,
      sshd_login_grace_seconds: 90,
      sshd_client_alive_interval_seconds: 120,
      sshd_client_alive_count_max: 3,
      sshd_tcp_keepalive: 1,
      sshd_use_dns: 0,
      tcp_keepalive_time_seconds: 7200,
    });
    expect(reading.missing).to.deep.equal([]);
  });

  it("is down when one of its ports is not listened on", async () => {
    const reading = await readAt(pathsBelow(healthyHost), [22, 2222], () => true);
    expect(table(reading.samples)).to.include({ sshd_up: 0 });
  });

  it("assumes the built-in settings where there is no configuration, and says so", async () => {
    const reading = await readAt(pathsBelow(hostWith({})), [22], hasSettings);
    expect(table(reading.samples)).to.include({
      sshd_up: 0,
      'sshd_settings_info{source="built_in"}': 1,
      sshd_max_startups_begin: 10,
    });
  });

  it("fails with the line of a configuration that sshd would refuse", async () => {
    const root = hostWith({ "etc/ssh/sshd_config": "\nMaxStartups all\n" });
    const reading = await readAt(pathsBelow(root), [22], hasSettings);
    expect(reading.errors).to.deep.equal(['/etc/ssh/sshd_config:2: MaxStartups "all" is not "begin:rate:full"']);
    expect(table(reading.samples)).to.include({ sshd_up: 0 });
  });

  it("fails with the path where the kernel writes what it never did", () => {
    const root = hostWith({ "proc/net/tcp": "head\n 0: x y 0A\n" });
    expect(() => sshd.create(contextOf(pathsBelow(root))).read()).to.throw(
      `${root}/proc/net/tcp: " 0: x y 0A" is no socket`,
    );
  });

  it("looks for the new process when the old one's socket is gone", async () => {
    const tcp = (inode: number) => `head\n 0: 00000000:0016 00000000:0000 0A 0:0 0:0 0 0 0 ${inode}\n`;
    const title = (count: number) => `sshd: sshd [listener] ${count} of 10-100 startups\0`;
    const root = hostWith({
      "proc/net/tcp": tcp(7),
      "proc/50/comm": "sshd\n",
      "proc/50/cmdline": title(1),
      "proc/50/fd/0": "",
    });
    symlinkSync("socket:[7]", `${root}/proc/50/fd/3`);
    const collector = sshd.create(contextOf(pathsBelow(root)));
    const stop = new AbortController();
    const done = collector.run?.(stop.signal);
    const count = async () => {
      const reading = await collector.read();
      return reading.status === "ok" ? table(reading.samples)["sshd_unauthenticated_connections"] : undefined;
    };
    await until("the first process", async () => ((await count()) === 1 ? true : undefined));
    mkdirSync(`${root}/proc/60/fd`, { recursive: true });
    writeFileSync(`${root}/proc/60/comm`, "sshd\n");
    writeFileSync(`${root}/proc/60/cmdline`, title(5));
    symlinkSync("socket:[8]", `${root}/proc/60/fd/3`);
    writeFileSync(`${root}/proc/net/tcp`, tcp(8));
    rmSync(`${root}/proc/50`, { recursive: true });
    await until("the second process", async () => ((await count()) === 5 ? true : undefined));
    stop.abort();
    await done;
  });

  it("knows no limit where there is none", () => {
    expect(
      parseOpenFilesLimit("Max open files            unlimited            unlimited            files     \n", "limits"),
    ).to.equal(undefined);
    expect(() => parseOpenFilesLimit("Max cpu time\n", "/proc/1/limits")).to.throw(
      '/proc/1/limits: no "Max open files"',
    );
  });

  describe("asking a real sshd", () => {
    for (const [suite, config, source, expected] of [
      [
        "machine",
        "MaxStartups 3:50:7\nPort 2222\n",
        "sshd_t",
        { ports: [2222], maxStartups: { begin: 3, rate: 50, full: 7 } },
      ],
      [
        "trixie",
        "PerSourceMaxStartups 4\n",
        "sshd_t",
        { ports: [22], perSourceMaxStartups: 4, perSourcePenalties: true },
      ],
      [
        "trixie",
        "HostKey /nonexistent\n",
        "sshd_g",
        { ports: [22], perSourceMaxStartups: "none", perSourcePenalties: true },
      ],
      ["machine", "HostKey /nonexistent\nLoginGraceTime 30\n", "sshd_config", { loginGraceSeconds: 30 }],
    ] as const) {
      it(`takes ${source} of ${suite}'s with ${JSON.stringify(config)}`, async function () {
        this.timeout(600_000);
        if (process.getuid?.() !== 0) return skip(this, "needs root: a mount namespace");
        const tool = await debianOr(this, "sshd", suite);
        const answer = await settingsOn(tool, config);
        expect(answer.source, JSON.stringify(answer.missing)).to.equal(source);
        expect(answer.settings).to.deep.include(expected);
      });
    }
  });

  describe("with a real sshd on loopback", () => {
    let port = 0;
    let server: Awaited<ReturnType<typeof startSshd>>;

    before(async function () {
      this.timeout(600_000);
      if (process.getuid?.() !== 0) return skip(this, "needs root: sshd");
      port = await freePort();
      server = await startSshd(
        {
          name: "host",
          address: "127.0.0.1",
          address6: "::1",
          run: () => Promise.reject(new Error("not used")),
          start: (program, args, env = process.env) =>
            spawn(program, args, { env, detached: true, stdio: ["ignore", "pipe", "pipe"] }),
        },
        { port, config: ["ListenAddress ::1", "MaxStartups 3:50:7", "LoginGraceTime 30"] },
      );
    });
    after(() => server?.close());

    it("finds it, its files and what it was configured with", async () => {
      const client = connect(port, "::1");
      await once(client, "data");
      const found = await findSshdPorts(thisHost);
      expect(found.source).to.equal("listening");
      expect(found.ports).to.include(port);
      const reading = await readAt(
        thisHost,
        [port],
        (now) => hasSettings(now) && table(now.samples)["sshd_unauthenticated_connections"] === 1,
      );
      client.destroy();
      const samples = table(reading.samples);
      expect(samples).to.include({
        sshd_up: 1,
        sshd_max_startups_begin: 3,
        sshd_max_startups_rate_ratio: 0.5,
        sshd_max_startups_full: 7,
        sshd_login_grace_seconds: 30,
      });
      expect(samples["sshd_open_files"]).to.be.within(3, 20);
    });

    it("is down once it has ended", async () => {
      const collector = sshd.create(contextOf(thisHost, { sshdPorts: () => [port] }));
      const stop = new AbortController();
      const done = collector.run?.(stop.signal);
      const up = async () => {
        const reading = await collector.read();
        return reading.status === "ok" ? table(reading.samples)["sshd_up"] : undefined;
      };
      expect(await up()).to.equal(1);
      await server.close();
      await until("sshd is down", async () => ((await up()) === 0 ? true : undefined));
      stop.abort();
      await done;
    });
  });
});

/** What readSettings says on a machine with this sshd and configuration: a mount namespace of our own. */
async function settingsOn(
  { path, root, env }: Tool,
  config: string,
): Promise<Awaited<ReturnType<typeof readSettings>>> {
  const folder = hostWith({
    "etc/passwd": "root:x:0:0::/root:/bin/sh\nsshd:x:65534:65534::/run/sshd:/usr/sbin/nologin\n",
    "etc/ssh/sshd_config": config,
  });
  mkdirSync(`${folder}/sbin`);
  // A wrapper starts a program of another release; sshd of our own is the program itself.
  if (path.startsWith(`${root}/run/`)) symlinkSync(path, `${folder}/sbin/sshd`);
  else copyFileSync(path, `${folder}/sbin/sshd`);
  execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", `${folder}/etc/ssh/ssh_host_ed25519_key`]);
  const script = `mount -t overlay overlay -o lowerdir=${folder}/etc:/etc /etc
mount -t overlay overlay -o lowerdir=${folder}/sbin:/usr/sbin /usr/sbin
mount -t tmpfs tmpfs /run && mkdir -m 755 /run/sshd
exec "$0" --import=tsx --input-type=module -e "$1"`;
  const ask = `import { readSettings } from ${JSON.stringify(join(import.meta.dirname, "../../src/collectors/sshd.ts"))};
console.log(JSON.stringify(await readSettings(${JSON.stringify(thisHost)}, undefined, new AbortController().signal)));`;
  const args = ["--mount", "sh", "-ec", script, process.execPath, ask];
  return JSON.parse(
    execFileSync("unshare", args, { env: env as NodeJS.ProcessEnv, encoding: "utf8", timeout: 30_000 }),
  );
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "::1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}
