/**
 * buildah without a container engine, as tests use it: chroot isolation, its libraries and configuration laid over this
 * machine's in a mount namespace of its own. The base images are stand-ins made from a debootstrapped root and this
 * machine's node, without a registry. Needs root.
 */
import { execFile } from "node:child_process";
import { stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { debian } from "../../tools/debian.ts";
import { rootfs } from "../lab/roots.ts";

const run = promisify(execFile);
const certificates = process.env["NODE_EXTRA_CA_CERTS"];

export interface ImageConfiguration {
  readonly User: string;
  readonly Entrypoint: string[];
  readonly Env: string[];
  readonly Labels: Readonly<Record<string, string>>;
  readonly Healthcheck: { readonly Test: readonly string[] };
}

export class Buildah {
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

  /** The image as a runtime wants it: its files as one folder, which the vfs driver makes, and its configuration. */
  async unpacked(image: string): Promise<{ root: string; entrypoint: string[]; env: string[] }> {
    const root = await this.run("mount", await this.run("from", "--pull-never", image));
    const { Entrypoint, Env } = await this.configuration(image);
    return { root, entrypoint: Entrypoint, env: Env };
  }

  async configuration(image: string): Promise<ImageConfiguration> {
    const inspected = await this.run("inspect", "--type", "image", image);
    return (JSON.parse(inspected) as { Docker: { config: ImageConfiguration } }).Docker.config;
  }

  get policy(): string {
    return `--signature-policy=${join(this.#folder, "policy.json")}`;
  }
}

/** The project's Dockerfile, built. */
export async function buildImage(buildah: Buildah, name: string): Promise<void> {
  await makeBases(buildah, await rootfs("12", console.error));
  // A registry behind an own certificate authority: the build may see this machine's certificates, the image does not.
  const trust = certificates === undefined ? [] : ["--volume", `${dirname(certificates)}:${dirname(certificates)}:ro`];
  const how = ["--format", "docker", "--isolation", "chroot", "--pull-never", buildah.policy];
  await buildah.run("bud", ...how, ...trust, "--build-arg", "REVISION=0123abc", "-t", name, ".");
}

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
