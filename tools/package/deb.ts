/**
 * The Debian package: executable, unit, configuration, manual page, completions, alert rules and dashboards, built by
 * dpkg-deb(1). Files that are only copied are in deploy/debian and deploy/systemd. Layout after Debian's policy and
 * what debhelper's dh_installsystemd and dh_installsysusers write.
 */
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import {
  chmodSync,
  copyFileSync,
  lutimesSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { gzipSync } from "node:zlib";
import { completions } from "../../src/cli/completion.ts";
import { manPage } from "../../src/cli/man-page.ts";
import type { Executable, Origin } from "./executable.ts";

const run = promisify(execFile);

const name = "ssh-reset-exporter";
const maintainer = `${name} maintainers <maintainers@${name}.invalid>`;
const architectures: Readonly<Record<string, string>> = { x64: "amd64", arm64: "arm64" };

/** 1.0.0-rc.1 is older than 1.0.0: deb-version(7) has "~" for that. */
export function debianVersion(version: string): string {
  return version.replace("-", "~");
}

/** Gives its path below `folder`. "fast", for tests: larger, in a fifth of the time. */
export async function buildDeb(
  origin: Origin,
  executable: Executable,
  folder: string,
  compression: "small" | "fast" = "small",
): Promise<string> {
  const architecture = architectures[process.arch];
  if (architecture === undefined) throw new Error(`no Debian architecture is known for "${process.arch}"`);
  const tree = join(folder, "tree");
  rmSync(tree, { recursive: true, force: true });
  furnish(tree, origin, executable);
  const depends = await dependencies(executable.path);
  writeControl(tree, origin, architecture, depends);
  settle(tree, origin.epoch);
  const deb = join(folder, `${name}_${debianVersion(origin.version)}_${architecture}.deb`);
  await run("dpkg-deb", ["--root-owner-group", "-Zxz", compression === "small" ? "-z6" : "-z0", "--build", tree, deb], {
    env: { ...process.env, SOURCE_DATE_EPOCH: String(origin.epoch), DPKG_DEB_THREADS_MAX: "2" },
  });
  return deb;
}

function furnish(tree: string, origin: Origin, executable: Executable): void {
  const { root, version, epoch } = origin;
  const put = (path: string, content: string | Buffer): void => {
    mkdirSync(dirname(join(tree, path)), { recursive: true });
    writeFileSync(join(tree, path), content);
  };
  const copy = (from: string, to: string): void => put(to, readFileSync(join(root, from)));
  const copyAll = (from: string, to: string, wanted: (file: string) => boolean): void => {
    const files = readdirSync(join(root, from), { recursive: true, encoding: "utf8" }).filter(wanted);
    for (const file of files) copy(join(from, file), join(to, file));
  };
  mkdirSync(join(tree, "usr/bin"), { recursive: true });
  copyFileSync(executable.path, join(tree, "usr/bin", name));

  copy("deploy/debian/config.yaml", `etc/${name}/config.yaml`);
  copy("deploy/debian/default", `etc/default/${name}`);
  copy(`deploy/systemd/${name}.service`, `usr/lib/systemd/system/${name}.service`);
  copy("deploy/debian/sysusers.conf", `usr/lib/sysusers.d/${name}.conf`);

  const share = `usr/share/${name}`;
  copyAll("alerts", `${share}/alerts`, (file) => /\.(ya?ml|tmpl)$/.test(file));
  copyAll("dashboards", `${share}/dashboards`, (file) => /\.(json|ya?ml)$/.test(file));
  copyAll("deploy/systemd", `${share}/systemd`, (file) => file.endsWith(".conf"));

  put("usr/share/bash-completion/completions/ssh-reset-exporter", completions.bash());
  put("usr/share/zsh/vendor-completions/_ssh-reset-exporter", completions.zsh());
  put("usr/share/fish/vendor_completions.d/ssh-reset-exporter.fish", completions.fish());
  const date = new Date(epoch * 1000);
  const manual = manPage({ version, date: date.toISOString().slice(0, 10) });
  put(`usr/share/man/man8/${name}.8.gz`, compressed(manual));

  const doc = `usr/share/doc/${name}`;
  copyAll("docs", `${doc}/docs`, (file) => file.endsWith(".md"));
  copy("alerts/README.md", `${doc}/alerts/README.md`);
  copy("deploy/debian/copyright", `${doc}/copyright`);
  put(`${doc}/LICENSES.gz`, compressed(executable.licences));
  put(`${doc}/CHANGELOG.md.gz`, compressed(readFileSync(join(root, "CHANGELOG.md"), "utf8")));
  put(`${doc}/changelog.gz`, compressed(debianChangelog(version, date)));
  copy("deploy/debian/lintian-overrides", `usr/share/lintian/overrides/${name}`);
}

const compressed = (text: string): Buffer => gzipSync(text, { level: 9 });

/** deb-changelog(5); what changed is in CHANGELOG.md. */
function debianChangelog(version: string, date: Date): string {
  const day = date.toUTCString().replace("GMT", "+0000");
  return `${name} (${debianVersion(version)}) unstable; urgency=medium\n\n  * What changed: CHANGELOG.md.gz in this folder.\n\n -- ${maintainer}  ${day}\n`;
}

/** What the executable is linked with, in the oldest release that has all its symbols. */
async function dependencies(executable: string): Promise<string> {
  const { stdout } = await run("readelf", ["--wide", "--version-info", executable], { maxBuffer: 64 << 20 });
  const newest = (library: string): string => {
    const found = [...stdout.matchAll(new RegExp(`\\b${library}_(\\d[\\d.]*)`, "g"))].map(
      ([, version]) => version ?? "",
    );
    const last = found.sort((a, b) => a.localeCompare(b, "en", { numeric: true })).at(-1);
    if (last === undefined) throw new Error(`${executable} needs no ${library}?`);
    return last;
  };
  const compiler = gccOf[newest("GLIBCXX")];
  if (compiler === undefined) throw new Error(`which gcc brought GLIBCXX_${newest("GLIBCXX")}? Add it to gccOf`);
  return [
    `libc6 (>= ${newest("GLIBC")})`,
    "libgcc-s1 | libgcc1",
    `libstdc++6 (>= ${compiler})`,
    "init-system-helpers (>= 1.54)",
    "systemd (>= 245)",
    "passwd",
  ].join(", ");
}

/** https://gcc.gnu.org/onlinedocs/libstdc++/manual/abi.html */
const gccOf: Readonly<Record<string, string>> = {
  "3.4.21": "5.1",
  "3.4.22": "6.1",
  "3.4.24": "7.2",
  "3.4.25": "8.1",
  "3.4.26": "9.1",
  "3.4.28": "9.3",
  "3.4.29": "11.1",
  "3.4.30": "12.1",
};

function writeControl(tree: string, { root, version }: Origin, architecture: string, depends: string): void {
  const folder = join(tree, "DEBIAN");
  const files = filesBelow(tree);
  mkdirSync(folder);
  const sums = files.map(
    (file) =>
      `${createHash("md5")
        .update(readFileSync(join(tree, file)))
        .digest("hex")}  ${file}\n`,
  );
  writeFileSync(join(folder, "md5sums"), sums.join(""));
  const conffiles = files.filter((file) => file.startsWith("etc/")).map((file) => `/${file}\n`);
  writeFileSync(join(folder, "conffiles"), conffiles.join(""));
  for (const script of ["postinst", "prerm", "postrm"])
    copyFileSync(join(root, "deploy/debian", script), join(folder, script));
  const kibibytes = files.reduce((sum, file) => sum + Math.ceil(statSync(join(tree, file)).size / 1024), 0);
  writeFileSync(
    join(folder, "control"),
    `Package: ${name}
Version: ${debianVersion(version)}
Architecture: ${architecture}
Maintainer: ${maintainer}
Installed-Size: ${kibibytes}
Depends: ${depends}
Recommends: iproute2
Suggests: ethtool, nftables, prometheus
Section: net
Priority: optional
Description: tells Prometheus why SSH connections are reset
 Follows sshd's, systemd's and the kernel's own evidence of this host, and
 publishes it for Prometheus: resets and who sent them, crashes, OOM kills,
 TCP wrappers, path MTU, connection tracking, limits of sshd and clouds.
 .
 Its alert rules page once, with the cause; its dashboards show the same
 checklist; "ssh-reset-exporter diagnose" walks it over a past time.
`,
  );
}

/** Modes that no umask changed, and the times of the source. */
function settle(tree: string, epoch: number): void {
  const scripts = /^(usr\/bin\/|DEBIAN\/(postinst|prerm|postrm)$)/;
  for (const entry of readdirSync(tree, { recursive: true, encoding: "utf8" }).concat(".")) {
    const path = join(tree, entry);
    chmodSync(path, statSync(path).isDirectory() || scripts.test(entry) ? 0o755 : 0o644);
    lutimesSync(path, epoch, epoch);
  }
}

function filesBelow(tree: string): string[] {
  return readdirSync(tree, { recursive: true, encoding: "utf8" })
    .filter((file) => statSync(join(tree, file)).isFile())
    .sort();
}
