/**
 * The exporter as one executable: its bundle as a note in a copy of the node that runs this, stripped of its symbols
 * (https://nodejs.org/docs/latest-v20.x/api/single-executable-applications.html). Without the code cache: it saves
 * nothing that can be measured, and its bytes differ from build to build.
 */
import { execFile } from "node:child_process";
import { chmod, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);
const fuse = "NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2";

/** What is built, and when it was written. */
export interface Origin {
  readonly root: string;
  readonly version: string;
  /** Seconds: SOURCE_DATE_EPOCH. */
  readonly epoch: number;
}

export interface Executable {
  readonly path: string;
  /** Licences of node and of the npm packages that are in it. */
  readonly licences: string;
}

/** Works in a folder of its own, with names relative to it: node keeps them in what it makes. */
export async function buildExecutable({ root, version }: Origin, folder: string): Promise<Executable> {
  await mkdir(folder, { recursive: true });
  const node = process.execPath;
  await run(node, [join(root, "tools/bundle.mjs"), "--script", folder, "--version", version]);
  const config = { main: "main.cjs", output: "bundle.blob", disableExperimentalSEAWarning: true };
  await writeFile(join(folder, "sea.json"), JSON.stringify(config));
  await run(node, ["--experimental-sea-config", "sea.json"], { cwd: folder });
  const path = join(folder, "ssh-reset-exporter");
  await rm(path, { force: true });
  await run("strip", ["--remove-section=.comment", "-o", path, node]).catch((error: NodeJS.ErrnoException) => {
    throw error.code === "ENOENT" ? new Error("strip(1) is missing: install binutils") : error;
  });
  const postject = join(root, "node_modules/postject/dist/cli.js");
  // It warns of names of node's sections that it does not need; heard only when it fails.
  await run(node, [postject, path, "NODE_SEA_BLOB", join(folder, "bundle.blob"), "--sentinel-fuse", fuse]);
  await chmod(path, 0o755);
  const inputs = JSON.parse(await readFile(join(folder, "inputs.json"), "utf8")) as string[];
  return { path, licences: await licencesOf(root, inputs) };
}

/** Of every package that a bundled file comes from, and of node itself. */
async function licencesOf(root: string, inputs: readonly string[]): Promise<string> {
  const folders = inputs.map((input) => /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+/.exec(input)?.[0]);
  const packages = [...new Set(folders.filter((folder) => folder !== undefined))].sort();
  const texts = await Promise.all(
    packages.map(async (folder) => {
      const { name, version, license } = JSON.parse(await readFile(join(root, folder, "package.json"), "utf8")) as {
        readonly name: string;
        readonly version: string;
        readonly license?: string;
      };
      const file = (await readdir(join(root, folder))).sort().find((each) => /^licen[cs]e/i.test(each));
      if (file === undefined && license === undefined) throw new Error(`${folder} tells no licence`);
      const text = file === undefined ? `${license}\n` : await readFile(join(root, folder, file), "utf8");
      return `${name} ${version}\n\n${text.trim()}\n`;
    }),
  );
  return [await nodeLicence(), ...texts].join(`\n${"-".repeat(72)}\n\n`);
}

/** Where Node.js' own archive and Debian packages of it have it. */
async function nodeLicence(): Promise<string> {
  const prefix = join(dirname(process.execPath), "..");
  for (const place of ["LICENSE", "share/doc/nodejs/LICENSE", "share/doc/node/LICENSE"]) {
    const text = await readFile(join(prefix, place), "utf8").catch(() => undefined);
    if (text !== undefined) return `Node.js ${process.version}\n\n${text.trim()}\n`;
  }
  return `Node.js ${process.version}\n\nhttps://github.com/nodejs/node/blob/${process.version}/LICENSE\n`;
}
