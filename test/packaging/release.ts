/**
 * A release as its maintainer makes it, in clones of this working tree: `npm version` in the first, which builds; the
 * same commit built again in the second, elsewhere, later, and with other habits of the shell.
 */
import { execFile } from "node:child_process";
import { cp, mkdir, readFile, symlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);
const project = join(import.meta.dirname, "../..");

export interface Release {
  readonly version: string;
  /** The release/ of both. */
  readonly folders: readonly [string, string];
  /** Seconds since 1970 of the release's commit. */
  readonly epoch: number;
  /** The first clone. */
  readonly clone: string;
}

export async function release(folder: string): Promise<Release> {
  const [first, second] = [join(folder, "a"), join(folder, "further/down/b")];
  const git = (cwd: string, ...args: string[]) => run("git", args, { cwd, env: identity });
  await git(project, "clone", "--quiet", "--shared", project, first);
  // What is not committed yet is tested, too.
  const changed = await git(project, "ls-files", "-z", "--modified", "--others", "--exclude-standard");
  for (const file of changed.stdout.split("\0").filter(isOwn)) await copyOrDrop(file, first);
  await git(first, "add", "--all");
  await git(first, "commit", "--quiet", "--allow-empty", "--message", "Working tree");
  await symlink(join(project, "node_modules"), join(first, "node_modules"));
  // The largest step is always enough for what changed.
  await run("npm", ["version", "major", "--no-commit-hooks"], { cwd: first, env: identity, maxBuffer: 16 << 20 });
  const { version } = JSON.parse(await readFile(join(first, "package.json"), "utf8")) as { readonly version: string };

  await git(folder, "clone", "--quiet", "--branch", `v${version}`, first, second);
  await symlink(join(project, "node_modules"), join(second, "node_modules"));
  const habits = { ...identity, TZ: "Pacific/Auckland", LC_ALL: "C.UTF-8" };
  await run("sh", ["-c", "umask 077 && npm run package"], { cwd: second, env: habits });
  const { stdout } = await git(first, "log", "-1", "--format=%ct");
  return {
    version,
    folders: [join(first, "release"), join(second, "release")],
    epoch: Number(stdout),
    clone: first,
  };
}

const identity = {
  ...process.env,
  SOURCE_DATE_EPOCH: undefined,
  // xz at its best takes half of the whole test's time.
  PACKAGE_COMPRESSION: "fast",
  // No signatures and no hooks of whoever runs this.
  GIT_CONFIG_COUNT: "3",
  GIT_CONFIG_KEY_0: "commit.gpgSign",
  GIT_CONFIG_VALUE_0: "false",
  GIT_CONFIG_KEY_1: "tag.gpgSign",
  GIT_CONFIG_VALUE_1: "false",
  GIT_CONFIG_KEY_2: "core.hooksPath",
  GIT_CONFIG_VALUE_2: "/dev/null",
  GIT_AUTHOR_NAME: "Maintainer",
  GIT_AUTHOR_EMAIL: "maintainer@example.org",
  GIT_COMMITTER_NAME: "Maintainer",
  GIT_COMMITTER_EMAIL: "maintainer@example.org",
};

/** node_modules is listed where it is a link. */
const isOwn = (file: string): boolean => file !== "" && file !== "node_modules";

/** A file that is gone from the working tree is left as it was committed: somebody may be writing it anew. */
async function copyOrDrop(file: string, clone: string): Promise<void> {
  await mkdir(dirname(join(clone, file)), { recursive: true });
  await cp(join(project, file), join(clone, file), { verbatimSymlinks: true }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "ENOENT") throw error;
  });
}
