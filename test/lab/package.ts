/**
 * `npm run package:test`: the Debian package on the lab's Debian 12 and 13: installed, upgraded, removed and purged with
 * apt-get and dpkg, while sshd is killed and the packaged exporter must tell of it on /metrics. `-- 13` runs one release. Needs
 * root, as the lab does.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { buildDeb } from "../../tools/package/deb.ts";
import { buildExecutable, type Origin } from "../../tools/package/executable.ts";
import { until } from "./command.ts";
import { Host } from "./host.ts";
import { Network } from "./network.ts";
import { type Release, releases, rootfs } from "./roots.ts";
import { openStage, type Stage } from "./stage.ts";

const name = "ssh-reset-exporter";
const unit = `${name}.service`;
/** Of the package that is built here, and of the one that upgrades it. */
const versions = ["0.1.0", "0.1.1"] as const;

const startedMs = Date.now();
const say = (text: string): void =>
  console.log(`${((Date.now() - startedMs) / 1000).toFixed(0).padStart(5)} s  ${text}`);

process.exitCode = await main(process.argv.slice(2));

async function main(asked: readonly string[]): Promise<number> {
  const all = Object.keys(releases) as Release[];
  const unknown = asked.find((release) => !all.includes(release as Release));
  if (unknown !== undefined) return refuse(`no release "${unknown}"; there are: ${all.join(", ")}`, 2);
  if (process.getuid?.() !== 0) return refuse("needs root: namespaces, cgroups, systemd-nspawn", 2);
  const stage = openStage();
  if (typeof stage === "string") return refuse(stage, 1);
  let failed = 0;
  try {
    const folder = await buildPackages(stage);
    const network = await Network.open(stage);
    for (const release of asked.length > 0 ? (asked as Release[]) : all) {
      try {
        await tryOn(stage, network, release, folder);
      } catch (error) {
        failed += 1;
        console.error(`FAILED: Debian ${release}: ${error instanceof Error ? error.message : error}`);
      }
    }
  } finally {
    stage.close();
  }
  return failed === 0 ? 0 : 1;
}

function refuse(reason: string, code: number): number {
  process.stderr.write(`package:test: ${reason}\n`);
  return code;
}

/** Both packages in one folder, which hosts see at /opt/project. */
async function buildPackages(stage: Stage): Promise<string> {
  const folder = join(stage.folder, "packages");
  mkdirSync(join(folder, "node_modules"), { recursive: true });
  for (const version of versions) {
    const origin: Origin = { root: process.cwd(), version, epoch: Math.floor(Date.now() / 1000) };
    const work = join(stage.folder, `work-${version}`);
    const executable = await buildExecutable(origin, work);
    const deb = await buildDeb(origin, executable, work, "fast");
    writeFileSync(join(folder, basename(deb)), readFileSync(deb));
    say(`built ${basename(deb)}`);
  }
  return folder;
}

async function tryOn(stage: Stage, network: Network, release: Release, project: string): Promise<void> {
  const template = await rootfs(release, say);
  say(`booting Debian ${release}`);
  const host = await Host.boot(stage, {
    name: `lab-package-${release}`,
    release,
    template,
    networkNamespace: network.namespaces.server.name,
    publicKey: "",
    project,
    nodeModules: join(project, "node_modules"),
  });
  try {
    await likeARealHost(host);
    await walk(host);
  } catch (error) {
    const { stdout } = await host.attempt(`journalctl --no-pager -o cat -u ${unit} | tail -n 20`);
    throw new Error(`${error instanceof Error ? error.message : error}\n${stdout}`);
  } finally {
    host.halt();
  }
  say(`Debian ${release}: all as promised`);
}

/** nspawn mounts a boot id that the unit's fresh /proc has not: journalctl --follow would give nothing. */
async function likeARealHost(host: Host): Promise<void> {
  await host.run(
    "while umount /proc/sys/kernel/random/boot_id 2>/dev/null; do :; done; systemctl restart systemd-journald",
  );
}

async function walk(host: Host): Promise<void> {
  const [old, fresh] = versions;
  const as = async (...words: string[]): Promise<void> => {
    say(`  ${words.join(" ")}`);
    await host.run(`DEBIAN_FRONTEND=noninteractive ${words.join(" ")}`, 120_000);
  };
  const deb = async (version: string): Promise<string> =>
    `/opt/project/${name}_${version}_${(await host.run("dpkg --print-architecture")).trim()}.deb`;

  await as("apt-get", "install", "--yes", await deb(old));
  expectEqual("the service after installation", await serviceState(host), "enabled active");
  await until("the exporter is ready", async () => (await ask(host, "/-/ready")).includes("ready"));
  expectEqual(
    "who runs it",
    (await host.run(`ps -o user:20= -p $(systemctl show -p MainPID --value ${unit})`)).trim(),
    name,
  );
  expectEqual("its trace instance", await hasInstance(host), true);
  expectEqual("its state", await stateMode(host), `700 ${name} ${name}`);
  expectEqual("files that are not as packaged", await host.run(`dpkg --verify ${name}`), "");
  await host.run(`${name} --config.file=/etc/${name}/config.yaml --config.check`);

  // What an administrator does. The lab's host sees the machine's sysfs; its own network's is at /run/sysfs.
  await host.run(`printf 'path.sysfs: /run/sysfs\\npeers.show: all\\n' >> /etc/${name}/config.yaml`);
  await host.run(`sed -i 's/^ARGS="/&--log.level=debug /' /etc/default/${name} && systemctl restart ${unit}`);
  const edited = await host.run(`sha256sum /etc/${name}/config.yaml /etc/default/${name}`);

  await until("the exporter is ready", async () => (await ask(host, "/-/ready")).includes("ready"));
  await killSshd(host);
  await until("one crash on /metrics", async () => (await crashes(host)) === 1);
  await until("the verdict", async () => (await value(host, 'cause_active{cause="sshd_crash"}')) === 1, {
    deadlineMs: 90_000,
  });
  say("  kill -9 of sshd: one crash and its verdict on /metrics");

  await as("dpkg", "--install", await deb(fresh));
  expectEqual("the service after the upgrade", await serviceState(host), "enabled active");
  await until("the new version answers", async () => (await ask(host, "/metrics")).includes(`version="${fresh}"`));
  expectEqual("crashes after the upgrade", await crashes(host), 1);
  expectEqual(
    "edited configuration after the upgrade",
    await host.run(`sha256sum /etc/${name}/config.yaml /etc/default/${name}`),
    edited,
  );
  await killSshd(host);
  await until("two crashes on /metrics", async () => (await crashes(host)) === 2);
  say("  upgraded: counters and edits are kept, a second kill is counted");

  await host.run(`systemctl disable --now ${unit}`);
  await as("dpkg", "--install", await deb(fresh));
  expectEqual("a service that was disabled", await serviceState(host), "disabled inactive");
  await host.run(`systemctl enable --now ${unit}`);

  await host.run(`${name} observe install`);
  expectEqual("its nftables table", await hasTable(host), true);
  await as("apt-get", "remove", "--yes", name);
  expectEqual("the service after removal", (await serviceState(host)).split(" ").at(-1), "inactive");
  expectEqual(
    "configuration after removal",
    await host.run(`sha256sum /etc/${name}/config.yaml /etc/default/${name}`),
    edited,
  );
  expectEqual("its state after removal", await stateMode(host), `700 ${name} ${name}`);
  expectEqual("its processes after removal", (await host.attempt(`pgrep -x ${name.slice(0, 15)}`)).stdout, "");
  expectEqual("its nftables table after removal", await hasTable(host), false);
  expectEqual("its trace instance after removal", await hasInstance(host), false);

  await as("dpkg", "--install", await deb(fresh));
  await until("two crashes, again", async () => (await crashes(host)) === 2);
  say("  removed and installed again: counters go on");

  await as("apt-get", "purge", "--yes", name);
  const left = `find / -xdev ( -path /proc -o -path /sys -o -path /opt/project -o -path /run/log -o -path /var/log ) -prune -o -name '*${name}*' -print`;
  expectEqual("files after purge", (await host.run(left.replace(/[()]/g, "\\$&"))).trim(), "");
  expectEqual(
    "user and group after purge",
    (await host.attempt(`getent passwd ${name}; getent group ${name}`)).stdout,
    "",
  );
  expectEqual(
    "failed units",
    (await host.run("systemctl --failed --no-legend --plain | grep ssh-reset || true")).trim(),
    "",
  );
  say("  purged: nothing is left");
}

async function killSshd(host: Host): Promise<void> {
  const pid = await host.listener();
  await host.run(`kill -9 ${pid}`);
  await until("sshd is back", async () => (await host.listener()) !== pid);
}

/** `enabled active`, `disabled inactive`. */
async function serviceState(host: Host): Promise<string> {
  const { stdout } = await host.attempt(`systemctl is-enabled ${unit}; systemctl is-active ${unit}`);
  return stdout.trim().split("\n").join(" ");
}

async function hasInstance(host: Host): Promise<boolean> {
  return (await host.attempt(`test -d /sys/kernel/tracing/instances/${name}`)).status === 0;
}

async function hasTable(host: Host): Promise<boolean> {
  return (await host.run("nft list tables")).includes("table inet ssh_reset_exporter\n");
}

async function stateMode(host: Host): Promise<string> {
  return (await host.run(`stat -c '%a %U %G' /var/lib/${name}`)).trim();
}

async function ask(host: Host, path: string): Promise<string> {
  const program = `fetch("http://127.0.0.1:10922${path}").then((r) => r.text()).then((t) => process.stdout.write(t), () => {})`;
  return (await host.attempt(`/opt/node -e '${program}'`)).stdout;
}

async function value(host: Host, series: string): Promise<number | undefined> {
  const line = (await ask(host, "/metrics")).split("\n").find((each) => each.startsWith(`sshreset_${series} `));
  return line === undefined ? undefined : Number(line.slice(line.lastIndexOf(" ")));
}

function crashes(host: Host): Promise<number | undefined> {
  return value(host, 'sshd_stops_total{reason="crash"}');
}

function expectEqual<T>(what: string, seen: T, wanted: T): void {
  if (seen !== wanted) throw new Error(`${what}: ${JSON.stringify(seen)}, not ${JSON.stringify(wanted)}`);
}
