/**
 * `npm run lab:unit`: the real unit on the lab's Debian 12 host, as packaged, then with each drop-in. What it can see is
 * compared with the table in docs/privileges.md; `-- --write` writes the table. Needs root, as the lab does.
 */
import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { run, until } from "./command.ts";
import { copyProgram } from "./exporter.ts";
import { Host } from "./host.ts";
import { Network } from "./network.ts";
import { type Parts, partsOf } from "./parts.ts";
import { rootfs } from "./roots.ts";
import { openStage } from "./stage.ts";

const unit = "ssh-reset-exporter.service";
const page = "docs/privileges.md";
const marks = ["<!-- table: npm run lab:unit -- --write -->", "<!-- end of table -->"] as const;
/** By drop-in; the columns of the table. */
const variants = {
  "as packaged": undefined,
  "no-trace.conf": "no-trace.conf",
  "kmsg.conf": "kmsg.conf",
  "net-admin.conf": "net-admin.conf",
} as const;
type Variant = keyof typeof variants;

const write = process.argv.includes("--write");
const startedMs = Date.now();
const say = (text: string): void =>
  console.log(`${((Date.now() - startedMs) / 1000).toFixed(0).padStart(5)} s  ${text}`);

/** Of one variant. */
interface Seen extends Parts {
  readonly statusPage: string;
  readonly check: string;
  readonly log: string;
}

/** Connects to sshd and resets the connection. */
const resetter = `const s = require("node:net").connect(22, "127.0.0.1"); s.once("data", () => s.resetAndDestroy())`;

/** What depends on a grant on some kernels; on newer ones everybody may see it. */
const askedFor = ["conntrack_drops_total", "sshd_open_files", "tcp_wrappers_linked"].map((name) => `sshreset_${name}`);

process.exitCode = await main();

async function main(): Promise<number> {
  if (process.getuid?.() !== 0) {
    process.stderr.write("lab:unit needs root: namespaces, cgroups, systemd-nspawn\n");
    return 2;
  }
  const stage = openStage();
  if (typeof stage === "string") {
    process.stderr.write(`lab:unit: ${stage}\n`);
    return 1;
  }
  try {
    await run(process.execPath, ["tools/setup.mjs", "--build"], { timeoutMs: 300_000 });
    const project = copyProgram(stage.folder, 1);
    const template = await rootfs("12", say);
    const network = await Network.open(stage);
    say("booting Debian 12");
    const host = await Host.boot(stage, {
      release: "12",
      name: "lab-unit",
      template,
      networkNamespace: network.namespaces.server.name,
      publicKey: "",
      project,
      nodeModules: join(process.cwd(), "node_modules"),
    });
    await install(host);
    const seen = new Map<Variant, Seen>();
    for (const variant of Object.keys(variants) as Variant[]) {
      say(variant);
      const one = await look(host, variants[variant]);
      const grants = [...one.statusPage.matchAll(/<th scope="row">([^<]+)<(?:(?!<\/tr>).)*to see it: <code>([^<]*)/g)];
      for (const [, part, grant] of grants) say(`  ${part}: ${grant}`);
      say(`  ${[...one.parts].map(([part, state]) => `${part}: ${state}`).join(", ")}`);
      seen.set(variant, one);
    }
    const problems = [...seen].flatMap(([variant, one]) => problemsOf(variant, one));
    for (const problem of problems) console.error(`NOT AS PROMISED: ${problem}`);
    return compare(table(seen)) && problems.length === 0 ? 0 : 1;
  } finally {
    stage.close();
  }
}

/** As a package does: user, program, unit. */
async function install(host: Host): Promise<void> {
  const program = join(host.root, "usr/bin/ssh-reset-exporter");
  writeFileSync(program, '#!/bin/sh\nexec /opt/node /opt/project/dist/cli/main.js "$@"\n', { mode: 0o755 });
  await host.run("useradd --system --user-group --home-dir /nonexistent --shell /usr/sbin/nologin ssh-reset-exporter");
  copyFileSync(`deploy/systemd/${unit}`, join(host.root, "etc/systemd/system", unit));
  // The lab's host sees the machine's sysfs; its own network's is here.
  writeFileSync(
    join(host.root, "etc/default/ssh-reset-exporter"),
    "ARGS=--path.sysfs=/run/sysfs --collector.reset_ttl --log.format=logfmt\n",
  );
  // nspawn mounts a boot id of the host's own, which the unit's fresh /proc has not: journalctl --follow then gives
  // nothing. No such mount is on a real host.
  await host.run(
    "while umount /proc/sys/kernel/random/boot_id 2>/dev/null; do :; done; systemctl restart systemd-journald",
  );
  await host.run("ssh-reset-exporter observe install");
}

async function look(host: Host, dropIn: string | undefined): Promise<Seen> {
  const folder = join(host.root, `etc/systemd/system/${unit}.d`);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  if (dropIn !== undefined) copyFileSync(`deploy/systemd/${dropIn}`, join(folder, dropIn));
  await host.run(`rm -rf /var/lib/ssh-reset-exporter; systemctl daemon-reload; systemctl reset-failed ${unit} || true`);
  const began = Math.floor(Date.now() / 1000);
  const log = async () => host.run(`journalctl --no-pager -o cat -u ${unit} --since=@${began} | tail -n 60`);
  await host.attempt(`systemctl start ${unit}`);
  try {
    await until("the exporter answers", async () => (await ask(host, "/-/healthy")) !== "");
    await until("collectors are settled", async () => !/not read yet/.test(await statusOf(host)));
    await host.attempt("ssh -o BatchMode=yes -o StrictHostKeyChecking=no nobody@127.0.0.1 true");
    await host.run(`/opt/node -e '${resetter}'`);
    await until("a record of sshd", async () =>
      /source_records_total\{source="(journal|logfile)"\} [1-9]/.test(await ask(host, "/metrics")),
    );
    if (/source_up\{source="tcp_trace"\} 1/.test(await ask(host, "/metrics")))
      await until("a reset event", async () => /tcp_resets_received_total [1-9]/.test(await ask(host, "/metrics")));
  } catch (error) {
    throw new Error(`${error instanceof Error ? error.message : error}\n${await log()}`);
  }
  const metrics = await ask(host, "/metrics");
  const statusPage = await statusOf(host);
  await host.run(`systemctl stop ${unit}`, 60_000);
  const said = await log();
  const check = await checkUnder(host, folder);
  return { ...partsOf(metrics), statusPage, check, log: said };
}

/** `check` in the unit's own place: same user, groups, capabilities and hardening. */
async function checkUnder(host: Host, folder: string): Promise<string> {
  const lines = ["[Service]", "Type=oneshot", "Restart=no", "SuccessExitStatus=1", "ExecStart="];
  writeFileSync(
    join(folder, "zz-check.conf"),
    `${lines.join("\n")}\nExecStart=/usr/bin/ssh-reset-exporter check $ARGS\n`,
  );
  const began = Math.floor(Date.now() / 1000);
  await host.run(`systemctl daemon-reload && systemctl start ${unit}`, 60_000);
  return host.run(`journalctl --no-pager -o cat -u ${unit} --since=@${began}`);
}

async function ask(host: Host, path: string): Promise<string> {
  const program = `fetch("http://127.0.0.1:10922${path}").then((r) => r.text()).then((t) => process.stdout.write(t), () => {})`;
  return (await host.attempt(`/opt/node -e '${program}'`)).stdout;
}

/** The status page, after a scrape. */
async function statusOf(host: Host): Promise<string> {
  await ask(host, "/metrics");
  return ask(host, "/");
}

/** What must hold whatever the table says. */
function problemsOf(variant: Variant, { parts, statusPage, check, log }: Seen): string[] {
  const problems: string[] = [];
  const named = (name: string): boolean =>
    new RegExp(
      `<th scope="row">${name}</th>(?:(?!</tr>).)*(?:to see it: |is not loaded|no network driver|which are not read)`,
    ).test(statusPage);
  const words = { yes: "yes", no: "no", failed: "FAILED" } as const;
  for (const [part, state] of parts) {
    const name = part.split(" ")[1] ?? "";
    if (state === "failed") problems.push(`${variant}: ${part} failed`);
    if (state === "no" && !named(name)) problems.push(`${variant}: the status page names no grant for ${part}`);
    const told = new RegExp(`^ +${name} +(yes|no|FAILED)`, "m").exec(check)?.[1];
    if (told !== words[state]) problems.push(`${variant}: check says ${told} of ${part}, /metrics ${state}`);
  }
  if (!parts.has("source tcp_trace") && !named("tcp_trace"))
    problems.push(`${variant}: the status page names no grant for tcp_trace`);
  if (!parts.has("source journal") && !parts.has("source logfile")) problems.push(`${variant}: no log is read`);
  if (/this is a bug|unhandled/i.test(log)) problems.push(`${variant}: ${log}`);
  return problems;
}

/** Sources, collectors, then the metrics that not every variant has. */
function table(seen: ReadonlyMap<Variant, Seen>): string {
  const all = [...seen.values()];
  const parts = [...new Set(all.flatMap((one) => [...one.parts.keys()]))];
  const of = (kind: string): string[] => parts.filter((part) => part.startsWith(kind)).sort();
  const metrics = [...new Set(all.flatMap((one) => [...one.metrics]))]
    .filter((name) => askedFor.includes(name) || !all.every((one) => one.metrics.has(name)))
    .sort();
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  return [
    line(["", ...[...seen.keys()].map((name) => (name === "as packaged" ? name : `\`${name}\``))]),
    line(["---", ...all.map(() => "---")]),
    ...[...of("source"), ...of("collector")].map((part) =>
      line([part.replace(/ (.*)/, " `$1`"), ...all.map((one) => one.parts.get(part) ?? "no")]),
    ),
    ...metrics.map((name) => line([`\`${name}\``, ...all.map((one) => (one.metrics.has(name) ? "yes" : "no"))])),
  ].join("\n");
}

function compare(fresh: string): boolean {
  const text = readFileSync(page, "utf8");
  const [begin, end] = [text.indexOf(marks[0]) + marks[0].length, text.indexOf(marks[1])];
  const written = text.slice(begin, end).trim();
  console.log(`\n${fresh}\n`);
  if (write) writeFileSync(page, `${text.slice(0, begin)}\n\n${fresh}\n\n${text.slice(end)}`);
  if (write || written === fresh) return true;
  console.error(`${page} says otherwise; npm run lab:unit -- --write writes it anew`);
  return false;
}
