/**
 * The Dockerfile built and started for real, with buildah in chroot isolation and no container engine. The base
 * images are stand-ins made from a debootstrapped root and this machine's node. Needs root.
 */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { get } from "node:http";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";
import { expect } from "chai";
import { debian } from "../../tools/debian.ts";
import { skip } from "../../tools/skip.ts";
import { rootfs } from "../lab/roots.ts";

const run = promisify(execFile);
const image = "localhost/ssh-reset-exporter:test";
const certificates = process.env["NODE_EXTRA_CA_CERTS"];

/** buildah in a mount namespace of its own, with its libraries and configuration laid over this machine's. */
class Buildah {
  readonly #folder: string;
  readonly #root: string;
  constructor(folder: string, root: string) {
    this.#folder = folder;
    this.#root = root;
  }

  static async create(folder: string): Promise<Buildah> {
    const { root } = await debian("buildah");
    await writeFile(join(folder, "policy.json"), '{"default":[{"type":"insecureAcceptAnything"}]}');
    await writeFile(join(folder, "registries.conf"), 'unqualified-search-registries = ["localhost"]\n');
    return new Buildah(folder, root);
  }

  command(...args: readonly string[]): readonly [string, string[]] {
    const script = `set -e
      mount -t overlay overlay -o "lowerdir=$1/usr/lib/$3:/usr/lib/$3" "/usr/lib/$3"
      mount -t overlay overlay -o "lowerdir=$1/etc:/etc" /etc
      folder=$2; root=$1; shift 3
      exec "$root/usr/bin/buildah" --storage-driver vfs --root "$folder/storage" --runroot "$folder/run" \\
        --registries-conf "$folder/registries.conf" "$@"`;
    const triplet = `${process.arch === "arm64" ? "aarch64" : "x86_64"}-linux-gnu`;
    return ["unshare", ["-m", "sh", "-c", script, "sh", this.#root, this.#folder, triplet, ...args]];
  }

  async run(...args: readonly string[]): Promise<string> {
    const [program, words] = this.command(...args);
    const { stdout } = await run(program, words, { timeout: 480_000, maxBuffer: 16 << 20 });
    return stdout.trim();
  }

  get policy(): string {
    return `--signature-policy=${join(this.#folder, "policy.json")}`;
  }
}

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
    await makeBases(buildah, await rootfs("12", console.error));
    // A registry behind an own certificate authority: the build may see this machine's certificates, the image does not.
    const trust =
      certificates === undefined ? [] : ["--volume", `${dirname(certificates)}:${dirname(certificates)}:ro`];
    await buildah.run(
      "bud",
      "--format",
      "docker",
      "--isolation",
      "chroot",
      "--pull-never",
      buildah.policy,
      ...trust,
      "-t",
      image,
      ".",
    );
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
    expect(Docker.config.Entrypoint).to.deep.equal(["node", "/opt/ssh-reset-exporter/dist/cli/main.js"]);
    expect(Docker.config.Healthcheck.Test.slice(0, 3)).to.deep.equal(["CMD", "node", "-e"]);
  });

  it("has journalctl and ss, and neither npm nor a compiler", async () => {
    const container = await buildah.run("from", "--pull-never", image);
    const found = await buildah.run(
      ...["run", "--isolation", "chroot", container, "sh", "-c"],
      "command -v journalctl ss; ls /opt/ssh-reset-exporter/node_modules; command -v npm tsc cc; id -u",
    );
    const lines = found.split("\n");
    expect(lines).to.include.members(["/usr/bin/journalctl", "express", "prom-client", "10922"]);
    expect(lines).to.not.include.members(["typescript", "mocha"]);
    expect(found).to.not.match(/bin\/(npm|tsc|cc)$/m);
  });

  it("serves metrics, passes its own health check and ends on SIGTERM", async () => {
    const port = await freePort();
    const container = await buildah.run("from", "--pull-never", image);
    const start = ["node", "/opt/ssh-reset-exporter/dist/cli/main.js", `--web.listen-address=127.0.0.1:${port}`];
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

/** `debian:bookworm-slim` and `node:22-bookworm-slim`, as far as the Dockerfile needs them. */
async function makeBases(buildah: Buildah, root: string): Promise<void> {
  const container = await buildah.run("from", "--pull-never", buildah.policy, "scratch");
  await buildah.run("add", "-q", container, root, "/");
  await buildah.run("commit", "-q", buildah.policy, container, "localhost/debian:bookworm-slim");
  await buildah.run("copy", "-q", container, process.execPath, "/usr/local/bin/node");
  const npm = await npmFolder();
  await buildah.run("copy", "-q", container, npm, "/usr/local/lib/node_modules/npm");
  const link = ["ln", "-sf", "../lib/node_modules/npm/bin/npm-cli.js", "/usr/local/bin/npm"];
  await buildah.run("run", "--isolation", "chroot", container, ...link);
  if (certificates !== undefined)
    await buildah.run("config", "--env", `NODE_EXTRA_CA_CERTS=${certificates}`, container);
  await buildah.run("commit", "-q", "--rm", buildah.policy, container, "localhost/node:22-bookworm-slim");
}

async function npmFolder(): Promise<string> {
  for (const top of ["lib", "share"]) {
    const folder = join(dirname(process.execPath), "..", top, "node_modules/npm");
    if ((await stat(folder).catch(() => undefined)) !== undefined) return folder;
  }
  throw new Error(`no npm beside ${process.execPath}`);
}
