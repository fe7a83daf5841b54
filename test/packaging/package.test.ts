/** `npm version` and what it builds: executable, Debian package and npm's archive, as their users would look at them. */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { gunzipSync } from "node:zlib";
import { expect } from "chai";
import { debianOr, type Tool } from "../../tools/debian.ts";
import { debianVersion } from "../../tools/package/deb.ts";
import { skip } from "../../tools/skip.ts";
import { type Release, release } from "./release.ts";

const run = promisify(execFile);
const limit = { maxBuffer: 64 << 20 };

describe("a release", function () {
  this.timeout(600_000);
  let folder: string;
  let made: Release;
  let executable: string;
  let deb: string;
  let archive: string;
  /** The package unpacked. */
  let root: string;

  before(async function () {
    if (process.platform !== "linux") skip(this, "packages are made on Linux");
    for (const [program, from] of [
      ["dpkg-deb", "dpkg"],
      ["strip", "binutils"],
    ] as const)
      await run(program, ["--version"]).catch(() => skip(this, `${program} of ${from} is missing`));
    folder = await mkdtemp(join(tmpdir(), "ssh-reset-exporter-release-"));
    made = await release(folder);
    const [first] = made.folders;
    executable = join(first, `ssh-reset-exporter-${made.version}-linux-${process.arch}`);
    deb = join(first, (await readdir(first)).find((file) => file.endsWith(".deb")) ?? "no .deb");
    archive = join(first, `ssh-reset-exporter-${made.version}.tgz`);
    root = join(folder, "root");
    await run("dpkg-deb", ["--extract", deb, root]);
  });
  after(() => folder && rm(folder, { recursive: true }));

  describe("npm version", () => {
    it("commits the changelog's section and the public interface of that version, and leaves a clean tree", async () => {
      const changelog = await readFile(join(made.clone, "CHANGELOG.md"), "utf8");
      expect(changelog).to.match(
        new RegExp(
          `^## Unreleased\n\n## ${made.version.replaceAll(".", "\\.")} \\(\\d{4}-\\d\\d-\\d\\d\\)\n\n\\S`,
          "m",
        ),
      );
      expect(existsSync(join(made.clone, `docs/releases/${made.version}.json`))).to.equal(true);
      const { stdout } = await run("git", ["status", "--porcelain", "--untracked-files=no"], { cwd: made.clone });
      expect(stdout).to.equal("");
    });

    it("leaves no file to deploy from, and no page, at the version before", async () => {
      const { version } = JSON.parse(await readFile("package.json", "utf8")) as { readonly version: string };
      const names = `ssh-reset-exporter[-_:]${version}|(version|newTag): "?${version}`;
      const places = ["deploy", "docs/*.md", "README.md"];
      const { stdout } = await run("git", ["grep", "-nE", names, "--", ...places], { cwd: made.clone }).catch(
        (error: { code: number; stdout: string }) => error,
      );
      expect(stdout).to.equal("");
      const chart = await readFile(join(made.clone, "deploy/helm/ssh-reset-exporter/Chart.yaml"), "utf8");
      expect(chart).to.include(`\nversion: ${made.version}\nappVersion: ${made.version}\n`);
    });

    it("builds executable, package and archive, with their checksums", async () => {
      const [first] = made.folders;
      expect((await readdir(first)).sort()).to.deep.equal([
        "SHA256SUMS",
        `ssh-reset-exporter-${made.version}-linux-${process.arch}`,
        `ssh-reset-exporter-${made.version}.tgz`,
        `ssh-reset-exporter_${made.version}_${process.arch === "arm64" ? "arm64" : "amd64"}.deb`,
      ]);
      const { stdout } = await run("sha256sum", ["--check", "SHA256SUMS"], { cwd: first });
      expect(stdout.match(/: OK$/gm)).to.have.length(3);
    });

    it("the same commit gives the same bytes in another folder, at another time, under another umask", async () => {
      const [first, second] = await Promise.all(made.folders.map((each) => readFile(join(each, "SHA256SUMS"), "utf8")));
      expect(second).to.equal(first);
      await run("sha256sum", ["--check", "SHA256SUMS"], { cwd: made.folders[1] });
    });

    it("refuses a release that says nothing", async () => {
      const { stderr } = await run("npm", ["version", "patch"], { cwd: made.clone }).then(
        () => expect.fail("it was released"),
        (error: { stderr: string }) => error,
      );
      expect(stderr).to.include('CHANGELOG.md: nothing under "## Unreleased"');
    });
  });

  describe("the executable", () => {
    it("needs no node, and no file beside it", async () => {
      const { stdout } = await run(executable, ["--version"], { cwd: "/", env: {} });
      expect(stdout).to.equal(`ssh-reset-exporter ${made.version} (node ${process.version})\n`);
    });

    it("bounds the heap as the program under node does", async () => {
      const script = join(folder, "young-generation.cjs");
      await writeFile(script, youngGeneration);
      const env = { ...process.env, NODE_OPTIONS: `--require ${script}` };
      const size = async (program: string, ...args: string[]): Promise<number> =>
        Number(/new_space (\d+)/.exec((await run(program, args, { env })).stderr)?.[1]);
      const plain = await size(process.execPath, "--eval", "0");
      const program = await size(process.execPath, join(made.clone, "dist/cli/main.js"), "--version");
      // 1 or 2 MB, as the last collection left them, of 16.
      for (const bounded of [program, await size(executable, "--version")]) expect(bounded).to.be.within(1, plain / 4);
    });

    it("serves metrics, with what its bundled packages find out about the host", async () => {
      const log = join(folder, "auth.log");
      await writeFile(log, "");
      const state = await mkdtemp(join(folder, "state-"));
      const flags = ["--web.listen-address=127.0.0.1:0", `--state.directory=${state}`, `--source.logfile=${log}`];
      const child = spawn(executable, [...flags, "--no-source.tcp-trace", "--no-source.kmsg"], {
        stdio: ["ignore", "ignore", "pipe"],
      });
      try {
        const address = await listening(child);
        const deadline = Date.now() + 30_000;
        for (;;) {
          const page = await (await fetch(`http://${address}/metrics`)).text();
          if (/^sshreset_host_info\{.*kernel="\d/m.test(page)) break;
          if (Date.now() > deadline) expect.fail(`no sshreset_host_info within 30 s:\n${page.slice(0, 2000)}`);
          await new Promise((resolve) => setTimeout(resolve, 200));
        }
      } finally {
        const ended = once(child, "close");
        child.kill("SIGTERM");
        expect(await ended).to.deep.equal([0, null]);
      }
    });
  });

  describe("the Debian package", () => {
    it("has fields that dpkg and apt need", async () => {
      const { stdout } = await run("dpkg-deb", ["--field", deb]);
      expect(stdout).to.include("Package: ssh-reset-exporter\n");
      expect(stdout).to.include(`Version: ${made.version}\n`);
      expect(stdout).to.match(/^Depends: libc6 \(>= 2\.\d+\), .*libstdc\+\+6 \(>= \d.*systemd/m);
      const kibibytes = Number(/^Installed-Size: (\d+)$/m.exec(stdout)?.[1]);
      expect(kibibytes).to.be.within(60_000, 140_000);
      expect((await stat(deb)).size).to.be.lessThan(30e6);
    });

    it("orders versions as npm does", () => {
      expect(debianVersion("1.0.0-rc.1")).to.equal("1.0.0~rc.1");
      expect(debianVersion("1.0.0")).to.equal("1.0.0");
    });

    it("holds these files, of root, as old as the commit, and asks before it replaces configuration", async () => {
      const { stdout } = await run("dpkg-deb", ["--contents", deb], { ...limit, env: { ...process.env, TZ: "UTC" } });
      const day = new Date(made.epoch * 1000).toISOString().slice(0, 16).replace("T", " ");
      const paths = stdout
        .trim()
        .split("\n")
        .map((line) => {
          const [, mode = "", owner, when, path = ""] = /^(\S+) (\S+) +\d+ (\S+ \S+) \.\/(.*)$/.exec(line) ?? [];
          expect({ owner, when }, path).to.deep.equal({ owner: "root/root", when: day });
          expect(mode, path).to.equal(
            mode.startsWith("d") ? "drwxr-xr-x" : path.startsWith("usr/bin/") ? "-rwxr-xr-x" : "-rw-r--r--",
          );
          return path;
        });
      const files = paths.filter((path) => path !== "" && !path.endsWith("/"));
      for (const path of packaged) expect(files).to.include(path);
      expect(files.filter((path) => !allowed.test(path) && !packaged.includes(path))).to.deep.equal([]);
      const control = join(folder, "control");
      await run("dpkg-deb", ["--control", deb, control]);
      expect(await readFile(join(control, "conffiles"), "utf8")).to.equal(
        "/etc/default/ssh-reset-exporter\n/etc/ssh-reset-exporter/config.yaml\n",
      );
      const sums = join(control, "md5sums");
      await run("md5sum", ["--check", "--quiet", sums], { cwd: root });
      expect((await readFile(sums, "utf8")).trim().split("\n")).to.have.length(files.length);
      for (const script of ["postinst", "prerm", "postrm"]) await run("dash", ["-n", join(control, script)]);
    });

    it("its configuration is one that the executable takes, with and without what is commented out", async () => {
      const text = await readFile(join(root, "etc/ssh-reset-exporter/config.yaml"), "utf8");
      const all = text.replace(/^# ([\w.-]+: )/gm, "$1").replace(/^web\.config\.file.*\n/m, "");
      expect(all.match(/^[\w.-]+:/gm)).to.have.length.above(2);
      for (const [index, content] of [text, all].entries()) {
        const file = join(folder, `config-${index}.yaml`);
        await writeFile(file, content);
        await run(executable, [`--config.file=${file}`, "--config.check"]);
      }
      expect(await readFile(join(root, "etc/default/ssh-reset-exporter"), "utf8")).to.match(
        /^ARGS="--config\.file=\/etc\/ssh-reset-exporter\/config\.yaml"$/m,
      );
    });

    it("tells the licence of every package that is in the executable", async () => {
      const bundled = gunzipSync(await readFile(join(root, "usr/share/doc/ssh-reset-exporter/LICENSES.gz"))).toString();
      for (const name of ["Node.js v", "express ", "prom-client ", "pino ", "systeminformation ", "yaml "])
        expect(bundled).to.match(new RegExp(`^${name.replace(".", "\\.")}?\\d+\\.\\d+\\.\\d+$`, "m"));
    });

    it("lintian finds no error and nothing to warn of", async function () {
      const lintian = await debianOr(this, "lintian");
      const { stdout } = await run(lintian.path, ["--no-cfg", "--allow-root", "--fail-on", "error,warning", deb], {
        env: await perlIn(lintian, "usr/share/lintian"),
      });
      expect(stdout).to.equal("");
    });
  });

  describe("manual page and completions, as packaged", () => {
    it("mandoc and man have nothing to say against the page", async function () {
      const mandoc = await debianOr(this, "mandoc");
      const page = join(root, "usr/share/man/man8/ssh-reset-exporter.8.gz");
      const { stdout } = await run(mandoc.path, ["-Tlint", "-Wall", page], { env: mandoc.env });
      expect(stdout).to.equal("");
      const { stdout: text } = await run(mandoc.path, ["-Tascii", page], { env: mandoc.env });
      expect(text.replaceAll(overstrike, ""))
        .to.match(/^SSH-RESET-EXPORTER\(8\)/)
        .and.to.include("--source.tcp-trace");
      expect(text.trimEnd()).to.match(
        new RegExp(`ssh-reset-exporter ${made.version} +\\S.*SSH-RESET-EXPORTER\\(8\\)$`),
      );
    });

    it("bash, zsh and fish read their completion, and fish completes", async function () {
      const share = join(root, "usr/share");
      await run("bash", ["-n", join(share, "bash-completion/completions/ssh-reset-exporter")]);
      const shellcheck = await debianOr(this, "shellcheck");
      const bash = join(share, "bash-completion/completions/ssh-reset-exporter");
      await run(shellcheck.path, ["--shell=bash", bash], { env: shellcheck.env });
      const zsh = await debianOr(this, "zsh");
      await run(zsh.path, ["-n", join(share, "zsh/vendor-completions/_ssh-reset-exporter")], { env: zsh.env });
      const fish = await debianOr(this, "fish");
      const script = join(share, "fish/vendor_completions.d/ssh-reset-exporter.fish");
      const env = { ...fish.env, HOME: folder };
      await run(fish.path, ["-n", script], { env });
      const complete = async (line: string): Promise<string[]> => {
        const { stdout } = await run(fish.path, ["-c", `source ${script}; complete -C '${line}'`], { env });
        return stdout
          .trim()
          .split("\n")
          .map((offer) => offer.split("\t")[0] ?? "");
      };
      expect(await complete("ssh-reset-exporter di")).to.deep.equal(["diagnose"]);
      expect(await complete("ssh-reset-exporter --log.level=d")).to.deep.equal(["--log.level=debug"]);
      expect(await complete("ssh-reset-exporter observe trace")).to.deep.equal(["trace", "trace-remove"]);
    });
  });

  describe("npm's archive", () => {
    it("holds the program, what users copy, and its pages: no source, no test, no picture", async () => {
      const { stdout } = await run("tar", ["--list", "--file", archive], limit);
      const files = stdout.trim().split("\n");
      const wanted =
        /^package\/(package\.json|README\.md|CHANGELOG\.md|LICENSE|dist\/cli\/[\w-]+\.js(\.LEGAL\.txt)?|alerts\/[\w./-]+\.(yml|md|tmpl)|dashboards\/[\w./-]+\.(json|yml)|deploy\/systemd\/[\w-]+\.(service|conf)|docs\/[\w./-]+\.md)$/;
      expect(files.filter((file) => !wanted.test(file))).to.deep.equal([]);
      expect(files).to.include.members([
        "package/dist/cli/main.js",
        "package/alerts/ssh-reset-exporter.rules.yml",
        "package/dashboards/ssh-reset-host.json",
        "package/deploy/systemd/ssh-reset-exporter.service",
        "package/docs/runbooks/SshdCrashed.md",
      ]);
      expect((await stat(archive)).size).to.be.lessThan(1.2e6);
    });

    it("runs by npx in an empty folder", async () => {
      const empty = join(folder, "empty");
      await mkdir(empty);
      // What `npm ci` has fetched is in npm's cache.
      const args = ["--yes", "--prefer-offline", "--package", archive, "ssh-reset-exporter", "--version"];
      const { stdout } = await run("npx", args, { cwd: empty });
      expect(stdout).to.equal(`ssh-reset-exporter ${made.version} (node ${process.version})\n`);
      expect(await readdir(empty)).to.deep.equal([]);
    });
  });
});

const packaged = [
  "etc/default/ssh-reset-exporter",
  "etc/ssh-reset-exporter/config.yaml",
  "usr/bin/ssh-reset-exporter",
  "usr/lib/systemd/system/ssh-reset-exporter.service",
  "usr/lib/sysusers.d/ssh-reset-exporter.conf",
  "usr/share/bash-completion/completions/ssh-reset-exporter",
  "usr/share/doc/ssh-reset-exporter/CHANGELOG.md.gz",
  "usr/share/doc/ssh-reset-exporter/LICENSES.gz",
  "usr/share/doc/ssh-reset-exporter/alerts/README.md",
  "usr/share/doc/ssh-reset-exporter/changelog.gz",
  "usr/share/doc/ssh-reset-exporter/copyright",
  "usr/share/doc/ssh-reset-exporter/docs/runbooks/SshdCrashed.md",
  "usr/share/fish/vendor_completions.d/ssh-reset-exporter.fish",
  "usr/share/lintian/overrides/ssh-reset-exporter",
  "usr/share/man/man8/ssh-reset-exporter.8.gz",
  "usr/share/ssh-reset-exporter/alerts/alertmanager.yml",
  "usr/share/ssh-reset-exporter/alerts/ssh-reset-exporter.rules.yml",
  "usr/share/ssh-reset-exporter/dashboards/ssh-reset-host.json",
  "usr/share/ssh-reset-exporter/systemd/no-trace.conf",
  "usr/share/zsh/vendor-completions/_ssh-reset-exporter",
];
const allowed =
  /^usr\/share\/(doc\/ssh-reset-exporter\/docs\/[\w./-]+\.md|ssh-reset-exporter\/(alerts|dashboards|systemd)\/[\w./-]+\.(ya?ml|tmpl|json|conf))$/;

/** How a terminal of paper makes bold. */
const overstrike = /.[\b]/g;

/** Said at the end: how large the young generation became when much was allocated. */
const youngGeneration = `process.on("exit", () => {
  const kept = [];
  for (let i = 0; i < 300000; i += 1) kept.push({ i });
  const space = require("node:v8").getHeapSpaceStatistics().find((each) => each.space_name === "new_space");
  console.error("new_space", space.space_size);
});
`;

/** The address in its own words; fails with what it said. Its stderr stays open. */
function listening(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let said = "";
    child.stderr?.on("data", (chunk) => {
      said += chunk;
      const address = /address=(\S+)/.exec(said)?.[1];
      if (address !== undefined) resolve(address);
    });
    child.once("close", () => reject(new Error(`it ended: ${said}`)));
  });
}

/** Perl's modules are found by path: those of lintian, and compiled ones in usr/lib/TRIPLET/perl5/VERSION. */
async function perlIn({ env, root }: Tool, data: string): Promise<Record<string, string | undefined>> {
  const folders = await readdir(join(root, "usr/lib"), { recursive: true });
  const compiled = folders.filter((each) => /^[\w-]+\/perl5\/[\d.]+$/.test(each)).map((each) => `usr/lib/${each}`);
  const libraries = ["usr/share/perl5", `${data}/lib`, ...compiled].map((each) => join(root, each));
  return { ...env, LINTIAN_BASE: join(root, data), PERL5LIB: libraries.join(":") };
}
