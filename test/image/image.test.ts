/**
 * The Dockerfile built and started for real, with buildah in chroot isolation and no container engine. The base
 * images are stand-ins made from a debootstrapped root and this machine's node. Needs root.
 */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { get } from "node:http";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";
import { expect } from "chai";
import { debianOr } from "../../tools/debian.ts";
import { objectsOf, rendered } from "../../tools/kubernetes/chart.ts";
import { kubernetesToolsOr } from "../../tools/kubernetes/tools.ts";
import { skip } from "../../tools/skip.ts";
import { machineAsNode } from "../deploy/machine-node.ts";
import { type Container, endContainer, type Node, type PodSpec, startContainer } from "../deploy/pod.ts";
import { complete, difference, missing, row, settled, startPod, type Variant } from "../deploy/variants.ts";
import { type Parts, partsOf } from "../lab/parts.ts";
import { rootfs } from "../lab/roots.ts";
import { Buildah, buildImage } from "./buildah.ts";

const run = promisify(execFile);
interface DaemonSet {
  readonly spec: { readonly template: { readonly spec: PodSpec } };
}

const image = "localhost/ssh-reset-exporter:test";

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === "object" && address !== null ? address.port : 0;
}

function fetchText(url: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const request = get(url, { timeout: 2000 }, (response) => {
      let body = "";
      response.setEncoding("utf8").on("data", (chunk: string) => {
        body += chunk;
      });
      response.on("end", () => resolve(`${response.statusCode} ${body}`));
    });
    request.on("error", reject);
  });
}

async function eventually<T>(what: string, attempt: () => Promise<T>, deadlineMs = 30_000): Promise<T> {
  const end = Date.now() + deadlineMs;
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (Date.now() > end) throw new Error(`${what}: ${error instanceof Error ? error.message : error}`);
      await delay(200);
    }
  }
}

describe("the image", function () {
  this.timeout(600_000);
  let folder: string;
  let buildah: Buildah;
  let exporter: ChildProcess | undefined;

  before(async function () {
    if (process.getuid?.() !== 0) skip(this, "building an image needs root");
    folder = await mkdtemp(join(tmpdir(), "ssh-reset-exporter-image-"));
    buildah = await Buildah.create(folder);
    await buildImage(buildah, image);
  });

  after(async () => {
    exporter?.kill("SIGKILL");
    if (folder !== undefined) await rm(folder, { recursive: true, force: true });
  });

  it("runs as a user without rights and says how to check its health", async () => {
    const { User, Entrypoint, Env, Healthcheck } = await buildah.configuration(image);
    expect(User).to.equal("10922:10922");
    expect(Entrypoint).to.deep.equal(["ssh-reset-exporter"]);
    expect(Env).to.include("STATE_DIRECTORY=/var/lib/ssh-reset-exporter");
    expect(Healthcheck.Test.slice(0, 3)).to.deep.equal(["CMD", "node", "-e"]);
  });

  it("says what it is in the labels of the OCI", async () => {
    const { version } = JSON.parse(await readFile("package.json", "utf8")) as { version: string };
    expect((await buildah.configuration(image)).Labels).to.include({
      "org.opencontainers.image.title": "ssh-reset-exporter",
      "org.opencontainers.image.version": version,
      "org.opencontainers.image.revision": "0123abc",
    });
  });

  it("has each program that the exporter starts, and neither a package manager nor a compiler", async () => {
    const container = await buildah.run("from", "--pull-never", image);
    const inside = (script: string) => buildah.run("run", "--isolation", "chroot", container, "sh", "-c", script);
    const versions = ["journalctl --version", "ss -V", "ip -V", "ethtool --version", "nft --version", "conntrack -V"];
    const said = await inside([...versions, "id -u"].join(" && "));
    expect(said)
      .to.match(/^systemd \d+/)
      .and.match(/^ss utility/m)
      .and.match(/^ethtool version/m);
    expect(said)
      .to.match(/^nftables v/m)
      .and.match(/^conntrack v/m)
      .and.match(/^10922$/m);
    const unwanted = await inside("for name in npm tsc cc apt-get dpkg perl; do command -v $name; done; true");
    expect(unwanted).to.equal("");
    const packages = await inside("grep ^Package: /var/lib/dpkg/status");
    expect(packages.split("\n")).to.include.members(["Package: libc6", "Package: systemd", "Package: nftables"]);
  });

  it("is small", async () => {
    const inspected = await buildah.run("images", "--json", image);
    const [{ size }] = JSON.parse(inspected) as [{ size: string }];
    const [, megabytes, unit] = /^([\d.]+) (\w+)$/.exec(size) ?? [];
    expect(unit).to.equal("MB");
    // 86 MB of them are node.
    expect(Number(megabytes)).to.be.within(80, 150);
  });

  it("serves metrics, passes its own health check and ends on SIGTERM", async () => {
    const port = await freePort();
    const container = await buildah.run("from", "--pull-never", image);
    const start = ["ssh-reset-exporter", `--web.listen-address=127.0.0.1:${port}`];
    const flags = ["--no-source.journal", "--no-source.kmsg"];
    const [program, args] = buildah.command("run", "--isolation", "chroot", container, ...start, ...flags);
    exporter = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"] });
    let said = "";
    for (const stream of [exporter.stdout, exporter.stderr]) {
      stream?.on("data", (chunk: Buffer) => {
        said = (said + chunk.toString()).slice(-4000);
      });
    }
    const ended = new Promise((resolve) => exporter?.once("exit", resolve));
    const metrics = await eventually("metrics", () => fetchText(`http://127.0.0.1:${port}/metrics`)).catch((error) => {
      throw new Error(`${error.message}; the container said: ${said}`);
    });
    expect(metrics).to.match(/^200 /).and.include("sshreset_build_info");

    const text = await readFile("Dockerfile", "utf8");
    const words = JSON.parse(/CMD (\["node", "-e".*\])/.exec(text)?.[1] ?? "[]") as string[];
    const probe = words.map((word) => word.replace("10922", String(port)));
    await buildah.run("run", "--isolation", "chroot", container, ...probe);

    const main = await exporterPid(port);
    process.kill(main, "SIGTERM");
    await ended;
    exporter = undefined;
  });

  describe("as the chart's pod", () => {
    let node: Node;
    let pod: PodSpec;
    let said = "";
    let port = 0;

    before(async function () {
      const { helm } = await kubernetesToolsOr(this);
      port = await freePort();
      const values = [`port=${port}`, "tcpTrace.enabled=false", "extraArgs={--source.from-beginning,--no-source.kmsg}"];
      const flags = [...values.flatMap((value) => ["--set", value]), "--set-json", 'config={"log.format":"json"}'];
      const objects = objectsOf(await rendered(helm, flags));
      pod = (objects.find(({ kind }) => kind === "DaemonSet") as unknown as DaemonSet).spec.template.spec;
      const config = objects.find(({ kind }) => kind === "ConfigMap") as unknown as { data: Record<string, string> };
      node = await machineAsNode({
        folder: join(folder, "node"),
        image: await buildah.unpacked(image),
        root: await rootfs("12", console.error),
        journalRemote: await debianOr(this, "systemd-journal-remote"),
        config: config.data["config.yaml"] ?? "",
      });
    });
    afterEach(async () => {
      for (const container of [...(pod?.initContainers ?? []), ...(pod?.containers ?? [])])
        await endContainer(container, node);
      // At its own end crun removes what bears the name: also the next container that has it.
      if (last?.exitCode === null && last.signalCode === null) await ended(last);
    });

    let last: ChildProcess | undefined;
    const start = async (container: Container): Promise<ChildProcess> => {
      const started = await startContainer(pod, container, node);
      said = "";
      last = started;
      for (const stream of [started.stdout, started.stderr])
        stream?.on("data", (chunk: Buffer) => {
          if (last === started) said = (said + chunk.toString()).slice(-20_000);
        });
      return started;
    };
    const ended = async (child: ChildProcess): Promise<number | null> => {
      const [code] = (await once(child, "close")) as [number | null];
      return code;
    };
    const exporterOf = ({ containers: [container] }: PodSpec): Container => container as Container;
    /** A shell in the place of the exporter. */
    const inside = async (script: string): Promise<string> => {
      const shell = { ...exporterOf(pod), command: ["/bin/sh", "-c"], args: [script] };
      await ended(await start(shell));
      return said;
    };

    it("prepares the state directory, again and again, also for another user", async () => {
      const [prepare] = pod.initContainers as readonly Container[];
      for (const attempt of ["once", "again"])
        expect(await ended(await start(prepare as Container)), `${attempt}: ${said}`).to.equal(0);
      const { uid, mode } = await stat(node.at("/var/lib/ssh-reset-exporter"));
      expect([uid, mode & 0o777]).to.deep.equal([10922, 0o700]);
      const root = structuredClone(prepare as Container) as { command: string[] } & Container;
      root.command[2] = root.command[2]?.replace("10922:10922", "0:10922") ?? "";
      await inside("echo kept >/var/lib/ssh-reset-exporter/file");
      expect(await ended(await start(root)), said).to.equal(0);
      expect((await stat(join(node.at("/var/lib/ssh-reset-exporter"), "file"))).uid).to.equal(0);
      expect(await ended(await start(prepare as Container)), said).to.equal(0);
      expect((await stat(join(node.at("/var/lib/ssh-reset-exporter"), "file"))).uid).to.equal(10922);
    });

    it("has no right but its groups', and can write nowhere but to its state", async () => {
      const report = await inside(
        `id; grep -E '^(CapPrm|CapEff|CapBnd|NoNewPrivs|Seccomp):' /proc/self/status
         for place in / /tmp /etc /host/etc /host/var/log /host/sys/kernel /opt/ssh-reset-exporter; do
           echo x 2>/dev/null >$place/x && echo "wrote to $place"
         done
         echo x >/var/lib/ssh-reset-exporter/x && echo "state is kept"`,
      );
      expect(report).to.match(/^uid=10922\S* gid=10922\S* groups=4,10922/m);
      expect(report)
        .to.match(/CapPrm:\s0+\n/)
        .and.match(/CapEff:\s0+\n/)
        .and.match(/CapBnd:\s0+\n/);
      expect(report)
        .to.match(/NoNewPrivs:\s1\n/)
        .and.match(/Seccomp:\s2\n/);
      expect(report).to.include("state is kept");
      expect(report).to.not.include("wrote to");
    });

    it("reads the journal, the node's network and processes, and keeps counting after a restart", async () => {
      const first = await start(exporterOf(pod));
      const crashes = /sshreset_sshd_stops_total\{reason="crash"\} ([1-9]\d*)/;
      const page = await metricsWith(crashes);
      const counted = crashes.exec(page)?.[1];
      // As its ConfigMap asks.
      expect(said).to.match(/^\{.*"msg":"listening"/m);
      expect(page)
        .to.match(/source_up\{source="journal"\} 1/)
        .and.match(/sshreset_state_commit_success 1/);
      for (const collector of [
        "conntrack",
        "host",
        "interfaces",
        "memory",
        "path_mtu",
        "sockets",
        "sshd",
        "tcp_counters",
      ])
        expect(page, collector).to.include(`scrape_collector_success{collector="${collector}"} 1`);
      expect(page)
        .to.match(/sshreset_host_info\{kernel="\d/)
        .and.match(/sshreset_interface_mtu_bytes\{interface="lo"\} \d/);
      first.kill("SIGTERM");
      expect(await ended(first), said).to.equal(0);
      await start(exporterOf(pod));
      expect(crashes.exec(await metricsWith(crashes))?.[1]).to.equal(counted);
    });

    it("runs the check that the chart's notes name", async () => {
      const report = await inside(
        "ssh-reset-exporter check --path.rootfs=/host --path.procfs=/host/proc --path.sysfs=/host/sys --no-source.kmsg",
      );
      expect(report)
        .to.match(/^As user ssh-reset-exporter \(uid 10922\)/)
        .and.match(/^ {2}journal +yes$/m);
      expect(report).to.match(/^ {2}sshd_crash +yes/m);
    });

    it("says which capability a setting would need: none of an ordinary user's is effective", async () => {
      const asked = { ...exporterOf(pod).securityContext, capabilities: { drop: ["ALL"], add: ["SYSLOG"] } };
      const shell = { ...exporterOf(pod), securityContext: asked, command: ["/bin/sh", "-c"] };
      await ended(await start({ ...shell, args: ["grep ^CapEff: /proc/self/status"] }));
      expect(said).to.match(/CapEff:\s0+\n/);
    });

    it("needs each thing that docs/install-container.md lists, for what it says", async () => {
      const page = await readFile("docs/install-container.md", "utf8");
      const values = ["tcpTrace.enabled=false", `port=${port}`, "extraArgs={--source.from-beginning,--no-source.kmsg}"];
      const look = async (variant: Variant): Promise<Parts> => {
        const running = await startPod(node, { ...variant, values: [...values, ...(variant.values ?? [])] });
        try {
          await settled(running);
          return partsOf(await running.ask("/metrics"));
        } catch (error) {
          throw new Error(`${variant.name}: ${error instanceof Error ? error.message : error}; ${running.said()}`);
        } finally {
          await running.end();
        }
      };
      const first = await look(complete);
      expect(first.parts.get("source journal")).to.equal("yes");
      for (const variant of missing) expect(page).to.include(row(variant, difference(first, await look(variant))));
    });

    const metricsWith = (wanted: RegExp): Promise<string> =>
      eventually(`${wanted}`, async () => {
        const page = await fetchText(`http://127.0.0.1:${port}/metrics`);
        if (!wanted.test(page)) throw new Error(`not there; the container said: ${said}`);
        return page;
      });
  });

  /** The pid of the process that this test's container started: the one whose command line has the port. */
  async function exporterPid(port: number): Promise<number> {
    const { stdout } = await run("sh", [
      "-c",
      `grep -lz -- "--web.listen-address=127.0.0.1:${port}" /proc/[0-9]*/cmdline`,
    ]);
    for (const path of stdout.trim().split("\n")) {
      const pid = Number(path.split("/")[2]);
      const name = await readFile(`/proc/${pid}/comm`, "utf8").catch(() => "");
      if (name.startsWith("node") || name.startsWith("Main")) return pid;
    }
    throw new Error(`no process listens for the test on ${port}: ${stdout}`);
  }
});
