/**
 * The same targets before our probe and before blackbox_exporter's ssh_banner module (as in its example configuration):
 * what each says. Prints the table that docs/probe.md has.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { limit } from "../../src/probe/pace.ts";
import { debian, debianOr, type Tool } from "../../tools/debian.ts";
import { skip } from "../../tools/skip.ts";
import { waitFor } from "../kernel/wait.ts";
import { type Lab, labProblem, openLab } from "../netns.ts";
import { type Daemon, holdConnection, startDropbear, startFaults, startSshd } from "./daemons.ts";

const configuration = `modules:
  ssh_banner:
    prober: tcp
    timeout: 6s
    tcp:
      query_response:
      - expect: "^SSH-2.0-"
      - send: "SSH-2.0-blackbox-ssh-check"
`;
const main = new URL("../../src/cli/main.ts", import.meta.url).pathname;
const address = "http://127.0.0.1:9115/probe?module=ssh_banner&debug=true&target=";
const fetchPage = `fetch(process.argv[1]).then(async (r) => process.stdout.write(await r.text()))`;

describe("probe beside blackbox_exporter", function () {
  this.timeout(120_000);
  let lab: Lab;
  let folder: string;
  let blackbox: Tool;
  const daemons: Daemon[] = [];

  before(async function () {
    const problem = labProblem();
    if (problem !== undefined) skip(this, problem);
    for (const program of ["ethtool", "nft", "dropbear"] as const) await debianOr(this, program);
    blackbox = await debianOr(this, "prometheus-blackbox-exporter");
    await debianOr(this, "sshd", "trixie");
    await debianOr(this, "sshd", "bookworm");
    folder = mkdtempSync(join(tmpdir(), "ssh-reset-exporter-beside-"));
    lab = await openLab({ offload: false });
  });
  after(async () => {
    for (const daemon of daemons.reverse()) await daemon.close();
    lab?.close();
    if (folder) rmSync(folder, { recursive: true, force: true });
  });

  it("says at which phase and why, where the other says yes or no", async () => {
    const { client, router, server } = lab;
    const faults = [
      "banner:reset",
      "banner:close",
      "banner:stall",
      "banner:http",
      "kex_init:reset",
      "kex_init:stall",
      "kex_reply:close",
    ];
    daemons.push(
      await startSshd(server, { suite: "bookworm", port: 2209 }),
      await startSshd(server, { suite: "trixie", port: 2210 }),
      await startSshd(server, { suite: "trixie", port: 2211, config: ["MaxStartups 1"] }),
      await startSshd(server, { suite: "bookworm", port: 2212, hostsDeny: "sshd: ALL\n" }),
      await startDropbear(server, 2213),
      await startFaults(server, faults),
    );
    daemons.push(await holdConnection(client, server.address, 2211));
    const { path, env } = await debian("nft");
    const nft = (rules: string) => router.run("env", [`LD_LIBRARY_PATH=${env["LD_LIBRARY_PATH"] ?? ""}`, path, rules]);
    await nft(
      "add table ip eat; add chain ip eat out { type filter hook output priority 0; }; add rule ip eat out icmp type destination-unreachable drop; add chain ip eat on { type filter hook forward priority 0; }; add rule ip eat on tcp dport 2299 drop",
    );
    writeFileSync(join(folder, "blackbox.yml"), configuration);
    client.start(blackbox.path, [
      `--config.file=${join(folder, "blackbox.yml")}`,
      "--web.listen-address=127.0.0.1:9115",
    ]);
    const ask = async (target: string): Promise<string> =>
      client.run(process.execPath, ["-e", fetchPage, `${address}${encodeURIComponent(target)}`]);
    await waitFor(
      () =>
        ask("127.0.0.1:1").then(
          () => true,
          () => false,
        ),
      () => "blackbox_exporter does not answer",
    );

    const at = (port: number): string => `${server.address}:${port}`;
    const rows = [
      ["sshd 9.2", at(2209), "ok"],
      ["sshd 10.0", at(2210), "ok"],
      ["dropbear", at(2213), "ok"],
      ["sshd 10.0, MaxStartups reached", at(2211), /^(closed|reset) in banner/],
      ["sshd 9.2, TCP wrappers refuse", at(2212), /^(closed|reset) in banner/],
      ["nothing listens", at(2298), /^refused in connect/],
      ["SYN dropped on the way", at(2299), /^timeout in connect/],
      ["no route", "192.0.2.1:22", /^unreachable in connect/],
      ["unknown host", "nohost.invalid:22", /^(unreachable|timeout) in dns/],
      ...faults.map(
        (fault, i) =>
          [`server: ${fault.replace(":", ", ")}`, at(4000 + i), /^(reset|closed|timeout|protocol) in/] as const,
      ),
    ] as const;
    const look = async (title: string, target: string, wanted: string | RegExp): Promise<readonly string[]> => {
      const [ours, page] = await Promise.all([oneLine(lab, target), ask(target)]);
      if (typeof wanted === "string") expect(ours, title).to.equal(wanted);
      else expect(ours, title).to.match(wanted);
      return [title, ours, theirs(page)];
    };
    await router.run("ip", ["route", "add", "unreachable", "192.0.2.0/24"]);
    await client.run("ip", ["route", "add", "unreachable", "192.0.2.0/24"]);
    const fourAtATime = limit(4);
    const table = await Promise.all(
      rows.map(([title, target, wanted]) => fourAtATime(() => look(title, target, wanted))),
    );
    const to = server.address.replace(/2$/, "0/24");
    await router.run("ip", ["route", "change", to, "dev", "r2", "mtu", "lock", "1400"]);
    table.push(await look("path MTU blackhole, sshd 10.0", at(2210), /^timeout in key exchange/));

    const blind = table.filter(([, ours, other]) => ours !== "ok" && other?.startsWith("success"));
    process.stdout.write(
      `| target | our probe | blackbox_exporter ssh_banner |\n|---|---|---|\n${table.map((row) => `| ${row.join(" | ")} |\n`).join("")}`,
    );
    expect(blind.map(([title]) => title)).to.include("path MTU blackhole, sshd 10.0");
  });
});

async function oneLine(lab: Lab, target: string): Promise<string> {
  const args = ["--import=tsx", main, "probe", "--json", "--timeout=6", target];
  const text = await lab.client.run("sh", ["-c", `"$@" || true`, "sh", process.execPath, ...args]);
  const { failure, text: said } = JSON.parse(text) as {
    failure?: { phase: string; reason: string; errno?: string; detail?: string };
    text: string[];
  };
  if (failure === undefined) return "ok";
  const more = [failure.errno, failure.detail, said[0] && `"${said[0]}"`].filter(Boolean).join(", ");
  return `${failure.reason} in ${failure.phase.replace("kex_", "key exchange ").replace("_", " ")}${more && ` (${more})`}`;
}

/** Its verdict, and the last thing its debug log says before that, which no metric has. */
function theirs(text: string): string {
  if (/^probe_success 1$/m.test(text)) return "success";
  const messages = [
    ...text.matchAll(/ level=(?:error|debug) msg="?([^"\n]*?)"?(?: (?:err|line)="?([^"\n]+?)"?| \S+=.*)?$/gm),
  ];
  const reasons = messages.map(([, message, detail]) => `${message}${detail === undefined ? "" : `: ${detail}`}`);
  return `failure (debug log: ${reasons.filter((reason) => !reason.startsWith("Probe failed")).join("; ")})`;
}
