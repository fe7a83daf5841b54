/**
 * The Dockerfile built and started for real, with buildah in chroot isolation and no container engine. The base
 * images are stand-ins made from a debootstrapped root and this machine's node. Needs root.
 */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { get } from "node:http";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";
import { expect } from "chai";
import { skip } from "../../tools/skip.ts";
import { Buildah, buildImage } from "./buildah.ts";

const run = promisify(execFile);
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
    const { Docker } = JSON.parse(await buildah.run("inspect", "--type", "image", image)) as {
      Docker: { config: { User: string; Healthcheck: { Test: string[] }; Entrypoint: string[] } };
    };
    expect(Docker.config.User).to.equal("10922:10922");
    expect(Docker.config.Entrypoint).to.deep.equal(["ssh-reset-exporter"]);
    expect(Docker.config.Healthcheck.Test.slice(0, 3)).to.deep.equal(["CMD", "node", "-e"]);
  });

  it("says what it is in the labels of the OCI", async () => {
    const inspected = await buildah.run("inspect", "--type", "image", image);
    const { Docker } = JSON.parse(inspected) as { Docker: { config: { Labels: Record<string, string> } } };
    const { version } = JSON.parse(await readFile("package.json", "utf8")) as { version: string };
    expect(Docker.config.Labels).to.include({
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
    const flags = ["--no-source.journal", "--no-source.kmsg", "--state.directory=/var/lib/ssh-reset-exporter"];
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
